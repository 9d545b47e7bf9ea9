"""What a network is trained on and judged by: one type, from the data's source to the program."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.core.errors import InputError


class Batch(NamedTuple):
    """The sequences of one training step, a lane each; of several, with one more axis in front.

    NumPy's arrays on the host, JAX's on the devices.

    Attributes:
      inputs: `[time, batch]` symbols or `[time, batch, features]`, or several by name, as for
        `unroll`.
      targets: `[time, batch, ...]`, or several: what the loss compares the outputs with.
      resets: `[time, batch]`, as for `unroll`.
      weights: `[time, batch]`: how much each time step counts in the loss, a mean; None: all the
        same. They are treated as `jaxrnn.learning.weighting` says.
      lengths: `[batch]`, as for `unroll`: steps beyond them count for nothing.
    """

    inputs: Any
    targets: Any
    resets: Any = None
    weights: Any = None
    lengths: Any = None


def stack(batches: Iterable[Batch]) -> Batch:
    """Several batches as one, on the host, along a new first axis."""
    return jax.tree.map(lambda *arrays: np.stack(arrays), *batches)


def time_and_lanes(batch: Batch) -> tuple[int, int]:
    """Of one step's batch: how many time steps it has, and how many lanes."""
    return jax.tree.leaves(batch.inputs)[0].shape[:2]


def step_weights(batch: Batch) -> Any:
    """How much each time step counts, the lengths included, `[time, batch]`; None: all the same.

    Raises:
      InputError: the weights are of another shape.
    """
    steps = time_and_lanes(batch)
    if batch.weights is not None and jnp.shape(batch.weights) != steps:
        raise InputError(
            f"a batch has weights of shape {list(jnp.shape(batch.weights))} where {list(steps)} is "
            "expected, one for each time step in each lane"
        )
    if batch.lengths is None:
        return batch.weights
    within = np.arange(steps[0])[:, None] < batch.lengths
    if batch.weights is None:
        return jnp.asarray(within, jnp.float32)
    return jnp.where(within, batch.weights, 0)
