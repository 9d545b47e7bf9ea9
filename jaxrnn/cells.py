"""Cells: what one layer does in one time step, once its incoming sums are known.

A cell is elementwise. The engine computes the sums (matrix products, biases, dropout) and hands
them over as a tuple of gates, each `[batch, size]` (with time in front where a layer needs no
stepping); the cell turns them into the layer's output.
Since no cell mixes the units of a layer, the engine can derive back-propagation through time from
`jax.vjp` of `apply` alone. A cell of your own is one function and one `register`:

    def leaky(sums, carry):
        (drive,), (trace,) = sums, carry
        trace = 0.9 * trace + 0.1 * drive
        return jnp.tanh(trace), (trace,)

    register(Cell("leaky", leaky, carries=1))
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.errors import InputError

Gates = tuple[Float[Array, "*time batch size"], ...]
Carry = tuple[Float[Array, "*time batch size"], ...]
Output = tuple[Float[Array, "*time batch size"], Carry]


@dataclass(frozen=True)
class Cell:
    """One kind of layer.

    Attributes:
      name: what flags and network files call it.
      apply: `(sums, carry) -> (output, carry)`; with `separate_sums`,
        `(feedforward, recurrent, carry) -> (output, carry)`.
      gates: how many sums each unit has.
      carries: how many numbers each unit carries to the next step, beside its output; 0 at first.
      separate_sums: whether `apply` wants the sums of delay-0 connections (with the bias) and of
        delayed connections apart, instead of added up.
      biases: initial bias of each gate; zeros where left out.
      initializer, recurrent_initializer: names in `jaxrnn.parameters.INITIALIZERS`, for the
        matrices of connections from below and of delayed connections between layers.
    """

    name: str
    apply: Callable[..., Output]
    gates: int = 1
    carries: int = 0
    separate_sums: bool = False
    biases: tuple[float, ...] = ()
    initializer: str = "glorot_uniform"
    recurrent_initializer: str = "orthogonal"

    def __post_init__(self) -> None:
        if self.gates < 1 or self.carries < 0:
            raise InputError(
                f"cell '{self.name}' has {self.gates} gates and {self.carries} carries; "
                "give it at least one gate and no negative number of carries"
            )
        if self.biases and len(self.biases) != self.gates:
            raise InputError(
                f"cell '{self.name}' has {self.gates} gates but {len(self.biases)} initial biases; "
                "give one for each gate, or none"
            )


def elman(name: str, activation: Callable[[jax.Array], jax.Array], **options: str) -> Cell:
    """The cell of a simple recurrent network (Elman 1990, Finding structure in time)."""

    def apply(sums: Gates, carry: Carry) -> Output:
        (total,) = sums
        return activation(total), carry

    return Cell(name, apply, **options)  # pyright: ignore[reportArgumentType]


def _lstm(sums: Gates, carry: Carry) -> Output:
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers and others 2000."""
    admit, forget, candidate, expose = sums
    (memory,) = carry
    memory = jax.nn.sigmoid(forget) * memory + jax.nn.sigmoid(admit) * jnp.tanh(candidate)
    return jax.nn.sigmoid(expose) * jnp.tanh(memory), (memory,)


def _gru(feedforward: Gates, recurrent: Gates, carry: Carry) -> Output:
    """Cho and others 2014 (v1 of the paper): the reset gate multiplies the recurrent sum."""
    (previous,) = carry
    reset = jax.nn.sigmoid(feedforward[0] + recurrent[0])
    update = jax.nn.sigmoid(feedforward[1] + recurrent[1])
    candidate = jnp.tanh(feedforward[2] + reset * recurrent[2])
    output = update * previous + (1 - update) * candidate
    return output, (output,)


CELLS: dict[str, Cell] = {}
BUILT_IN: frozenset[str] = frozenset()  # until all of them are registered, below


def register(cell: Cell) -> Cell:
    """Makes a cell known by its name, to `Layer`, to network files and to flags.

    One of yours may be registered anew, as when a notebook's cell is run again; jaxrnn's own stay.
    """
    if cell.name in BUILT_IN and CELLS[cell.name] != cell:
        raise InputError(f"jaxrnn has a cell called '{cell.name}'; choose another name for yours")
    CELLS[cell.name] = cell
    return cell


def find(name: str) -> Cell:
    """The cell of that name."""
    if name not in CELLS:
        raise InputError(f"unknown cell '{name}'; the cells are {', '.join(CELLS)}")
    return CELLS[name]


register(elman("logistic", jax.nn.sigmoid))
register(elman("tanh", jnp.tanh))
register(elman("relu", jax.nn.relu))
register(elman("leaky_relu", jax.nn.leaky_relu))
register(elman("elu", jax.nn.elu))
register(elman("linear", lambda total: total))
register(Cell("lstm", _lstm, gates=4, carries=1, biases=(0.0, 1.0, 0.0, 0.0)))
register(Cell("gru", _gru, gates=3, carries=1, separate_sums=True))
BUILT_IN = frozenset(CELLS)
