"""Probabilities of several models made into one: their mean, or a mixture with counts.

A mixture's weights depend on nothing but what is known before the symbol that is predicted: how
long the longest context is that was counted. They are fitted on text that is not scored.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64, Integer

from jaxrnn.running.memory import Part, check_memory
from jaxrnn.text.counts import counted

LONGEST = 12  # symbols that counts look back
ROUNDS = 100  # of the fit
LEANING = 20.0  # symbols by as many of which the weights after a context lean on those of all


def mean(
    log_probabilities: Sequence[Float[np.ndarray, " length"]],
) -> Float64[np.ndarray, " length"]:
    """The logarithm of the mean of what several models say of each symbol of a text."""
    logs = np.stack(log_probabilities).astype(np.float64)
    return np.logaddexp.reduce(logs, axis=0) - np.log(len(logs))


class Sources(NamedTuple):
    """What is mixed.

    Attributes:
      probabilities: what each says of each symbol of a text.
      seen: what the weights of a place depend on, from 0 to `LONGEST`.
    """

    probabilities: Float64[np.ndarray, "sources length"]
    seen: Int64[np.ndarray, " length"]

    def between(self, start: int | None, end: int | None) -> "Sources":
        """A part of the text."""
        return Sources(self.probabilities[:, start:end], self.seen[start:end])


def with_counts(
    predicted: Sequence[Float[np.ndarray, " _"]],
    texts: Sequence[Integer[np.ndarray, " _"]],
    train: Integer[np.ndarray, " train"],
    *,
    symbols: int,
) -> list[Sources]:
    """A model, and counts of its training text after contexts of 0 to `LONGEST` symbols.

    Args:
      predicted: the natural logarithms of the probabilities that the model gives to all symbols but
        the first of each text.
      texts: which.
      train: what is counted.
      symbols: how many different ones there are.

    Raises:
      InputError: there is nothing to count, or counting does not fit in memory.
    """
    length = len(train) + sum(map(len, texts))
    check_memory(
        f"counting a text of {len(train):,} symbols",
        [Part("sorting its strings", 48 * length, "leave --counts out")],
    )
    found = counted(train, texts, symbols=symbols, longest=LONGEST)
    return [
        Sources(
            np.vstack([np.exp(logs.astype(np.float64)), own.probabilities[:, 1:]]), own.seen[1:]
        )
        for logs, own in zip(predicted, found, strict=True)
    ]


def fitted(sources: Sources) -> Float64[np.ndarray, "contexts sources"]:
    """The weights under which a text is likeliest, for each length of context.

    By expectation and maximisation (Dempster, Laird and Rubin 1977, Maximum likelihood from
    incomplete data via the EM algorithm), first for all lengths together; each length's own then
    begin there, and lean on them.
    """
    even = np.full(len(sources.probabilities), 1 / len(sources.probabilities))
    overall = _fitted(sources.probabilities, even, even)
    return np.stack([
        _fitted(sources.probabilities[:, sources.seen == n], overall, LEANING * overall)
        for n in range(LONGEST + 1)
    ])  # fmt: skip


def mixed(
    sources: Sources, weights: Float64[np.ndarray, "contexts sources"]
) -> Float64[np.ndarray, " length"]:
    """The logarithms of the mixture's probabilities."""
    return np.log(np.einsum("ls,sl->l", weights[sources.seen], sources.probabilities))


def cross_fitted(sources: Sources) -> Float64[np.ndarray, " length"]:
    """Each half of a text, mixed by weights that were fitted on the other half."""
    middle = len(sources.seen) // 2
    first, second = sources.between(None, middle), sources.between(middle, None)
    return np.concatenate([mixed(first, fitted(second)), mixed(second, fitted(first))])


def _fitted(
    probabilities: Float64[np.ndarray, "sources length"],
    weights: Float64[np.ndarray, " sources"],
    prior: Float64[np.ndarray, " sources"],
) -> Float64[np.ndarray, " sources"]:
    for _ in range(ROUNDS):
        # How many symbols are each source's, by its share in the probability of each.
        counts = weights * (probabilities @ (1 / (weights @ probabilities))) + prior
        weights = counts / counts.sum()
    return weights
