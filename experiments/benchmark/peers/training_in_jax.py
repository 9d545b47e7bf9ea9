"""A training step as one writes it in plain JAX and optax, for any loss."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.benchmark.shapes import CLIP_NORM, LEARNING_RATE, Data
from experiments.laboratory.stopwatch import Contender

# (params, state carried from the chunk before, inputs, targets) -> (nats, state)
Loss = Callable[[Any, Any, jax.Array, jax.Array], tuple[jax.Array, Any]]
Step = Callable[..., tuple[Any, jax.Array]]  # (training, *what a call takes) -> (training, loss)


class JaxTrainer(Contender):
    """Calls a jitted training step on one chunk after the other."""

    def __init__(self, step: Step, training: Any, chunks: Sequence[tuple]) -> None:
        self.step, self.training, self.chunks = step, training, chunks
        self.done = 0

    def run(self, count: int) -> None:
        for _ in range(count):
            loss = self._next()
        jax.block_until_ready(loss)

    def losses(self, count: int) -> list[float]:
        return [float(self._next()) for _ in range(count)]

    def _next(self) -> jax.Array:
        chunk = self.chunks[self.done % len(self.chunks)]
        self.done += 1
        self.training, loss = self.step(self.training, *chunk)
        return loss


def trainer(loss: Loss, params: Any, state: Any, data: Data) -> JaxTrainer:
    optimizer = optax.chain(optax.clip_by_global_norm(CLIP_NORM), optax.adam(LEARNING_RATE))

    @partial(jax.jit, donate_argnums=0)
    def step(training: Any, inputs: jax.Array, targets: jax.Array) -> tuple[Any, jax.Array]:
        params, optimizer_state, state = training
        (nats, state), gradient = jax.value_and_grad(loss, has_aux=True)(
            params, state, inputs, targets
        )
        updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
        return (optax.apply_updates(params, updates), optimizer_state, state), nats

    return JaxTrainer(step, (params, optimizer.init(params), state), chunks_of(data))


def chunks_of(data: Data) -> list[tuple[jax.Array, ...]]:
    return [tuple(map(jnp.asarray, chunk)) for chunk in zip(*data, strict=True)]
