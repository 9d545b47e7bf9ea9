"""Evaluation: the mean of a metric over held-out batches, the state carried from each to the next.

`mean_metric` is traced, for programs of which it is a part; `evaluate` goes through batches on the
host, which may be many.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxrnn.core.engine.unroll import unroll
from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, State, initial_state, state_dtype
from jaxrnn.learning.batch import Batch, step_weights
from jaxrnn.learning.loss import Loss, cross_entropy
from jaxrnn.learning.symbols import check_data
from jaxrnn.learning.weighting import readable, weighted


@partial(jax.jit, static_argnums=0, static_argnames="metric", donate_argnums=2)
def score(
    network: Network, params: Params, state: State, batch: Batch, metric: Loss = cross_entropy
) -> tuple[Float[Array, ""], State]:
    """The sum of the metric, times weights (nats for cross-entropy), and the state afterwards."""
    weights = step_weights(batch)
    outputs, state = unroll(
        network, params, state, readable(network, batch.inputs, weights),
        resets=batch.resets, lengths=batch.lengths,
    )  # fmt: skip
    return weighted(metric, outputs, batch.targets, weights).sum(), state


def mean_metric(
    network: Network, params: Params, batches: Batch, metric: Loss = cross_entropy
) -> Float[Array, ""]:
    """The mean of a metric over the batches, which lie along the first axis; from the zero state.

    NaN if nothing has weight.
    """

    def body(state: State, batch: Batch) -> tuple[State, tuple[Array, Array]]:
        total, state = score(network, params, state, batch, metric=metric)
        return state, (total, jnp.asarray(_weight(batch), total.dtype))

    state = initial_state(network, batches.targets.shape[2], state_dtype(params))
    _, (totals, weights) = jax.lax.scan(body, state, jax.tree.map(jnp.asarray, batches))
    return totals.sum() / weights.sum()


def evaluate(
    network: Network, params: Params, batches: Iterable[Batch], *, metric: Loss = cross_entropy
) -> float:
    """The mean of a metric over the batches, in nats per character for cross-entropy.

    Args:
      network: what is evaluated.
      params: its parameters.
      batches: of one batch size. A time step counts by its weight, as in training.
      metric: as a `Measure`'s function.

    Raises:
      InputError: nothing has weight, weights are negative or not finite, symbols are out of range,
        or shapes do not fit each other.
    """
    state, lanes, total, weight = None, 0, 0.0, 0.0
    for batch in batches:
        if state is None:
            lanes = batch.inputs.shape[1]
            state = initial_state(network, lanes, state_dtype(params))
        _check_batch(network, lanes, batch, metric)
        scored, state = score(network, params, state, batch, metric=metric)
        total += float(scored)
        weight += float(_weight(batch))
    if not weight:
        raise InputError(
            "there is nothing to evaluate: no batch has a step of a weight above 0; give more text"
        )
    return total / weight


def _weight(batch: Batch) -> Any:
    """Of all that counts."""
    weights = step_weights(batch)
    lanes = batch.targets.shape[:2]
    return float(np.prod(lanes)) if weights is None else weights.sum()


def _check_batch(network: Network, lanes: int, batch: Batch, metric: Loss) -> None:
    """Refuses what cannot be evaluated; on the host, where it costs little."""
    inputs, targets, weights = batch.inputs, batch.targets, batch.weights
    if weights is None:
        weights = np.ones(targets.shape[:2], np.float32)
    shapes = {array.shape[:2] for array in (inputs, targets, weights)}
    if shapes != {(inputs.shape[0], lanes)}:
        raise InputError(
            f"a batch has inputs of shape {list(inputs.shape)}, targets of {list(targets.shape)} "
            f"and weights of {list(weights.shape)}; give [time, batch] arrays of one shape, with "
            f"{lanes} lanes as in the first batch"
        )
    weights = np.asarray(weights)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError("a batch has weights that are negative or not finite; give 0 or more")
    check_data(network, batch, metric)
