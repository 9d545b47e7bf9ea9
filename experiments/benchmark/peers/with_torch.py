"""PyTorch: `nn.RNN`, `nn.LSTM` or `nn.GRU`, trained as in its word-level language model example.

Its layers have a second bias; it stays zero and untrained, so that the function is the same.
"""

# pyright: reportMissingImports=false

import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from experiments.benchmark.shapes import (
    CLIP_NORM,
    LEARNING_RATE,
    SYMBOLS,
    Data,
    Params,
    Shape,
    layers,
    output_layer,
)
from experiments.laboratory.stopwatch import Contender

MODULES = {"tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Model(nn.Module):
    """A recurrent stack and a linear layer."""

    def __init__(self, shape: Shape, params: Params) -> None:
        super().__init__()
        self.recurrent = MODULES[shape.cell](SYMBOLS, shape.hidden[0], len(shape.hidden))
        self.output = nn.Linear(shape.hidden[-1], SYMBOLS)
        for i, (below, recurrent, bias) in enumerate(layers(shape, params)):
            self._set(f"recurrent.weight_ih_l{i}", below.T)
            self._set(f"recurrent.weight_hh_l{i}", recurrent.T)
            self._set(f"recurrent.bias_ih_l{i}", bias)
            self._set(f"recurrent.bias_hh_l{i}", np.zeros_like(bias)).requires_grad_(False)
        matrix, bias = output_layer(shape, params)
        self._set("output.weight", matrix.T)
        self._set("output.bias", bias)

    def forward(self, inputs: torch.Tensor, state=None):
        hidden, state = self.recurrent(F.one_hot(inputs, SYMBOLS).float(), state)
        return self.output(hidden), state

    def _set(self, name: str, array: np.ndarray) -> nn.Parameter:
        parameter = self.get_parameter(name)
        assert tuple(parameter.shape) == array.shape
        with torch.no_grad():
            parameter.copy_(torch.tensor(array))
        return parameter


class Trainer(Contender):
    """Takes one training step after the other."""

    def __init__(self, model: Model, data: Data) -> None:
        self.model = model
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(trained, LEARNING_RATE, fused=True)
        self.trained, self.state, self.done = trained, None, 0
        self.chunks = [
            tuple(torch.tensor(x, dtype=torch.int64) for x in chunk)
            for chunk in zip(*data, strict=True)
        ]

    def run(self, count: int) -> None:
        for _ in range(count):
            self._next()

    def losses(self, count: int) -> list[float]:
        return [self._next().item() for _ in range(count)]

    def _next(self) -> torch.Tensor:
        inputs, targets = self.chunks[self.done % len(self.chunks)]
        self.done += 1
        self.optimizer.zero_grad()
        logits, state = self.model(inputs, self.state)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, CLIP_NORM)
        self.optimizer.step()
        self.state = (
            tuple(x.detach() for x in state) if isinstance(state, tuple) else state.detach()
        )
        return loss.detach()


class Writer(Contender):
    """One call of the model per character; one run is `AT_ONCE` characters."""

    AT_ONCE = 32

    @torch.no_grad()
    def __init__(self, model: Model, streams: int, prime: np.ndarray) -> None:
        self.model, self.streams, self.state = model.eval(), streams, None
        for symbol in prime:
            symbols = torch.full((1, streams), int(symbol))
            self.next, self.state = self.model(symbols, self.state)

    @torch.no_grad()
    def run(self, count: int) -> None:
        for _ in range(count * self.AT_ONCE):
            symbols = torch.multinomial(self.next[0].softmax(dim=1), 1)[:, 0]
            self.next, self.state = self.model(symbols[None], self.state)

    def characters(self) -> int:
        return self.AT_ONCE * self.streams

    def logits(self) -> np.ndarray:
        return self.next[0].numpy()


def open_trainer(shape: Shape, params: Params, data: Data) -> Trainer:
    torch.set_num_threads(os.cpu_count() or 1)
    return Trainer(Model(shape, params), data)


def open_writer(shape: Shape, params: Params, streams: int, prime: np.ndarray) -> Writer:
    torch.set_num_threads(os.cpu_count() or 1)
    return Writer(Model(shape, params), streams, prime)
