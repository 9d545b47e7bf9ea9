"""Several runs of one network that differ in seed and learning rate alone, as one program.

On accelerators the replicas are vmapped; on a CPU, which has nothing idle that more lanes could
fill, they run one after the other inside the program (`lax.map`). What either takes is measured by
`python -m experiments.benchmark --suite=choices --only=replicas`.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from experiments.laboratory.statistics import listed
from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params
from jaxrnn.learning.batch import Batch, stack
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.replicas import over_replicas
from jaxrnn.learning.stepping import in_calls
from jaxrnn.learning.symbols import check_data
from jaxrnn.learning.training import STEPS_PER_CALL, TrainingState
from jaxrnn.running.needs import check_replicas

TUNING_SEED = 1_000_000  # no seed of a run that counts
CUT = (50, 100)  # of studies' validation texts: lanes and time steps
SLACK = 0.035  # about 0.1 of the 3 bits per character that short runs reach
RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)  # where tuning looks first
FACTOR = 2.0  # to the next rate, where one alone is tried


class Curve(NamedTuple):
    """One replica's run. What is not finite is None.

    Attributes:
      seed, rate: its own; the rate is the highest of the schedule.
      steps: after which it was evaluated.
      valid: what was judged by, then, in the problem's unit.
      train: the mean loss of the steps since the evaluation before, in nats for cross-entropy.
      skipped: steps that were skipped because something in them was not finite.
      norms: the highest of the gradients', before clipping, in the same steps as `train`.
      restarted: lanes that skipped steps made start anew.
      baseline: the problem's.
    """

    seed: int
    rate: float
    steps: list[int]
    valid: list[float | None]
    train: list[float | None]
    skipped: int
    norms: list[float | None]
    restarted: int = 0
    baseline: float | None = None

    @property
    def final(self) -> float:
        """The last figure; infinite where that was not finite."""
        return float("inf") if self.valid[-1] is None else self.valid[-1]


def train_replicas(
    network: Network,
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
      network: of all of them.
      recipe: how; its learning rate does not count.
      problem: what they learn.
      seeds: each decides its replica's parameters, data and dropout.
      rates: each the highest learning rate of its replica's schedule.
      steps: how many; rounded up so that evaluations are equally far apart.
      evaluations: how often they are evaluated, the last time at the end.
      solved: stop as soon as every replica's figure has once been better than this.
      after: called with steps and parameters before training and after each evaluation.

    Returns:
      A curve for each replica, and their parameters, stacked along a new first axis.

    Raises:
      InputError: there is nothing to train, a symbol is out of the network's range, or the
        replicas do not fit in memory.
    """
    if not seeds or len(seeds) != len(rates):
        raise InputError(
            f"{len(seeds)} seeds do not pair with {len(rates)} learning rates; give at least one "
            "replica, a seed and a rate each"
        )
    if steps < 1 or evaluations < 1:
        raise InputError(f"{steps} steps and {evaluations} evaluations; take at least one of each")
    check_replicas(network, recipe, problem.batch, len(seeds))
    programs = _programs(network, recipe, problem)
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    state = programs.start(keys)
    every = -(-steps // evaluations)
    every = -(-every // STEPS_PER_CALL) * STEPS_PER_CALL
    figures, reports, reached = [], [], []
    if after:
        after(0, state.params)
    calls = _calls(network, recipe, problem, seeds, rates, every * evaluations)
    trained = in_calls(programs.train, state, calls)
    for step, (state, report, _) in enumerate(trained, start=1):
        reports.append(report)
        if step * STEPS_PER_CALL % every == 0:
            reached.append(step * STEPS_PER_CALL)
            figures.append(np.asarray(programs.evaluate(state.params)))
            if after:
                after(reached[-1], state.params)
            if solved is not None and np.all(_once_better(problem, np.array(figures), solved)):
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
            int(restarted[i].sum()), problem.baseline,
        )
        for i, (seed, rate) in enumerate(zip(seeds, rates, strict=True))
    ]  # fmt: skip
    return curves, state.params


def training(
    network: Network,
    recipe: Recipe,
    problem: Problem,
    seeds: Sequence[int],
    rates: Sequence[float],
) -> Iterator[TrainingState]:
    """The states after call upon call of the program that trains replicas, on the same data."""
    programs = _programs(network, recipe, problem)
    start = programs.start(jnp.stack([jax.random.key(seed) for seed in seeds]))
    call = next(_calls(network, recipe, problem, seeds, rates, STEPS_PER_CALL))
    for state, _, _ in in_calls(programs.train, start, itertools.repeat(call)):
        yield state


def tune(
    network: Network,
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
      network: what is trained.
      recipe: how; its learning rate does not count.
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

    def cost(curve: Curve) -> float:
        return problem.judged.cost(curve.valid[-1])

    for _ in range(1 + moves):
        seeds = [TUNING_SEED] * len(rates)
        curves += train_replicas(
            network, recipe, problem, seeds, rates, steps=steps, evaluations=1
        )[0]
        curves.sort(key=lambda curve: curve.rate)
        best = min(curves, key=cost).rate
        if best == curves[0].rate:  # or all of them diverged
            rates = [best / factor**i for i in range(len(rates), 0, -1)]
        elif best == curves[-1].rate:
            rates = [best * factor**i for i in range(1, len(rates) + 1)]
        else:
            break
    lowest = min(map(cost, curves))
    limit = lowest + slack * abs(lowest) if math.isfinite(lowest) else lowest
    return next(curve.rate for curve in curves if cost(curve) <= limit), curves


class _Programs(NamedTuple):
    start: Callable[..., TrainingState]
    train: Callable[..., Any]
    evaluate: Callable[[Params], Array]


@functools.lru_cache(maxsize=8)
def _programs(network: Network, recipe: Recipe, problem: Problem) -> _Programs:
    return _Programs(
        over_replicas(lambda key: recipe.start(network, problem.batch, key)),
        over_replicas(recipe.training_steps(network, problem.loss.of)),
        over_replicas(problem.figure(network)),
    )


def _calls(
    network: Network,
    recipe: Recipe,
    problem: Problem,
    seeds: Sequence[int],
    rates: Sequence[float],
    total: int,
) -> Iterator[tuple[Batch, Array, Array]]:
    """Data, keys and rates of all replicas, `[replicas, steps, ...]`, for so many steps."""
    schedule = replace(recipe, learning_rate=1.0).make_schedule()
    dropout_keys = jnp.stack([derive(jax.random.key(seed), "dropout") for seed in seeds])
    for start in range(0, total, STEPS_PER_CALL):
        steps = range(start, start + STEPS_PER_CALL)
        batches = stack(
            stack(problem.data(seed, step, slice(None)) for step in steps) for seed in seeds
        )
        check_data(network, batches, problem.loss.of)
        counted = jnp.array(steps)
        keys = jax.vmap(
            lambda key, counted=counted: jax.vmap(jax.random.fold_in, (None, 0))(key, counted)
        )(dropout_keys)
        factors = jax.vmap(schedule)(counted / total)
        yield jax.tree.map(jnp.asarray, batches), keys, jnp.outer(jnp.array(rates), factors)


def _once_better(problem: Problem, figures: np.ndarray, than: float) -> np.ndarray:
    """Of `[evaluations, replicas]`: which replicas ever were."""
    sign = -1 if problem.judged.larger_is_better else 1
    return np.any(sign * figures < sign * than, axis=0)
