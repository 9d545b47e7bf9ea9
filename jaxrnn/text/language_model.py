"""A trained character-level language model: to be loaded, judged and made to write."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer, PRNGKeyArray

from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, parameter_shapes
from jaxrnn.learning.evaluation import evaluate
from jaxrnn.learning.loss import bits_per_character
from jaxrnn.learning.recipe import Recipe
from jaxrnn.running.needs import check_model, check_writing
from jaxrnn.storage.checkpoints import Checkpoints
from jaxrnn.storage.export import check_fit, load_model, save_model
from jaxrnn.text import UNKNOWN, Vocabulary
from jaxrnn.text.ending import Cut, Ending
from jaxrnn.text.extending import extended_network, extended_params
from jaxrnn.text.own_cells import asking_for
from jaxrnn.text.problem import held_out
from jaxrnn.text.sampling import (
    BLOCK,
    INTERVAL,
    Choice,
    Position,
    check_finite,
    read,
    write,
    write_by_selection,
)
from jaxrnn.text.saved_run import WHICHES, SavedRun, Which, facts_of_state, read_run
from jaxrnn.text.scoring import Scores, Tally, score_texts, tally_batches, tally_text
from jaxrnn.text.unknown import listed, other_form
from jaxrnn.text.vocabulary import Text

NOTHING = np.zeros(0, np.int32)


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A network that reads and writes the symbols of a vocabulary.

    What it does raises an InputError where its predictions are not finite.

    Attributes:
      facts: of its training, where it was loaded: which state it is, and what that came to.
    """

    network: Network
    params: Params
    vocabulary: Vocabulary
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """Which state of its training it is, in words; empty where that is not known."""
        which, step = self.facts.get("which"), self.facts.get("step")
        return f"{which} state, step {step:,}" if which in WHICHES and type(step) is int else ""

    def bits_per_character(self, tokens: Integer[np.ndarray, " length"]) -> float:
        """Of a text, every symbol but its first scored once, with the state carried on."""
        nats = evaluate(self.network, self.params, held_out(tokens))
        check_finite(nats)
        return bits_per_character(nats)

    def tally_split(self, tokens: Integer[np.ndarray, " length"]) -> Tally:
        """What `bits_per_character` is the mean of, the unknown symbols apart."""
        return tally_batches(self.network, self.params, held_out(tokens))

    def tally(self, tokens: Integer[np.ndarray, " length"]) -> Tally:
        """The sums over a text of any length, every symbol scored as by `scores`."""
        return tally_text(self.network, self.params, self.beginning, self.after_beginning(tokens))

    def scores(self, texts: Iterable[str | bytes], *, lines: bool = False) -> Iterator[Scores]:
        r"""How likely the model holds each symbol of texts, one text after the other.

        Each is read on its own from the zero state, as if a line end stood before it, as `texts`
        begins to write without a prime text; so its first symbol is scored like all others. A
        vocabulary without a line end takes a space there, or its first symbol.

        Args:
          texts: as a user gives them: they are normalised as the model's training text was, and
            the symbols that come back are those of the normalised text.
          lines: each is a line without its end, which is scored as its last symbol (where the
            vocabulary has it), so that all lines' probabilities sum up to 1.

        Raises:
          InputError: a probability is not a finite number.
        """
        start = self.beginning
        after_start = ((start, self.encoded(text, is_line=lines)) for text in texts)
        return score_texts(self.network, self.params, after_start)

    @property
    def beginning(self) -> int:
        """What stands before a text: a line end or a space, as before a line or a word."""
        known = (int(self.vocabulary.encode(start)[0]) for start in ("\n", " "))
        return next((symbol for symbol in known if symbol != UNKNOWN), 1)

    def after_beginning(
        self, tokens: Integer[np.ndarray, " length"]
    ) -> Integer[np.ndarray, " symbols"]:
        """Without white space that is one with the line end before the text."""
        swallowed = self.vocabulary.collapse_whitespace and tokens[:1].tolist() == [self.beginning]
        return tokens[swallowed:]

    def encoded(
        self, text: str | bytes, *, is_line: bool = False
    ) -> Integer[np.ndarray, " length"]:
        """A text's symbols, normalised as what follows a line end; of a line, with its own end."""
        end = self.vocabulary.encode(self.vocabulary.normalise("\n"))
        is_ended = is_line and UNKNOWN not in end
        if isinstance(text, bytes):
            return self.vocabulary.encode(text + b"\n" * is_ended)
        # The first line end, which may swallow white space, is not the text's.
        normalised = self.vocabulary.normalise("\n" + text + "\n" * is_ended)
        return self.vocabulary.encode(normalised)[1:]

    def texts(
        self,
        length: int | None,
        *,
        prime: Text = "",
        streams: int = 1,
        choice: Choice,
        seed: int,
        stop: Sequence[Text] = (),
        lines: int | None = None,
    ) -> list[Text]:
        """What each of several streams writes after the prime text; of a byte model, `bytes`.

        Args:
          length: how many symbols at most; None leaves the end to `stop` and `lines`.
          prime: what is read first, by all of them.
          streams: how many texts.
          choice: how each symbol is chosen.
          seed: decides everything that is drawn.
          stop: a text ends before the first of these that it comes to, wherever the prime text
            has them.
          lines: a text ends with so many line ends, the last one included.
        """
        ending = Ending(length, tuple(stop), lines)
        if not ending.comes:
            raise InputError("nothing ends the texts; give a length, a stop text or lines")
        check_writing(self.network, self.params, streams, length or 0, BLOCK)
        cuts = [Cut(ending.checked(self.vocabulary)) for _ in range(streams)]
        pieces: list[list[Text]] = [[self.vocabulary.text(NOTHING)] for _ in cuts]
        blocks = self._blocks(prime, streams, choice, seed)
        while not all(cut.ended for cut in cuts):
            for cut, text, column in zip(cuts, pieces, next(blocks).T, strict=True):
                if not cut.ended:
                    text.append(cut.add(self.vocabulary.text(column)))
        return [text[0][:0].join(text) for text in pieces]  # type: ignore[arg-type]

    def stream(
        self,
        length: int | None = None,
        *,
        prime: Text = "",
        choice: Choice,
        seed: int,
        stop: Sequence[Text] = (),
        lines: int | None = None,
    ) -> Iterator[Text]:
        """Writes one text piece by piece; without end, where none is given. As for `texts`.

        What is wrong with the arguments is said at once, not with the first piece.
        """
        cut = Cut(Ending(length, tuple(stop), lines).checked(self.vocabulary))
        blocks = self._blocks(prime, 1, choice, seed)

        def pieces() -> Iterator[Text]:
            while not cut.ended:
                yield cut.add(self.vocabulary.text(next(blocks)[:, 0]))

        return pieces()

    def likeliest_text(
        self, length: int, *, prime: Text = "", population: int, choice: Choice, seed: int
    ) -> tuple[Text, float]:
        """The likeliest of a population of streams, `length` symbols, and its bits per symbol."""
        if length < 1:
            raise InputError(f"the length is {length}; a population needs at least 1 to compare")
        held = 2 * 4 * length  # what is written, before and after a choice
        check_writing(self.network, self.params, population, held, min(length, INTERVAL))
        position, choice = self._read(prime, population, choice)
        symbols, nats = write_by_selection(
            self.network, self.params, position, _key(seed), length, choice
        )
        return self.vocabulary.text(symbols), bits_per_character(-nats / length)

    def extended(
        self,
        symbols: str | bytes,
        key: PRNGKeyArray,
        recipe: Recipe = Recipe(),  # noqa: B008 (frozen)
    ) -> "LanguageModel":
        """Knows more symbols: those of these that are new, by parameters that the recipe draws.

        What was learned stays as it was, in the recipe's precision, and so does what is predicted
        of the symbols known before, in proportion to each other. Only where layers hear, or
        normalise, what the network predicts do the new ones take part in that at once.
        """
        vocabulary = self.vocabulary.extended(symbols)
        numbers = vocabulary.numbers_of(self.vocabulary)
        network = extended_network(self.network, vocabulary.size, numbers)
        params = extended_params(self.network, self.params, recipe.init(network, key), numbers)
        return LanguageModel(network, jax.tree.map(jnp.asarray, params), vocabulary)

    def save(self, directory: Path) -> None:
        """Writes the model as safetensors and JSON; `load_language_model` reads it."""
        self.bits_per_character(np.arange(self.vocabulary.size))  # can it predict anything at all?
        save_model(
            directory,
            params=self.params,
            network=self.network.to_dict(),
            vocabulary=self.vocabulary.to_dict(),
            facts=self.facts,
        )

    def _blocks(
        self, prime: Text, streams: int, choice: Choice, seed: int
    ) -> Iterator[Integer[np.ndarray, "block streams"]]:
        position, choice = self._read(prime, streams, choice)
        return write(self.network, self.params, position, _key(seed), choice)

    def _read(self, prime: Text, streams: int, choice: Choice) -> tuple[Position, Choice]:
        """Reads the prime text; without one, a line end or a space, as before a line or a word.

        Unknown characters are refused: leaving them out may be better. Of bytes, which may be no
        more than parts of a character, each that is unknown is read as that.
        """
        if streams < 1:
            raise InputError(f"{streams} texts are to be written at once; give at least 1")
        prime = self.vocabulary.normalise(prime)
        unknown = self.vocabulary.unknown_in(prime)
        if unknown and self.vocabulary.level == "character":
            raise InputError(
                f"the model does not know {listed(unknown)} of the prime text; it knows the "
                f"characters of its training text only, so leave them out"
                + other_form(self.vocabulary, prime)
            )
        symbols = self.vocabulary.encode(prime) if prime else np.array([self.beginning])
        choice = choice._replace(banned=(UNKNOWN,))
        return read(self.network, self.params, symbols, streams), choice


def _key(seed: int) -> PRNGKeyArray:
    return derive(jax.random.key(seed), "samples")


def check_predicts(network: Network, symbols: int, whose: str, advice: str) -> None:
    """Refuses a network that cannot say of each symbol which one comes next.

    Args:
      network: which.
      symbols: how many there are.
      whose: how a sentence about the network begins.
      advice: and how it ends, where sizes do not fit.
    """
    if not network.takes_one_array or not network.returns_one_array:
        raise InputError(
            f"{whose} has inputs or outputs by name; for a language model give one called 'input' "
            "and one called 'output'"
        )
    if network.runs_backward:
        raise InputError(
            f"{whose} has layers that run backward, which would read what is to be predicted; "
            "leave backward out"
        )
    sizes = network.input_size, network.size("output")
    if sizes != (symbols, symbols):
        raise InputError(
            f"{whose} has {sizes[0]} inputs and {sizes[1]} outputs but the vocabulary "
            f"has {symbols} symbols; {advice}"
        )


def load_language_model(path: Path, which: str | None = None) -> LanguageModel:
    """A model of a work directory, or an exported one.

    One of float64 parameters switches `jax_enable_x64` on, for the whole process.

    Args:
      path: of the directory.
      which: state of a run: the best in an evaluation, or the last that was kept; None: the best
        or, if there was no evaluation yet, the last. Of an export, the one that it holds.

    Raises:
      InputError: there is no model, or no such state; its files are damaged or do not fit each
        other, or its parameters are not finite.
    """
    if not path.is_dir():
        raise InputError(f"there is no directory {path}; give a work directory or an export")
    if which not in (None, *WHICHES):
        raise InputError(f"which is {which!r}; give 'best', 'last' or None")
    known, run = cast(Which | None, which), read_run(path)
    model = _from_export(path, known) if run is None else _from_workdir(path, run, known)
    for array in jax.tree.leaves(model.params):
        check_finite(np.asarray(array))
    return model


def _from_workdir(path: Path, run: SavedRun, which: Which | None) -> LanguageModel:
    dtype = jnp.float64 if run.settings.recipe.dtype == "float64" else jnp.float32
    if dtype == jnp.float64:
        jax.config.update("jax_enable_x64", True)
    check_model(run.network, jnp.dtype(dtype).itemsize, path)
    checkpoints = Checkpoints(path)
    without = InputError(
        f"{path} has no best state; take the last one (--which=last), or train on until an "
        "evaluation is finite"
    )
    has_best = bool(checkpoints.steps("best"))
    if which == "best" and not has_best and checkpoints.there:
        raise without
    # The parameters alone: what an optimiser's state is called may change with optax.
    template = {
        layer: {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape in shapes.items()}
        for layer, shapes in parameter_shapes(run.network).items()
    }
    found = which or ("best" if has_best else "last")
    restored = checkpoints.restore(template, which=found, part=".params")
    if which == "last" and restored.which != "last":
        raise InputError(
            f"{path} has no last state that is intact; take the best one (--which=best), of step "
            f"{restored.step:,}, from which training would go on"
        )
    told = restored.metrics
    if which is None and not has_best and told.get("evaluated") and told.get("best") is None:
        raise without
    facts = facts_of_state(path, run, found, restored)
    return LanguageModel(run.network, restored.state, run.vocabulary, facts)


def _from_export(path: Path, which: Which | None) -> LanguageModel:
    model = load_model(path)
    held = model.facts.get("which")
    if which is not None and which != held:
        raise InputError(
            f"{path} is an export, which holds one state{f', the {held} one' if held else ''}; "
            f"export the {which} one of the work directory, or do not ask for either"
        )
    with asking_for(path):
        network = Network.from_dict(model.network)
    vocabulary = Vocabulary.from_dict(model.vocabulary)
    if np.dtype(np.float64) in {array.dtype for array in jax.tree.leaves(model.params)}:
        jax.config.update("jax_enable_x64", True)
    check_predicts(network, vocabulary.size, f"the network in {path}", "export the model again")
    check_fit(model.params, parameter_shapes(network), file=path)
    params = jax.tree.map(jnp.asarray, model.params)
    return LanguageModel(network, params, vocabulary, model.facts)
