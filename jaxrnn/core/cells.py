"""Cells: what one layer does in one time step, once its incoming sums are known.

The engine computes the sums (matrix products, biases, dropout) and hands them over as a tuple of
gates, each `[batch, size]` (with time in front where a layer needs no stepping); the cell turns
them into the layer's output. It may mix the units of its layer, the last axis, as those that
normalise do, but neither time steps nor lanes: so the engine can derive back-propagation through
time from `jax.vjp` of `apply` alone. A cell of your own is one function and one `register`:

    def leaky(sums, carry):
        (drive,), (trace,) = sums, carry
        trace = 0.9 * trace + 0.1 * drive
        return jnp.tanh(trace), (trace,)

    register(Cell("leaky", leaky, carries=1))

A cell whose carry is linear in the carry before it says so (`linear_cell`): then a layer without
recurrent connections needs no loop over time.
"""

import dataclasses
import uuid
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn.core import formulas
from jaxrnn.core.checks import (
    check_cell,
    check_result,
    check_takes,
    check_terms,
    listed,
    shown,
    whole_number,
)
from jaxrnn.core.errors import InputError
from jaxrnn.core.formulas import Carry, Gates, Output
from jaxrnn.core.pickling import by_name

Terms = Callable[[Gates], tuple[jax.Array, jax.Array]]  # decay and drive
Bias = float | Callable[[int], jax.Array]  # of a gate: of all units, or one each of so many


@dataclass(frozen=True)
class Cell:
    """One kind of layer, equal to another one if all that follows is.

    A copy of a cell is the cell itself, by `copy` and by `pickle` (or cloudpickle, which also takes
    functions of a notebook) in the process where the cell was made. In another process it equals
    one that is made there of the same functions, found under the same names.

    Attributes:
      name: what flags and network files call it.
      apply: `(sums, carry) -> (output, carry)`; with `separate_sums`,
        `(feedforward, recurrent, carry) -> (output, carry)`.
      gates: how many sums each unit has.
      own_gates: how many of them, the last ones, no connection adds to: their bias is a parameter
        that each unit has of its own. Of separate sums, the feed-forward ones have them.
      carries: how many numbers each unit carries to the next step, beside its output; 0 at first.
      separate_sums: whether `apply` wants the sums of delay-0 connections (with the bias) and of
        delayed connections apart, instead of added up.
      biases: initial bias of each gate, a number or a function of the layer's size; zeros where
        left out.
      initializer, recurrent_initializer: names in `jaxrnn.core.parameters.INITIALIZERS`, for the
        matrices of connections from below and of delayed connections between layers.
      terms: for a cell whose output is its first carry, and linear in it:
        `sums -> (decay, drive)`, with carry = decay * carry + drive. As from `linear_cell`.
      first_drive: for a cell with `terms`: `sums -> drive` of the first step that a lane takes, or
        takes after a reset; None: as of all others. Such a cell has a second carry, which is 0
        until then.
      carries_output: whether its first carry is its output. A state keeps that once, and what
        `apply` returns as its first carry is not looked at.

    Raises:
      InputError: a field is of the wrong kind, or they do not fit each other.
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
    terms: Terms | None = None
    first_drive: Callable[[Gates], jax.Array] | None = None
    carries_output: bool = False
    _token: str = dataclasses.field(
        default_factory=lambda: uuid.uuid4().hex, init=False, repr=False, compare=False
    )

    @property
    def heard_gates(self) -> int:
        """How many sums connections add to."""
        return self.gates - self.own_gates

    def __post_init__(self) -> None:
        for field in ("gates", "own_gates", "carries"):
            number = whole_number(getattr(self, field), f"{field} of cell '{self.name}'")
            object.__setattr__(self, field, number)
        object.__setattr__(self, "biases", tuple(listed(self.biases, "initial biases")))
        check_cell(self)
        _alive[self._token] = self

    def run(self, *arguments: Any) -> Output:
        """`apply`, and a check of what it returns.

        Raises:
          InputError: that is not an output and `carries` carries in the shape and type of the sums.
        """
        result = self.apply(*arguments)
        check_result(self, result, arguments)
        output, carry = result
        return output, (output, *carry[1:]) if self.carries_output else tuple(carry)

    def run_terms(self, sums: Gates) -> tuple[jax.Array, jax.Array]:
        """`terms`, and a check of what it returns.

        Raises:
          InputError: that is not a decay and a drive in the shape and type of the sums.
        """
        assert self.terms is not None
        return _checked_terms(self.name, self.terms, sums)

    def __reduce__(self) -> tuple:
        """A cell of jaxrnn's by its name; another one by its fields and what tells it from all."""
        if is_registered(self) and self.name in BUILT_IN:
            return find, (self.name,)
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        fields |= {name: by_name(fields[name]) for name in ("apply", "terms", "first_drive")}
        fields["biases"] = tuple(map(by_name, self.biases))
        return _restore, (self._token, fields)

    def __deepcopy__(self, memo: dict) -> "Cell":
        return self


_alive: weakref.WeakValueDictionary[str, Cell] = weakref.WeakValueDictionary()


def _restore(token: str, fields: dict[str, Any]) -> Cell:
    """The cell that was pickled, where this process has it; else a new one.

    No function of a pickle is compared with one that is here: two of the same code may refer to
    globals that have changed in between, and a program compiled for the one be wrong for the other.
    """
    return _alive.get(token) or Cell(**fields)


def elman(name: str, activation: Callable[[jax.Array], jax.Array], **options: Any) -> Cell:
    """The cell of a simple recurrent network (Elman 1990, Finding structure in time)."""
    check_takes(activation, ("total",), f"the activation of cell '{name}'")
    return Cell(name, _Elman(activation), **options)


def linear_cell(
    name: str,
    terms: Terms,
    first_drive: Callable[[Gates], jax.Array] | None = None,
    **options: Any,
) -> Cell:
    """A cell with output = carry = decay * carry + drive, where `terms(sums)` = (decay, drive).

    With `first_drive`, the drive of a lane's first step is `first_drive(sums)`.
    """
    check_takes(terms, ("sums",), f"terms of cell '{name}'")
    carries = 1 if first_drive is None else 2
    options = {"carries": carries, "carries_output": True} | options
    apply = _Linear(name, terms, first_drive)
    return Cell(name, apply, terms=terms, first_drive=first_drive, **options)


@dataclass(frozen=True)  # not a closure, so that two of the same function are equal
class _Elman:
    activation: Callable[[jax.Array], jax.Array]

    def __call__(self, sums: Gates, carry: Carry) -> Output:
        (total,) = sums
        return self.activation(total), carry

    def __reduce__(self) -> tuple:
        return _Elman, (by_name(self.activation),)


@dataclass(frozen=True)
class _Linear:
    name: str
    terms: Terms
    first_drive: Callable[[Gates], jax.Array] | None

    def __call__(self, sums: Gates, carry: Carry) -> Output:
        decay, drive = _checked_terms(self.name, self.terms, sums)
        if self.first_drive is None:
            output = decay * carry[0] + drive
            return output, (output,)
        previous, heard = carry
        output = decay * previous + jnp.where(heard == 0, self.first_drive(sums), drive)
        return output, (output, jnp.ones_like(heard))

    def __reduce__(self) -> tuple:
        return _Linear, (self.name, by_name(self.terms), by_name(self.first_drive))


def _checked_terms(name: str, terms: Terms, sums: Gates) -> tuple[jax.Array, jax.Array]:
    found = terms(sums)
    check_terms(name, found, sums)
    return found


CELLS: dict[str, Cell] = {}
BUILT_IN: frozenset[str] = frozenset()  # until all of them are registered, below


class UnknownCell(InputError):
    """No cell is registered under a name."""


def register(cell: Cell) -> Cell:
    """Makes a cell known by its name, to `Layer`, to network files and to flags.

    One of yours may be registered anew, as when a notebook's cell is run again; jaxrnn's own stay.
    """
    if not isinstance(cell, Cell):
        raise InputError(f"{shown(cell)} is no cell; register a Cell")
    if cell.name in BUILT_IN and not is_registered(cell):
        raise InputError(f"jaxrnn has a cell called '{cell.name}'; choose another name for yours")
    CELLS[cell.name] = cell
    return cell


def find(name: str) -> Cell:
    """The cell of that name."""
    if name not in CELLS:
        raise UnknownCell(
            f"unknown cell '{name}'; the cells are {', '.join(CELLS)}, and yours once it "
            "is registered"
        )
    return CELLS[name]


def is_registered(cell: Cell) -> bool:
    """Whether a cell's name stands for it."""
    return CELLS.get(cell.name) == cell


register(elman("logistic", jax.nn.sigmoid))
register(elman("tanh", jnp.tanh))
register(elman("relu", jax.nn.relu))
register(elman("leaky_relu", jax.nn.leaky_relu))
register(elman("elu", jax.nn.elu))
register(elman("linear", lambda total: total))
register(Cell("lstm", formulas.lstm, gates=4, carries=1, biases=(0.0, 1.0, 0.0, 0.0)))
register(Cell("gru", formulas.gru, gates=3, carries=1, separate_sums=True, carries_output=True))
register(
    Cell(
        "gru_recurrent_bias",
        formulas.gru_recurrent_bias,
        gates=4,
        own_gates=1,
        carries=1,
        separate_sums=True,
        carries_output=True,
    )
)
register(Cell("layer_norm", formulas.layer_norm, gates=3, own_gates=2, biases=(0.0, 1.0, 0.0)))
register(Cell("rms_norm", formulas.rms_norm, gates=2, own_gates=1, biases=(0.0, 1.0)))
register(
    Cell(
        "layer_norm_lstm",
        formulas.layer_norm_lstm,
        gates=18,
        own_gates=14,
        carries=1,
        separate_sums=True,
        biases=(*[0.0] * 4, *[1.0] * 8, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0),
    )
)
register(Cell("product", formulas.product, separate_sums=True))
register(Cell("mogrifier", formulas.mogrifier, separate_sums=True))
# In the terms of the paper alpha = 1, beta1 = beta2 = 0.5 and b = 0.
register(
    Cell(
        "mi_tanh",
        formulas.mi_tanh,
        gates=3,
        own_gates=2,
        separate_sums=True,
        biases=(0.5, 0.5, -0.25),
    )
)
register(
    Cell(
        "mi_lstm",
        formulas.mi_lstm,
        gates=12,
        own_gates=8,
        carries=1,
        separate_sums=True,
        biases=(*[0.5] * 8, *[-0.25] * 4),
    )
)
register(
    Cell(
        "mi_gru",
        formulas.mi_gru,
        gates=9,
        own_gates=6,
        carries=1,
        carries_output=True,
        separate_sums=True,
        biases=(*[0.5] * 6, *[-0.25] * 3),
    )
)
register(linear_cell("min_gru", formulas.min_gru, gates=2))
register(linear_cell("min_lstm", formulas.min_lstm, gates=3))
register(
    linear_cell(
        "rg_lru",
        formulas.rg_lru,
        formulas.rg_lru_first,
        gates=4,
        own_gates=1,
        biases=(0.0, 0.0, 0.0, formulas.retentions),
    )
)
BUILT_IN = frozenset(CELLS)
