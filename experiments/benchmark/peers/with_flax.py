"""flax: `nnx.RNN`, trained by the functional loop of its performance guide."""

# pyright: reportMissingImports=false

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.benchmark.peers.training_in_jax import JaxTrainer, chunks_of
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

CELLS = {"tanh": nnx.SimpleCell, "lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}


class Model(nnx.Module):
    """A stack of `nnx.RNN` and a linear layer."""

    def __init__(self, shape: Shape, rngs: nnx.Rngs) -> None:
        sizes = (SYMBOLS, *shape.hidden)
        self.layers = nnx.List(
            nnx.RNN(CELLS[shape.cell](below, size, rngs=rngs), time_major=True, return_carry=True)
            for below, size in itertools.pairwise(sizes)
        )
        self.output = nnx.Linear(sizes[-1], SYMBOLS, rngs=rngs)

    def __call__(self, inputs: jax.Array, carries: list) -> tuple[jax.Array, list]:
        values: Any = jax.nn.one_hot(inputs, SYMBOLS)
        after = []
        for layer, carry in zip(self.layers, carries, strict=True):
            carry, values = layer(values, initial_carry=carry)
            after.append(carry)
        return self.output(values), after


def open_trainer(shape: Shape, params: Params, data: Data) -> JaxTrainer:
    rngs = nnx.Rngs(0)
    model = Model(shape, rngs)
    copy_into(model, shape, params)
    chain = optax.chain(optax.clip_by_global_norm(CLIP_NORM), optax.adam(LEARNING_RATE))
    optimizer = nnx.Optimizer(model, chain, wrt=nnx.Param)
    graph, variables = nnx.split((model, optimizer))

    @partial(jax.jit, donate_argnums=0)
    def step(training: Any, inputs: jax.Array, targets: jax.Array) -> tuple[Any, jax.Array]:
        variables, carries = training
        model, optimizer = nnx.merge(graph, variables)

        def loss(model: Model) -> tuple[jax.Array, list]:
            logits, after = model(inputs, carries)
            nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
            return nats.mean(), after

        (nats, after), gradient = nnx.value_and_grad(loss, has_aux=True)(model)
        optimizer.update(model, gradient)
        return (nnx.state((model, optimizer)), after), nats

    carries = [
        layer.cell.initialize_carry((shape.batch, size), rngs)
        for layer, size in zip(model.layers, shape.hidden, strict=True)
    ]
    return JaxTrainer(step, (variables, carries), chunks_of(data))


def copy_into(model: Model, shape: Shape, params: Params) -> None:
    """The order of gates is jaxrnn's; the bias goes with one of a cell's two products."""
    for layer, (below, recurrent, bias) in zip(model.layers, layers(shape, params), strict=True):
        cell: Any = layer.cell
        _set(cell.dense_i.kernel, below)
        _set(cell.dense_h.kernel, recurrent)
        _set((cell.dense_h if shape.cell == "lstm" else cell.dense_i).bias, bias)
    matrix, bias = output_layer(shape, params)
    _set(model.output.kernel, matrix)
    _set(model.output.bias, bias)


def _set(variable: Any, array: np.ndarray) -> None:
    assert variable.shape == array.shape
    variable[...] = jnp.array(array)
