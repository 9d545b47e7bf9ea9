"""How long training steps take, measured side by side."""

from collections.abc import Sequence

import jax
import numpy as np

from experiments.laboratory.replicas import RATES, training
from experiments.laboratory.stopwatch import Contender, take_turns
from jaxrnn.core.network import Network
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.training import STEPS_PER_CALL

SECONDS = 0.05  # of each measurement, or one call of the training program if that takes longer


class Steps(Contender):
    """Calls of the program that trains a network from all seeds."""

    def __init__(
        self, network: Network, recipe: Recipe, problem: Problem, seeds: Sequence[int]
    ) -> None:
        self._calls = training(network, recipe, problem, seeds, [RATES[0]] * len(seeds))

    def run(self, count: int) -> None:
        for _ in range(count):
            state = next(self._calls)
        jax.block_until_ready(state)


def milliseconds_per_step(
    networks: Sequence[Network],
    recipe: Recipe,
    problem: Problem,
    seeds: Sequence[int],
    *,
    rounds: int,
) -> list[float]:
    """What a step takes each network, as the seeds' replicas are trained: medians of rounds."""
    steps = [Steps(network, recipe, problem, seeds) for network in networks]
    timers = {str(i): own.seconds_each for i, own in enumerate(steps)}
    found = take_turns(timers, rounds, SECONDS)
    return [
        float(1000 * np.median(seconds)) / STEPS_PER_CALL / len(seeds) for seconds in found.values()
    ]
