"""Parameters and state of a network: pytrees of named arrays.

Parameters are `{layer: {"bias": [gates*size], "source@delay": [source size, gates*size], ...}}`;
gates lie side by side in the last axis. Matrices leave out gates that hear no connection.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
from jax.nn import initializers
from jaxtyping import Array, Float, Key, PRNGKeyArray

from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.network import INPUT, Network

Params = dict[str, dict[str, Float[Array, "..."]]]
if not TYPE_CHECKING:  # what is given may be NumPy's too; what is returned is JAX's
    Params = dict[str, dict[str, Float[Array | np.ndarray, "..."]]]

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
}


def init(
    network: Network,
    key: PRNGKeyArray,
    *,
    initializer: str | None = None,
    recurrent_initializer: str | None = None,
    dtype: jnp.dtype | type = jnp.float32,
) -> Params:
    """Draws a network's parameters.

    Args:
      network: whose.
      key: one key, not an array of them. What it draws for a matrix depends on the names of its
        connection alone: another layer or connection leaves it as it was.
      initializer: for matrices of delay-0 connections and of all connections from the input; a
        name in `INITIALIZERS`, by default what the target's cell recommends. Each gate's matrix is
        drawn by itself.
      recurrent_initializer: the same, for matrices of delayed connections between layers.
      dtype: of every array.
    """
    params: Params = {}
    for layer in network.layers:
        cell, arrays = layer.cell, {}
        biases = [
            bias(layer.size) if callable(bias) else jnp.full(layer.size, bias)
            for bias in cell.biases or (0.0,) * cell.gates
        ]
        arrays[BIAS] = jnp.concatenate(biases).astype(dtype)
        for connection in network.into(layer.name):
            if connection.delay and connection.source != INPUT:
                draw = _find(recurrent_initializer or cell.recurrent_initializer)
            else:
                draw = _find(initializer or cell.initializer)
            matrix_key = derive(key, "parameters", layer.name, connection.key)
            shape = (network.size(connection.source), layer.size)
            full = jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype  # no half-precision QR
            gates = [draw(k, shape, full) for k in jax.random.split(matrix_key, cell.heard_gates)]
            arrays[connection.key] = jnp.concatenate(gates, axis=1).astype(dtype)
        params[layer.name] = arrays
    return params


def initial_state(
    network: Network, batch_size: int, dtype: jnp.dtype | type = jnp.float32
) -> State:
    """The state before the first time step: zeros, of the dtype that `state_dtype` tells."""
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
        layer.name: {BIAS: (layer.cell.gates * layer.size,)}
        | {c.key: network.shape(c) for c in network.into(layer.name)}
        for layer in network.layers
    }


@functools.lru_cache(maxsize=256)
def state_shapes(network: Network, batch_size: int) -> dict[str, Any]:
    """The shape of every array in a state; sources that nothing has to remember are left out."""
    counts = {INPUT: (network.memory(INPUT), 0)} | {
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
    dtype = jax.tree.leaves(params)[0].dtype
    return jnp.dtype(jnp.float32) if jnp.finfo(dtype).bits < 32 else dtype


def _find(name: str) -> Callable[..., jax.Array]:
    if name not in INITIALIZERS:
        raise InputError(f"unknown initialiser '{name}'; they are {', '.join(INITIALIZERS)}")
    return INITIALIZERS[name]
