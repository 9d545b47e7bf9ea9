"""Evaluation: the mean loss over a text, read from batch to batch."""

from collections.abc import Iterable
from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxrnn.core.engine.unroll import unroll
from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, State, initial_state, state_dtype
from jaxrnn.learning.loss import Loss, cross_entropy
from jaxrnn.learning.symbols import check_data
from jaxrnn.learning.weighting import readable, weighted


@partial(jax.jit, static_argnums=0, static_argnames="loss", donate_argnums=2)
def score(
    network: Network,
    params: Params,
    state: State,
    inputs: Shaped[Array, "time batch *features"],
    targets: Shaped[Array, "time batch *outputs"],
    weights: Float[Array, "time batch"],
    loss: Loss = cross_entropy,
) -> tuple[Float[Array, ""], State]:
    """The sum of the loss, times weights (nats for cross-entropy), and the state afterwards."""
    outputs, state = unroll(network, params, state, readable(network, inputs, weights))
    return weighted(loss, outputs, targets, weights).sum(), state


def evaluate(
    network: Network, params: Params, batches: Iterable, *, loss: Loss = cross_entropy
) -> float:
    """The mean loss, in nats per character for cross-entropy; the state is carried on.

    Args:
      network: what is evaluated.
      params: its parameters.
      batches: `(inputs, targets, weights)` arrays, all `[time, batch, ...]` and of one batch size;
        a character counts by its weight, as in `Chunks`.
      loss: as for `make_training_steps`; one and the same function each time, since a program is
        compiled for it.

    Raises:
      InputError: nothing has weight, weights are negative or not finite, symbols are out of range,
        or shapes do not fit each other.
    """
    state, lanes, total, weight = None, 0, 0.0, 0.0
    for inputs, targets, weights in batches:
        if state is None:
            lanes = inputs.shape[1]
            state = initial_state(network, lanes, state_dtype(params))
        _check_batch(network, lanes, inputs, targets, weights, loss)
        scored, state = score(network, params, state, inputs, targets, weights, loss=loss)
        total += float(scored)
        weight += float(weights.sum())
    if not weight:
        raise InputError(
            "there is nothing to evaluate: no batch has a step of a weight above 0; give more text"
        )
    return total / weight


def _check_batch(
    network: Network,
    lanes: int,
    inputs: Shaped[Array | np.ndarray, "..."],
    targets: Shaped[Array | np.ndarray, "..."],
    weights: Shaped[Array | np.ndarray, "..."],
    loss: Loss,
) -> None:
    """Refuses what cannot be evaluated; on the host, where it costs little."""
    shapes = {array.shape[:2] for array in (inputs, targets, weights)}
    if shapes != {(inputs.shape[0], lanes)}:
        raise InputError(
            f"a batch has inputs of shape {list(inputs.shape)}, targets of {list(targets.shape)} "
            f"and weights of {list(weights.shape)}; give [time, batch] arrays of one shape, with "
            f"{lanes} lanes as in the first batch"
        )
    inputs, targets, weights = map(np.asarray, (inputs, targets, weights))
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError("a batch has weights that are negative or not finite; give 0 or more")
    check_data(network, inputs, targets, weights, loss)
