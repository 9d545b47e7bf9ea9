"""How any network is trained: a few names and numbers, and what follows from them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PRNGKeyArray

from jaxrnn.core.engine.options import Options
from jaxrnn.core.engine.unroll import Dropout
from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import init
from jaxrnn.learning.loss import Loss, cross_entropy
from jaxrnn.learning.optimizers import Schedule, make_optimizer, make_schedule
from jaxrnn.learning.training import TrainingState, TrainingSteps, make_training_steps, start


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
      optimizer, clip_norm, clip_value: as for `make_optimizer`.
      learning_rate: the highest of the schedule.
      schedule: as for `make_schedule`.
      dropout, locked, recurrent_dropout: as for `Dropout`, in which they are called rate, locked
        and recurrent.
      l1, l2: as for `weight_penalty`.
      initializer, recurrent_initializer: as for `init`.
      dtype: of the arithmetic: float32, float64, or bfloat16, which is for matrix products only.
      segment: as for `Options`.
    """

    optimizer: str = "adam"
    learning_rate: float = 4e-3
    schedule: str = "cosine"
    clip_norm: float | None = 1.0
    clip_value: float | None = None
    dropout: float = 0.0
    locked: bool = False
    recurrent_dropout: bool = False
    l1: float = 0.0
    l2: float = 0.0
    initializer: str | None = None
    recurrent_initializer: str | None = None
    dtype: str = "float32"
    segment: int | None = None

    def make_optimizer(self) -> optax.GradientTransformationExtraArgs:
        """Takes its learning rate at each update."""
        return make_optimizer(self.optimizer, clip_norm=self.clip_norm, clip_value=self.clip_value)

    def make_schedule(self) -> Schedule:
        """The learning rate as a function of progress."""
        return make_schedule(self.schedule, self.learning_rate)

    def start(self, network: Network, batch: int, key: PRNGKeyArray) -> TrainingState:
        """The state before the first step of a batch of so many lanes.

        Raises:
          InputError: the arithmetic is to be in float64, which JAX was not told to allow.
        """
        if self.dtype == "float64" and not jax.config.read("jax_enable_x64"):
            raise InputError(
                "the recipe asks for float64; call jax.config.update('jax_enable_x64', True) first"
            )
        dtype = jnp.float64 if self.dtype == "float64" else jnp.float32
        params = init(
            network, key, initializer=self.initializer,
            recurrent_initializer=self.recurrent_initializer, dtype=dtype,
        )  # fmt: skip
        return start(network, params, self.make_optimizer(), batch)

    def training_steps(
        self,
        network: Network,
        loss: Loss = cross_entropy,
        *,
        shardings: TrainingState | None = None,
    ) -> TrainingSteps:
        """As from `make_training_steps`."""
        return make_training_steps(
            network,
            self.make_optimizer(),
            loss=loss,
            dropout=Dropout(self.dropout, self.locked, self.recurrent_dropout),
            l1=self.l1,
            l2=self.l2,
            options=Options(jnp.bfloat16 if self.dtype == "bfloat16" else None, self.segment),
            shardings=shardings,
        )
