"""Several runs of one network that differ in seed and learning rate alone, as one program.

On accelerators the replicas are vmapped; on a CPU, which has nothing idle that more lanes could
fill, they run one after the other inside the program (`lax.map`). What either takes is measured by
`python -m experiments.benchmark --suite=choices --only=replicas`.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from experiments.laboratory.statistics import listed
from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, init, initial_state
from jaxrnn.learning.evaluation import score
from jaxrnn.learning.loss import Loss, cross_entropy
from jaxrnn.learning.optimizers import make_optimizer, make_schedule
from jaxrnn.learning.symbols import check_data
from jaxrnn.learning.training import (
    STEPS_PER_CALL,
    Chunks,
    Regularisation,
    TrainingState,
    make_training_steps,
    start,
)
from jaxrnn.text import contiguous_lanes, evaluation_batches, random_chunks

TUNING_SEED = 1_000_000  # no seed of a run that counts
EVALUATION_LANES, EVALUATION_CHUNK = 50, 100
SLACK = 0.035  # about 0.1 of the 3 bits per character that short runs reach
RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)  # where tuning looks first
FACTOR = 2.0  # to the next rate, where one alone is tried


class Recipe(NamedTuple):
    """How a network is trained; hashable. `optimizer` and the rest as for char_lm's flags."""

    network: Network
    optimizer: str = "adam"
    clip_norm: float | None = 1.0
    clip_value: float | None = None
    schedule: str = "cosine"
    regularisation: Regularisation = Regularisation()
    initializer: str | None = None
    recurrent_initializer: str | None = None
    loss: Loss = cross_entropy


class Problem(NamedTuple):
    """What is learned.

    Attributes:
      chunk: `(seed, step)` -> the fields of `Chunks` for one step, NumPy arrays `[time, batch]`.
      evaluate: `(network, params) -> figure`, in JAX; the less the better.
      batch: lanes.
    """

    chunk: Callable[[int, int], Sequence[np.ndarray]]
    evaluate: Callable[[Network, Params], Float[Array, ""]]
    batch: int


class Curve(NamedTuple):
    """One replica's run. What is not finite is None.

    Attributes:
      seed, rate: its own; the rate is the highest of the schedule.
      steps: after which it was evaluated.
      valid: what `Problem.evaluate` said then.
      train: the mean loss of the steps since the evaluation before, in nats for cross-entropy.
      skipped: steps that were skipped because something in them was not finite.
      norms: the highest of the gradients', before clipping, in the same steps as `train`.
      restarted: lanes that skipped steps made start anew.
    """

    seed: int
    rate: float
    steps: list[int]
    valid: list[float | None]
    train: list[float | None]
    skipped: int
    norms: list[float | None]
    restarted: int = 0

    @property
    def final(self) -> float:
        """The last figure; infinite where that was not finite."""
        return float("inf") if self.valid[-1] is None else self.valid[-1]


def character_problem(
    train: Integer[np.ndarray, " length"],
    valid: Integer[np.ndarray, " valid"],
    *,
    batch: int,
    chunk: int,
    carried: bool = True,
) -> Problem:
    """To predict the next character of a text; evaluated in bits per character.

    Args:
      train: the text to learn from.
      valid: the text to be judged by. It is cut into up to 50 lanes; each but the first starts
        without a past.
      batch: lanes.
      chunk: time steps of one training step.
      carried: read on in each lane, the state carried from chunk to chunk; otherwise chunks are
        drawn at random and start from the zero state.
    """
    lanes = max(1, min(EVALUATION_LANES, len(valid) // EVALUATION_CHUNK))
    pieces = evaluation_batches(valid, batch=lanes, chunk=EVALUATION_CHUNK)
    inputs, targets, weights = (np.stack(arrays) for arrays in zip(*pieces, strict=True))

    def evaluate(network: Network, params: Params) -> Float[Array, ""]:
        def body(state: Any, piece: tuple) -> tuple[Any, Array]:
            nats, state = score(network, params, state, *piece)
            return state, nats

        state = initial_state(network, lanes)
        pieces = (jnp.asarray(inputs), jnp.asarray(targets), jnp.asarray(weights))
        _, nats = jax.lax.scan(body, state, pieces)
        return nats.sum() / (weights.sum() * math.log(2))

    read = contiguous_lanes if carried else random_chunks
    return Problem(
        lambda seed, step: read(train, batch=batch, chunk=chunk, seed=seed, step=step),
        evaluate, batch,
    )  # fmt: skip


def train_replicas(
    recipe: Recipe,
    problem: Problem,
    seeds: Sequence[int],
    rates: Sequence[float],
    *,
    steps: int,
    evaluations: int = 10,
    solved: float | None = None,
    after: Callable[[int, Params], None] | None = None,
) -> tuple[list[Curve], Params]:
    """Trains one replica for each pair of a seed and a learning rate.

    Args:
      recipe: how.
      problem: what they learn.
      seeds: each decides its replica's parameters, data and dropout.
      rates: each the highest learning rate of its replica's schedule.
      steps: how many; rounded up so that evaluations are equally far apart.
      evaluations: how often they are evaluated, the last time at the end.
      solved: stop as soon as every replica's figure has once been below this.
      after: called with steps and parameters before training and after each evaluation.

    Returns:
      A curve for each replica, and their parameters, stacked along a new first axis.

    Raises:
      InputError: there is nothing to train, or a symbol is out of the network's range.
    """
    if not seeds or len(seeds) != len(rates):
        raise InputError(
            f"{len(seeds)} seeds do not pair with {len(rates)} learning rates; give at least one "
            "replica, a seed and a rate each"
        )
    if steps < 1 or evaluations < 1:
        raise InputError(f"{steps} steps and {evaluations} evaluations; take at least one of each")
    programs = _programs(recipe, problem)
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    state = programs.start(keys)
    dropout_keys = jax.vmap(lambda key: derive(key, "dropout"))(keys)
    every = -(-steps // evaluations)
    every = -(-every // STEPS_PER_CALL) * STEPS_PER_CALL
    schedule = make_schedule(recipe.schedule, 1.0)
    total = every * evaluations
    figures, reports, reached = [], [], []
    if after:
        after(0, state.params)
    chunks = _chunks(recipe, problem, seeds, 0)
    for step in range(0, total, STEPS_PER_CALL):
        counted = jnp.arange(step, step + STEPS_PER_CALL)
        factors = jax.vmap(schedule)(counted / total)
        step_keys = jax.vmap(
            lambda key, counted=counted: jax.vmap(jax.random.fold_in, (None, 0))(key, counted)
        )(dropout_keys)
        state, report = programs.train(
            state, chunks, step_keys, jnp.outer(jnp.array(rates), factors)
        )
        chunks = _chunks(recipe, problem, seeds, step + STEPS_PER_CALL)  # while the device computes
        reports.append(report)
        if (step + STEPS_PER_CALL) % every == 0:
            reached.append(step + STEPS_PER_CALL)
            figures.append(np.asarray(programs.evaluate(state.params)))
            if after:
                after(reached[-1], state.params)
            if solved is not None and np.all(np.any(np.array(figures) < solved, axis=0)):
                break
    shape = len(seeds), len(reached), every
    losses, is_finite, norms, restarted = (
        np.concatenate(arrays, axis=1).reshape(shape) for arrays in zip(*reports, strict=True)
    )
    count = np.where(is_finite.any(axis=2), is_finite.sum(axis=2), np.nan)
    means = np.where(is_finite, losses, 0).sum(axis=2) / count
    highest = np.where(is_finite.any(axis=2), np.where(is_finite, norms, 0).max(axis=2), np.nan)
    curves = [
        Curve(
            seed, rate, reached, listed(np.array([figure[i] for figure in figures])),
            listed(means[i]), int((~is_finite[i]).sum()), listed(highest[i]),
            int(restarted[i].sum()),
        )
        for i, (seed, rate) in enumerate(zip(seeds, rates, strict=True))
    ]  # fmt: skip
    return curves, state.params


def tune(
    recipe: Recipe,
    problem: Problem,
    *,
    steps: int,
    rates: Sequence[float] = RATES,
    moves: int = 2,
    slack: float = 0.0,
) -> tuple[float, list[Curve]]:
    """The learning rate that does best after a few steps, and what was tried, by rising rates.

    Where all diverge it is the lowest that was tried.

    Args:
      recipe: how the network is trained.
      problem: what it learns.
      steps: how many; the schedule falls within them.
      rates: tried first. Where the best is the lowest or the highest tried, as many more are tried
        beyond it, about as far apart.
      moves: how often at most.
      slack: of the rates whose figure exceeds the best one by at most this share of it, the lowest
        is taken: what just holds in a short run may diverge in a long one (`SLACK`).
    """
    if not rates or not all(0 < rate < math.inf for rate in rates):
        raise InputError(f"the learning rates to try are {list(rates)}; give some, all above 0")
    rates = sorted(set(rates))
    factor = (rates[-1] / rates[0]) ** (1 / (len(rates) - 1)) if len(rates) > 1 else FACTOR
    curves: list[Curve] = []
    for _ in range(1 + moves):
        seeds = [TUNING_SEED] * len(rates)
        curves += train_replicas(recipe, problem, seeds, rates, steps=steps, evaluations=1)[0]
        curves.sort(key=lambda curve: curve.rate)
        best = min(curves, key=lambda curve: curve.final).rate
        if best == curves[0].rate:  # or all of them diverged
            rates = [best / factor**i for i in range(len(rates), 0, -1)]
        elif best == curves[-1].rate:
            rates = [best * factor**i for i in range(1, len(rates) + 1)]
        else:
            break
    lowest = min(curve.final for curve in curves)
    limit = lowest + slack * abs(lowest) if math.isfinite(lowest) else lowest
    return next(curve.rate for curve in curves if curve.final <= limit), curves


def over_replicas(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, jitted, of arguments that all have replicas along a first axis."""

    def run(*arguments: Any) -> Any:
        if jax.default_backend() == "cpu":
            return jax.lax.map(lambda x: function(*x), arguments)
        return jax.vmap(function)(*arguments)

    return jax.jit(run)


class _Programs(NamedTuple):
    start: Callable[..., TrainingState]
    train: Callable[..., Any]
    evaluate: Callable[[Params], Array]


@functools.lru_cache(maxsize=8)
def _programs(recipe: Recipe, problem: Problem) -> _Programs:
    network = recipe.network
    optimizer = make_optimizer(
        recipe.optimizer, clip_norm=recipe.clip_norm, clip_value=recipe.clip_value
    )

    def begin(key: Array) -> TrainingState:
        params = init(
            network, key, initializer=recipe.initializer,
            recurrent_initializer=recipe.recurrent_initializer,
        )  # fmt: skip
        return start(network, params, optimizer, problem.batch)

    steps = make_training_steps(network, optimizer, recipe.regularisation, loss=recipe.loss)
    return _Programs(
        over_replicas(begin),
        over_replicas(steps),
        over_replicas(lambda params: problem.evaluate(network, params)),
    )


def _chunks(recipe: Recipe, problem: Problem, seeds: Sequence[int], step: int) -> Chunks:
    """The next steps' data of all replicas, `[replicas, steps, time, batch, ...]`."""
    drawn = [[problem.chunk(seed, i) for i in range(step, step + STEPS_PER_CALL)] for seed in seeds]
    stacked = [[np.stack(arrays) for arrays in zip(*replica, strict=True)] for replica in drawn]
    arrays = [np.stack(arrays) for arrays in zip(*stacked, strict=True)]
    inputs, targets, _, weights = arrays if len(arrays) == 4 else (*arrays, None)
    check_data(recipe.network, inputs, targets, weights, recipe.loss)
    return Chunks(*map(jnp.asarray, arrays))
