"""Training: a state, and one jitted function that takes several steps."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Integer, Key, PRNGKeyArray

from jaxrnn.core.engine.dropout import Dropout
from jaxrnn.core.engine.options import Options
from jaxrnn.core.engine.unroll import unroll
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import Connection
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Ends, Params, State, initial_state, state_dtype
from jaxrnn.learning.averaging import (
    Iterate,
    averaged,
    begin_average,
    check_average,
    going_on_from,
)
from jaxrnn.learning.batch import Batch, step_weights
from jaxrnn.learning.loss import Loss, cross_entropy, weight_penalty
from jaxrnn.learning.tables import check_tables, gather, look_up, owners, scatter
from jaxrnn.learning.weight_drop import check_weight_drop, drop_weights
from jaxrnn.learning.weighting import readable, weighted

# Of one call of the jitted function. That saves dispatch, and above all memory that is got from the
# system anew for every call (`python -m experiments.benchmark --suite=choices --only=steps`).
STEPS_PER_CALL = 10


class TrainingState(NamedTuple):
    """All that training changes.

    Attributes:
      params: what has been learned: the network's; or, with a `transform`, what that makes these
        of.
      optimizer_state: the optimiser's.
      network_state: carried from chunk to chunk.
      iterate: where training goes on from, where `params` are an average; None: from these.
    """

    params: Any
    optimizer_state: optax.OptState
    network_state: State
    iterate: Iterate | None = None


class Report(NamedTuple):
    """What happened in several training steps.

    Attributes:
      losses: without penalties; cross-entropy in nats per character, unless told otherwise. 0 where
        no time step has weight.
      finite: false where the step was skipped, since its loss, its gradient or what it would have
        left behind was not finite.
      norms: of the whole gradient, before it was clipped.
      restarted: how many lanes a skipped step made start anew from the zero state.
    """

    losses: Float[Array, " steps"]
    finite: Bool[Array, " steps"]
    norms: Float[Array, " steps"]
    restarted: Integer[Array, " steps"]


TrainingSteps = Callable[..., tuple[TrainingState, Report]]


def start(
    network: Network,
    params: Any,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    *,
    average: bool = False,
    tables: Iterable[str] = (),
) -> TrainingState:
    """The training state before the first step; the first step takes the `params` given with it.

    With an `average`, for training steps that have one; `tables` are theirs too.
    """
    # Copies: some of optax's states hold one array twice, and no array can be donated twice.
    optimizer_state = jax.tree.map(jnp.array, optimizer.init(params))
    memory = initial_state(network, batch_size, state_dtype(params))
    iterate = begin_average(network, params, check_tables(network, tables)) if average else None
    return TrainingState(params, optimizer_state, memory, iterate)


def make_training_steps(
    network: Network,
    optimizer: optax.GradientTransformation,
    *,
    loss: Loss = cross_entropy,
    dropout: Dropout | Mapping[Connection | Ends, Dropout] | None = None,
    weight_drop: float = 0.0,
    transform: Callable[[Any], Params] | None = None,
    l1: float = 0.0,
    l2: float = 0.0,
    tables: Iterable[str] = (),
    average: float = 0.0,
    options: Options = Options(),  # noqa: B008 (frozen)
    shardings: TrainingState | None = None,
) -> TrainingSteps:
    """Compiles `(state, batches, keys, rates=None) -> (state, report)`: one step a batch.

    `batches` is a `Batch` with one axis more in front, one batch a step.

    `keys`, one each a step, decide what is dropped. `rates`, one each a step too, are for
    optimisers whose learning rate is given from outside, as `make_optimizer`'s is: optax's extra
    argument `learning_rate`. (Another one is `value`, the loss with its penalties, which
    `optax.contrib.reduce_on_plateau` asks for.) The state is donated: use the one returned.

    Truncated BPTT: each batch goes on from the state that the one before it left, except in lanes
    that the batch's resets tell to forget.

    A step is skipped if its loss, its gradient or anything that it would leave behind is not
    finite: parameters and optimiser stay as they were. Since the carried state may be the cause,
    and would be at the next step too, lanes start anew from the zero state: those whose loss or
    state is not finite, or all of them if there is none.

    Args:
      network: what is trained.
      optimizer: any of optax, as `optax.adam(1e-3)`, or as from `make_optimizer`.
      loss: `(outputs, targets)` of a chunk -> loss of each time step in each lane.
      dropout: while training, as for `unroll`.
      weight_drop: while training, the share of the recurrent matrices' entries that count for
        nothing, as of `drop_weights`; penalties are of all.
      transform: what is learned -> the network's parameters, where these are not the same: matrices
        that are tied or shared, weight normalisation. The loss and its penalties are taken there;
        who evaluates applies it too.
      l1: as for `weight_penalty`, which is added to the loss.
      l2: likewise.
      tables: inputs and n-grams, by name, whose matrices are trained by rows: a step reads and
        changes only those rows that its symbols look up, at a cost that does not depend on how many
        there are. Whatever the optimiser keeps of the others waits too, but counts steps for all.
        So SGD and Adagrad do what they would do otherwise; Adam, whose means would fade and move a
        row for some time after it was looked up, is then what TensorFlow calls LazyAdam and PyTorch
        SparseAdam. Decay and penalties are of those rows as well.
      average: the decay a step of an average of what is learned, which stands for that in the state
        (`jaxrnn.learning.averaging`); 0: none. The state is one with an average then, as of
        `start`.
      options: as for `unroll`.
      shardings: where the state that is returned lies, as from `parallel.shardings`; None: where
        the compiler finds that it does.

    Raises:
      InputError: there is no weight to drop; tables are no inputs or n-grams, are heard otherwise
        than through matrices and at once, or are given together with a transform; or, when called,
        their inputs are no symbols, keys or rates are not one each a step, the optimiser lacks the
        rates or has no use for them, or the state is one without the average, or with one.
    """
    optimizer = optax.with_extra_args_support(optimizer)
    check_weight_drop(network, weight_drop)
    tables = check_tables(network, tables)
    if tables and transform is not None:
        raise InputError("a transform sees whole tables; leave tables out, or the transform")

    def objective(
        learned: Any, network: Network, state: State, batch: Batch, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], tuple[Float[Array, ""], Float[Array, "time batch"], State]]:
        params = learned if transform is None else transform(learned)
        weights = step_weights(batch)
        used = drop_weights(network, params, weight_drop, key) if weight_drop else params
        outputs, state = unroll(
            network, used, state, batch.inputs,
            resets=batch.resets, lengths=batch.lengths, dropout=dropout, dropout_key=key,
            options=options,
        )  # fmt: skip
        losses = weighted(loss, outputs, batch.targets, weights)
        if weights is None:
            mean = losses.mean()
        else:
            total = weights.sum()
            mean = losses.sum() / jnp.where(total == 0, 1, total)
        return mean + weight_penalty(params, l1, l2), (mean, losses, state)

    def train(
        state: TrainingState, x: tuple[Batch, PRNGKeyArray, Float[Array, ""] | None]
    ) -> tuple[TrainingState, Report]:
        batch, key, rate = x
        current = going_on_from(state.params, state.iterate), state.optimizer_state
        inputs = readable(network, batch.inputs, step_weights(batch))
        touched = look_up(
            network, tables, state.params, batch._replace(inputs=inputs), state.network_state
        )
        owned = owners(network, tables, optimizer, current)
        before = params, optimizer_state = gather(current, owned, touched.rows)
        (value, (mean, losses, network_state)), gradient = jax.value_and_grad(
            objective, has_aux=True
        )(params, touched.network, touched.state, touched.batch, key)
        network_state = network_state | touched.pasts
        given = {} if rate is None else {"learning_rate": rate}
        updates, optimizer_state = optimizer.update(
            gradient, optimizer_state, params, value=value, **given
        )
        learned = optax.apply_updates(params, updates), optimizer_state
        norm = optax.tree.norm(gradient)
        # What was carried here may be forgotten by a reset; what is carried on must be finite.
        broken = ~_finite_lanes(losses, network_state)
        suspects = broken | ~_finite_lanes(losses, state.network_state)
        # Floats, so that devices sum them together with the gradients.
        any_broken, count = jnp.stack([broken, suspects]).sum(axis=1, dtype=mean.dtype)
        finite = jnp.isfinite(mean) & jnp.isfinite(norm) & (any_broken == 0)
        finite &= _stay_finite(learned, before, 0 * norm)
        kept = jax.tree.map(partial(jnp.where, finite), learned, before)
        restarts = ~finite & (suspects | (count == 0))
        network_state = jax.tree.map(
            lambda new, old: jnp.where(restarts[:, None], 0, jnp.where(finite, new, old)),
            network_state, state.network_state,
        )  # fmt: skip
        restarted = jnp.where(count == 0, len(suspects), count).astype(jnp.int32)
        report = Report(mean, finite, norm, jnp.where(finite, 0, restarted))
        params, optimizer_state = scatter(current, kept, owned, touched.rows)
        iterate = state.iterate
        if iterate is not None:
            params, iterate = averaged(state.params, iterate, params, average, finite)
        return TrainingState(params, optimizer_state, network_state, iterate), report

    @partial(jax.jit, donate_argnums=0, out_shardings=(shardings, None))
    def training_steps(
        state: TrainingState,
        batches: Batch,
        keys: Key[Array, " steps"],
        rates: Float[Array, " steps"] | None = None,
    ) -> tuple[TrainingState, Report]:
        _check_steps(batches, keys, rates)
        check_average(average, state.iterate)
        if rates is not None and not _hears_rates(optimizer, state):
            raise InputError(
                "rates are given to an optimiser that has a learning rate of its own; leave them "
                "out, or end its chain with `optimizers.scale_by_given_learning_rate()`"
            )
        return jax.lax.scan(train, state, (batches, keys, rates))

    return training_steps


def _finite_lanes(losses: Float[Array, "time batch"], state: State) -> Bool[Array, " batch"]:
    finite = jnp.isfinite(losses).all(axis=0)
    for array in jax.tree.leaves(state):
        finite &= jnp.isfinite(array).all(axis=1)
    return finite


def _stay_finite(new: Any, old: Any, zero: Float[Array, ""]) -> Bool[Array, ""]:
    """Whether all numbers are finite; single ones may be as they were, since some begin infinite.

    `zero` is one that the compiler does not know: it would leave products with it out.
    """

    def stays(x: Array, y: Array) -> Bool[Array, ""]:
        if x.ndim < 2:
            return (jnp.isfinite(x) | (x == y)).all()
        # 0 * inf is NaN: a product reads a matrix in a third of the time that comparisons take.
        rows = x.reshape(-1, x.shape[-1])
        return (rows @ jnp.full(rows.shape[1], zero, x.dtype)).sum() == 0

    return jnp.stack([
        stays(x, y)
        for x, y in zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True)
        if jnp.issubdtype(x.dtype, jnp.inexact)
    ]).all()  # fmt: skip


def _hears_rates(optimizer: optax.GradientTransformationExtraArgs, state: TrainingState) -> bool:
    """Whether the learning rate that is given takes part in an update."""

    def update(rate: Array, params: Any, optimizer_state: optax.OptState) -> Any:
        return optimizer.update(
            params, optimizer_state, params, value=jnp.zeros(()), learning_rate=rate
        )

    shapes = jax.eval_shape(lambda *x: x, jnp.zeros(()), *state[:2])
    program = jax.make_jaxpr(update)(*shapes).jaxpr
    return any(program.invars[0] is x for step in program.eqns for x in step.invars)


def _check_steps(batches: Batch, keys: Array, rates: Array | None) -> None:
    steps = jax.tree.leaves(batches)[0].shape[0]
    if jnp.issubdtype(keys.dtype, jnp.floating):
        raise InputError("keys are numbers; training steps take (state, batches, keys, rates)")
    for name, array in (("keys", keys), ("rates", rates)):
        if array is not None and jnp.shape(array)[:1] != (steps,):
            raise InputError(
                f"{name} of shape {list(jnp.shape(array))} do not fit {steps} training steps; "
                "give one each a step"
            )
