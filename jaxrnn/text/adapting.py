"""Dynamic evaluation: a network that goes on learning from the text by which it is judged.

Every chunk is predicted first, and then learned from (Krause, Kahembwe, Murray and Renals 2018,
Dynamic evaluation of neural sequence models, the rule with RMS and decay). With g the gradient of a
chunk's mean nats and rms the root of the mean square of such gradients on the training text,

    params += -size * g / (rms + eps) + min(decay * rms / mean(rms), 1) * (trained - params)

by element; the mean is over all parameters. The parameters change most where training changed them
least, and go back to the trained ones fastest where the gradient is large.

The size of a step follows from what it does, so that one rate suits networks of all sizes. With
fall(g) = sum(g**2 / (rms + eps)), what a step of size 1 takes from the nats, to first order,

    size = rate / max(fall(rms), fall(g) / MOST)

A chunk like those of the training text loses `rate` nats; a surprising one more, but no more than
MOST times as much. Tables of n-grams stay as they are: a text meets few of their rows, and to
change a table costs as much as it is large.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from jaxrnn.core.engine.unroll import unroll
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, State, initial_state, state_dtype
from jaxrnn.learning.loss import cross_entropy
from jaxrnn.text.batches import steps_per_epoch

CHUNK = 32  # symbols that are learned from at once
CALL = 64  # chunks in one program
SAMPLED = (64, 8)  # of the training text, for the mean squares: places, and chunks at each
EPSILON = 0.03  # eps, in units of mean(rms): of parameters that the sample had no use for
MOST = 8.0  # times the rate: what a step may take from a chunk's nats, to first order


class Adaptation(NamedTuple):
    """How much one chunk changes parameters; both as in the formulas above.

    The defaults were the best or nearly so of rates from 0.1 to 0.8 and decays from 3e-4 to 0.01,
    on the validation split of the plays, for the presets quick, best and small.

    Attributes:
      rate: nats, of a chunk's mean.
      decay: of what was learned, as a share of it.
    """

    rate: float = 0.25
    decay: float = 1e-3


def root_mean_squares(
    network: Network, params: Params, train: Integer[np.ndarray, " length"]
) -> Params:
    """Of the gradients of chunks from places all over the training text, each parameter's own.

    Of all but the tables of n-grams.

    Raises:
      InputError: the text is shorter than a chunk.
    """
    lanes, chunks = max(1, min(SAMPLED[0], (len(train) - 1) // CHUNK)), SAMPLED[1]
    chunks = min(chunks, steps_per_epoch(len(train), batch=lanes, chunk=CHUNK))
    state = initial_state(network, lanes, state_dtype(params))
    # Chunk by chunk as the text is adapted to: a lane is a batch of its own.
    state = jax.tree.map(lambda array: array[:, None], state)
    learning, tables = _parts(network, params)
    sums = jax.tree.map(jnp.zeros_like, learning)
    apart = (len(train) - 1) // lanes
    for i in range(chunks):
        places = np.arange(lanes)[:, None] * apart + i * CHUNK + np.arange(CHUNK + 1)
        chunk = jnp.asarray(train[places], jnp.int32)
        sums, state = _sum_of_squares(network, learning, tables, sums, state, chunk)
    return jax.tree.map(lambda total: jnp.sqrt(total / (lanes * chunks)), sums)


def adapted(
    network: Network,
    trained: Params,
    rms: Params,
    heard: Integer[np.ndarray, " length"],
    adaptation: Adaptation = Adaptation(),  # noqa: B008 (frozen)
) -> Iterator[Float[np.ndarray, " piece"]]:
    """The natural logarithms of the probabilities of all symbols but the first, in pieces.

    Each is what parameters say that have learned from nothing but symbols before it.

    Args:
      network: what predicts, from the zero state on.
      trained: its parameters at the text's beginning.
      rms: as from `root_mean_squares`.
      heard: the text.
      adaptation: how fast.
    """
    pairs = len(heard) - 1
    state = initial_state(network, 1, state_dtype(trained))
    trained, tables = _parts(network, trained)
    params = trained
    for start in range(0, pairs, CALL * CHUNK):
        length = min(CALL * CHUNK, pairs - start)
        chunks = CALL if start else -(-length // CHUNK)
        # What stands after the text's end is learned from when all is predicted.
        piece = np.zeros(chunks * CHUNK + 1, np.int32)
        piece[: length + 1] = heard[start : start + length + 1]
        nats, params, state = _adapted(
            network, params, tables, state, trained, rms, jnp.asarray(piece), adaptation
        )
        yield -np.asarray(nats)[:length]


@partial(jax.jit, static_argnums=0)
def _sum_of_squares(
    network: Network,
    params: Params,
    tables: Params,
    sums: Params,
    states: State,
    chunks: Int[Array, "lanes time_and_1"],
) -> tuple[Params, State]:
    """With each lane's gradient squared and added, and the states afterwards."""

    def add(sums: Params, lane: tuple[State, Array]) -> tuple[Params, State]:
        gradient, (_, state) = jax.grad(_mean_nats, argnums=1, has_aux=True)(
            network, params, tables, *lane
        )
        return jax.tree.map(lambda total, g: total + jnp.square(g), sums, gradient), state

    return jax.lax.scan(add, sums, (states, chunks))


@partial(jax.jit, static_argnums=0)
def _adapted(
    network: Network,
    params: Params,
    tables: Params,
    state: State,
    trained: Params,
    rms: Params,
    piece: Int[Array, " time_and_1"],
    adaptation: Adaptation,
) -> tuple[Float[Array, " time"], Params, State]:
    count = sum(array.size for array in jax.tree.leaves(rms))
    mean = _total(rms) / count
    scale = jax.tree.map(lambda rms: 1 / (rms + EPSILON * mean), rms)
    back = jax.tree.map(lambda rms: jnp.minimum(adaptation.decay * rms / mean, 1), rms)

    def fall(gradient: Params) -> Array:
        return _total(jax.tree.map(lambda g, scale: g * g * scale, gradient, scale))

    usual = fall(rms)

    def moved(params: Params, gradient: Params) -> Params:
        size = adaptation.rate / jnp.maximum(usual, fall(gradient) / MOST)
        return jax.tree.map(
            lambda param, g, trained, scale, back: (
                param - size * g * scale + back * (trained - param)
            ),
            params, gradient, trained, scale, back,
        )  # fmt: skip

    def learn(carried: tuple[Params, State], chunk: Array) -> tuple[tuple[Params, State], Array]:
        params, state = carried
        gradient, (nats, state) = jax.grad(_mean_nats, argnums=1, has_aux=True)(
            network, params, tables, state, chunk
        )
        return (moved(params, gradient), state), nats

    starts = jnp.arange(0, len(piece) - 1, CHUNK)
    chunks = piece[starts[:, None] + jnp.arange(CHUNK + 1)]
    (params, state), nats = jax.lax.scan(learn, (params, state), chunks)
    return nats.ravel(), params, state


def _total(params: Params) -> Array:
    """The sum of all numbers."""
    return jax.tree.reduce(jnp.add, jax.tree.map(jnp.sum, params))


def _mean_nats(
    network: Network,
    params: Params,
    tables: Params,
    state: State,
    chunk: Int[Array, " time_and_1"],
) -> tuple[Float[Array, ""], tuple[Float[Array, " time"], State]]:
    """Of all symbols but the first; then of each of them, and the state afterwards."""
    whole = {layer: {**params[layer], **tables[layer]} for layer in params}
    logits, state = unroll(network, whole, state, chunk[:-1, None])
    nats = cross_entropy(logits, chunk[1:, None])[:, 0]
    return nats.mean(), (nats, state)


def _parts(network: Network, params: Params) -> tuple[Params, Params]:
    """Of each layer what learns, and the tables of n-grams."""
    tables = {(c.target, c.key) for c in network.connections if network.is_ngram(c.source)}
    learning, still = (
        {
            layer: {n: array for n, array in arrays.items() if ((layer, n) in tables) == is_table}
            for layer, arrays in params.items()
        }
        for is_table in (False, True)
    )
    return learning, still
