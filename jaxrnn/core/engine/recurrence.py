"""How one component is run over a chunk, and back-propagation through time for it.

`run_component` is one function of (weights, drives, initial state) -> (outputs, final state): the
seam for other ways to run a component.

Plain autodiff of a scan adds the whole weight gradient up once per time step. The rule here is the
three steps of textbook BPTT (Werbos 1990) instead: unroll, and keep each layer's sums; carry the
deltas (gradients with respect to the sums) backward; then one product over the whole chunk, sources
against deltas, for each connection's weight gradient. Lanes are independent, so `jax.vjp` of each
cell and transposed matrices are all that the backward pass needs.

A cell's own gates are the same at every step: they do not go through the loop, and their gradients
are added up in it.

The gates of a layer's drives, and of the sums that are kept, lie apart, each `[batch, size]`: XLA's
CPU backend does not vectorise elementwise work on slices of one wide row.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxrnn.core.engine.components import Component
from jaxrnn.core.engine.delays import ages_since, delayed, forget_older, remembered
from jaxrnn.core.engine.drives import Drives
from jaxrnn.core.engine.kinds import Gates, added, source_grad, split_gates, weight_grad
from jaxrnn.core.engine.linear_recurrence import linear_recurrence
from jaxrnn.core.engine.stepping import (
    Carries,
    Outputs,
    Running,
    after_the_chunk,
    ages_of,
    as_state,
    before_the_chunk,
    forget,
    length_of,
    read,
    span_of,
    step_through,
    steps_of,
    write,
)
from jaxrnn.core.layers import FULL, Connection, Layer
from jaxrnn.core.parameters import State

Weights = dict[Connection, Float[Array, "*_source _target"]]
Masks = dict[Connection, Float[Array, "time_or_1 batch _size"]]
OwnGates = dict[str, tuple[Float[Array, " _size"], ...]]
EveryCarry = dict[str, tuple[Float[Array, "time batch _size"], ...]]


def run_component(
    component: Component,
    weights: Weights,
    drives: dict[str, Drives],
    own: OwnGates,
    masks: Masks,
    resets: Bool[Array, "time batch"] | None,
    memory: State,
    reset_carry: Carries,
    *,
    dtype: jnp.dtype,
    plain_autodiff: bool = False,
    every_carry: bool = False,
) -> tuple[Outputs, Carries, EveryCarry]:
    """Runs a component over a chunk of at least one step.

    Args:
      component: which.
      weights: of those internal connections that have any.
      drives: what each of its layers hears from outside the component.
      own: of each layer, the gates that hear nothing.
      masks: dropout masks of internal connections.
      resets: where true, the layers' memory is forgotten before that step.
      memory: the state of its layers before the chunk; of layers that have one.
      reset_carry: what resets set carries to, instead of zeros. (Drives hold what is heard, after a
        reset, of outputs before it.)
      dtype: of the products' operands.
      plain_autodiff: instead of this module's rule for BPTT.
      every_carry: return what is carried after every step too.

    Returns:
      Its layers' outputs; what their cells carry after the last step; and after every step where
      that is asked for, without carries that are the output.
    """
    if not component.is_stepped:
        outputs, _, _ = _advance(component, {}, drives, own, {}, {}, {}, dtype)
        return outputs, {}, {}
    if component.is_linear:
        arguments = drives, own, resets, memory, reset_carry
        outputs, carries = _run_linear(component, *arguments, plain_autodiff)
        last = jax.tree.map(lambda x: x[-1], carries)
        return outputs, last, beside_outputs(component, carries) if every_carry else {}
    time = jax.tree.leaves(drives)[0].shape[0]
    masks = {c: jnp.broadcast_to(mask, (time, *mask.shape[1:])) for c, mask in masks.items()}
    scan = _plain if plain_autodiff else _by_rule
    arguments = weights, drives, own, masks, resets, memory, reset_carry
    return scan(component, dtype, every_carry, *arguments)


def _run_linear(
    component: Component,
    drives: dict[str, Drives],
    own: OwnGates,
    resets: Bool[Array, "time batch"] | None,
    memory: State,
    reset_carry: Carries,
    plain_autodiff: bool,
) -> tuple[Outputs, EveryCarry]:
    """One layer, whose past reaches it through a linear carry alone."""
    (layer,) = component.layers
    (sums,) = _filled(drives[layer.name], own, layer)
    initial, *heard = memory[layer.name].carry
    decay, drive = layer.cell.run_terms(sums)
    returns = reset_carry.get(layer.name, ())
    if layer.cell.first_drive is not None:
        is_first = jnp.zeros(drive.shape, bool).at[0].set(heard[0] == 0)
        if resets is not None and returns:
            is_first = jnp.where(resets[..., None], returns[1] == 0, is_first)
        elif resets is not None:
            is_first |= resets[..., None]
        drive = jnp.where(is_first, layer.cell.first_drive(sums), drive)
    if resets is not None and returns:
        drive = drive + jnp.where(resets[..., None], decay * returns[0], 0)
    carries = linear_recurrence(decay, drive, initial, resets, plain_autodiff=plain_autodiff)
    others = (jnp.ones_like(carries) for _ in heard)
    return {layer.name: carries}, {layer.name: (carries, *others)}


def _plain(
    component: Component,
    dtype: jnp.dtype,
    every_carry: bool,
    weights: Weights,
    drives: dict[str, Drives],
    own: OwnGates,
    masks: Masks,
    resets: Bool[Array, "time batch"] | None,
    memory: State,
    reset_carry: Carries,
) -> tuple[Outputs, Carries, EveryCarry]:
    arguments = weights, drives, own, masks, resets, memory, reset_carry
    result, _ = _unroll(component, dtype, every_carry, *arguments)
    return result


def _forward(
    component, dtype, every_carry, weights, drives, own, masks, resets, memory, reset_carry
):
    rounded = {  # once, not at each step
        c: array.astype(dtype) if c.kind == FULL else array for c, array in weights.items()
    }
    arguments = rounded, drives, own, masks, resets, memory, reset_carry
    result, kept = _unroll(component, dtype, every_carry, *arguments)
    outputs, *_ = result
    return result, (*arguments, outputs, kept)


def _backward(
    component: Component, dtype: jnp.dtype, every_carry: bool, residuals: tuple, cotangents: tuple
) -> tuple:
    weights, drives, _, masks, resets, memory, _, outputs, _ = residuals
    deltas, own_grads, memory_grads, reset_grads = _carry_deltas_back(
        component, dtype, residuals, cotangents
    )
    ages = ages_since(resets)
    weight_grads = {}
    for connection in weights:
        source = outputs[connection.source]
        if connection.delay:
            past = memory[connection.source].past[: connection.delay]
            source = delayed(source, remembered(past), ages)
        if connection in masks:
            source = source * masks[connection]
        target = _target(component, connection)
        delta = deltas[connection.target][_sum_index(component, connection)]
        weight_grads[connection] = weight_grad(connection.kind, source, delta, target, dtype)
    drive_grads = {
        layer.name: tuple(
            None if drive is None else split_gates(delta, layer)
            for drive, delta in zip(drives[layer.name], deltas[layer.name], strict=True)
        )
        for layer in component.layers
    }
    return weight_grads, drive_grads, own_grads, None, None, memory_grads, reset_grads


_by_rule = jax.custom_vjp(_plain, nondiff_argnums=(0, 1, 2))
_by_rule.defvjp(_forward, _backward)


def _unroll(
    component, dtype, every_carry, weights, drives, own, masks, resets, memory, reset_carry
):
    """The chunk forward; and what the backward pass needs: sums, and carries before each step."""

    def body(running: Running, start: Any, x: tuple) -> tuple[Running, tuple]:
        drives, masks, reset, ages = x
        before = forget(running, reset, reset_carry)
        heard = {
            c: read(before, c, start, ages, span_of(drives), length_of(memory, c.source))
            for c in component.internal
            if c.delay
        }
        outputs, carry, sums = _advance(
            component, weights, drives, own, masks, heard, before.carry, dtype
        )
        history = {
            name: write(array, outputs[name], start + length_of(memory, name))
            for name, array in before.history.items()
        }
        last = {name: outputs[name] for name in before.last}
        shown = {name: output for name, output in outputs.items() if name not in history}
        after = beside_outputs(component, carry) if every_carry else {}
        return Running(carry, last, history), (shown, sums, before.carry, after)

    time = jax.tree.leaves(drives)[0].shape[0]
    xs = drives, masks, resets, ages_of(component, resets)
    first = before_the_chunk(memory, time)
    running, (outputs, sums, carries, every) = step_through(body, first, xs, component.stride)
    for name, array in running.history.items():
        outputs[name] = array[length_of(memory, name) :]
    return (outputs, _carried(running.carry, memory), every), (sums, carries)


def _advance(
    component: Component,
    weights: Weights,
    drives: dict,
    own: OwnGates,
    masks: dict,
    heard: dict[Connection, Array],
    carry: Carries,
    dtype: jnp.dtype,
) -> tuple[dict[str, Array], Carries, dict[str, Drives]]:
    """One stride (or, without internal connections, a chunk): outputs, carries and sums after it.

    `heard` are the delayed sources. Of the sums only those to which an internal connection adds;
    the others are the drives.
    """
    outputs, sums, carries = {}, {}, {}
    for layer in component.layers:
        terms = list(drives[layer.name])
        summed = [False] * len(terms)
        for connection in (c for c in component.internal if c.target == layer.name):
            source = heard[connection] if connection.delay else outputs[connection.source]
            source = source * masks[connection] if connection in masks else source
            gates = added(connection.kind, source, weights.get(connection), layer, dtype)
            i = _sum_index(component, connection)
            terms[i] = gates if terms[i] is None else tuple(map(jnp.add, terms[i], gates))
            summed[i] = True
        before = carry.get(layer.name, ())
        arguments = *_filled(terms, own, layer), before
        outputs[layer.name], carries[layer.name] = layer.cell.run(*arguments)
        sums[layer.name] = tuple(t if s else None for t, s in zip(terms, summed, strict=True))
    return outputs, {name: carries[name] for name in carry}, sums


def _carry_deltas_back(
    component: Component, dtype: jnp.dtype, residuals: tuple, cotangents: tuple
) -> tuple[dict[str, tuple[Array, ...]], OwnGates, State, Carries]:
    """Each layer's deltas at every step; the gradients of its own gates, of the initial memory and
    of what resets set carries to.
    """
    weights, drives, own, masks, resets, memory, reset_carry, all_outputs, kept = residuals
    sums, carries = kept
    output_grads, carry_grads, every_grads = cotangents
    transposed = {c: matrix.T for c, matrix in weights.items()}

    def body(running: tuple, start: Any, x: tuple) -> tuple[tuple, dict[str, tuple]]:
        """One stride; `grads` are with respect to what runs after it."""
        grads, reset_grads, own_grads = running
        output_grads, every_grads, drives, sums, carries, masks, reset, ages = x
        outputs, history = dict(output_grads), dict(grads.history)
        after = {
            name: _add_last(carry, every_grads.get(name, ())) for name, carry in grads.carry.items()
        }
        last = {name: jnp.zeros_like(grad) for name, grad in grads.last.items()}
        for name, grad in grads.last.items():
            outputs[name] = outputs[name] + grad
        for name, array in history.items():
            outputs[name] = steps_of(array, start + length_of(memory, name), span_of(drives))
        deltas, carry, own_grads = {}, {}, dict(own_grads)
        for layer in reversed(component.layers):
            name = layer.name
            terms = (d if s is None else s for d, s in zip(drives[name], sums[name], strict=True))
            _, vjp = jax.vjp(layer.cell.run, *_filled(terms, own, layer), carries.get(name, ()))
            *gates, before = vjp((outputs[name], after.get(name, ())))
            heard = layer.cell.heard_gates
            own_grads[name] = tuple(map(_add_lanes, own_grads[name], gates[0][heard:]))
            if name in after:
                carry[name] = before
            deltas[name] = tuple(jnp.concatenate(gate[:heard], axis=-1) for gate in gates)
            for connection in (c for c in component.internal if c.target == name):
                source, delay = connection.source, connection.delay
                delta = deltas[name][_sum_index(component, connection)]
                grad = source_grad(connection.kind, delta, transposed.get(connection), layer, dtype)
                grad = grad * masks[connection] if connection in masks else grad
                if source in history and delay:
                    grad = forget_older(grad, delay, ages)
                    place = start + length_of(memory, source) - delay
                    grad = grad + steps_of(history[source], place, span_of(drives))
                    history[source] = write(history[source], grad, place)
                elif delay:
                    last[source] = last[source] + grad
                else:
                    outputs[source] = outputs[source] + grad
        reset_grads = {
            name: tuple(
                total + jnp.where(reset[:, None], grad, 0)
                for total, grad in zip(totals, carry[name], strict=True)
            )
            for name, totals in reset_grads.items()
        }
        return (forget(Running(carry, last, history), reset), reset_grads, own_grads), deltas

    after = after_the_chunk(memory, output_grads, carry_grads)
    shown = {name: grad for name, grad in output_grads.items() if name not in after.history}
    xs = shown, every_grads, drives, sums, carries, masks, resets, ages_of(component, resets)
    nothing = {name: (jnp.zeros_like(all_outputs[name][0]),) * len(own[name]) for name in own}
    first = after, jax.tree.map(jnp.zeros_like, reset_carry), nothing
    (grads, reset_grads, own_grads), deltas = step_through(
        body, first, xs, component.stride, reverse=True
    )
    own_grads = jax.tree.map(lambda lanes: lanes.sum(axis=0), own_grads)
    return deltas, own_grads, as_state(grads, memory), reset_grads


def beside_outputs(component: Component, carries: dict[str, tuple]) -> dict[str, tuple]:
    """Without carries that are the output; of layers that have others."""
    own = {x.name: carries.get(x.name, ())[x.cell.carries_output :] for x in component.layers}
    return {name: carry for name, carry in own.items() if carry}


def _add_last(carry: tuple[Array, ...], added: tuple[Array, ...]) -> tuple[Array, ...]:
    """What is added to a layer's last carries, as many as there are of it."""
    if not added:
        return carry
    return (*carry[: -len(added)], *map(jnp.add, carry[-len(added) :], added))


def _carried(carry: Carries, memory: State) -> Carries:
    return {name: carry.get(name, ()) for name in memory}


def _add_lanes(
    lanes: Float[Array, "batch size"], delta: Float[Array, "*stride batch size"]
) -> Float[Array, "batch size"]:
    """Lanes stay apart in the loop, where nothing is to be summed over devices."""
    return lanes + (delta if delta.ndim == 2 else delta.sum(axis=0))


def _filled(terms: Iterable[Gates | None], own: OwnGates, layer: Layer) -> tuple[Gates, ...]:
    """All gates: own ones, and zeros in place of recurrent sums to which nothing adds."""
    feedforward, *recurrent = terms
    assert feedforward is not None  # there is a bias
    zeros = tuple(map(jnp.zeros_like, feedforward))
    constant = (jnp.broadcast_to(gate, feedforward[0].shape) for gate in own[layer.name])
    return (*feedforward, *constant), *(zeros if term is None else term for term in recurrent)


def _target(component: Component, connection: Connection) -> Layer:
    return next(layer for layer in component.layers if layer.name == connection.target)


def _sum_index(component: Component, connection: Connection) -> int:
    """Which of the target's sums the connection adds to."""
    return int(connection.delay > 0 and _target(component, connection).cell.separate_sums)
