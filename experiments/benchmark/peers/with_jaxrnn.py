"""jaxrnn itself, as its main job uses it: ten training steps a call, spread over devices."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmark.peers.training_in_jax import JaxTrainer
from experiments.benchmark.shapes import CLIP_NORM, LEARNING_RATE, Data, Params, Shape, random_data
from experiments.laboratory.stopwatch import Contender
from jaxrnn import init
from jaxrnn.core.keys import derive
from jaxrnn.core.parameters import BIAS
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.optimizers import make_optimizer
from jaxrnn.learning.parallel import data_mesh, everywhere, feed, place, shardings
from jaxrnn.learning.training import (
    STEPS_PER_CALL,
    TrainingState,
    make_training_steps,
    start,
)
from jaxrnn.running.devices import use_cores, worthwhile_devices
from jaxrnn.text.sampling import BLOCK, read, write

VIRTUAL = 4  # devices that a CPU is taken for, whatever the number of its cores


def draw_params(shape: Shape) -> Params:
    """Biases are drawn too, so that one copied to the wrong place would be seen in the loss."""
    random = np.random.default_rng(0)
    params = jax.tree.map(np.array, init(shape.network(), jax.random.key(0)))
    for arrays in params.values():
        arrays[BIAS] += random.normal(0, 0.1, arrays[BIAS].shape).astype(np.float32)
    return params


def open_trainer(shape: Shape, params: Params | None, data: Data) -> "JaxrnnTrainer":
    use_cores()
    devices = worthwhile_devices(shape.network(), shape.batch, shape.chunk)
    return JaxrnnTrainer(shape, draw_params(shape) if params is None else params, data, devices)


def open_spread(shape: Shape, devices: int) -> "JaxrnnTrainer":
    """On so many devices, which a CPU is then taken for."""
    jax.config.update("jax_num_cpu_devices", devices)  # of no effect on others
    return JaxrnnTrainer(shape, draw_params(shape), random_data(shape), devices)


def open_census() -> "Census":
    return Census()


class Census:
    """How many devices a step can be spread over; counted here, for whoever asks occupies them."""

    def most(self) -> int:
        return VIRTUAL if jax.default_backend() == "cpu" else jax.local_device_count()


class JaxrnnTrainer(JaxTrainer):
    """`make_training_steps`, and the parameters that all contenders start from.

    Here a run is a call, of several steps.
    """

    def __init__(self, shape: Shape, params: Params, data: Data, devices: int | None) -> None:
        self.params = params
        mesh = data_mesh(shape.batch, devices)
        network, optimizer = shape.network(), make_optimizer("adam", clip_norm=CLIP_NORM)
        training_steps = make_training_steps(network, optimizer, shardings=shardings(mesh))
        rest = jax.device_put(
            (
                jax.random.split(derive(jax.random.key(0), "dropout"), STEPS_PER_CALL),
                jnp.full(STEPS_PER_CALL, LEARNING_RATE),
            ),
            everywhere(mesh),
        )

        def call(training: TrainingState, batches: Batch) -> tuple[TrainingState, jax.Array]:
            training, report = training_steps(training, batches, *rest)
            jax.block_until_ready(report)  # as the training loop does
            return training, report.losses

        arrays = jax.tree.map(jnp.array, params)  # copies, which may be donated
        training = place(shardings(mesh), start(network, arrays, optimizer, shape.batch))
        resets = np.zeros((STEPS_PER_CALL, shape.chunk, shape.batch), bool)
        count = len(data.inputs)  # as many calls take each chunk equally often
        order = np.arange(count * STEPS_PER_CALL).reshape(count, STEPS_PER_CALL) % count
        calls = [(feed(mesh, Batch(data.inputs[i], data.targets[i], resets)),) for i in order]
        super().__init__(call, training, calls)

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
    """`jaxrnn.text.sampling.write`; one run is a block."""

    def __init__(self, shape: Shape, params: Params, streams: int, prime: np.ndarray) -> None:
        self.params, self.streams = params, streams
        network, arrays = shape.network(), jax.tree.map(jnp.array, params)
        self.position = read(network, arrays, prime, streams)
        self.blocks = write(network, arrays, self.position, derive(jax.random.key(0), "samples"))

    def run(self, count: int) -> None:
        for _ in range(count):
            next(self.blocks)

    def characters(self) -> int:
        return BLOCK * self.streams

    def start_params(self) -> Params:
        return self.params

    def logits(self) -> np.ndarray:
        return np.asarray(self.position.logits)
