"""How likely a network holds each symbol of a text, whatever the texts' number and lengths.

Texts are laid one behind another in the lanes of a few fixed numbers, a reset before each, and read
in chunks of one fixed length: few programs are compiled, and little is padding. A long text is cut
into parts that are read side by side.
"""

import heapq
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer

from jaxrnn.core.engine.unroll import unroll
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, State, initial_state, state_dtype
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.loss import cross_entropy
from jaxrnn.text.batches import HEARD
from jaxrnn.text.sampling import check_finite
from jaxrnn.text.vocabulary import UNKNOWN

CHUNK = 128  # time steps
LANES = (1, 8, 64)
GROUP = 2**18  # symbols that are read at once, or one text if that is longer
WHOLE = 2**15  # symbols of a text that is read without a cut
PART = 4096  # symbols of a longer text's parts, each of which hears the `HEARD` before it


class Scores(NamedTuple):
    """What a network says of each symbol of a text, given those before it.

    Attributes:
      symbols: the text.
      log_probabilities: natural logarithms.
      ranks: 1 for a symbol that the network held to be the likeliest in its place; None where
        several models took part, or a model that learns from the text.
    """

    symbols: Integer[np.ndarray, " length"]
    log_probabilities: Float[np.ndarray, " length"]
    ranks: Int[np.ndarray, " length"] | None = None


class Tally(NamedTuple):
    """How well a text was predicted, in sums that add up over its parts.

    Attributes:
      symbols: how many were predicted.
      nats: minus the natural logarithm of their probability.
      unknown: how many of them the vocabulary lacks.
      unknown_nats: what these contribute to `nats`.
    """

    symbols: int = 0
    nats: float = 0.0
    unknown: int = 0
    unknown_nats: float = 0.0

    @staticmethod
    def of(scores: Scores) -> "Tally":
        """Of all symbols."""
        nats, unknown = -scores.log_probabilities.astype(np.float64), scores.symbols == UNKNOWN
        return Tally(len(nats), float(nats.sum()), int(unknown.sum()), float(nats[unknown].sum()))

    def plus(self, other: "Tally") -> "Tally":
        """Of both texts."""
        return Tally(
            self.symbols + other.symbols, self.nats + other.nats,
            self.unknown + other.unknown, self.unknown_nats + other.unknown_nats,
        )  # fmt: skip

    @property
    def known(self) -> "Tally":
        """Of the symbols that the vocabulary has."""
        return Tally(self.symbols - self.unknown, self.nats - self.unknown_nats)

    @property
    def log2_probability(self) -> float:
        """Of the whole text."""
        return 0.0 - self.nats / math.log(2)

    @property
    def bits(self) -> float | None:
        """Per symbol; None if there are none."""
        return self.nats / math.log(2) / self.symbols if self.symbols else None

    @property
    def bits_per_unknown(self) -> float | None:
        """Per symbol that the vocabulary lacks; None if there are none."""
        return self.unknown_nats / math.log(2) / self.unknown if self.unknown else None

    @property
    def perplexity(self) -> float | None:
        """Per symbol: among how many equally likely ones as much would be to guess."""
        if self.bits is None:
            return None
        return 2**self.bits if self.bits < sys.float_info.max_exp else math.inf

    @property
    def unknown_share(self) -> float:
        """Of all symbols, from 0 to 1."""
        return self.unknown / self.symbols if self.symbols else 0.0


def score_texts(
    network: Network,
    params: Params,
    texts: Iterable[tuple[int, Integer[np.ndarray, " length"]]],
) -> Iterator[Scores]:
    """Scores texts one by one, each on its own from the zero state.

    Args:
      network: what predicts.
      params: its parameters.
      texts: each as the symbol that stands before it, which is heard and not scored, and itself,
        which may be empty. One of up to `WHOLE` symbols is read as it is. The parts of a longer one
        hear no more of it than the `HEARD` symbols before them.

    Raises:
      InputError: a probability is not a finite number.
    """
    for group in _groups(texts):
        cut = [list(_passages(*text)) for text in group]
        read = iter(_read(network, params, [passage for parts in cut for passage in parts]))
        for (_, symbols), parts in zip(group, cut, strict=True):
            nats, ranks = zip(*(next(read) for _ in parts), strict=True)
            yield Scores(symbols, -np.concatenate(nats), np.concatenate(ranks))


def tally_text(
    network: Network, params: Params, start: int, symbols: Integer[np.ndarray, " length"]
) -> Tally:
    """The sums over a text, as from `score_texts`, but of any length in bounded memory."""
    total = Tally()
    for group in _groups((p, p.heard) for p in _passages(start, symbols)):
        passages = [passage for passage, _ in group]
        for passage, scores in zip(passages, _read(network, params, passages), strict=True):
            total = total.plus(Tally.of(Scores(passage.scored, -scores[0])))
    return total


def tally_batches(network: Network, params: Params, batches: Iterable[Batch]) -> Tally:
    """The sums over batches of one shape, the state carried from each to the next.

    Targets of weight 0 do not count; those of any other weight count once.
    """
    state, total = None, Tally()
    for batch in batches:
        if state is None:
            state = initial_state(network, batch.inputs.shape[1], state_dtype(params))
        resets = np.zeros(batch.inputs.shape, np.bool_)
        nats, _, state = _chunk(network, params, state, batch.inputs, batch.targets, resets)
        counts = batch.weights != 0
        nats = np.asarray(nats)[counts]
        check_finite(nats)
        total = total.plus(Tally.of(Scores(batch.targets[counts], -nats)))
    return total


class _Passage(NamedTuple):
    """Symbols of which each after the first is predicted, the first few of these for nothing."""

    heard: Int[np.ndarray, " time"]
    unscored: int

    @property
    def scored(self) -> Int[np.ndarray, " length"]:
        return self.heard[1 + self.unscored :]


def _groups(texts: Iterable[tuple]) -> Iterator[list]:
    """As many as have `GROUP` symbols; of each text, the second says how many it has."""
    group, size = [], 0
    for text in texts:
        group.append(text)
        size += len(text[1])
        if size >= GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group


def _passages(start: int, symbols: Integer[np.ndarray, " length"]) -> Iterator[_Passage]:
    part = len(symbols) if len(symbols) <= WHOLE else PART
    for begin in range(0, max(1, len(symbols)), max(1, part)):
        first = max(0, begin - HEARD)
        before = symbols[first - 1 : first] if first else [start]
        heard = np.concatenate([before, symbols[first : begin + part]]).astype(np.int32)
        yield _Passage(heard, begin - first)


def _read(
    network: Network, params: Params, passages: Sequence[_Passage]
) -> Iterator[tuple[Float[np.ndarray, " length"], Int[np.ndarray, " length"]]]:
    """The nats and the ranks of what is scored in each passage."""
    lengths = np.array([len(passage.heard) - 1 for passage in passages])
    lanes, time, places = _laid_out(lengths)
    inputs, targets = np.zeros((2, time, lanes), np.int32)
    resets = np.zeros((time, lanes), np.bool_)
    inputs.flat[places] = np.concatenate([passage.heard[:-1] for passage in passages])
    targets.flat[places] = np.concatenate([passage.heard[1:] for passage in passages])
    starts = np.cumsum(lengths) - lengths
    resets.flat[places[starts[lengths > 0]]] = True
    state = initial_state(network, lanes, state_dtype(params))
    found = []
    for at in range(0, time, CHUNK):
        now = slice(at, at + CHUNK)
        *read, state = _chunk(network, params, state, inputs[now], targets[now], resets[now])
        found.append(read)
    nats, ranks = (np.concatenate(arrays).flat[places] for arrays in zip(*found, strict=True))
    for start, length, passage in zip(starts, lengths, passages, strict=True):
        scored = slice(start + passage.unscored, start + length)
        check_finite(nats[scored])
        yield nats[scored], ranks[scored]


def _laid_out(
    lengths: Int[np.ndarray, " passages"],
) -> tuple[int, int, Int[np.ndarray, " symbols"]]:
    """How many lanes and time steps hold passages, and where each symbol is in `[time, lanes]`.

    The longest first, each into the lane that ends first (Graham 1969, Bounds on multiprocessing
    timing anomalies).
    """
    wanted = -(-int(lengths.sum()) // max(CHUNK, int(lengths.max())))
    lanes = next((lanes for lanes in LANES if lanes >= wanted), LANES[-1])
    ends = [(0, lane) for lane in range(lanes)]
    first = np.zeros(len(lengths), np.int64)  # of each passage, its first symbol's place
    for i in np.argsort(-lengths, kind="stable"):
        end, lane = ends[0]
        first[i] = end * lanes + lane
        heapq.heapreplace(ends, (end + int(lengths[i]), lane))
    chunks = max(1, -(-max(ends)[0] // CHUNK))
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return lanes, chunks * CHUNK, np.repeat(first, lengths) + within * lanes


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def _chunk(
    network: Network,
    params: Params,
    state: State,
    inputs: Int[Array | np.ndarray, "time lanes"],
    targets: Int[Array | np.ndarray, "time lanes"],
    resets: Bool[Array | np.ndarray, "time lanes"],
) -> tuple[Float[Array, "time lanes"], Int[Array, "time lanes"], State]:
    """Minus the log-probability of each target, in nats; its rank; and the state afterwards."""
    logits, state = unroll(network, params, state, inputs, resets=resets)
    own = jnp.take_along_axis(logits, jnp.asarray(targets)[..., None], axis=-1)
    ranks = 1 + (logits > own).sum(axis=-1, dtype=jnp.int32)
    return cross_entropy(logits, jnp.asarray(targets)), ranks, state
