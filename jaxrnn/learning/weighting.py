"""Time steps that count more or less: padding counts for nothing, whatever it holds.

At a time step of weight 0 the target and the outputs may be anything. What a network cannot read
there, features that are not finite and symbols that are out of range, reads as zero. A negative
weight has no meaning in a mean, and makes the loss NaN.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.learning.loss import Loss


def readable(network: Network, inputs: Any, weights: Float[Array, "time batch"] | None) -> Any:
    """Inputs, or several by name, where they have no weight with zeros for what cannot be read."""
    if weights is None:
        return inputs
    if isinstance(inputs, Mapping):
        return {name: _readable(inputs[name], size, weights) for name, size in network.inputs}
    return _readable(inputs, network.input_size, weights)


def _readable(
    inputs: Shaped[Array, "time batch *features"], size: int, weights: Float[Array, "time batch"]
) -> Shaped[Array, "time batch *features"]:
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        unreadable = (inputs < 0) | (inputs >= size)
    else:
        unreadable = ~jnp.isfinite(inputs)
    return jnp.where(unreadable & _alike(weights == 0, inputs), jnp.zeros_like(inputs), inputs)


def weighted(
    loss: Loss,
    outputs: Any,
    targets: Any,
    weights: Float[Array, "time batch"] | None,
) -> Float[Array, "time batch"]:
    """Losses times their weights: 0, and so is the gradient, where the weight is 0.

    Outputs and targets are `[time, batch, ...]`, or several in one structure.

    Raises:
      InputError: what the loss returns is not one number for each step in each lane.
    """
    steps = jax.tree.leaves(outputs)[0].shape[:2]
    if weights is None:
        return _by_step(loss(outputs, targets), steps)
    counts = weights != 0
    # Before the loss too: the gradient of a NaN that is left out only afterwards is 0 * NaN.
    outputs, targets = jax.tree.map(
        lambda x: jnp.where(_alike(counts, x), x, jnp.zeros_like(x)), (outputs, targets)
    )
    weights = jnp.where(weights < 0, jnp.nan, weights)
    return jnp.where(counts, weights * _by_step(loss(outputs, targets), steps), 0)


def _by_step(losses: Any, steps: tuple[int, ...]) -> Array:
    if jnp.shape(losses) != steps:
        raise InputError(
            f"the loss (or metric) returns the shape {list(jnp.shape(losses))} where {list(steps)} "
            "is expected; let it return a number for each time step in each lane"
        )
    return losses


def _alike(steps: Bool[Array, "time batch"], array: Array) -> Array:
    """With as many axes as the array has."""
    return steps.reshape(steps.shape + (1,) * (array.ndim - steps.ndim))
