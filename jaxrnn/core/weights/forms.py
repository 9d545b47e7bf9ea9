"""Recurrent modules of PyTorch, Flax and Haiku: the arrays that each keeps, as tables.

Sources: formulas and shapes in the documentation of torch.nn.RNN, LSTM, GRU and Linear (PyTorch
2.13), and in the source of flax.linen and flax.nnx (Flax 0.12) and of haiku (dm-haiku 0.0.17).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxrnn.core.cells import CELLS

GRU = ("gru", "gru_recurrent_bias")
REVERSE = "_reverse"  # so end, in torch, names of arrays of the direction from the end
ACTIVATIONS = ("tanh", "relu", "logistic", "leaky_relu", "elu", "linear")

Arrays = Mapping[str, np.ndarray]


class Weights(NamedTuple):
    """A layer's parameters, in the order of its cell's gates."""

    cell: str
    matrix: np.ndarray  # [inputs, gates * size]
    recurrent: np.ndarray | None  # [size, gates * size]
    bias: np.ndarray | None  # [gates * size], or of own gates alone


@dataclass(frozen=True)
class Form:
    """Where a module keeps the arrays of one layer.

    A field names one array in which the gates lie side by side, or one array for each gate, with
    "-" for a gate that has none.

    Attributes:
      module: the library's name for it.
      cells: names of cells that it can be.
      matrix, recurrent: what the outputs of below, and the layer's own, are multiplied by; if one
        array, they lie one below the other.
      bias, second_bias: both are added; but a GRU's second bias of the candidate is multiplied by
        the reset gate.
      optional: arrays that may be left out, all of them or none.
      order: the place of each gate of ours among those of the module.
      forget_bias: what the module adds to its second gate as it runs.
      transposed: whether its matrices are [gates * size, inputs].
      embeds: whether it takes symbols alone.
      refused: why it cannot be taken over.
    """

    module: str
    cells: tuple[str, ...]
    matrix: str
    recurrent: str = ""
    bias: str = ""
    second_bias: str = ""
    optional: str = ""
    order: tuple[int, ...] = ()
    forget_bias: float = 0.0
    transposed: bool = False
    embeds: bool = False
    refused: str = ""

    @property
    def gates(self) -> int:
        return CELLS[self.cells[0]].heard_gates

    @property
    def names(self) -> set[str]:
        fields = (self.matrix, self.recurrent, self.bias, self.second_bias)
        return set(" ".join(fields).split()) - {"-"}

    @property
    def required(self) -> set[str]:
        return self.names - set(self.optional.split())

    def sizes(self, arrays: Arrays) -> tuple[int, int]:
        """How many inputs and units there are, going by the first matrix."""
        first, *others = self.matrix.split()
        rows, width = self._turned(arrays[first]).shape
        size = width if others else width // self.gates
        return rows - size * (self.matrix == self.recurrent), size

    def shapes(self, inputs: int, size: int) -> dict[str, tuple[int, ...]]:
        """Of every array."""
        rows = inputs + size * (self.matrix == self.recurrent)
        fields = ((self.recurrent, (size,)), (self.matrix, (rows,)))
        shapes: dict[str, tuple[int, ...]] = {}
        for field, front in (*fields, (self.bias, ()), (self.second_bias, ())):
            names = field.split()
            shape = (*front, size if len(names) > 1 else size * self.gates)
            shapes |= dict.fromkeys(names, shape[::-1] if self.transposed else shape)
        return shapes

    def has_room(self, arrays: Arrays) -> bool:
        """Whether the recurrent matrix is as wide as the gates of its units."""
        shape = self._turned(arrays[self.recurrent]).shape
        return len(shape) == 2 and shape[1] == shape[0] * self.gates

    def read(self, arrays: Arrays, cell: str) -> Weights:
        """The layer; `cell` says what it is where the arrays do not tell."""
        matrix = np.concatenate(self._gates(self.matrix, arrays), axis=1)
        size, recurrent = matrix.shape[1] // self.gates, None
        if self.matrix == self.recurrent:
            matrix, recurrent = matrix[:-size], matrix[-size:]
        elif self.recurrent:
            recurrent = np.concatenate(self._gates(self.recurrent, arrays), axis=1)
        first, second = self._gates(self.bias, arrays), self._gates(self.second_bias, arrays)
        own = []
        if self.cells == GRU:
            own, second[2] = [bias for bias in second[2:] if bias is not None], None
            cell = GRU[len(own)]
        elif len(self.cells) == 1:
            (cell,) = self.cells
        if first[0] is None:
            return Weights(cell, matrix, recurrent, None)
        biases = [a if b is None else a + b for a, b in zip(first, second, strict=True)]
        if self.forget_bias:
            biases[1] = biases[1] + biases[1].dtype.type(self.forget_bias)
        return Weights(cell, matrix, recurrent, np.concatenate([*biases, *own]))

    def write(self, weights: Weights) -> dict[str, np.ndarray]:
        """The arrays that `read` would read so."""
        cell, matrix, recurrent, bias = weights
        zeros = np.zeros_like(matrix[0, : matrix.shape[1] // self.gates])
        biases = [] if bias is None else np.split(bias, len(bias) // len(zeros))
        split = len(biases) - CELLS[cell].own_gates
        first, own = biases[:split] or [zeros] * self.gates, biases[split:]
        second = [zeros] * (self.gates - len(own)) + own
        if self.forget_bias:
            first[1] = first[1] - first[1].dtype.type(self.forget_bias)
        named = self._named(self.bias, first) | self._named(self.second_bias, second)
        if bias is None:
            named = {name: array for name, array in named.items() if name in self.required}
        if recurrent is not None:
            if self.matrix == self.recurrent:
                matrix = recurrent = np.concatenate([matrix, recurrent])
            named |= self._named(self.recurrent, np.split(recurrent, self.gates, axis=1))
        return named | self._named(self.matrix, np.split(matrix, self.gates, axis=1))

    def _turned(self, array: np.ndarray) -> np.ndarray:
        return array.T if self.transposed else array

    def _gates(self, field: str, arrays: Arrays) -> list[Any]:
        """The field's array for each gate of ours; None for none."""
        names = field.split()
        if len(names) == 1 and names[0] in arrays:
            blocks = np.split(self._turned(arrays[names[0]]), self.gates, axis=-1)
            return [blocks[place] for place in self.order or range(self.gates)]
        return [arrays.get(name) for name in (names if len(names) > 1 else "-" * self.gates)]

    def _named(self, field: str, gates: list[np.ndarray]) -> dict[str, np.ndarray]:
        """What `_gates` would find so, as arrays that may be written to."""
        names = field.split()
        if len(names) == 1:
            places = np.argsort(self.order or range(self.gates))
            gates = [np.concatenate([gates[place] for place in places], axis=-1)]
        found = zip(names, gates, strict=False)
        return {n: np.array(self._turned(x), order="C") for n, x in found if n != "-"}


class Library(NamedTuple):
    """A library's modules; a cell goes back to the first one that can be it."""

    name: str
    separator: str  # of names in a path
    forms: tuple[Form, ...]


_PAIRS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "bias_ih bias_hh")
TORCH = Library("torch", ".", (
    Form("torch.nn.RNN", ("tanh", "relu"), *_PAIRS, transposed=True),
    Form("torch.nn.LSTM", ("lstm",), *_PAIRS, transposed=True),
    Form("torch.nn.GRU", GRU, *_PAIRS, transposed=True),
    Form("torch.nn.Linear", ("linear",), "weight", bias="bias", optional="bias", transposed=True),
    Form("torch.nn.Embedding", ("linear",), "weight", embeds=True),
))  # fmt: skip

_DENSE = Form("flax's Dense or Linear", ("linear",), "kernel", bias="bias", optional="bias")
_EMBED = Form("flax's Embed", ("linear",), "embedding", embeds=True)
LINEN = Library("flax.linen", "/", (
    Form("flax.linen.SimpleCell", ACTIVATIONS, "i/kernel", "h/kernel", "i/bias"),
    # OptimizedLSTMCell has the same arrays.
    Form("flax.linen.LSTMCell", ("lstm",), "ii/kernel if/kernel ig/kernel io/kernel",
         "hi/kernel hf/kernel hg/kernel ho/kernel", "hi/bias hf/bias hg/bias ho/bias"),
    Form("flax.linen.GRUCell", GRU, "ir/kernel iz/kernel in/kernel",
         "hr/kernel hz/kernel hn/kernel", "ir/bias iz/bias in/bias", "- - hn/bias"),
    _DENSE,
    _EMBED,
))  # fmt: skip
NNX = Library("flax.nnx", "/", (
    Form("flax.nnx.SimpleCell", ACTIVATIONS, "dense_i/kernel", "dense_h/kernel", "dense_i/bias"),
    Form("flax.nnx.OptimizedLSTMCell", ("lstm",), "dense_i/kernel", "dense_h/kernel",
         "dense_h/bias"),
    Form("flax.nnx.LSTMCell", ("lstm",), "ii/kernel if_/kernel ig/kernel io/kernel",
         "hi/kernel hf/kernel hg/kernel ho/kernel", "hi/bias hf/bias hg/bias ho/bias"),
    # Its documentation has a bias b_hn, its code none: github.com/google/flax/issues/5594.
    Form("flax.nnx.GRUCell", ("gru",), "dense_i/kernel", "dense_h/kernel", "dense_i/bias"),
    _DENSE,
    _EMBED,
))  # fmt: skip
FLAX = LINEN._replace(name="flax", forms=tuple(dict.fromkeys(LINEN.forms + NNX.forms)))

HAIKU = Library("haiku", "/", (
    Form("haiku.VanillaRNN", ("relu",), "linear/w", "linear_1/w", "linear/b", "linear_1/b",
         optional="linear_1/b"),
    Form("haiku.LSTM", ("lstm",), "linear/w", "linear/w", "linear/b", order=(0, 2, 1, 3),
         forget_bias=1.0),
    Form("haiku.GRU", ("gru",), "w_i", "w_h", "b", refused="resets the outputs before their "
         "product with a matrix, where a cell of jaxrnn's can reset the product alone"),
    Form("haiku.Linear", ("linear",), "w", bias="b", optional="b"),
    Form("haiku.Embed", ("linear",), "embeddings", embeds=True),
))  # fmt: skip
