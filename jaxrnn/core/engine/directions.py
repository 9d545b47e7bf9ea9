"""Backward layers: a chunk turned round, so that each lane's last step comes first."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Shaped

Lengths = Int[Array, " batch"] | None  # of lanes that end before the chunk does


def turned(
    sequence: Shaped[Array, "time batch *features"], lengths: Lengths
) -> Shaped[Array, "time batch *features"]:
    """Each lane's steps in reverse, those beyond its end left where they are; its own inverse."""
    if lengths is None:
        return jnp.flip(sequence, axis=0)
    steps = jax.lax.broadcasted_iota(jnp.int32, sequence.shape[:2], 0)
    steps = jnp.where(steps < lengths, lengths - 1 - steps, steps)
    steps = steps.reshape(*steps.shape, *(1 for _ in sequence.shape[2:]))
    return jnp.take_along_axis(sequence, steps, axis=0)


def turned_resets(
    resets: Bool[Array, "time batch"] | None, inside: Bool[Array, "time batch"] | None
) -> Bool[Array, "time batch"] | None:
    """Of a turned chunk: a reset cuts a step from the one before it, whichever comes first."""
    if resets is None:
        return None
    lengths = None if inside is None else inside.sum(axis=0, dtype=jnp.int32)
    cuts_from_next = jnp.concatenate([resets[1:], resets[:1]])
    first = jax.lax.broadcasted_iota(jnp.int32, resets.shape, 0) == 0
    cut = jnp.where(first, False, turned(cuts_from_next, lengths))
    return cut if inside is None else cut | ~inside


def turned_masks(masks: dict[Any, Array], lengths: Lengths) -> dict[Any, Array]:
    """Those that are drawn for each step; locked ones have none to be turned."""
    return {c: mask if mask.shape[0] == 1 else turned(mask, lengths) for c, mask in masks.items()}
