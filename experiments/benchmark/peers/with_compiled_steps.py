"""Training steps of jaxrnn, each compiled ahead of time: how long that takes, and what it needs."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmark import memory
from experiments.benchmark.shapes import CLIP_NORM, LEARNING_RATE, Shape, random_data
from experiments.laboratory.stopwatch import Contender
from jaxrnn import init
from jaxrnn.core.keys import derive
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.optimizers import make_optimizer
from jaxrnn.learning.training import make_training_steps, start


def open_steps(shapes: Sequence[Shape], options: dict[str, Any]) -> "CompiledSteps":
    jax.config.update("jax_enable_compilation_cache", False)
    return CompiledSteps(shapes, options)


class CompiledSteps(Contender):
    """Several steps, told apart by their places in the sequence; `run` runs all."""

    def __init__(self, shapes: Sequence[Shape], options: dict[str, Any]) -> None:
        self.steps = [CompiledStep(shape, options) for shape in shapes]

    def run(self, count: int) -> None:
        for step in self.steps:
            step.run(count)

    def facts(self) -> list[dict[str, float]]:
        return [{"compile_seconds": s.seconds, "megabytes": s.megabytes} for s in self.steps]

    def seconds_of(self, i: int, at_least: float) -> float:
        return self.steps[i].seconds_each(at_least)

    def peak_megabytes(self) -> float:
        return memory.peak_megabytes()


class CompiledStep(Contender):
    """One step, on the same chunk again and again."""

    def __init__(self, shape: Shape, options: dict[str, Any]) -> None:
        network, optimizer = shape.network(), make_optimizer("adam", clip_norm=CLIP_NORM)
        self.training = start(network, init(network, jax.random.key(0)), optimizer, shape.batch)
        data = random_data(shape)
        self.rest = (
            Batch(
                jnp.asarray(data.inputs[:1]),
                jnp.asarray(data.targets[:1]),
                jnp.zeros((1, shape.chunk, shape.batch), bool),
            ),
            jax.random.split(derive(jax.random.key(0), "dropout"), 1),
            jnp.full(1, LEARNING_RATE),
        )
        training_steps = make_training_steps(network, optimizer, **options)
        began = time.perf_counter()
        self.step = training_steps.lower(self.training, *self.rest).compile()  # pyright: ignore[reportFunctionMemberAccess]
        self.seconds = time.perf_counter() - began
        plan = self.step.memory_analysis()
        self.megabytes = (
            plan.temp_size_in_bytes
            + plan.argument_size_in_bytes
            + plan.output_size_in_bytes
            - plan.alias_size_in_bytes
        ) / 1e6

    def run(self, count: int) -> None:
        for _ in range(count):
            self.training, report = self.step(self.training, *self.rest)
        jax.block_until_ready(report)
