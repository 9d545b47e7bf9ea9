"""The engine: `unroll` runs a network over a chunk of time steps, `step` over one.

Components (see `jaxrnn.components`) run one after the other. What enters a component is summed for
the whole chunk at once: its drive. Only what is inside a component is stepped, by `run_component`,
which also has a rule of its own for back-propagation through time.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray, Shaped

from jaxrnn.components import Component, schedule
from jaxrnn.delays import Ages, Past, ages_since, delayed, newest
from jaxrnn.errors import InputError
from jaxrnn.network import INPUT, OUTPUT, Connection, Layer, Network
from jaxrnn.parameters import BIAS, LayerState, Params, State, parameter_shapes, state_shapes
from jaxrnn.recurrence import Drives, Gates, product, run_component, split_gates, sum_dtype
from jaxrnn.segments import run_in_segments, segment_length

Inputs = Float[Array, "time batch features"] | Integer[Array, "time batch"]
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


def unroll(
    network: Network,
    params: Params,
    state: State,
    inputs: Inputs,
    *,
    resets: Bool[Array, "time batch"] | None = None,
    dropout: Dropout | None = None,
    dropout_key: PRNGKeyArray | None = None,
    hoist: bool = True,
    deferred: bool = True,
    segment: int | None = None,
) -> tuple[Float[Array, "time batch outputs"], State]:
    """Runs a chunk; returns the output layer's outputs and the state after the last step.

    Args:
      network: static under `jit`, like the options below.
      params: as from `init`.
      state: as from `initial_state`, or from the chunk before.
      inputs: features, or symbols that stand for one-hot vectors (never built: rows are looked up;
        that they lie in [0, input_size) is not checked). At least one time step.
      resets: where true, everything before that step is forgotten in that lane, including what
        delayed connections would still hear.
      dropout: left out when not training.
      dropout_key: decides what is dropped; needed with `dropout`.
      hoist: take products that do not recur out of the time loop.
      deferred: use the engine's own rule for BPTT, in which weight gradients are one product over
        the chunk; `False` is plain autodiff (slower; for `jax.jvp` and higher derivatives).
      segment: run the chunk in segments of so many steps, which takes less memory and one more
        forward pass under `jax.grad`; 0: in one piece; None: in segments of 128 steps from a chunk
        of 1024 on. Each segment draws its own dropout masks, unless they are locked.

    Raises:
      InputError: parameters, state, inputs, resets, dropout or segment do not fit the network or
        each other.
    """

    def run(state: State, sequences: tuple, index: Array | None) -> tuple[State, Array]:
        inputs, resets = sequences
        key = dropout_key
        if index is not None and key is not None and not (dropout and dropout.locked):
            key = jax.random.fold_in(key, index)
        outputs, state = unroll_layers(
            network, params, state, inputs, resets=resets, dropout=dropout, dropout_key=key,
            hoist=hoist, deferred=deferred,
        )  # fmt: skip
        return state, outputs[OUTPUT]

    length = segment_length(segment, inputs.shape[0])
    if length == inputs.shape[0]:
        state, outputs = run(state, (inputs, resets), None)
    else:
        state, outputs = run_in_segments(run, state, (inputs, resets), length)
    return outputs, state


def unroll_layers(
    network: Network,
    params: Params,
    state: State,
    inputs: Inputs,
    *,
    resets: Bool[Array, "time batch"] | None = None,
    dropout: Dropout | None = None,
    dropout_key: PRNGKeyArray | None = None,
    hoist: bool = True,
    deferred: bool = True,
) -> tuple[dict[str, Float[Array, "time batch _size"]], State]:
    """`unroll`, returning every layer's outputs by the layer's name."""
    _check(network, params, state, inputs, resets, dropout, dropout_key)
    ages = ages_since(resets)
    masks = _draw_masks(network, inputs, dropout, dropout_key)
    sequences: dict[str, Sequence] = {INPUT: inputs}
    carries = {}
    for component in schedule(network, hoist):
        drives = {
            layer.name: _drive(layer, component, params, sequences, state, masks, ages)
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
            component, weights, drives, internal_masks, resets, memory, deferred=deferred
        )
        sequences |= outputs
        carries |= final
    new_state = {
        name: LayerState(newest(sequences[name], old.past, ages), carries.get(name, ()))
        for name, old in state.items()
    }
    del sequences[INPUT]
    return sequences, new_state


def step(
    network: Network,
    params: Params,
    state: State,
    inputs: Float[Array, "batch features"] | Integer[Array, " batch"],
) -> tuple[Float[Array, "batch outputs"], State]:
    """One time step: sampling, acting, streaming."""
    outputs, state = unroll(network, params, state, inputs[None])
    return outputs[0], state


def _drive(
    layer: Layer,
    component: Component,
    params: Params,
    sequences: dict[str, Sequence],
    state: State,
    masks: dict[Connection, Array],
    ages: Ages | None,
) -> Drives:
    """What a layer hears from outside its component, for each gate and the whole chunk.

    Two sums where the cell wants delay-0 and delayed connections apart, else one. A sum to which
    nothing adds is None.
    """
    bias = params[layer.name][BIAS]
    bias = bias.astype(sum_dtype(bias))
    heard_size = layer.cell.heard_gates * layer.size
    feedforward, recurrent = bias[:heard_size], None
    for connection in (c for c in component.entering if c.target == layer.name):
        matrix = params[layer.name][connection.key]
        source = sequences[connection.source]
        if connection.delay:
            past = state[connection.source].past
            mask = masks.get(connection)
            heard = _delayed_product(source, past, connection.delay, matrix, ages, mask)
        else:
            heard = _product(source, matrix, masks.get(connection))
        if connection.delay and layer.cell.separate_sums:
            recurrent = heard if recurrent is None else recurrent + heard
        else:
            feedforward = feedforward + heard
    time, batch = sequences[INPUT].shape[:2]

    def gates(row: Array) -> Gates:
        return split_gates(jnp.broadcast_to(row, (time, batch, row.shape[-1])), layer)

    if layer.cell.separate_sums:
        return gates(feedforward), None if recurrent is None else gates(recurrent)
    return ((*gates(feedforward), *gates(bias[heard_size:])),)


def _product(source: Sequence, matrix: Array, mask: Array | None = None) -> Array:
    """The source times the matrix; symbols are looked up as rows."""
    if source.ndim == 3:
        return product(source if mask is None else source * mask, matrix)
    # Rows, not one-hot products: the same numbers, a hundredth of the work.
    rows = matrix[source]
    if mask is None:
        return rows
    mask = jnp.broadcast_to(mask, (*source.shape, mask.shape[-1]))
    return rows * jnp.take_along_axis(mask, source[..., None], axis=-1)


def _delayed_product(
    source: Sequence,
    past: Past,
    delay: int,
    matrix: Array,
    ages: Ages | None,
    mask: Array | None = None,
) -> Array:
    """The source, `delay` steps late, times the matrix."""
    if source.ndim == 3 or mask is not None:
        if source.ndim == 2:
            source = jax.nn.one_hot(source, matrix.shape[0], dtype=sum_dtype(matrix))
        late = delayed(source, past, delay, ages)
        return product(late if mask is None else late * mask, matrix)
    remembered = tuple(product(output, matrix) for output in past[:delay])
    return delayed(matrix[source], remembered, delay, ages)


def _draw_masks(
    network: Network, inputs: Inputs, dropout: Dropout | None, key: PRNGKeyArray | None
) -> dict[Connection, Float[Array, "time_or_1 batch _size"]]:
    """For each connection to drop on: 0 where its source is not heard, else 1 / (1 - rate)."""
    if dropout is None or key is None or not dropout.rate:
        return {}
    time, batch = inputs.shape[:2]
    masks = {}
    dropped = sorted(network.connections, key=lambda c: c.delay > 0)  # the same masks either way
    for i, connection in enumerate(c for c in dropped if c.delay == 0 or dropout.recurrent):
        shape = (1 if dropout.locked else time, batch, network.size(connection.source))
        kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - dropout.rate, shape)
        masks[connection] = kept / (1 - dropout.rate)
    return masks


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
    if inputs.ndim != (2 if symbols else 3) or (inputs.ndim == 3 and inputs.shape[2] != size):
        raise InputError(
            f"inputs have the shape {list(inputs.shape)} and the type {inputs.dtype}; expected "
            f"features [time, batch, {size}] or whole numbers, for symbols, [time, batch]"
        )
    if resets is not None and resets.shape != inputs.shape[:2]:
        raise InputError(
            f"resets have the shape {list(resets.shape)}; expected {list(inputs.shape[:2])}, the "
            "inputs' [time, batch]"
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
