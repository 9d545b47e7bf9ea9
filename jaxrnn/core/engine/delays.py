"""What a delayed connection hears: its source, late, across the chunk's start and resets."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer, Shaped

Ages = Int[Array, "time batch"]
Past = tuple[Float[Array, "batch size"], ...]  # newest first: past[k-1] is k steps ago
Kept = tuple[Shaped[Array, "batch size"], ...]  # the same, of digits too


def ages_since(resets: Bool[Array, "time batch"] | None) -> Ages | None:
    """How many steps ago each lane was last reset; large where that was before the chunk."""
    if resets is None:
        return None
    steps = jax.lax.broadcasted_iota(jnp.int32, resets.shape, 0)
    last = jax.lax.cummax(jnp.where(resets, steps, -(2**30)), axis=0)
    return steps - last


def remembered(past: Kept) -> Shaped[Array, "delay batch size"]:
    """Past outputs in the order in which they were put out."""
    return jnp.stack(past[::-1])


def delayed(
    sequence: Float[Array, "time batch size"],
    before: Float[Array, "delay batch size"],
    ages: Ages | None,
) -> Float[Array, "time batch size"]:
    """The sequence, late by the steps of `before`, which came before it; zeros for what a reset
    hides.
    """
    late = jnp.concatenate([before, sequence])[: sequence.shape[0]]
    return forget_older(late, before.shape[0], ages)


def forget_older(
    late: Shaped[Array, "*time batch size"],
    delay: int,
    ages: Int[Array, "*time batch"] | None,
    reset_past: Kept = (),
) -> Shaped[Array, "*time batch size"]:
    """What was put out `delay` steps ago, unless a reset came since then.

    Then zeros; or of `reset_past`, which came before the reset, what lies so far back.
    """
    if ages is None:
        return late
    instead = recalled(remembered(reset_past[:delay]), ages) if delay and reset_past else 0
    return jnp.where((ages >= delay)[..., None], late, instead)


def recalled(
    before: Shaped[Array, "delay batch size"], ages: Int[Array, "*time batch"]
) -> Shaped[Array, "*time batch size"]:
    """What is heard so late of what came before the last reset; zeros where nothing of it is."""
    delay, batch, size = before.shape
    steps = jnp.clip(ages, 0, delay - 1).reshape(math.prod(ages.shape[:-1]), batch, 1)
    heard = jnp.take_along_axis(before, steps, axis=0).reshape(*ages.shape, size)
    return jnp.where((ages < delay)[..., None], heard, 0)


def newest(
    sequence: Shaped[Array, "time batch *features"],
    past: Past,
    ages: Ages | None,
    lengths: Int[Array, " batch"] | None = None,
    reset_past: Past = (),
) -> Past:
    """What is to be remembered after the sequence; as many steps as were remembered before it.

    Of lanes with `lengths` after so many of their steps. Resets return to `reset_past`, or zeros.
    """
    if not past:
        return ()
    before, lags = remembered(past), range(len(past))
    if lengths is not None:
        assert ages is not None  # steps beyond an end are resets
        # A lane without a step is as old as it was.
        since = jnp.where(lengths > 0, at(ages, lengths - 1), len(past))
        known = [_ending(sequence, before, lengths - lag) for lag in lags]
    else:
        since = None if ages is None else ages[-1]
        last = sequence[-len(past) :]
        if sequence.ndim == 2:
            last = one_hot(last, before.shape[-1], before.dtype)
        heard = jnp.concatenate([before, last])
        known = [heard[-1 - lag] for lag in lags]
    return tuple(forget_older(known[lag], lag, since, reset_past) for lag in lags)


def _ending(
    sequence: Shaped[Array, "time batch *features"],
    before: Float[Array, "delay batch size"],
    count: Int[Array, " batch"],
) -> Float[Array, "batch size"]:
    """The last of so many steps of a sequence; where there are fewer, of those before it."""
    early, late = at(before, before.shape[0] + count - 1), at(sequence, count - 1)
    if sequence.ndim == 2:
        late = one_hot(late, before.shape[-1], before.dtype)
    return jnp.where((count > 0)[:, None], late, early)


def at(
    sequence: Shaped[Array, "time batch *features"], steps: Int[Array, " batch"]
) -> Shaped[Array, "batch *features"]:
    """Of each lane its own step, or the nearest that there is."""
    steps = jnp.clip(steps, 0, sequence.shape[0] - 1)
    steps = steps.reshape(1, -1, *(1 for _ in sequence.shape[2:]))
    return jnp.take_along_axis(sequence, steps, axis=0)[0]


def one_hot(
    symbols: Integer[Array, "*any"], size: int, dtype: jnp.dtype | type
) -> Float[Array, "*any size"]:
    """Rows of the identity; NaN for what is no symbol, as a look-up of rows has it."""
    hot = jax.nn.one_hot(symbols, size, dtype=dtype)
    return jnp.where(((symbols >= 0) & (symbols < size))[..., None], hot, jnp.nan)
