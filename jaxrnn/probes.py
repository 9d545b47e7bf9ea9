"""Probes: the gradient of a loss with respect to what each layer puts out at each time step.

How far back it reaches says what a network could learn of its past (Hochreiter and others 2001,
Gradient flow in recurrent nets: the difficulty of learning long-term dependencies).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.cells import Cell
from jaxrnn.network import Layer, Network
from jaxrnn.parameters import LayerState, Params, State, state_dtype
from jaxrnn.unroll import Inputs, step


def output_gradients(
    network: Network,
    params: Params,
    state: State,
    inputs: Inputs,
    loss: Callable[[Float[Array, "time batch outputs"]], Float[Array, ""]],
) -> dict[str, Float[Array, "time batch _size"]]:
    """The loss's gradient with respect to every layer's output at every time step.

    All ways count by which an output acts: on the layers above it, on its own layer and those below
    later on, and, where a cell's output is its carry as well, through that. A cell's other carries
    are no output: an LSTM's memory counts where the output of one step changes it at the next.

    Args:
      network: static under `jit`.
      params: as for `unroll`; so are
      state: and
      inputs: a chunk, which is run step by step.
      loss: of the chunk's outputs.
    """
    network = Network(
        network.input_size,
        [Layer(layer.name, layer.size, _probed(layer.cell)) for layer in network.layers],
        network.connections,
    )
    time, batch = inputs.shape[:2]
    silent = {
        layer.name: jnp.zeros((time, batch, layer.size), state_dtype(params))
        for layer in network.layers
    }

    def body(state: State, x: tuple) -> tuple[State, Array]:
        inputs, probes = x
        for name, probe in probes.items():
            past, (*carry, _) = state[name]
            state = state | {name: LayerState(past, (*carry, probe))}
        outputs, state = step(network, params, state, inputs)
        return state, outputs

    for name, probes in silent.items():
        past, carry = state.get(name, LayerState((), ()))
        state = state | {name: LayerState(past, (*carry, probes[0]))}
    return jax.grad(lambda probes: loss(jax.lax.scan(body, state, (inputs, probes))[1]))(silent)


@functools.cache
def _probed(cell: Cell) -> Cell:
    """The cell with one carry more, its last: a probe, which is added to the next output."""

    def apply(*arguments: Any) -> Any:
        *sums, (*carry, probe) = arguments
        output, carry = cell.apply(*sums, tuple(carry))
        carry = tuple(output + probe if kept is output else kept for kept in carry)
        return output + probe, (*carry, jnp.zeros_like(probe))

    return dataclasses.replace(cell, apply=apply, carries=cell.carries + 1, terms=None)
