"""How a chunk is run: in one piece or in segments, one component after the other.

What enters a component is summed for the whole chunk at once: its drive. Only what is inside a
component is stepped, by `run_component`, which also has a rule of its own for back-propagation
through time.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from jaxrnn.core.engine.arguments import Arrays
from jaxrnn.core.engine.components import run_order
from jaxrnn.core.engine.delays import Ages, ages_since, at, newest
from jaxrnn.core.engine.directions import turned, turned_masks, turned_resets
from jaxrnn.core.engine.drives import Sequence, drives_of, own_gates
from jaxrnn.core.engine.dropout import Dropout, draw_masks
from jaxrnn.core.engine.ngrams import ngram_symbols
from jaxrnn.core.engine.placement import with_automatic_axes
from jaxrnn.core.engine.recurrence import EveryCarry, beside_outputs, run_component
from jaxrnn.core.engine.segments import run_in_segments, segment_length
from jaxrnn.core.engine.stepping import Outputs
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import IDENTITY, Connection, Layer
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import LayerState, State, state_dtype, state_shapes


class How(NamedTuple):
    """`Options`, settled, and what is dropped."""

    dropped: dict[Connection, Dropout]
    dtype: jnp.dtype
    plain_autodiff: bool
    stepwise: bool
    all_layers: bool = False  # show all outputs and carries, not the network's outputs alone


class Way(NamedTuple):
    """What components run on, in one of the two directions."""

    turn: Callable[[Array], Array]  # a sequence into that direction, and back
    masks: dict[Connection, Array]
    resets: Bool[Array, "time batch"] | None
    ages: Ages | None


def run_chunk(
    network: Network, arrays: Arrays, how: How, segment: int | None
) -> tuple[tuple[Outputs, EveryCarry], State]:
    """The chunk in one piece or in segments; the layers' outputs and carries, and the state."""
    if network.runs_backward:
        segment = _one_piece(segment, how.stepwise)
    time, batch = arrays.steps_and_lanes
    length = segment_length(segment, time)
    shapes = None if arrays.reset_state is None else state_shapes(network, batch)

    def run_whole(*whole: Any) -> tuple:
        params, state, reset_state, *sequences, key, rates = whole
        # One for all lanes becomes one for each.
        reset_state = jax.tree.map(jnp.broadcast_to, reset_state, shapes)

        def run(state: State, sequences: list, index: Array | int | None) -> tuple[State, tuple]:
            inputs, resets, inside = sequences
            piece = Arrays(params, state, reset_state, inputs, resets, inside, key, rates)
            shown, state = _run(network, piece, how, index)
            return state, shown

        if length == time:
            state, shown = run(state, sequences, None)
        else:
            state, shown = run_in_segments(run, state, sequences, length)
        return shown, state

    return with_automatic_axes(run_whole, arrays, _lanes(arrays))


def _one_piece(segment: int | None, stepwise: bool) -> int:
    """Of a network with backward layers, which begin where the chunk ends."""
    for name, value in (("segment", segment), ("stepwise", stepwise)):
        if value:
            raise InputError(
                f"a network with backward layers runs a chunk in one piece; leave {name} out"
            )
    return 0


def _run(
    network: Network, arrays: Arrays, how: How, index: Array | int | None
) -> tuple[tuple[Outputs, EveryCarry], State]:
    """One chunk, or one segment of it: what is to be shown of it, and the state after it."""
    params, state, reset_state, inputs, resets, inside, key, rates = arrays
    time, batch = arrays.steps_and_lanes
    dtype = state_dtype(params)
    if time == 0:
        nothing = {x.name: jnp.zeros((0, batch, x.size), dtype) for x in network.layers}
        carried = {n: (x,) * len(state[n].carry) for n, x in nothing.items() if n in state}
        return (nothing, carried), state
    ages = ages_since(resets)
    dropped = {c: own._replace(rate=rates.get(c, own.rate)) for c, own in how.dropped.items()}
    sources = inputs | ngram_symbols(network, inputs, state, ages, reset_state)
    masks = draw_masks(network, sources, state, dropped, key, dtype, index)
    sequences: dict[str, Sequence] = dict(sources)
    carries, every_carry = {}, {}
    lengths = None if inside is None else inside.sum(axis=0, dtype=jnp.int32)
    forward = Way(lambda sequence: sequence, masks, resets, ages)
    backward = None
    if network.runs_backward:
        cuts = turned_resets(resets, inside)
        turn = partial(turned, lengths=lengths)
        backward = Way(turn, turned_masks(masks, lengths), cuts, ages_since(cuts))
    for component in run_order(network, how.stepwise):
        way = forward if backward is None or not component.is_backward else backward
        heard = {c.source: way.turn(sequences[c.source]) for c in component.entering}
        drives = drives_of(
            component, params, heard, state, way.masks, way.ages, reset_state,
            dtype=how.dtype, plain_autodiff=how.plain_autodiff,
        )  # fmt: skip
        own = {layer.name: own_gates(layer, params) for layer in component.layers}
        memory = {
            layer.name: _as_in_a_cell(state[layer.name], layer, component.memory(layer))
            for layer in component.layers
            if layer.name in state
        }
        reset_carry = {
            layer.name: _as_in_a_cell(reset_state[layer.name], layer, 0).carry
            for layer in component.layers
            if reset_state and layer.cell.carries
        }
        weights = {c: params[c.target][c.key] for c in component.internal if c.kind != IDENTITY}
        internal_masks = {c: way.masks[c] for c in component.internal if c in masks}
        outputs, final, every = run_component(
            component, weights, drives, own, internal_masks, way.resets, memory, reset_carry,
            dtype=how.dtype, plain_autodiff=how.plain_autodiff,
            every_carry=how.all_layers or inside is not None,
        )  # fmt: skip
        sequences |= {name: way.turn(output) for name, output in outputs.items()}
        carries |= beside_outputs(component, final)
        every_carry |= jax.tree.map(way.turn, every)
    if lengths is not None:
        carries = _at_their_ends(every_carry, state, lengths)
    new_state = {}
    for name, old in state.items():
        returns = reset_state[name].past if reset_state else ()
        past = newest(sequences[name], old.past, ages, lengths, returns)
        new_state[name] = LayerState(past, carries.get(name, ()))
    new_state |= {x.name: state[x.name] for x in network.layers if x.backward and x.name in state}
    if not how.all_layers:
        shown = {name: sequences[name] for name in network.outputs}, {}
    else:
        shown = {layer.name: sequences[layer.name] for layer in network.layers}, every_carry
    if inside is not None:
        shown = jax.tree.map(lambda x: jnp.where(inside[..., None], x, 0), shown)
    return shown, new_state


def _at_their_ends(
    every_carry: EveryCarry, state: State, lengths: Int[Array, " batch"]
) -> dict[str, tuple[Array, ...]]:
    """What each lane carries after its last step, or carried before if it takes none."""
    return {
        name: tuple(
            jnp.where((lengths > 0)[:, None], at(x, lengths - 1), old)
            for x, old in zip(carries, state[name].carry, strict=True)
        )
        for name, carries in every_carry.items()
    }


def _as_in_a_cell(state: LayerState, layer: Layer, memory: int) -> LayerState:
    """With the output among the carries where the cell carries it."""
    output = state.past[: layer.cell.carries_output]
    return LayerState(state.past[:memory], (*output, *state.carry))


def _lanes(arrays: Arrays) -> tuple[tuple[Array, int], ...]:
    inputs = ((array, 1) for array in arrays.inputs.values())
    return (*inputs, *((array, 0) for array in jax.tree.leaves(arrays.state)))
