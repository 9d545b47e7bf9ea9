"""Losses are in nats, reports in bits per character."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer

from jaxrnn.core.parameters import BIAS, Params

Loss = Callable[[Array, Array], Array]  # outputs, targets -> [time, batch]


def cross_entropy(
    logits: Float[Array, "time batch symbols"], targets: Integer[Array, "time batch"]
) -> Float[Array, "time batch"]:
    """Negative log-likelihood of each target under the softmax of its logits, in nats.

    NaN for a target out of [0, symbols).
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    # Optax's are NaN beyond the end already, but negative ones are counted from it.
    return jnp.where(targets < 0, jnp.nan, nats)


def bits_per_character(nats: float) -> float:
    """What a loss per character in nats is in bits."""
    return nats / math.log(2)


def weight_penalty(params: Params, l1: float = 0.0, l2: float = 0.0) -> Float[Array, ""]:
    """`l1` times the sum of absolute weights plus `l2` times half the sum of their squares.

    Of the connections' matrices; biases go free.
    """
    matrices = [a for arrays in params.values() for name, a in arrays.items() if name != BIAS]
    absolute = sum(jnp.abs(matrix).sum() for matrix in matrices) if l1 else 0.0
    squares = sum(jnp.square(matrix).sum() for matrix in matrices) if l2 else 0.0
    return jnp.asarray(l1 * absolute + l2 / 2 * squares, jax.tree.leaves(params)[0].dtype)
