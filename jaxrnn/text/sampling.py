"""Writing with a trained network: one symbol at a time, each fed back as the next input.

The noise of a whole block of symbols is drawn up front and the block is one `lax.scan`, so that the
host takes part once a block instead of once a symbol. Blocks have one fixed length: a longer text
with the same seed begins with the shorter one.
"""

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, PRNGKeyArray

from jaxrnn.core.checks import check_symbols
from jaxrnn.core.engine.unroll import step, unroll
from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, State, initial_state, state_dtype

BLOCK = 256  # symbols that are written, or read, in one program
INTERVAL = 8  # symbols between two comparisons within a population


class Choice(NamedTuple):
    """How the next symbol is chosen from the network's softmax.

    Attributes:
      temperature: what the logits are divided by. 0 always takes the most likely symbol, the first
        of equals; as the temperature falls to 0, equals are drawn evenly.
      top_k: leave only the k most likely symbols (Fan and others 2018), with all that are as likely
        as the last of them.
      top_p: then leave only the most likely symbols that together reach this probability (Holtzman
        and others 2020), at this temperature, again with the last one's equals.
      banned: symbols that are never written.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    banned: tuple[int, ...] = ()


class Position(NamedTuple):
    """Where streams of text stand: the network's state, and logits of each stream's next symbol."""

    state: State
    logits: Float[Array, "streams symbols"]


def read(
    network: Network, params: Params, prime: Integer[np.ndarray, " time"], streams: int
) -> Position:
    """Reads a prime text of at least one symbol from the zero state, the same in every stream.

    It is read in blocks of one length, the last one filled up, so that a prime text of any length
    takes one program and the memory of one block.

    Raises:
      InputError: the text is empty, or holds symbols that the network does not have.
    """
    if not len(prime):
        raise InputError("the prime text is empty; give at least one symbol to start from")
    check_symbols(prime, network.input_size, "the prime text's symbols")
    symbols = np.asarray(prime, np.int32)
    state = initial_state(network, 1, state_dtype(params))
    for start in range(0, len(symbols), BLOCK):
        block = symbols[start : start + BLOCK]
        filled = np.pad(block, (0, BLOCK - len(block)))
        position = _read(network, params, state, filled, len(block))
        state = position.state
    return jax.tree.map(lambda x: jnp.repeat(x, streams, axis=0), position)


def write(
    network: Network,
    params: Params,
    position: Position,
    key: PRNGKeyArray,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
) -> Iterator[Int[np.ndarray, "block streams"]]:
    """Writes on from a position without end, a block of symbols at a time.

    Raises:
      InputError: the choice leaves nothing to choose from.
    """
    check_choice(choice, network.size("output"))

    def blocks(position: Position) -> Iterator[Int[np.ndarray, "block streams"]]:
        for block in count():
            block_key = jax.random.fold_in(key, block)
            symbols, nats, position = _write(network, params, position, block_key, choice, BLOCK)
            check_finite(nats)
            yield np.asarray(symbols)

    return blocks(position)


def write_by_selection(
    network: Network,
    params: Params,
    position: Position,
    key: PRNGKeyArray,
    length: int,
    choice: Choice = Choice(),  # noqa: B008 (frozen)
    *,
    interval: int = INTERVAL,
) -> tuple[Int[np.ndarray, " length"], float]:
    """Keeps a population of streams by truncation selection, and returns the likeliest of them.

    Every `interval` symbols the less likely half of the streams is dropped, and each one dropped
    becomes a copy of a stream drawn uniformly from the rest (Mühlenbein and Schlierkamp-Voosen
    1993, Predictive models for the breeder genetic algorithm). This is no beam search, which would
    score all extensions of each stream: here each stream draws its own symbols.

    Args:
      network: what writes.
      params: its parameters.
      position: as from `read`, with as many streams as the population is to have.
      key: decides everything that is drawn.
      length: how many symbols.
      choice: how each stream chooses its symbols.
      interval: how many symbols the streams write between two comparisons.

    Returns:
      The symbols, and their log-likelihood under the network (at temperature 1), in nats.
    """
    check_choice(choice, network.size("output"))
    streams = position.logits.shape[0]
    if streams < 2:
        raise InputError(f"a population of {streams} leaves nothing to choose from; take 2 or more")
    if interval < 1:
        raise InputError(f"the interval between comparisons is {interval}; it must be at least 1")
    written = np.zeros((0, streams), np.int32)
    scores = np.zeros(streams)
    for i, start in enumerate(range(0, length, interval)):
        round_key = jax.random.fold_in(key, i)
        steps = min(interval, length - start)
        symbols, nats, position = _write(
            network, params, position, derive(round_key, "symbols"), choice, steps
        )
        check_finite(nats)
        written = np.concatenate([written, symbols])
        scores = scores + np.asarray(nats, np.float64).sum(axis=0)
        if start + steps < length:
            best = np.argsort(-scores, kind="stable")[: (streams + 1) // 2]
            parents_key = derive(round_key, "parents")
            copies = jax.random.randint(parents_key, (streams - len(best),), 0, len(best))
            parents = np.concatenate([best, best[np.asarray(copies)]])
            written, scores = written[:, parents], scores[parents]
            position = jax.tree.map(lambda x, p=parents: x[p], position)
    winner = int(scores.argmax())
    return written[:, winner], float(scores[winner])


def check_finite(numbers: Any) -> None:
    """Refuses a network whose parameters, predictions or scores are not finite.

    The likelihood of one symbol tells of all logits: the softmax divides by their sum.
    """
    if not np.isfinite(numbers).all():
        raise InputError(
            "the model's parameters or predictions are not finite, as after a training that has "
            "diverged; take another state of it, or train anew with a lower learning rate"
        )


def log_probabilities(
    logits: Float[Array, "streams symbols"], choice: Choice
) -> Float[Array, "streams symbols"]:
    """Of each symbol being chosen, unnormalised: 0 for the likeliest, -inf for what never is.

    What `top_k` and `top_p` leave is decided by the logits themselves, which a very high
    temperature would make equal. Nothing overflows, at any temperature and for any finite logits.
    """
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    logits = logits.astype(dtype)
    logits = logits.at[:, list(choice.banned)].set(-jnp.inf) if choice.banned else logits
    if choice.temperature == 0:
        likeliest = jnp.argmax(logits, axis=1, keepdims=True)
        return jnp.where(jnp.arange(logits.shape[1]) == likeliest, jnp.zeros((), dtype), -jnp.inf)
    if choice.top_k is not None:
        worst = jax.lax.top_k(logits, min(choice.top_k, logits.shape[1]))[0][:, -1:]
        logits = jnp.where(logits >= worst, logits, -jnp.inf)
    if choice.top_p is not None and choice.top_p < 1:
        ranked = jnp.sort(logits, axis=1, descending=True)
        within = _reached(jax.nn.softmax(_tempered(ranked, choice.temperature)), choice.top_p)
        worst = jnp.where(within, ranked, jnp.inf).min(axis=1, keepdims=True)
        logits = jnp.where(logits >= worst, logits, -jnp.inf)
    return _tempered(logits, choice.temperature)


def _tempered(
    logits: Float[Array, "streams symbols"], temperature: float
) -> Float[Array, "streams symbols"]:
    """Logits relative to the largest of their row, divided by a temperature above 0."""
    # Half of everything: the difference of two finite numbers may be too large, of halves never.
    halves = logits / 2
    relative = halves - halves.max(axis=1, keepdims=True)
    half, least = temperature / 2, float(jnp.finfo(logits.dtype).tiny)
    most = 1 / least  # beyond it a division, done by the reciprocal, would give 0
    # In two steps, where one divisor would be beyond.
    divided = relative / min(max(half, least), most) / min(max(half / most, 1.0), most)
    return jnp.where(jnp.isneginf(logits), -jnp.inf, divided)


def _reached(
    falling: Float[Array, "streams symbols"], top_p: float
) -> Bool[Array, "streams symbols"]:
    """Of probabilities in falling order, the fewest first ones that add up to `top_p`."""
    if top_p <= 0.5:
        return jnp.cumsum(falling, axis=1) - falling < top_p
    # Near 1 it is what is left out that can be told from nothing: its sum, from the smallest up.
    rest = jax.lax.cumsum(falling, axis=1, reverse=True)
    return (rest > 1 - top_p).at[:, 0].set(True)


@partial(jax.jit, static_argnums=0)
def _read(
    network: Network,
    params: Params,
    state: State,
    inputs: Integer[Array | np.ndarray, " time"],
    length: Integer[Array | np.ndarray, ""] | int,
) -> Position:
    """Where one stream stands after the first `length` symbols, at least one."""
    lengths = jnp.asarray(length, jnp.int32)[None]
    logits, state = unroll(network, params, state, jnp.asarray(inputs)[:, None], lengths=lengths)
    return Position(state, jnp.take(logits, length - 1, axis=0))


@partial(jax.jit, static_argnames=("network", "choice", "length"))
def _write(
    network: Network,
    params: Params,
    position: Position,
    key: PRNGKeyArray,
    choice: Choice,
    length: int,
) -> tuple[Int[Array, "length streams"], Float[Array, "length streams"], Position]:
    """Symbols, their log-likelihoods under the network in nats, and where the streams stand."""
    shape = (length, *position.logits.shape)
    noise = jax.random.gumbel(key, shape, position.logits.dtype)  # argmax(l + g) ~ softmax(l)

    def body(position: Position, noise: Float[Array, "streams symbols"]) -> tuple:
        symbols = jnp.argmax(log_probabilities(position.logits, choice) + noise, axis=1)
        logits, state = step(network, params, position.state, symbols)
        return Position(state, logits), (symbols, position.logits)

    position, (symbols, logits) = jax.lax.scan(body, position, noise)
    nats = jnp.take_along_axis(jax.nn.log_softmax(logits), symbols[..., None], axis=-1)[..., 0]
    return symbols, nats, position


def check_choice(choice: Choice, symbols: int) -> None:
    """Refuses what is no choice among so many symbols."""
    if not choice.temperature >= 0:
        raise InputError(f"the temperature is {choice.temperature}; it must be at least 0")
    if choice.top_k is not None and choice.top_k < 1:
        raise InputError(f"top_k is {choice.top_k}; it must be at least 1")
    if choice.top_p is not None and not 0 < choice.top_p <= 1:
        raise InputError(f"top_p is {choice.top_p}; it must be above 0 and at most 1")
    if len(set(choice.banned)) >= symbols:
        raise InputError(f"all {symbols} symbols are banned; leave at least one")
