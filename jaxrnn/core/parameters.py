"""Parameters and state of a network: pytrees of named arrays.

Parameters are `{layer: {"bias": [gates*size], "source@delay": [source size, gates*size], ...}}`;
gates lie side by side in the last axis. Matrices leave out gates that hear no connection. A
diagonal has the last axis alone; an identity has no array, and nor has the bias of a layer without
one, but for its cell's own gates.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.nn import initializers
from jaxtyping import Array, Float, Key, PRNGKeyArray

from jaxrnn.core.checks import check_floating, check_key, shown, whole_number
from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.layers import DIAGONAL, IDENTITY, Connection
from jaxrnn.core.network import Network

Params = dict[str, dict[str, Float[Array, "..."]]]
if not TYPE_CHECKING:  # what is given may be NumPy's too; what is returned is JAX's
    Params = dict[str, dict[str, Float[Array | np.ndarray, "..."]]]

Ends = tuple[str, str] | tuple[str, str, int]  # a connection's source, target and, unless 0, delay
Value = TypeVar("Value")

BIAS = "bias"


class LayerState(NamedTuple):
    """What a layer, or the input, must remember between time steps.

    Attributes:
      past: its last outputs, newest first: `past[k-1]` is the output k steps ago.
      carry: what its cell carries, but for its output where it carries that: `past` has it.
    """

    past: tuple[Float[Array, "batch size"], ...]
    carry: tuple[Float[Array, "batch size"], ...]


State = dict[str, LayerState]

jax.export.register_namedtuple_serialization(LayerState, serialized_name="jaxrnn.LayerState")


def _identity(key: Key[Array, ""], shape: tuple[int, int], dtype=jnp.float32) -> jax.Array:
    """Le, Jaitly and Hinton 2015, A simple way to initialize recurrent networks of ReLUs."""
    return jnp.eye(*shape, dtype=dtype)


INITIALIZERS: dict[str, Callable[..., jax.Array]] = {
    # Standard deviation 1 / sqrt(fan-in): LeCun and others 1998, Efficient backprop.
    "gaussian": initializers.variance_scaling(1.0, "fan_in", "normal"),
    "lecun_uniform": initializers.lecun_uniform(),
    # Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward networks.
    "glorot_uniform": initializers.glorot_uniform(),
    # Saxe, McClelland and Ganguli 2014, Exact solutions to the nonlinear dynamics of learning.
    "orthogonal": initializers.orthogonal(),
    "identity": _identity,
    # Of a table whose rows are looked up: of one row the fan-in is 1, however many there are.
    "normal": initializers.normal(0.05),
}


def _uniform(key: Key[Array, ""], shape: tuple[int], dtype=jnp.float32) -> jax.Array:
    return jax.random.uniform(key, shape, dtype)


DIAGONAL_INITIALIZERS: dict[str, Callable[..., jax.Array]] = {
    # From 0 to 1: Li and others 2018, Independently recurrent neural network, for rectified units.
    "uniform": _uniform,
    "ones": lambda key, shape, dtype: jnp.ones(shape, dtype),
}


def init(
    network: Network,
    key: PRNGKeyArray,
    *,
    initializer: str | None = None,
    recurrent_initializer: str | None = None,
    initializers: Mapping[Connection | Ends, str] | None = None,
    dtype: jnp.dtype | type = jnp.float32,
) -> Params:
    """Draws a network's parameters.

    Args:
      network: whose.
      key: one key, not an array of them. What it draws for a matrix depends on the names of its
        connection alone: another layer or connection leaves it as it was.
      initializer: for matrices of delay-0 connections and of all connections from the input; a
        name in `INITIALIZERS`, by default what the target's cell recommends. Each gate's matrix is
        drawn by itself. Those of connections from n-grams are "normal", of standard deviation 0.05.
      recurrent_initializer: the same, for matrices of delayed connections between layers.
      initializers: by connection, before all others; a connection may be given by its source, its
        target and, unless 0, its delay. Of a diagonal, which takes none of those above, a name in
        `DIAGONAL_INITIALIZERS`, by default "uniform".
      dtype: of every array.
    """
    check_key(key, "the key")
    check_floating(dtype, "dtype")
    chosen = by_connection(network, initializers or {}, "initializers")
    full = jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype  # no half-precision QR
    params: Params = {}
    for layer in network.layers:
        cell, arrays = layer.cell, {}
        if layer.biased_gates:
            biases = [
                bias(layer.size) if callable(bias) else jnp.full(layer.size, bias)
                for bias in (cell.biases or (0.0,) * cell.gates)[-layer.biased_gates :]
            ]
            arrays[BIAS] = jnp.concatenate(biases).astype(dtype)
        for connection in network.into(layer.name):
            if connection.kind == IDENTITY:
                continue
            shape: tuple[int, ...] = (layer.size,)
            if connection.kind == DIAGONAL:
                draw = _find(chosen.get(connection, "uniform"), DIAGONAL_INITIALIZERS, connection)
            else:
                recurs = connection.delay and not network.is_input(connection.source)
                usual = (
                    recurrent_initializer or cell.recurrent_initializer
                    if recurs
                    else initializer or cell.initializer
                )
                usual = "normal" if network.is_ngram(connection.source) else usual
                draw = _find(chosen.get(connection, usual), INITIALIZERS)
                shape = (network.size(connection.source), layer.size)
            matrix_key = derive(key, "parameters", layer.name, connection.key)
            gates = [draw(k, shape, full) for k in jax.random.split(matrix_key, cell.heard_gates)]
            arrays[connection.key] = jnp.concatenate(gates, axis=-1).astype(dtype)
        params[layer.name] = arrays
    return params


def by_connection(
    network: Network, given: Mapping[Connection | Ends, Value], what: str
) -> dict[Connection, Value]:
    """What was given for connections, themselves or their ends, by the network's connections.

    Raises:
      InputError: one of them is no connection of the network's, or is given twice.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"{what} are {shown(given)}; give a mapping from connections")
    known = {(c.source, c.target, c.delay): c for c in network.connections}
    found = {}
    for key, value in given.items():
        ends: Any = key
        if isinstance(key, Connection):
            ends = key.source, key.target, key.delay
        elif isinstance(key, tuple) and len(key) == 2:
            ends = (*key, 0)
        connection = known.get(ends)
        if connection is None or (isinstance(key, Connection) and key != connection):
            raise InputError(
                f"{what} name {shown(key)}, which is no connection of the network; they are "
                f"{', '.join(map(str, network.connections))}"
            )
        if connection in found:
            raise InputError(
                f"{what} name the connection {connection} twice, the second time as {shown(key)}; "
                "name it once"
            )
        found[connection] = value
    return found


def initial_state(
    network: Network, batch_size: int, dtype: jnp.dtype | type = jnp.float32
) -> State:
    """The state before the first time step: zeros, of the dtype that `state_dtype` tells."""
    check_floating(dtype, "dtype")
    if not jax.export.is_symbolic_dim(batch_size):
        batch_size = whole_number(batch_size, "batch_size")
        if batch_size < 0:
            raise InputError(f"batch_size is {batch_size}; give a number of lanes, at least 0")
    # An array each, not one shared, so that the state can be donated.
    return {
        name: LayerState(
            *(tuple(jnp.zeros(shape, dtype) for shape in shapes) for shapes in layer_shapes)
        )
        for name, layer_shapes in state_shapes(network, batch_size).items()
    }


@functools.lru_cache(maxsize=256)
def parameter_shapes(network: Network) -> dict[str, dict[str, tuple[int, ...]]]:
    """The shape of every array that `init` draws."""
    return {
        layer.name: ({BIAS: (layer.biased_gates * layer.size,)} if layer.biased_gates else {})
        | {c.key: shape for c in network.into(layer.name) if (shape := network.shape(c))}
        for layer in network.layers
    }


@functools.lru_cache(maxsize=256)
def state_shapes(network: Network, batch_size: int) -> dict[str, Any]:
    """The shape of every array in a state; sources that nothing has to remember are left out."""
    counts = {name: (network.memory(name), 0) for name, _ in network.inputs} | {
        layer.name: (
            max(network.memory(layer.name), layer.cell.carries_output),
            layer.cell.carries - layer.cell.carries_output,
        )
        for layer in network.layers
    }
    shapes: dict[str, Any] = {}
    for name, (past, carry) in counts.items():
        shape: Any = (batch_size, network.size(name))
        if past or carry:
            shapes[name] = LayerState((shape,) * past, (shape,) * carry)
    return shapes


def state_dtype(params: Params) -> jnp.dtype:
    """Of outputs, carries and sums: the parameters' precision, but at least float32."""
    dtype = next((array.dtype for array in jax.tree.leaves(params)), jnp.dtype(jnp.float32))
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else dtype


def _find(
    name: str, among: Mapping[str, Callable[..., jax.Array]], of: Connection | None = None
) -> Callable[..., jax.Array]:
    if name not in among:
        whose = "" if of is None else f" of connection {of}"
        raise InputError(f"unknown initialiser '{name}'{whose}; they are {', '.join(among)}")
    return among[name]
