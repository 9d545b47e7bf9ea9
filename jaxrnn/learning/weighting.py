"""Time steps that count more or less: padding counts for nothing, whatever it holds.

At a time step of weight 0 the target and the outputs may be anything. What a network cannot read
there, features that are not finite and symbols that are out of range, reads as zero. A negative
weight has no meaning in a mean, and makes the loss NaN.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from jaxrnn.core.network import Network
from jaxrnn.learning.loss import Loss


def readable(
    network: Network,
    inputs: Shaped[Array, "time batch *features"],
    weights: Float[Array, "time batch"] | None,
) -> Shaped[Array, "time batch *features"]:
    """Inputs, where they have no weight with zeros for what a network cannot read."""
    if weights is None:
        return inputs
    if jnp.issubdtype(inputs.dtype, jnp.integer):
        unreadable = (inputs < 0) | (inputs >= network.input_size)
    else:
        unreadable = ~jnp.isfinite(inputs)
    return jnp.where(unreadable & _alike(weights == 0, inputs), jnp.zeros_like(inputs), inputs)


def weighted(
    loss: Loss,
    outputs: Float[Array, "time batch outputs"],
    targets: Shaped[Array, "time batch *outputs"],
    weights: Float[Array, "time batch"] | None,
) -> Float[Array, "time batch"]:
    """Losses times their weights: 0, and so is the gradient, where the weight is 0."""
    if weights is None:
        return loss(outputs, targets)
    counts = weights != 0
    # Before the loss too: the gradient of a NaN that is left out only afterwards is 0 * NaN.
    outputs, targets = (
        jnp.where(_alike(counts, x), x, jnp.zeros_like(x)) for x in (outputs, targets)
    )
    weights = jnp.where(weights < 0, jnp.nan, weights)
    return jnp.where(counts, weights * loss(outputs, targets), 0)


def _alike(steps: Bool[Array, "time batch"], array: Array) -> Array:
    """With as many axes as the array has."""
    return steps.reshape(steps.shape + (1,) * (array.ndim - steps.ndim))
