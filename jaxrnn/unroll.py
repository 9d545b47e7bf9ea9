"""The engine: `unroll` runs a network over a chunk of time steps, `step` over one.

Components (see `jaxrnn.components`) run one after the other. What enters a component is summed for
the whole chunk at once: its drive. Only what is inside a component is stepped, by `run_component`,
which also has a rule of its own for back-propagation through time.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, PRNGKeyArray, Shaped

from jaxrnn.components import Component, schedule
from jaxrnn.delays import Ages, Past, ages_since, delayed, forget_older, newest, remembered
from jaxrnn.errors import InputError
from jaxrnn.keys import derive
from jaxrnn.network import INPUT, OUTPUT, Connection, Layer, Network
from jaxrnn.parameters import (
    BIAS,
    LayerState,
    Params,
    State,
    parameter_shapes,
    state_dtype,
    state_shapes,
)
from jaxrnn.placement import varying_alike, with_automatic_axes
from jaxrnn.products import product, rounded_product, rows
from jaxrnn.recurrence import Drives, Gates, run_component, split_gates
from jaxrnn.segments import run_in_segments, segment_length

Inputs = Float[Array, "time batch features"] | Integer[Array, "time batch"]
GivenInputs = (  # as a user may give them: NumPy arrays and lists work too
    Shaped[Array | np.ndarray, "time batch *features"] | list
)
Sequence = Shaped[Array, "time batch *_features"]


class Dropout(NamedTuple):
    """Dropout on delay-0 connections, not on delayed ones (Zaremba and others 2014).

    Attributes:
      rate: the share of a source's outputs that a connection does not hear, in [0, 1).
      locked: hold one mask for the whole chunk (Gal and Ghahramani 2016) instead of drawing a
        fresh one at each time step.
      recurrent: drop on delayed connections as well; locked, as Gal and Ghahramani propose.
    """

    rate: float
    locked: bool = False
    recurrent: bool = False


class Options(NamedTuple):
    """How a chunk is run; as for `unroll`, but that `dtype` is settled."""

    dropout: Dropout | None
    dtype: jnp.dtype
    hoist: bool
    deferred: bool


class Arrays(NamedTuple):
    """What a chunk is run on; parameters and state in one precision, at least float32."""

    params: Params
    state: State
    inputs: Inputs
    resets: Bool[Array, "time batch"] | None
    dropout_key: PRNGKeyArray | None


def unroll(
    network: Network,
    params: Params,
    state: State,
    inputs: GivenInputs,
    *,
    resets: Bool[Array | np.ndarray, "time batch"] | None = None,
    dropout: Dropout | None = None,
    dropout_key: PRNGKeyArray | None = None,
    compute_dtype: Any = None,
    hoist: bool = True,
    deferred: bool = True,
    segment: int | None = None,
) -> tuple[Float[Array, "time batch outputs"], State]:
    """Runs a chunk; returns the output layer's outputs and the state after the last step.

    Args:
      network: static under `jit`, like the options below.
      params: as from `init`, all of one floating-point type. Half-precision ones are taken as
        float32 (so that gradients are added up in it), with `compute_dtype` their own type.
      state: as from `initial_state`, or from the chunk before; of the type `state_dtype(params)`.
      inputs: features, or symbols that stand for one-hot vectors (never built: rows are looked up).
        A symbol outside of [0, input_size) makes its lane NaN until a reset; in NumPy arrays it is
        refused. Without a time step nothing happens.
      resets: where true, everything before that step is forgotten in that lane, including what
        delayed connections would still hear.
      dropout: left out when not training.
      dropout_key: decides what is dropped; needed with `dropout`.
      compute_dtype: of the operands of matrix products, forward and backward: bfloat16, say; by
        default that of the parameters. Whatever is added up, carried or returned keeps the type
        `state_dtype(params)`.
      hoist: take products that do not recur out of the time loop.
      deferred: use the engine's own rule for BPTT, in which weight gradients are one product over
        the chunk; `False` is plain autodiff (slower; for `jax.jvp` and higher derivatives).
      segment: run the chunk in segments of so many steps, which takes less memory and one more
        forward pass under `jax.grad`; 0: in one piece; None: in segments of 128 steps from a chunk
        of 1024 on. Each segment draws its own dropout masks, unless they are locked.

    Raises:
      InputError: parameters, state, inputs, resets, dropout, types or segment do not fit the
        network or each other.
    """
    arrays, dtype = _enter(
        network, params, state, inputs, resets, dropout, dropout_key, compute_dtype
    )
    options = Options(dropout, dtype, hoist, deferred)
    length = segment_length(segment, arrays.inputs.shape[0])

    def run_whole(params: Params, state: State, inputs: Inputs, resets: Any, key: Any) -> tuple:
        def run(state: State, sequences: tuple, index: Array | int | None) -> tuple[State, Array]:
            inputs, resets = sequences
            drawn = key
            if index is not None and key is not None and not (dropout and dropout.locked):
                drawn = jax.random.fold_in(derive(key, "segments"), index)
            outputs, state = _run(network, Arrays(params, state, inputs, resets, drawn), options)
            return state, outputs[OUTPUT]

        if length == inputs.shape[0]:
            state, outputs = run(state, (inputs, resets), None)
        else:
            state, outputs = run_in_segments(run, state, (inputs, resets), length)
        return outputs, state

    return with_automatic_axes(run_whole, arrays, _lanes(arrays))


def unroll_layers(
    network: Network,
    params: Params,
    state: State,
    inputs: GivenInputs,
    *,
    resets: Bool[Array | np.ndarray, "time batch"] | None = None,
    dropout: Dropout | None = None,
    dropout_key: PRNGKeyArray | None = None,
    compute_dtype: Any = None,
    hoist: bool = True,
    deferred: bool = True,
) -> tuple[dict[str, Float[Array, "time batch _size"]], State]:
    """`unroll`, returning every layer's outputs by the layer's name."""
    arrays, dtype = _enter(
        network, params, state, inputs, resets, dropout, dropout_key, compute_dtype
    )
    options = Options(dropout, dtype, hoist, deferred)
    return with_automatic_axes(
        lambda *arrays: _run(network, Arrays(*arrays), options), arrays, _lanes(arrays)
    )


def step(
    network: Network,
    params: Params,
    state: State,
    inputs: Shaped[Array | np.ndarray, "batch *features"] | list,
) -> tuple[Float[Array, "batch outputs"], State]:
    """One time step: sampling, acting, streaming."""
    inputs = inputs if isinstance(inputs, jax.Array) else np.asarray(inputs)
    outputs, state = unroll(network, params, state, inputs[None])
    return outputs[0], state


def _run(
    network: Network, arrays: Arrays, options: Options
) -> tuple[dict[str, Float[Array, "time batch _size"]], State]:
    """One chunk, or one segment of it; every layer's outputs, and the state after it."""
    params, state, inputs, resets, _ = arrays
    if inputs.shape[0] == 0:
        batch, dtype = inputs.shape[1], state_dtype(params)
        return {x.name: jnp.zeros((0, batch, x.size), dtype) for x in network.layers}, state
    ages = ages_since(resets)
    masks = _draw_masks(network, arrays, options.dropout)
    sequences: dict[str, Sequence] = {INPUT: inputs}
    carries = {}
    for component in schedule(network, options.hoist):
        drives = {
            layer.name: _drive(layer, component, params, sequences, state, masks, ages, options)
            for layer in component.layers
        }
        memory = {
            layer.name: state[layer.name]._replace(
                past=state[layer.name].past[: component.memory(layer)]
            )
            for layer in component.layers
            if layer.name in state
        }
        weights = {c: params[c.target][c.key] for c in component.internal}
        internal_masks = {c: masks[c] for c in component.internal if c in masks}
        outputs, final = run_component(
            component, weights, drives, internal_masks, resets, memory,
            dtype=options.dtype, deferred=options.deferred,
        )  # fmt: skip
        sequences |= outputs
        carries |= final
    new_state = {
        name: LayerState(newest(sequences[name], old.past, ages), carries.get(name, ()))
        for name, old in state.items()
    }
    del sequences[INPUT]
    return sequences, new_state


def _drive(
    layer: Layer,
    component: Component,
    params: Params,
    sequences: dict[str, Sequence],
    state: State,
    masks: dict[Connection, Array],
    ages: Ages | None,
    options: Options,
) -> Drives:
    """What a layer hears from outside its component, for each gate and the whole chunk.

    Two sums where the cell wants delay-0 and delayed connections apart, else one. A sum to which
    nothing adds is None.
    """
    bias = params[layer.name][BIAS]
    time, batch = sequences[INPUT].shape[:2]

    def at_each_step(row: Float[Array, " sums"]) -> Float[Array, "time batch sums"]:
        return jnp.broadcast_to(row, (time, batch, row.shape[0]))

    heard_size = layer.cell.heard_gates * layer.size
    feedforward, recurrent = at_each_step(bias[:heard_size]), None
    for connection in (c for c in component.entering if c.target == layer.name):
        source, past = sequences[connection.source], ()
        if connection.delay:
            past = state[connection.source].past[: connection.delay]
        heard = _heard(
            source, past, params[layer.name][connection.key], masks.get(connection), ages, options
        )
        if connection.delay and layer.cell.separate_sums:
            recurrent = heard if recurrent is None else recurrent + heard
        else:
            feedforward = feedforward + heard

    if layer.cell.separate_sums:
        return (
            split_gates(feedforward, layer),
            None if recurrent is None else split_gates(recurrent, layer),
        )
    own: Gates = split_gates(at_each_step(bias[heard_size:]), layer)
    return ((*split_gates(feedforward, layer), *own),)


def _heard(
    source: Sequence,
    past: Past,
    matrix: Float[Array, "source sums"],
    mask: Float[Array, "time_or_1 batch source_or_1"] | None,
    ages: Ages | None,
    options: Options,
) -> Float[Array, "time batch sums"]:
    """The source, as many steps late as `past` is long, times the matrix."""
    multiply = product
    if options.deferred and options.dtype != matrix.dtype:
        multiply = rounded_product
    if source.ndim == 3:
        source = delayed(source, remembered(past), ages) if past else source
        return multiply(source if mask is None else source * mask, matrix, options.dtype)
    heard = rows(matrix, source)
    if past:
        before = remembered(past)
        if ages is not None:
            # Before it is multiplied: what is not finite must not reach the matrix's gradient.
            before = forget_older(before, len(past), _first_steps(ages, len(past)))
        heard = delayed(heard, multiply(before, matrix, options.dtype), ages)
    return heard if mask is None else heard * mask


def _first_steps(ages: Ages, count: int) -> Int[Array, "count batch"]:
    """Of the first `count` steps; of a chunk that ends before, its last one's again."""
    last = jnp.broadcast_to(ages[-1:], (count, ages.shape[1]))
    return jnp.concatenate([ages, last])[:count]


def _draw_masks(
    network: Network, arrays: Arrays, dropout: Dropout | None
) -> dict[Connection, Float[Array, "time_or_1 batch _size_or_1"]]:
    """For each connection to drop on: 0 where its source is not heard, else 1 / (1 - rate)."""
    inputs, key = arrays.inputs, arrays.dropout_key
    if dropout is None or key is None or not dropout.rate:
        return {}
    time, batch = inputs.shape[:2]
    dtype = state_dtype(arrays.params)
    masks = {}
    for connection in network.connections:
        if connection.delay and not dropout.recurrent:
            continue
        mask_key = derive(key, connection.target, connection.key)
        if connection.source == INPUT and inputs.ndim == 2:
            past = arrays.state[INPUT].past[: connection.delay] if connection.delay else ()
            kept = _symbols_kept(mask_key, _late_symbols(inputs, past), dropout)
        else:
            shape = (1 if dropout.locked else time, batch, network.size(connection.source))
            kept = jax.random.bernoulli(mask_key, 1 - dropout.rate, shape)
        masks[connection] = jnp.where(kept, jnp.asarray(1 / (1 - dropout.rate), dtype), 0)
    return masks


def _symbols_kept(
    key: PRNGKeyArray, symbols: Integer[Array, "time batch"], dropout: Dropout
) -> Bool[Array, "time batch 1"]:
    """The entries of the masks that symbols meet: of each mask, as wide as the vocabulary, one."""
    if not dropout.locked:
        return jax.random.bernoulli(key, 1 - dropout.rate, (*symbols.shape, 1))

    def entry(key: PRNGKeyArray, symbol: Integer[Array, ""]) -> Bool[Array, ""]:
        return jax.random.bernoulli(jax.random.fold_in(key, symbol), 1 - dropout.rate)

    lanes = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(symbols.shape[1]))
    return jax.vmap(jax.vmap(entry), (None, 0))(lanes, symbols)[..., None]


def _late_symbols(
    symbols: Integer[Array, "time batch"], past: Past
) -> Integer[Array, "time batch"]:
    """The symbols as many steps late as `past`, their one-hot vectors, is long."""
    if not past:
        return symbols
    before = remembered(past).argmax(axis=-1).astype(symbols.dtype)
    return jnp.concatenate([before, symbols])[: symbols.shape[0]]


def _lanes(arrays: Arrays) -> tuple[tuple[Array, int], ...]:
    return ((arrays.inputs, 1), *((array, 0) for array in jax.tree.leaves(arrays.state)))


def _enter(
    network: Network,
    params: Params,
    state: State,
    inputs: GivenInputs,
    resets: Any,
    dropout: Dropout | None,
    dropout_key: PRNGKeyArray | None,
    compute_dtype: Any,
) -> tuple[Arrays, jnp.dtype]:
    """The engine's door: refuses what does not fit, and settles types once for all.

    Returns:
      Arrays that are all JAX's, parameters and state in one precision; and the products' dtype.
    """
    _check_symbols(network, inputs)
    inputs = jnp.asarray(inputs)
    resets = None if resets is None else jnp.asarray(resets)
    _check(network, params, state, inputs, resets, dropout, dropout_key)
    params, state = jax.tree.map(jnp.asarray, (params, state))
    dtype = _check_types(params, state, compute_dtype)
    working = state_dtype(params)
    params = jax.tree.map(lambda array: array.astype(working), params)
    if inputs.ndim == 3:
        inputs = inputs.astype(working)
    arrays = varying_alike((params, state, inputs, resets))
    return Arrays(*arrays, dropout_key), dtype


def _check(
    network: Network,
    params: Params,
    state: State,
    inputs: Inputs,
    resets: Array | None,
    dropout: Dropout | None,
    dropout_key: PRNGKeyArray | None,
) -> None:
    """Refuses what does not fit the network, or does not fit together, by its shape."""
    size, symbols = network.input_size, jnp.issubdtype(inputs.dtype, jnp.integer)
    if (
        inputs.ndim != (2 if symbols else 3)
        or (inputs.ndim == 3 and inputs.shape[2] != size)
        or jnp.issubdtype(inputs.dtype, jnp.complexfloating)
    ):
        raise InputError(
            f"inputs have the shape {list(inputs.shape)} and the type {inputs.dtype}; expected "
            f"features [time, batch, {size}] or whole numbers, for symbols, [time, batch]"
        )
    if resets is not None and (resets.shape != inputs.shape[:2] or resets.dtype != bool):
        raise InputError(
            f"resets have the shape {list(resets.shape)} and the type {resets.dtype}; expected "
            f"bool {list(inputs.shape[:2])}, the inputs' [time, batch]"
        )
    _check_shapes(
        params, parameter_shapes(network), "parameters do not fit the network", "them with init"
    )
    _check_shapes(
        state, state_shapes(network, inputs.shape[1]),
        f"state does not fit the network and {inputs.shape[1]} lanes", "one with initial_state",
    )  # fmt: skip
    if dropout is not None and not 0 <= dropout.rate < 1:
        raise InputError(f"the dropout rate is {dropout.rate}; it must be at least 0 and below 1")
    if dropout is not None and dropout.rate and dropout_key is None:
        raise InputError("dropout needs a dropout_key; give one, or leave dropout out")


def _check_symbols(network: Network, inputs: GivenInputs) -> None:
    """Refuses symbols that there are not, where that is known before anything is computed."""
    if not isinstance(inputs, np.ndarray | list):
        return
    symbols = np.asarray(inputs)
    if not (np.issubdtype(symbols.dtype, np.integer) and symbols.size):
        return
    for symbol in (symbols.min(), symbols.max()):
        if not 0 <= symbol < network.input_size:
            raise InputError(
                f"the inputs have the symbol {symbol}; the network's symbols are 0 to "
                f"{network.input_size - 1}"
            )


def _check_types(params: Params, state: State, compute_dtype: Any) -> jnp.dtype:
    """One type for all parameters, its `state_dtype` for the state; returns the products' dtype."""
    kinds = {array.dtype for array in jax.tree.leaves(params)}
    if len(kinds) > 1:
        raise InputError(
            f"the parameters are of several types ({', '.join(sorted(map(str, kinds)))}); cast "
            "them to one, and give compute_dtype if products are to have another"
        )
    (kind,) = kinds
    if not jnp.issubdtype(kind, jnp.floating):
        raise InputError(f"the parameters are {kind}; they must be floating-point numbers")
    working = state_dtype(params)
    for path, array in jax.tree_util.tree_leaves_with_path(state):
        if array.dtype != working:
            raise InputError(
                f"the state's {jax.tree_util.keystr(path)} is {array.dtype} where {working} is "
                f"expected, as parameters are {kind}; make it with initial_state(network, batch, "
                "state_dtype(params))"
            )
    dtype = jnp.dtype(kind if compute_dtype is None else compute_dtype)
    if not jnp.issubdtype(dtype, jnp.floating) or jnp.finfo(dtype).bits > jnp.finfo(working).bits:
        raise InputError(
            f"compute_dtype is {dtype}; with parameters of {kind} products can be {working} or a "
            "smaller floating-point type, such as bfloat16"
        )
    return dtype


def _check_shapes(given: Params | State, shapes: Any, complaint: str, maker: str) -> None:
    if jax.tree.map(jnp.shape, given) == shapes:
        return
    wanted, found = _by_name(shapes), _by_name(jax.tree.map(jnp.shape, given))
    name = next((n for n in wanted | found if wanted.get(n) != found.get(n)), "the whole")
    raise InputError(
        f"the {complaint}: {name} is {found.get(name)} where {wanted.get(name)} is expected; make "
        f"{maker}"
    )


def _by_name(shapes: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(shapes, is_leaf=_is_shape)
    return {jax.tree_util.keystr(path): shape for path, shape in leaves}


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(size, int) for size in value)
