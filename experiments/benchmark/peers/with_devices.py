"""A training step of jaxrnn whose batch is spread over some of the devices of this process."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark.shapes import CLIP_NORM, LEARNING_RATE, Shape, random_data
from jaxrnn import init
from jaxrnn.optimizers import make_optimizer
from jaxrnn.parallel import data_mesh, everywhere, feed, place, shardings
from jaxrnn.runs.turns import Contender
from jaxrnn.training import make_training_steps, start

VIRTUAL = 4  # devices, where there is only a CPU


def open_step(shape: Shape, devices: int) -> "SpreadStep":
    jax.config.update("jax_num_cpu_devices", devices)  # of no effect on others
    return SpreadStep(shape, devices)


def open_census() -> "Census":
    return Census()


class Census:
    """How many devices a step can be spread over; counted here, for whoever asks occupies them."""

    def most(self) -> int:
        return VIRTUAL if jax.default_backend() == "cpu" else jax.local_device_count()


class SpreadStep(Contender):
    """As the main job spreads it."""

    def __init__(self, shape: Shape, devices: int) -> None:
        mesh = data_mesh(shape.batch, devices)
        network, optimizer = shape.network(), make_optimizer("adam", clip_norm=CLIP_NORM)
        params = init(network, jax.random.key(0))
        self.training = place(mesh, start(network, params, optimizer, shape.batch))
        data = random_data(shape)
        resets = np.zeros((1, shape.chunk, shape.batch), bool)
        self.chunks = feed(mesh, (data.inputs[:1], data.targets[:1], resets))
        self.rest = jax.device_put(
            (jnp.full(1, LEARNING_RATE), jax.random.split(jax.random.key(0), 1)), everywhere(mesh)
        )
        self.step = make_training_steps(network, optimizer, shardings=shardings(mesh))

    def run(self, count: int) -> None:
        for _ in range(count):
            self.training, report = self.step(self.training, self.chunks, *self.rest)
        jax.block_until_ready(report)

    def losses(self, count: int) -> list[float]:
        return [self._loss() for _ in range(count)]

    def _loss(self) -> float:
        self.training, report = self.step(self.training, self.chunks, *self.rest)
        return report.losses.item()
