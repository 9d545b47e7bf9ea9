"""Long chunks in segments: memory for the states between them, not for every time step.

Under `jax.grad` a segment's drives and sums are computed again when the deltas come back to it
(Chen and others 2016, Training deep nets with sublinear memory cost). It is right because a chunk
equals the same chunk cut in two.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.core.errors import InputError

LONG_CHUNK = 1024  # steps
SEGMENT = 128  # steps: enough of them for hoisted products to run at their full rate


def segment_length(segment: int | None, time: Any) -> Any:
    """How many steps to run at once; `None` chooses, 0 asks for one piece.

    `time` is a whole number, or a symbol of `jax.export` that stands for one.
    """
    if not isinstance(time, int):
        if segment:
            raise InputError(
                f"a chunk of {time} steps cannot be cut into segments of {segment}; leave segment "
                "out, or export a chunk of a known length"
            )
        return time
    if segment is None:
        segment = SEGMENT if time >= LONG_CHUNK else 0
    return min(segment, time) or time


def run_in_segments(
    run: Callable[[Any, Any, Any], tuple[Any, Any]], state: Any, sequences: Any, length: int
) -> tuple[Any, Any]:
    """Runs `(state, sequences, index) -> (state, outputs)` on one segment after the other.

    Args:
      run: what to run; `index` tells the segments apart.
      state: before the first segment.
      sequences: arrays `[time, ...]`, to be cut.
      length: of a segment; the first one is shorter where the time does not divide.

    Returns:
      The state after the last segment, and the outputs, arrays `[time, ...]`, of the whole time.
    """
    count, rest = divmod(jax.tree.leaves(sequences)[0].shape[0], length)
    pieces = []
    if rest:
        first = jax.tree.map(lambda x: x[:rest], sequences)
        state, outputs = jax.checkpoint(run)(state, first, count)
        pieces.append(outputs)
    cut = jax.tree.map(lambda x: x[rest:].reshape(count, length, *x.shape[1:]), sequences)
    # Inside a scan nothing can be merged with its recomputation, so no barrier against that.
    segment = jax.checkpoint(run, prevent_cse=False)
    state, outputs = jax.lax.scan(lambda s, x: segment(s, *x), state, (cut, jnp.arange(count)))
    pieces.append(jax.tree.map(lambda x: x.reshape(count * length, *x.shape[2:]), outputs))
    return state, jax.tree.map(lambda *parts: jnp.concatenate(parts), *pieces)
