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
from jaxrnn.learning.batch import Batch, step_weights, time_and_lanes
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

    lanes = jax.tree.leaves(batches.inputs)[0].shape[2]
    state = initial_state(network, lanes, state_dtype(params))
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
            _, lanes = time_and_lanes(batch)
            state = initial_state(network, lanes, state_dtype(params))
        _check_batch(network, lanes, batch, metric)
        scored, state = score(network, params, state, batch, metric=metric)
        total += float(scored)
        weight += float(_weight(batch))
    if not weight:
        raise InputError(
            "there is nothing to evaluate: no batch has a step of a weight above 0; give one with"
        )
    return total / weight


def _weight(batch: Batch) -> Any:
    """Of all that counts."""
    weights = step_weights(batch)
    return float(np.prod(time_and_lanes(batch))) if weights is None else weights.sum()


def _check_batch(network: Network, lanes: int, batch: Batch, metric: Loss) -> None:
    """Refuses what cannot be evaluated; on the host, where it costs little."""
    time, _ = time_and_lanes(batch)
    weights = np.ones((time, lanes)) if batch.weights is None else np.asarray(batch.weights)
    arrays = batch.inputs, batch.targets, weights
    if {array.shape[:2] for array in jax.tree.leaves(arrays)} != {(time, lanes)}:
        inputs, targets, _ = jax.tree.map(lambda array: list(array.shape), arrays)
        raise InputError(
            f"a batch has inputs of shape {inputs}, targets of {targets} and weights of "
            f"{list(weights.shape)}; give [time, batch] arrays of one shape, with {lanes} lanes as "
            "in the first batch"
        )
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InputError("a batch has weights that are negative or not finite; give 0 or more")
    check_data(network, batch, metric)
