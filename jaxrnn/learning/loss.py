"""Losses and other measures: what each says of every time step, and the unit of its mean.

Cross-entropy is computed in nats and said in bits per character.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from jaxrnn.core.errors import InputError
from jaxrnn.core.parameters import Params

Loss = Callable[[Array, Array], Array]  # outputs, targets -> [time, batch]


class Measure(NamedTuple):
    """What is averaged over time steps, and how the mean is said.

    Attributes:
      of: `(outputs, targets)` of a chunk -> a number for each time step in each lane. One and the
        same function each time, since a program is compiled for it.
      unit: the mean's, in words.
      factor: how many of that unit one of the function's is.
      larger_is_better: false for every loss.
    """

    of: Loss
    unit: str
    factor: float = 1.0
    larger_is_better: bool = False

    def cost(self, figure: float | None) -> float:
        """The less, the better: infinite for what is missing or not finite."""
        if figure is None or not math.isfinite(figure):
            return math.inf
        return -figure if self.larger_is_better else figure


def cross_entropy(
    logits: Float[Array, "time batch symbols"], targets: Integer[Array, "time batch"]
) -> Float[Array, "time batch"]:
    """Negative log-likelihood of each target under the softmax of its logits, in nats.

    NaN for a target out of [0, symbols).
    """
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    # Relative to the largest from the start: where logits are large, the logarithm of a sum would
    # be lost beside them, and many equal ones would be as good as certain (as optax has it).
    largest = jax.lax.stop_gradient(logits.max(axis=-1, keepdims=True))
    own = (jnp.take_along_axis(logits, targets[..., None], axis=-1) - largest)[..., 0]
    nats = jnp.log(jnp.exp(logits - largest).sum(axis=-1)) - own
    # Those beyond the end are NaN already, but negative ones are counted from it.
    return jnp.where(targets < 0, jnp.nan, nats)


def squared_error(
    outputs: Float[Array, "time batch outputs"], targets: Float[Array, "time batch *outputs"]
) -> Float[Array, "time batch"]:
    """The mean over the outputs; of a single one, targets may lack the axis.

    Raises:
      InputError: the shapes do not fit each other.
    """
    if targets.shape == outputs.shape[:2] and outputs.shape[2:] == (1,):
        targets = targets[..., None]
    if targets.shape != outputs.shape:
        raise InputError(
            f"targets have the shape {list(targets.shape)} where that of the outputs, "
            f"{list(outputs.shape)}, is expected"
        )
    return jnp.square(outputs - targets).mean(axis=-1)


def is_right(
    logits: Float[Array, "time batch classes"], targets: Integer[Array, "time batch"]
) -> Float[Array, "time batch"]:
    """1 where the likeliest class is the target, else 0."""
    return jnp.asarray(logits.argmax(axis=-1) == targets, jnp.float32)


def bits_per_character(nats: float) -> float:
    """What a loss per character in nats is in bits."""
    return nats / math.log(2)


NATS = Measure(cross_entropy, "nats")
BITS_PER_CHARACTER = Measure(cross_entropy, "bits per character", bits_per_character(1.0))
SQUARED_ERROR = Measure(squared_error, "squared error")
ACCURACY = Measure(is_right, "of answers right", larger_is_better=True)


def weight_penalty(params: Params, l1: float = 0.0, l2: float = 0.0) -> Float[Array, ""]:
    """`l1` times the sum of absolute weights plus `l2` times half the sum of their squares.

    Of the connections' matrices; biases and diagonals go free, as from AdamW's decay: on a diagonal
    that recurs the decay would shorten a unit's memory.
    """
    matrices = [array for array in jax.tree.leaves(params) if array.ndim > 1]
    absolute = sum(jnp.abs(matrix).sum() for matrix in matrices) if l1 else 0.0
    squares = sum(jnp.square(matrix).sum() for matrix in matrices) if l2 else 0.0
    return jnp.asarray(l1 * absolute + l2 / 2 * squares, jax.tree.leaves(params)[0].dtype)
