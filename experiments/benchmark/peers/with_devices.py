"""A training step of jaxrnn whose batch is spread over some of the devices of this process."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from experiments.benchmark.children import Contender
from experiments.benchmark.shapes import CLIP_NORM, LEARNING_RATE, Shape, random_data
from jaxrnn import init
from jaxrnn.optimizers import make_optimizer
from jaxrnn.training import Chunks, TrainingState, make_training_steps, start

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
    """Lanes apart, parameters and optimiser on every device; `jit` follows where arrays lie."""

    def __init__(self, shape: Shape, devices: int) -> None:
        mesh = Mesh(np.array(jax.devices()[:devices]), ("data",), axis_types=(AxisType.Auto,))
        everywhere = NamedSharding(mesh, PartitionSpec())
        network, optimizer = shape.network(), make_optimizer("adam", clip_norm=CLIP_NORM)
        training = start(network, init(network, jax.random.key(0)), optimizer, shape.batch)
        lanes = NamedSharding(mesh, PartitionSpec("data"))
        self.training = jax.device_put(training, TrainingState(everywhere, everywhere, lanes))  # pyright: ignore[reportArgumentType]
        data = random_data(shape)
        resets = np.zeros((1, shape.chunk, shape.batch), bool)
        chunks = Chunks(data.inputs[:1], data.targets[:1], resets)  # pyright: ignore[reportArgumentType]
        self.chunks = jax.device_put(chunks, NamedSharding(mesh, PartitionSpec(None, None, "data")))
        self.rest = jax.device_put(
            (jnp.full(1, LEARNING_RATE), jax.random.split(jax.random.key(0), 1)), everywhere
        )
        self.step = make_training_steps(network, optimizer)

    def run(self, count: int) -> None:
        for _ in range(count):
            self.training, report = self.step(self.training, self.chunks, *self.rest)
        jax.block_until_ready(report)

    def losses(self, count: int) -> list[float]:
        return [self._loss() for _ in range(count)]

    def _loss(self) -> float:
        self.training, report = self.step(self.training, self.chunks, *self.rest)
        return report.losses.item()
