"""What a delayed connection hears: its source, late, across the chunk's start and resets."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

Ages = Int[Array, "time batch"]
Past = tuple[Float[Array, "batch size"], ...]  # newest first: past[k-1] is k steps ago


def ages_since(resets: Bool[Array, "time batch"] | None) -> Ages | None:
    """How many steps ago each lane was last reset; large where that was before the chunk."""
    if resets is None:
        return None
    steps = jnp.arange(resets.shape[0])[:, None]
    last = jax.lax.cummax(jnp.where(resets, steps, -(2**30)), axis=0)
    return steps - last


def delayed(
    sequence: Float[Array, "time batch size"], past: Past, delay: int, ages: Ages | None
) -> Float[Array, "time batch size"]:
    """The sequence `delay` steps late: first what is remembered, and zeros from before a reset."""
    remembered = jnp.stack(past[:delay][::-1])
    late = jnp.concatenate([remembered, sequence])[: sequence.shape[0]]
    return late if ages is None else jnp.where((ages >= delay)[..., None], late, 0)


def newest(sequence: Shaped[Array, "time batch *features"], past: Past, ages: Ages | None) -> Past:
    """What is to be remembered after the sequence; as many steps as were remembered before it."""
    time, outputs = sequence.shape[0], []
    for lag, old in enumerate(past):
        if lag >= time:
            output = past[lag - time]
        elif sequence.ndim == 2:  # symbols
            output = jax.nn.one_hot(sequence[time - 1 - lag], old.shape[-1], dtype=old.dtype)
        else:
            output = sequence[time - 1 - lag]
        outputs.append(output if ages is None else jnp.where((ages[-1] >= lag)[:, None], output, 0))
    return tuple(outputs)
