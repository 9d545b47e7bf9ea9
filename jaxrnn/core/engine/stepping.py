"""Stepping through a chunk: the loop over time, and what goes from step to step.

What a connection of delay 1 hears is carried from step to step. Of a source that is heard later
than that, the outputs of the whole chunk lie in one array, its history, into which each step
writes and from which it reads: a delay of 100 costs no more than one of 2. Deltas go back the same
way.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from jaxrnn.core.engine.components import Component
from jaxrnn.core.engine.delays import Ages, ages_since, forget_older, remembered
from jaxrnn.core.engine.drives import Drives
from jaxrnn.core.layers import Connection
from jaxrnn.core.parameters import LayerState, State

Outputs = dict[str, Float[Array, "time batch _size"]]
Carries = dict[str, tuple[Float[Array, "batch _size"], ...]]


class Running(NamedTuple):
    """What goes from step to step, forward; backward, the gradients with respect to it.

    Attributes:
      carry: of each layer's cell, where it carries something.
      last: the last outputs of sources that are heard one step later and no later than that.
      history: of sources that are heard later, all outputs: `memory` steps from before the chunk,
        then those of the chunk.
    """

    carry: dict[str, tuple[Array, ...]]
    last: dict[str, Array]
    history: dict[str, Array]


def step_through(
    body: Callable[[Any, Any, Any], tuple[Any, Any]],
    running: Any,
    xs: Any,
    stride: int,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """`lax.scan` of `(running, start, x) -> (running, y)`, in strides of so many steps.

    With a stride of 1 arrays `x` have no time axis; else they have one, and the last steps, where
    the time does not divide, are run by themselves. A chunk of one stride needs no loop.
    """
    time = jax.tree.leaves(xs)[0].shape[0]
    known = isinstance(time, int)  # not a symbol of `jax.export`
    if stride == 1 or not known:
        if known and time == 1:
            running, ys = body(running, 0, jax.tree.map(lambda x: x[0], xs))
            return running, jax.tree.map(lambda y: y[None], ys)
        starts = jnp.arange(time)
        return lax.scan(lambda r, x: body(r, *x), running, (starts, xs), reverse=reverse)
    count, rest = divmod(time, stride)
    whole = jax.tree.map(lambda x: x[: time - rest].reshape(count, stride, *x.shape[1:]), xs)
    pieces = []

    def run_rest(running: Any) -> Any:
        if rest:
            last = jax.tree.map(lambda x: x[time - rest :], xs)
            running, ys = body(running, time - rest, last)
            pieces.append(ys)
        return running

    def run_whole(running: Any) -> Any:
        if count:
            starts = jnp.arange(count) * stride
            running, ys = lax.scan(
                lambda r, x: body(r, *x), running, (starts, whole), reverse=reverse,
                unroll=count == 1,
            )  # fmt: skip
            pieces.append(jax.tree.map(lambda y: y.reshape(count * stride, *y.shape[2:]), ys))
        return running

    running = run_whole(run_rest(running)) if reverse else run_rest(run_whole(running))
    ordered = pieces[::-1] if reverse else pieces
    return running, jax.tree.map(lambda *parts: jnp.concatenate(parts), *ordered)


def before_the_chunk(memory: State, time: Any) -> Running:
    """What the first step goes on from, with room for the outputs of `time` steps."""
    history = {
        name: jnp.concatenate(
            [remembered(old.past), jnp.zeros((time, *old.past[0].shape), old.past[0].dtype)]
        )
        for name, old in memory.items()
        if len(old.past) > 1
    }
    last = {name: old.past[0] for name, old in memory.items() if len(old.past) == 1}
    return Running({name: old.carry for name, old in memory.items() if old.carry}, last, history)


def after_the_chunk(memory: State, output_grads: Outputs, carry_grads: Carries) -> Running:
    """The gradients that the last step begins from, going back."""
    history = {
        name: jnp.concatenate([jnp.zeros_like(jnp.stack(old.past)), output_grads[name]])
        for name, old in memory.items()
        if len(old.past) > 1
    }
    last = {name: jnp.zeros_like(old.past[0]) for name, old in memory.items() if len(old.past) == 1}
    return Running(
        {name: carry_grads[name] for name in memory if memory[name].carry}, last, history
    )


def as_state(running: Running, memory: State) -> State:
    """Of what runs before the first step."""
    states = {}
    for name, old in memory.items():
        past = (running.last[name],) if name in running.last else ()
        if name in running.history:
            past = tuple(running.history[name][: len(old.past)][::-1])
        states[name] = LayerState(past, running.carry.get(name, ()))
    return states


def forget(
    running: Running,
    reset: Bool[Array, "*stride batch"] | None,
    reset_carry: Carries | None = None,
) -> Running:
    """What a reset leaves of what is carried (by strides of 1); histories are read with ages."""
    if reset is None:
        return running

    def unless(x: Array, instead: Array | int = 0) -> Array:
        return jnp.where(reset[:, None], instead, x)

    carry = {
        name: tuple(map(unless, old, reset_carry[name])) if reset_carry else tuple(map(unless, old))
        for name, old in running.carry.items()
    }
    return Running(carry, jax.tree.map(unless, running.last), running.history)


def read(
    running: Running,
    connection: Connection,
    start: Any,
    ages: Int[Array, "*stride batch"] | None,
    span: int | None,
    length: int,
) -> Float[Array, "*stride batch source"]:
    """What a delayed connection hears in the steps from `start` on."""
    source, delay = connection.source, connection.delay
    if source in running.last:
        return running.last[source]
    late = steps_of(running.history[source], start + length - delay, span)
    return forget_older(late, delay, ages)


def write(history: Array, outputs: Array, start: Any) -> Array:
    """`outputs` of one step, or of several from `start` on."""
    rows = outputs if outputs.ndim == history.ndim else outputs[None]
    return lax.dynamic_update_slice_in_dim(history, rows, start, axis=0)


def steps_of(history: Array, start: Any, span: int | None) -> Array:
    """One step, or as many as `span` from `start` on."""
    if span is None:
        return lax.dynamic_index_in_dim(history, start, keepdims=False)
    return lax.dynamic_slice_in_dim(history, start, span)


def span_of(drives: dict[str, Drives]) -> int | None:
    """How many steps are run at once; None where arrays have no axis for them."""
    drive = jax.tree.leaves(drives)[0]
    return drive.shape[0] if drive.ndim == 3 else None


def length_of(memory: State, name: str) -> int:
    return len(memory[name].past)


def ages_of(component: Component, resets: Bool[Array, "time batch"] | None) -> Ages | None:
    """Where histories are read; else resets do."""
    needed = any(component.memory(layer) > 1 for layer in component.layers)
    return ages_since(resets) if needed else None
