"""What is measured: networks, batches and chunks; and the data that all contenders are given."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jaxrnn import Network, stacked
from jaxrnn.core.layers import INPUT

SYMBOLS = 65  # the size of the vocabulary of Tiny Shakespeare
CHUNKS = 8  # different ones, read again and again
LEARNING_RATE, CLIP_NORM = 1e-3, 1.0

WRITTEN_AS = {
    "tanh": "tanh", "lstm": "LSTM", "gru": "GRU",
    "min_gru": "minGRU", "min_lstm": "minLSTM", "rg_lru": "RG-LRU",
}  # fmt: skip

Params = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Shape:
    """A network and the chunk that one training step reads."""

    cell: str
    hidden: tuple[int, ...]
    batch: int
    chunk: int
    skip: bool = False
    feedback: bool = False

    @property
    def name(self) -> str:
        return f"{self.network_name} B{self.batch} T{self.chunk}"

    @property
    def network_name(self) -> str:
        sizes = f"{len(self.hidden)}x{self.hidden[0]}"
        extras = [word for word, has in (("skips", self.skip), ("feedback", self.feedback)) if has]
        return " ".join([WRITTEN_AS[self.cell], sizes, *extras])

    @property
    def is_plain(self) -> bool:
        """Whether a stack of recurrent layers, all that the peers offer, can express it."""
        return self.cell in ("tanh", "lstm", "gru") and not (self.skip or self.feedback)

    @property
    def characters(self) -> int:
        return self.batch * self.chunk

    def network(self) -> Network:
        return stacked(
            SYMBOLS, self.hidden, SYMBOLS, self.cell, skip=self.skip, feedback=self.feedback
        )

    @property
    def operations(self) -> int:
        """Floating-point operations of a training step's matrix products.

        Two for each weight and character forward and four backward. The input's matrices are left
        out: their product with a one-hot row is a look-up.
        """
        network = self.network()
        looked_up = [c for c in network.connections if c.source == INPUT]
        weights = network.parameter_count - sum(np.prod(network.shape(c) or 0) for c in looked_up)
        return 6 * int(weights) * self.characters


class Data(NamedTuple):
    """Symbols, `[chunks, time, batch]`."""

    inputs: np.ndarray
    targets: np.ndarray


TRAINED = (
    Shape("tanh", (128, 128), 32, 16),
    Shape("tanh", (256, 256), 32, 16),
    Shape("lstm", (256, 256), 50, 50),
    Shape("gru", (256, 256), 50, 50),
    Shape("lstm", (512, 512), 64, 100),
    Shape("tanh", (256, 256), 32, 32, skip=True, feedback=True),
    Shape("min_gru", (256, 256), 50, 50),
    Shape("min_lstm", (256, 256), 50, 50),
    Shape("rg_lru", (256, 256), 50, 50),
)
TRAINED_QUICKLY = (
    Shape("gru", (16, 16), 4, 8),
    Shape("tanh", (16, 16), 4, 8, skip=True, feedback=True),
)
WRITTEN = (
    Shape("tanh", (128, 128), 1, 1),
    Shape("gru", (256,), 1, 1),
    Shape("lstm", (256, 256), 1, 1),
)
WRITTEN_QUICKLY = (Shape("tanh", (16, 16), 1, 1),)


def random_data(shape: Shape) -> Data:
    symbols = np.random.default_rng(0).integers(
        0, SYMBOLS, (CHUNKS, shape.chunk + 1, shape.batch), dtype=np.int32
    )
    return Data(symbols[:, :-1], symbols[:, 1:])


def layers(shape: Shape, params: Params) -> Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each hidden layer of a plain stack: matrix from below, recurrent matrix, bias."""
    names = [INPUT, *(f"hidden{i + 1}" for i in range(len(shape.hidden)))]
    return [
        (params[name][f"{below}@0"], params[name][f"{name}@1"], params[name]["bias"])
        for below, name in itertools.pairwise(names)
    ]


def output_layer(shape: Shape, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Of a plain stack: the output layer's matrix and bias."""
    arrays = params["output"]
    return arrays[f"hidden{len(shape.hidden)}@0"], arrays["bias"]
