"""Training: a state, one jitted function that takes several steps, and evaluation."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Integer, Key, PRNGKeyArray, Shaped

from jaxrnn.loss import cross_entropy, weight_penalty
from jaxrnn.network import Network
from jaxrnn.parameters import Params, State, initial_state, state_dtype
from jaxrnn.unroll import Dropout, unroll

# Of one call of the jitted function. That saves dispatch, and above all memory that is got from the
# system anew for every call (GRU 2x256, chunk 50, batch 50: 97 ms a step alone, 76 ms in tens).
STEPS_PER_CALL = 10


class TrainingState(NamedTuple):
    """All that training changes."""

    params: Params
    optimizer_state: optax.OptState
    network_state: State  # carried from chunk to chunk


class Chunks(NamedTuple):
    """The data of several training steps.

    Attributes:
      inputs: symbols or features, as for `unroll`.
      targets: what the loss compares the outputs with.
      resets: as for `unroll`.
      weights: how much each time step counts in the loss, a mean; None: all the same.
    """

    inputs: Shaped[Array, "steps time batch *features"]
    targets: Shaped[Array, "steps time batch *outputs"]
    resets: Bool[Array, "steps time batch"]
    weights: Float[Array, "steps time batch"] | None = None


class Report(NamedTuple):
    """What happened in several training steps.

    Attributes:
      losses: without penalties; cross-entropy in nats per character, unless told otherwise.
      finite: false where the loss or the gradient was not finite, so that the step was skipped.
      norms: of the whole gradient, before it was clipped.
    """

    losses: Float[Array, " steps"]
    finite: Bool[Array, " steps"]
    norms: Float[Array, " steps"]


class Regularisation(NamedTuple):
    """What is added to the loss and to the network while training."""

    dropout: Dropout = Dropout(0.0)
    l1: float = 0.0
    l2: float = 0.0


TrainingSteps = Callable[..., tuple[TrainingState, Report]]
Loss = Callable[[Array, Array], Array]  # outputs, targets -> [time, batch]


def start(
    network: Network, params: Params, optimizer: optax.GradientTransformation, batch_size: int
) -> TrainingState:
    """The training state before the first step; the first step takes the `params` given with it."""
    return TrainingState(
        params, optimizer.init(params), initial_state(network, batch_size, state_dtype(params))
    )


def make_training_steps(
    network: Network,
    optimizer: optax.GradientTransformation,
    regularisation: Regularisation = Regularisation(),  # noqa: B008 (frozen)
    *,
    loss: Loss = cross_entropy,
    compute_dtype: jnp.dtype | type | None = None,
    segment: int | None = None,
    shardings: TrainingState | None = None,
) -> TrainingSteps:
    """Compiles `(state, chunks, rates, keys) -> (state, report)`: one step a chunk.

    `rates` are the learning rates and `keys` what decides dropout, one each a step. The state is
    donated: use the one returned. A step whose loss or gradient is not finite changes nothing.

    Truncated BPTT: each chunk goes on from the state that the one before it left, except in lanes
    that the chunk's resets tell to forget.

    Args:
      network: what is trained.
      optimizer: as from `make_optimizer`.
      regularisation: dropout, L1 and L2.
      loss: `(outputs, targets)` of a chunk -> loss of each time step in each lane.
      compute_dtype: as for `unroll`: of matrix products, bfloat16 say.
      segment: as for `unroll`.
      shardings: where the state that is returned lies, as from `jaxrnn.parallel.shardings`; None:
        where the compiler finds that it does.
    """

    def objective(
        params: Params, state: State, chunk: Chunks, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], tuple[Float[Array, ""], State]]:
        outputs, state = unroll(
            network, params, state, chunk.inputs, resets=chunk.resets,
            dropout=regularisation.dropout, dropout_key=key, compute_dtype=compute_dtype,
            segment=segment,
        )  # fmt: skip
        mean = jnp.average(loss(outputs, chunk.targets), weights=chunk.weights)
        return mean + weight_penalty(params, regularisation.l1, regularisation.l2), (mean, state)

    def train(
        state: TrainingState, x: tuple[Chunks, Float[Array, ""], PRNGKeyArray]
    ) -> tuple[TrainingState, Report]:
        chunk, rate, key = x
        grad = jax.grad(objective, has_aux=True)
        gradient, (mean, network_state) = grad(state.params, state.network_state, chunk, key)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
        params = jax.tree.map(lambda p, u: p - (rate * u).astype(p.dtype), state.params, updates)
        norm = optax.tree.norm(gradient)
        finite = jnp.isfinite(mean) & jnp.isfinite(norm)
        new = TrainingState(params, optimizer_state, network_state)
        return jax.tree.map(partial(jnp.where, finite), new, state), Report(mean, finite, norm)

    @partial(jax.jit, donate_argnums=0, out_shardings=(shardings, None))
    def training_steps(
        state: TrainingState,
        chunks: Chunks,
        rates: Float[Array, " steps"],
        keys: Key[Array, " steps"],
    ) -> tuple[TrainingState, Report]:
        return jax.lax.scan(train, state, (chunks, rates, keys))

    return training_steps


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def score(
    network: Network,
    params: Params,
    state: State,
    inputs: Integer[Array, "time batch"],
    targets: Integer[Array, "time batch"],
    weights: Float[Array, "time batch"],
) -> tuple[Float[Array, ""], State]:
    """The summed cross-entropy of weighted characters, in nats, and the state after them."""
    logits, state = unroll(network, params, state, inputs)
    return (weights * cross_entropy(logits, targets)).sum(), state


def evaluate(network: Network, params: Params, batches: Iterable) -> float:
    """Cross-entropy in nats per character, the state carried from batch to batch.

    Args:
      network: what is evaluated.
      params: its parameters.
      batches: `(inputs, targets, weights)` arrays, all `[time, batch]` and of one shape; a
        character counts by its weight, 0 or 1.
    """
    state, nats, characters = None, 0.0, 0.0
    for inputs, targets, weights in batches:
        if state is None:
            state = initial_state(network, inputs.shape[1], state_dtype(params))
        scored, state = score(network, params, state, inputs, targets, weights)
        nats += float(scored)
        characters += float(weights.sum())
    return nats / characters
