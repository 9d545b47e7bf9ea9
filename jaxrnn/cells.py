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

A cell whose carry is linear in the carry before it says so (`linear_cell`): then a layer without
recurrent connections needs no loop over time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxrnn.errors import InputError

Gates = tuple[Float[Array, "*time batch size"], ...]
Carry = tuple[Float[Array, "*time batch size"], ...]
Output = tuple[Float[Array, "*time batch size"], Carry]
Bias = float | Callable[[int], jax.Array]  # of a gate: of all units, or one each of so many


@dataclass(frozen=True)
class Cell:
    """One kind of layer.

    Attributes:
      name: what flags and network files call it.
      apply: `(sums, carry) -> (output, carry)`; with `separate_sums`,
        `(feedforward, recurrent, carry) -> (output, carry)`.
      gates: how many sums each unit has.
      own_gates: how many of them, the last ones, no connection adds to: their bias is a parameter
        that each unit has of its own.
      carries: how many numbers each unit carries to the next step, beside its output; 0 at first.
      separate_sums: whether `apply` wants the sums of delay-0 connections (with the bias) and of
        delayed connections apart, instead of added up.
      biases: initial bias of each gate, a number or a function of the layer's size; zeros where
        left out.
      initializer, recurrent_initializer: names in `jaxrnn.parameters.INITIALIZERS`, for the
        matrices of connections from below and of delayed connections between layers.
      terms: for a cell whose output is its one carry, and linear in it:
        `sums -> (decay, drive)`, with carry = decay * carry + drive. As from `linear_cell`.
    """

    name: str
    apply: Callable[..., Output]
    gates: int = 1
    own_gates: int = 0
    carries: int = 0
    separate_sums: bool = False
    biases: tuple[Bias, ...] = ()
    initializer: str = "glorot_uniform"
    recurrent_initializer: str = "orthogonal"
    terms: Callable[[Gates], tuple[jax.Array, jax.Array]] | None = None

    @property
    def heard_gates(self) -> int:
        """How many sums connections add to."""
        return self.gates - self.own_gates

    def __post_init__(self) -> None:
        if self.gates < 1 or self.carries < 0:
            raise InputError(
                f"cell '{self.name}' has {self.gates} gates and {self.carries} carries; "
                "give it at least one gate and no negative number of carries"
            )
        if not 0 <= self.own_gates < self.gates:
            raise InputError(
                f"cell '{self.name}' has {self.own_gates} own gates of {self.gates}; leave at "
                "least one that connections add to"
            )
        if self.own_gates and self.separate_sums:
            raise InputError(
                f"cell '{self.name}' has own gates and separate sums; take one of them"
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


def linear_cell(
    name: str, terms: Callable[[Gates], tuple[jax.Array, jax.Array]], **options: Any
) -> Cell:
    """A cell with output = carry = decay * carry + drive, where `terms(sums)` = (decay, drive)."""

    def apply(sums: Gates, carry: Carry) -> Output:
        decay, drive = terms(sums)
        output = decay * carry[0] + drive
        return output, (output,)

    return Cell(name, apply, carries=1, terms=terms, **options)


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


def _min_gru(sums: Gates) -> tuple[jax.Array, jax.Array]:
    """Feng and others 2024, Were RNNs all we needed?, section 3.1."""
    update, candidate = sums
    return jax.nn.sigmoid(-update), jax.nn.sigmoid(update) * candidate


def _min_lstm(sums: Gates) -> tuple[jax.Array, jax.Array]:
    """Feng and others 2024, section 3.2: f / (f + i) and i / (f + i) of f and i in (0, 1)."""
    admit, forget, candidate = sums
    # log f - log i = softplus(-admit) - softplus(-forget): no quotient of two small numbers.
    keep = jax.nn.softplus(-admit) - jax.nn.softplus(-forget)
    return jax.nn.sigmoid(keep), jax.nn.sigmoid(-keep) * candidate


def _rg_lru(sums: Gates) -> tuple[jax.Array, jax.Array]:
    """De and others 2024, Griffin, section 2.4: a real-gated linear recurrent unit.

    What they feed to it, the sum of a linear layer, is one of the gates here.
    """
    recurrence, admit, value, retention = sums
    log_decay = -8.0 * jax.nn.sigmoid(recurrence) * jax.nn.softplus(-retention)
    room = jnp.maximum(-jnp.expm1(2 * log_decay), 1e-12)  # 1 - decay**2; its root has a slope at 0
    return jnp.exp(log_decay), jnp.sqrt(room) * jax.nn.sigmoid(admit) * value


def _retentions(size: int) -> jax.Array:
    """sigmoid(bias) ** 8, the decay of a unit whose gate is open, evenly from 0.9 to 0.999."""
    decay = jnp.linspace(0.9, 0.999, size) ** (1 / 8)
    return jnp.log(decay) - jnp.log1p(-decay)


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
register(linear_cell("min_gru", _min_gru, gates=2))
register(linear_cell("min_lstm", _min_lstm, gates=3))
register(linear_cell("rg_lru", _rg_lru, gates=4, own_gates=1, biases=(0.0, 0.0, 0.0, _retentions)))
BUILT_IN = frozenset(CELLS)
