"""jaxrnn itself, through the function that its training loop calls, with as many steps a call."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark.peers.training_in_jax import JaxTrainer
from experiments.benchmark.shapes import CLIP_NORM, LEARNING_RATE, Data, Params, Shape
from jaxrnn import init
from jaxrnn.optimizers import make_optimizer
from jaxrnn.parameters import BIAS
from jaxrnn.runs.turns import Contender
from jaxrnn.sampling import BLOCK, read, write
from jaxrnn.training import (
    STEPS_PER_CALL,
    Chunks,
    TrainingState,
    make_training_steps,
    start,
)


def draw_params(shape: Shape) -> Params:
    """Biases are drawn too, so that one copied to the wrong place would be seen in the loss."""
    random = np.random.default_rng(0)
    params = jax.tree.map(np.array, init(shape.network(), jax.random.key(0)))
    for arrays in params.values():
        arrays[BIAS] += random.normal(0, 0.1, arrays[BIAS].shape).astype(np.float32)
    return params


def open_trainer(shape: Shape, params: Params | None, data: Data) -> "JaxrnnTrainer":
    return JaxrnnTrainer(shape, draw_params(shape) if params is None else params, data)


class JaxrnnTrainer(JaxTrainer):
    """`make_training_steps`, and the parameters that all contenders start from.

    Here a run is a call, of several steps.
    """

    def __init__(self, shape: Shape, params: Params, data: Data) -> None:
        self.params = params
        network, optimizer = shape.network(), make_optimizer("adam", clip_norm=CLIP_NORM)
        training_steps = make_training_steps(network, optimizer)
        resets = jnp.zeros((STEPS_PER_CALL, shape.chunk, shape.batch), bool)
        rates = jnp.full(STEPS_PER_CALL, LEARNING_RATE)
        keys = jax.random.split(jax.random.key(0), STEPS_PER_CALL)

        def call(
            training: TrainingState, inputs: jax.Array, targets: jax.Array
        ) -> tuple[TrainingState, jax.Array]:
            training, report = training_steps(
                training, Chunks(inputs, targets, resets), rates, keys
            )
            return training, report.losses

        arrays = jax.tree.map(jnp.array, params)  # copies, which may be donated
        count = len(data.inputs)  # as many calls take each chunk equally often
        order = np.arange(count * STEPS_PER_CALL).reshape(count, STEPS_PER_CALL) % count
        super().__init__(
            call, start(network, arrays, optimizer, shape.batch), Data(*(x[order] for x in data))
        )

    def start_params(self) -> Params:
        return self.params

    def losses(self, count: int) -> list[float]:
        return self._next()[:count].tolist()

    def seconds_each(self, at_least: float) -> float:
        """Seconds a step."""
        return super().seconds_each(at_least) / STEPS_PER_CALL


def open_writer(
    shape: Shape, params: Params | None, streams: int, prime: np.ndarray
) -> "JaxrnnWriter":
    return JaxrnnWriter(shape, draw_params(shape) if params is None else params, streams, prime)


class JaxrnnWriter(Contender):
    """`jaxrnn.sampling.write`; one run is a block."""

    def __init__(self, shape: Shape, params: Params, streams: int, prime: np.ndarray) -> None:
        self.params, self.streams = params, streams
        network, arrays = shape.network(), jax.tree.map(jnp.array, params)
        self.position = read(network, arrays, prime, streams)
        self.blocks = write(network, arrays, self.position, jax.random.key(0))

    def run(self, count: int) -> None:
        for _ in range(count):
            next(self.blocks)

    def characters(self) -> int:
        return BLOCK * self.streams

    def start_params(self) -> Params:
        return self.params

    def logits(self) -> np.ndarray:
        return np.asarray(self.position.logits)
