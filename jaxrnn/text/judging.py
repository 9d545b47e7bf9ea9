"""How texts are judged by trained models: as they are, while they learn from it, beside counts.

Figures of different modes are not to be compared as if they were of one kind: a static model has
learned from its training text alone, a dynamic one from all that it has read of the judged one too.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import tee

import numpy as np
from jaxtyping import Float, Integer

from jaxrnn.core.errors import InputError
from jaxrnn.core.parameters import Params
from jaxrnn.text import EncodedText
from jaxrnn.text.adapting import Adaptation, adapted, root_mean_squares
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.mixing import cross_fitted, fitted, mean, mixed, with_counts
from jaxrnn.text.scoring import Scores, Tally, score_texts
from jaxrnn.text.vocabulary import Text

Tokens = Integer[np.ndarray, " _"]
Show = Callable[[int, int], None]  # is told how many symbols are done, of how many


@dataclass(frozen=True, eq=False)
class Judge:
    """One or several models of one vocabulary; of several, the mean of their probabilities.

    Attributes:
      models: which.
      own: the text that they were trained on; None where that is not needed.
      adaptation: how fast they learn from what they read; None: they do not.
      counts: mix them with counts of the training split. The weights are fitted on the validation
        split; those of either half of that on the other one.
      show: is told how far a dynamic evaluation is.
    """

    models: Sequence[LanguageModel]
    own: EncodedText | None = None
    adaptation: Adaptation | None = None
    counts: bool = False
    show: Show | None = None

    def __post_init__(self) -> None:
        if any(model.vocabulary != self.models[0].vocabulary for model in self.models):
            raise InputError(
                "the models know different symbols, so that their probabilities have no mean; give "
                "models that were trained on one text, or evaluate each by itself"
            )
        if self.mode != "static" and self.own is None:
            raise InputError("to adapt or to count needs the text that was trained on; give it")
        if self.own is not None and self.counts and len(self.own.valid) < 2:
            raise InputError(
                "the weights of counts are fitted on the validation split, which this text has "
                "none of; leave the counts out"
            )

    @property
    def mode(self) -> str:
        """What its figures are called."""
        return ("static" if self.adaptation is None else "dynamic") + " with counts" * self.counts

    def of_texts(self, texts: Iterable[Text], *, lines: bool) -> Iterator[Tally]:
        """Of each text, or line without its end, as `LanguageModel.scores` reads it."""
        first = self.models[0]
        if self.mode != "static":  # never lines
            symbols = [first.encoded(text, is_line=lines) for text in texts]
            yield from self._tallies([self._heard(found) for found in symbols])
            return
        copies = tee(texts, len(self.models))
        scores = (m.scores(t, lines=lines) for m, t in zip(self.models, copies, strict=True))
        for found in zip(*scores, strict=True):
            logs = mean([own.log_probabilities for own in found])
            yield Tally.of(Scores(found[0].symbols, logs))

    def of_whole(self, tokens: Tokens) -> Tally:
        """Of a text, as `LanguageModel.tally`."""
        first, *others = self.models
        if self.mode == "static" and not others:
            return first.tally(tokens)
        return next(self._tallies([self._heard(first.after_beginning(tokens))]))

    def of_splits(self, splits: Sequence[Tokens]) -> Iterator[Tally]:
        """Of splits of the models' own text, as `LanguageModel.tally_split`.

        With counts, the first of them is the validation split.
        """
        first, *others = self.models
        if self.mode == "static" and not others:
            return map(first.tally_split, splits)
        return self._tallies(splits, starts_with_validation=True)

    def log_probabilities(self, heard: Tokens) -> Float[np.ndarray, " length"]:
        """Of all symbols but the first, without counts."""
        return mean([self._by(i, heard) for i in range(len(self.models))])

    def _by(self, i: int, heard: Tokens) -> Float[np.ndarray, " length"]:
        network, params = self.models[i].network, self.models[i].params
        if self.adaptation is None:
            (scores,) = score_texts(network, params, [(int(heard[0]), heard[1:])])
            return scores.log_probabilities
        pieces, done = [np.zeros(0, np.float32)], 0
        for piece in adapted(network, params, self._rms[i], heard, self.adaptation):
            if not np.isfinite(piece).all():
                raise InputError(
                    f"what the model learns from the text at a rate of {self.adaptation.rate:g} "
                    "(--adapt_rate) is not finite; give a lower one"
                )
            pieces.append(piece)
            done += len(piece)
            if self.show:
                self.show(done, len(heard) - 1)
        return np.concatenate(pieces)

    @cached_property
    def _rms(self) -> list[Params]:
        assert self.own is not None
        return [root_mean_squares(m.network, m.params, self.own.train) for m in self.models]

    def _heard(self, symbols: Tokens) -> Tokens:
        return np.concatenate([[self.models[0].beginning], symbols]).astype(np.int32)

    def _tallies(
        self, texts: Sequence[Tokens], *, starts_with_validation: bool = False
    ) -> Iterator[Tally]:
        """Of each text but for its first symbol."""
        found: Iterable[np.ndarray] = map(self.log_probabilities, texts)
        if self.counts:
            found = self._with_counts(texts, starts_with_validation)
        for text, logs in zip(texts, found, strict=True):
            yield Tally.of(Scores(text[1:], logs))

    def _with_counts(
        self, texts: Sequence[Tokens], starts_with_validation: bool
    ) -> Iterator[Float[np.ndarray, " _"]]:
        assert self.own is not None
        every = texts if starts_with_validation else [self.own.valid, *texts]
        predicted = [self.log_probabilities(text) for text in every]
        symbols = self.models[0].vocabulary.size
        validation, *others = with_counts(predicted, every, self.own.train, symbols=symbols)
        if starts_with_validation:
            yield cross_fitted(validation)
        weights = fitted(validation)
        yield from (mixed(sources, weights) for sources in others)
