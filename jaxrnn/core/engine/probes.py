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
import numpy as np
from jaxtyping import Array, Float

from jaxrnn.core.cells import Cell
from jaxrnn.core.engine.arguments import Inputs
from jaxrnn.core.engine.unroll import step
from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import LayerState, Params, State, state_dtype


def output_gradients(
    network: Network,
    params: Params,
    state: State,
    inputs: Inputs,
    loss: Callable[[Float[Array, "time batch outputs"]], Float[Array, ""]],
) -> dict[str, Float[Array, "time batch _size"]]:
    """The loss's gradient with respect to every layer's output at every time step.

    All ways count by which an output acts: on the layers above it, on its own layer and those below
    later on, and, where a cell carries its output (`Cell.carries_output`), through that. A cell's
    other carries are no output: an LSTM's memory counts where the output of one step changes it at
    the next.

    Args:
      network: static under `jit`.
      params: as for `unroll`; so are
      state: and
      inputs: a chunk, which is run step by step.
      loss: of the chunk's outputs.

    Raises:
      InputError: a cell carries its output and does not say so, or says so and does not; or layers
        run backward, which cannot be stepped.
    """
    network = Network(
        dict(network.inputs),
        [dataclasses.replace(x, cell=_probed(x.cell)) for x in network.layers],
        network.connections,
        network.outputs,
        network.ngrams,
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
    _check_declared(cell)

    def apply(*arguments: Any) -> Any:
        *sums, (*carry, probe) = arguments
        output, carry = cell.run(*sums, tuple(carry))
        if cell.carries_output:
            carry = (carry[0] + probe, *carry[1:])
        return output + probe, (*carry, jnp.zeros_like(probe))

    return dataclasses.replace(
        cell, apply=apply, carries=cell.carries + 1, terms=None, first_drive=None
    )


def _check_declared(cell: Cell) -> None:
    """Refuses a cell whose carries, on some numbers, are not what it says of them."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[np.ndarray, ...]:
        return tuple(rng.normal(scale=3, size=(count, 8, 8)).astype(np.float32))

    with jax.ensure_compile_time_eval():
        widths = [cell.gates, *[cell.heard_gates] * cell.separate_sums]
        sums = [tuple(map(jnp.asarray, draw(width))) for width in widths]
        output, carry = cell.apply(*sums, tuple(map(jnp.asarray, draw(cell.carries))))
        equal = [np.allclose(output, kept, 1e-5, 1e-5, equal_nan=True) for kept in carry]
    first, others = any(equal[:1]), equal[1:]
    if any(others):
        number = others.index(True) + 2
        raise InputError(
            f"cell '{cell.name}' has its output as carry {number}; make it the first carry, and "
            "say carries_output=True"
        )
    if first and not cell.carries_output:
        raise InputError(
            f"cell '{cell.name}' has its output as its first carry; say so by carries_output=True"
        )
    if cell.carries_output and not first:
        raise InputError(
            f"cell '{cell.name}' says carries_output=True but its first carry is not its output; "
            "leave that out"
        )
