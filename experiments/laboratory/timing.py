"""How long training steps take, measured side by side."""

import itertools
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.laboratory.replicas import RATES, TUNING_SEED
from jaxrnn.core.keys import derive
from jaxrnn.core.network import Network
from jaxrnn.learning.batch import stack
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.stepping import in_calls
from jaxrnn.learning.training import STEPS_PER_CALL


def milliseconds_per_step(
    networks: Sequence[Network], recipe: Recipe, problem: Problem, *, rounds: int = 20
) -> list[float]:
    """What a training step takes each network: medians of rounds in which each has its turn.

    Taking turns, they suffer alike from whatever else the machine does. Compiling does not count.
    """
    key = jax.random.key(TUNING_SEED)
    drawn = stack(problem.data(TUNING_SEED, step, slice(None)) for step in range(STEPS_PER_CALL))
    keys = jax.random.split(derive(key, "dropout"), STEPS_PER_CALL)
    call = jax.tree.map(jnp.asarray, drawn), keys, jnp.full(STEPS_PER_CALL, RATES[0])
    runs = [
        in_calls(
            recipe.training_steps(network, problem.loss.of),
            recipe.start(network, problem.batch, key),
            itertools.repeat(call),
        )
        for network in networks
    ]
    seconds = np.zeros((1 + rounds, len(runs)))
    for turn in seconds:
        for i, run in enumerate(runs):
            began = time.perf_counter()
            jax.block_until_ready(next(run)[0])
            turn[i] = time.perf_counter() - began
    return [float(t) for t in 1000 * np.median(seconds[1:], axis=0) / STEPS_PER_CALL]
