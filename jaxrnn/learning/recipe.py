"""How any network is trained: a few names and numbers, and what follows from them."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray

from jaxrnn.core.engine.arguments import check_shapes
from jaxrnn.core.engine.dropout import Dropout
from jaxrnn.core.engine.dropout_by_source import dropout_by_source
from jaxrnn.core.engine.options import Options
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import Connection
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import INITIALIZERS, Ends, Params, init, parameter_shapes
from jaxrnn.learning.loss import Loss, cross_entropy
from jaxrnn.learning.muon import muon
from jaxrnn.learning.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    Schedule,
    make_optimizer,
    make_schedule,
)
from jaxrnn.learning.row_adagrad import with_row_adagrad
from jaxrnn.learning.tables import ngram_tables
from jaxrnn.learning.training import TrainingState, TrainingSteps, make_training_steps, start
from jaxrnn.storage.fields import check, setting

DTYPES = ("float32", "bfloat16", "float64")
MUON = "muon"  # made for a network, unlike those in `OPTIMIZERS`


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Each field says what it means, as the flag of its name says it; but `clip_norm` and `clip_value`
    are None where gradients are not clipped.
    """

    optimizer: str = setting("adam", "How to walk downhill.", choices=(*OPTIMIZERS, MUON))
    learning_rate: float = setting(4e-3, "The highest of the schedule.", above=0, overridable=True)
    muon_rate: float = setting(
        0.02, "The same, of what muon makes orthogonal; all else has --learning_rate.", above=0,
        overridable=True,
    )  # fmt: skip
    ngram_rate: float = setting(
        0.06, "The same, of n-grams' tables, which go by Adagrad with one number a row.", above=0,
        overridable=True,
    )  # fmt: skip
    schedule: str = setting(
        "cosine", "How the learning rate moves: cosine rises in a warm-up and falls to 0,"
        " exponential falls to a hundredth.",
        choices=SCHEDULES, overridable=True,
    )  # fmt: skip
    clip_norm: float | None = setting(
        1.0, "Scale gradients down to this norm; 0: never.", above=0, overridable=True
    )
    clip_value: float | None = setting(
        None, "Cut gradients' entries to this; 0: never.", above=0, overridable=True
    )
    average: float = setting(
        0.0, "Evaluate, keep and write with an average of the parameters, of this decay a step; 0:"
        " the parameters.", at_least=0, below=1,
    )  # fmt: skip
    dropout: float = setting(
        0.0, "Rate, between layers and before the output.", at_least=0, below=1, overridable=True
    )
    input_dropout: float = setting(
        0.0, "Rate, of what enters: of symbols whole ones, of features and embeddings entries.",
        at_least=0, below=1, overridable=True,
    )  # fmt: skip
    ngram_dropout: float = setting(
        0.0, "Rate, of whole rows of n-gram tables.", at_least=0, below=1, overridable=True
    )
    output_dropout: float | None = setting(
        None, "Rate, before the output [as --dropout].", at_least=0, below=1, overridable=True
    )
    recurrent_dropout: float = setting(
        0.0, "Rate, on delayed connections; its masks are held for a whole chunk.", at_least=0,
        below=1, overridable=True,
    )  # fmt: skip
    locked: bool = setting(
        False, "Hold dropout masks for a whole chunk between layers and on what enters as well; not"
        " before the output.", overridable=True,
    )  # fmt: skip
    weight_drop: float = setting(
        0.0, "Rate, of recurrent matrices' entries, anew in each step.", at_least=0, below=1,
        overridable=True,
    )  # fmt: skip
    l1: float = setting(
        0.0, "Weight of the sum of absolute weights in the loss.", at_least=0, overridable=True
    )
    l2: float = setting(
        0.0, "Weight of half the sum of squared weights in the loss.", at_least=0, overridable=True
    )
    ngram_l2: float = setting(
        0.0, "The same, of the rows of n-grams' tables: the rarer one is the less of it is left.",
        at_least=0,
    )  # fmt: skip
    initializer: str | None = setting(
        None, "For matrices from below [as the cell recommends].", choices=tuple(INITIALIZERS)
    )
    recurrent_initializer: str | None = setting(
        None, "For matrices of delayed connections [as the cell recommends].",
        choices=tuple(INITIALIZERS),
    )  # fmt: skip
    dtype: str = setting(
        "float32", "Of the arithmetic; bfloat16 is for matrix products only.", choices=DTYPES
    )
    segment: int | None = setting(
        None, "Run chunks in segments of so many steps, which saves memory and costs one more"
        " forward pass; 0: never [128 for chunks of 1024 and more].", at_least=0,
        overridable=True,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self)

    def make_optimizer(self, network: Network) -> optax.GradientTransformationExtraArgs:
        """Takes its learning rate at each update."""
        if self.optimizer == MUON:
            direction = muon(network, self.muon_rate / self.learning_rate)
        else:
            direction = OPTIMIZERS[self.optimizer]()
        if tables := ngram_tables(network):
            factor = self.ngram_rate / self.learning_rate
            direction = with_row_adagrad(
                network, tables, direction, factor, l2=self.ngram_l2, rate=self.ngram_rate
            )
        return make_optimizer(direction, clip_norm=self.clip_norm, clip_value=self.clip_value)

    def make_schedule(self) -> Schedule:
        """The learning rate as a function of progress."""
        return make_schedule(self.schedule, self.learning_rate)

    @property
    def rates(self) -> str:
        """The schedule in words."""
        return f"{self.schedule}, at most {self.learning_rate:g}"

    def init(self, network: Network, key: PRNGKeyArray) -> Params:
        """Draws parameters, in the precision that they are trained in.

        Raises:
          InputError: the arithmetic is to be in float64, which JAX was not told to allow.
        """
        if self.dtype == "float64" and not jax.config.read("jax_enable_x64"):
            raise InputError(
                "the recipe asks for float64; call jax.config.update('jax_enable_x64', True) first"
            )
        dtype = jnp.float64 if self.dtype == "float64" else jnp.float32
        return init(
            network, key, initializer=self.initializer,
            recurrent_initializer=self.recurrent_initializer, dtype=dtype,
        )  # fmt: skip

    def start(
        self, network: Network, batch: int, key: PRNGKeyArray, params: Params | None = None
    ) -> TrainingState:
        """The state before the first step of a batch of so many lanes.

        Args:
          network: what is trained.
          batch: how many lanes.
          key: decides the parameters that are drawn,
          params: unless these are trained on; they are copied, in the precision of the recipe.

        Raises:
          InputError: as of `init`; or the parameters are those of another network, or not finite.
        """
        learned = self.init(network, key)
        if params is not None:
            _check_start(network, params)
            learned = jax.tree.map(
                lambda x, given: jnp.array(given, x.dtype), learned, dict(params)
            )
        optimizer = self.make_optimizer(network)
        return start(
            network, learned, optimizer, batch, average=self.average > 0,
            tables=ngram_tables(network),
        )  # fmt: skip

    def dropout_on(self, network: Network) -> dict[Connection | Ends, Dropout]:
        """What each connection drops while training."""
        return dropout_by_source(
            network, self.dropout, input_rate=self.input_dropout, ngram_rate=self.ngram_dropout,
            recurrent_rate=self.recurrent_dropout, output_rate=self.output_dropout,
            locked=self.locked,
        )  # fmt: skip

    def training_steps(
        self,
        network: Network,
        loss: Loss = cross_entropy,
        *,
        shardings: TrainingState | None = None,
    ) -> TrainingSteps:
        """As from `make_training_steps`; tables of n-grams are trained by rows."""
        return make_training_steps(
            network,
            self.make_optimizer(network),
            loss=loss,
            dropout=self.dropout_on(network),
            weight_drop=self.weight_drop,
            l1=self.l1,
            l2=self.l2,
            average=self.average,
            tables=ngram_tables(network),
            options=Options(jnp.bfloat16 if self.dtype == "bfloat16" else None, self.segment),
            shardings=shardings,
        )


def _check_start(network: Network, params: Params) -> None:
    check_shapes(
        params, parameter_shapes(network), "parameters do not fit the network",
        "them with init(network, key)",
    )  # fmt: skip
    for layer, arrays in params.items():
        for name, array in arrays.items():
            if not np.isfinite(np.asarray(array, np.float64)).all():
                raise InputError(
                    f"the parameters {layer}/{name} are not all finite, as after a training that "
                    "diverged; start from others"
                )
