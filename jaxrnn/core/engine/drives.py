"""What enters a component from outside, summed for the whole chunk at once: its layers' drives."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from jaxrnn.core.engine.components import Component
from jaxrnn.core.engine.delays import (
    Ages,
    Past,
    delayed,
    forget_older,
    one_hot,
    recalled,
    remembered,
)
from jaxrnn.core.engine.kinds import Gates, added, split_gates
from jaxrnn.core.engine.products import product, rounded_product, rows
from jaxrnn.core.layers import FULL, Connection, Layer
from jaxrnn.core.parameters import BIAS, Params, State, state_dtype

Sequence = Shaped[Array, "time batch *_features"]
Drives = tuple[Gates | None, ...]  # (all,), or (feed-forward, recurrent); None where nothing adds


def drives_of(
    component: Component,
    params: Params,
    sequences: dict[str, Sequence],
    state: State,
    masks: dict[Connection, Array],
    ages: Ages | None,
    reset_state: State | None,
    *,
    dtype: jnp.dtype,
    plain_autodiff: bool,
) -> dict[str, Drives]:
    """What each layer hears from outside its component, for each gate and the whole chunk.

    Two sums where the cell wants delay-0 and delayed connections apart, else one. A recurrent sum
    to which nothing adds is None. With a `reset_state`, what delayed connections hear after a reset
    of outputs before it, those inside the component too.
    """
    by_rule = not plain_autodiff and dtype != state_dtype(params)
    multiply = partial(rounded_product if by_rule else product, dtype=dtype)
    return {
        layer.name: _drive(
            layer, component, params, sequences, state, masks, ages, reset_state, multiply
        )
        for layer in component.layers
    }


def own_gates(layer: Layer, params: Params) -> tuple[Float[Array, " size"], ...]:
    """Of the gates that no connection adds to, what they are at every step and in every lane."""
    count = layer.cell.own_gates * layer.size
    if not count:
        return ()
    return split_gates(params[layer.name][BIAS][-count:].astype(state_dtype(params)), layer)


def _drive(
    layer: Layer,
    component: Component,
    params: Params,
    sequences: dict[str, Sequence],
    state: State,
    masks: dict[Connection, Array],
    ages: Ages | None,
    reset_state: State | None,
    multiply: Callable[[Array, Array], Array],
) -> Drives:
    time, batch = next(iter(sequences.values())).shape[:2]

    def at_each_step(row: Float[Array, " sums"]) -> Float[Array, "time batch sums"]:
        return jnp.broadcast_to(row, (time, batch, row.shape[0]))

    feedforward, recurrent = at_each_step(_heard_bias(layer, params)), None
    heard_sums = []
    for connection in (c for c in component.entering if c.target == layer.name):
        source, past = sequences[connection.source], ()
        if connection.delay:
            past = state[connection.source].past[: connection.delay]
        mask = masks.get(connection)
        if connection.kind == FULL:
            matrix = params[layer.name][connection.key]
            heard = _through_matrix(source, past, matrix, mask, ages, multiply)
        else:
            weights = params[layer.name].get(connection.key)
            if source.ndim == 2:
                source = one_hot(source, layer.size, state_dtype(params))
            heard = _elementwise(connection, source, past, weights, mask, ages, layer)
        heard_sums.append((connection, heard))
    if reset_state is not None and ages is not None:
        heard_sums += [
            (c, _from_reset_state(c, reset_state, params, masks.get(c), ages, layer, multiply))
            for c in (*component.entering, *component.internal)
            if c.target == layer.name and c.delay
        ]
    for connection, heard in heard_sums:
        if connection.delay and layer.cell.separate_sums:
            recurrent = heard if recurrent is None else recurrent + heard
        else:
            feedforward = feedforward + heard

    drive = split_gates(feedforward, layer)
    if layer.cell.separate_sums:
        return drive, None if recurrent is None else split_gates(recurrent, layer)
    return (drive,)


def _heard_bias(layer: Layer, params: Params) -> Float[Array, " sums"]:
    """Of the gates that connections add to."""
    heard_size = layer.cell.heard_gates * layer.size
    if layer.bias:
        return params[layer.name][BIAS][:heard_size]
    return jnp.zeros(heard_size, state_dtype(params))


def _through_matrix(
    source: Sequence,
    past: Past,
    matrix: Float[Array, "source sums"],
    mask: Float[Array, "time_or_1 batch source_or_1"] | None,
    ages: Ages | None,
    multiply: Callable[[Array, Array], Array],
) -> Float[Array, "time batch sums"]:
    """The source, as many steps late as `past` is long, times the matrix."""
    if source.ndim == 3:
        source = delayed(source, remembered(past), ages) if past else source
        return multiply(source if mask is None else source * mask, matrix)
    heard = rows(matrix, source)
    if past:
        before = remembered(past)
        if ages is not None:
            # Before it is multiplied: what is not finite must not reach the matrix's gradient.
            before = forget_older(before, len(past), _first_steps(ages, len(past)))
        heard = delayed(heard, multiply(before, matrix), ages)
    return heard if mask is None else heard * mask


def _elementwise(
    connection: Connection,
    source: Sequence,
    past: Past,
    weights: Float[Array, " sums"] | None,
    mask: Float[Array, "time_or_1 batch source_or_1"] | None,
    ages: Ages | None,
    layer: Layer,
) -> Float[Array, "time batch sums"]:
    """The source, as many steps late as `past` is long, through a diagonal or an identity."""
    source = delayed(source, remembered(past), ages) if past else source
    source = source if mask is None else source * mask
    return jnp.concatenate(added(connection.kind, source, weights, layer, source.dtype), axis=-1)


def _from_reset_state(
    connection: Connection,
    reset_state: State,
    params: Params,
    mask: Float[Array, "time_or_1 batch source_or_1"] | None,
    ages: Ages,
    layer: Layer,
    multiply: Callable[[Array, Array], Array],
) -> Float[Array, "time batch sums"]:
    """What a delayed connection hears of the state that resets return to; zeros at other steps."""

    def through(source: Float[Array, "time batch source"]) -> Float[Array, "time batch sums"]:
        if connection.kind == FULL:
            return multiply(source, params[layer.name][connection.key])
        weights = params[layer.name].get(connection.key)
        return jnp.concatenate(added(connection.kind, source, weights, layer, source.dtype), -1)

    before = remembered(reset_state[connection.source].past[: connection.delay])
    if mask is None:  # few products, of which every step takes its own
        return recalled(through(before), ages)
    if mask.shape[-1] == 1:
        return recalled(through(before), ages) * mask
    return through(recalled(before, ages) * mask)


def _first_steps(ages: Ages, count: int) -> Int[Array, "count batch"]:
    """Of the first `count` steps; of a chunk that ends before, its last one's again."""
    last = jnp.broadcast_to(ages[-1:], (count, ages.shape[1]))
    return jnp.concatenate([ages, last])[:count]
