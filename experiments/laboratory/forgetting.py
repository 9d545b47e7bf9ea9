"""Networks made to forget all they have read, and what they then know of a text."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.evaluation import mean_metric
from jaxrnn.learning.loss import BITS_PER_CHARACTER


def passages(
    valid: Integer[np.ndarray, " length"], sizes: Mapping[str, Any]
) -> Integer[Array, "time_and_1 lanes"]:
    """Lanes of validation text next to each other, and the character that follows each."""
    time, lanes = max(sizes["forget"]) + sizes["scored"], sizes["lanes"]
    if len(valid) <= time * lanes:
        raise InputError(
            f"the validation text has {len(valid)} characters, but {time * lanes + 1} are read; "
            "give a longer text"
        )
    return jnp.asarray(np.asarray(valid)[np.arange(time + 1)[:, None] + np.arange(lanes) * time])


def resets_every(time: int, k: int | None) -> Bool[Array, " time"]:
    """Where to forget, every k steps; None is never."""
    return jnp.zeros(time, bool) if k is None else jnp.arange(time) % k == 0


def bits(
    network: Network,
    params: Params,
    lanes: Integer[Array, "time_and_1 lanes"],
    resets: Bool[Array, " time"],
    warmup: int,
) -> Float[Array, ""]:
    """Bits per character, of all after so many, if the network forgets where it is told to."""
    batch = jax.tree.map(lambda array: array[None], scored_after(warmup, lanes, resets))
    return BITS_PER_CHARACTER.factor * mean_metric(network, params, batch)


def scored_after(
    warmup: int, lanes: Integer[Array, "time_and_1 lanes"], resets: Bool[Array, " time"]
) -> Batch:
    """Passages of which all counts after so many steps, forgotten where they are told to."""
    inputs, targets = lanes[:-1], lanes[1:]
    counts = jnp.arange(len(inputs)) >= warmup
    resets, weights = (jnp.broadcast_to(x[:, None], inputs.shape) for x in (resets, counts))
    return Batch(inputs, targets, resets, weights.astype(jnp.float32))
