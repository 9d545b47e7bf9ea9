"""How long training steps take, measured side by side."""

import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments.laboratory.replicas import RATES, STEPS_PER_CALL, TUNING_SEED, Problem, Recipe
from jaxrnn.core.keys import derive
from jaxrnn.core.parameters import init
from jaxrnn.learning.optimizers import make_optimizer
from jaxrnn.learning.training import Chunks, make_training_steps, start


def milliseconds_per_step(
    recipes: Sequence[Recipe], problem: Problem, *, rounds: int = 20
) -> list[float]:
    """What a training step takes by each recipe: medians of rounds in which each has its turn.

    Taking turns, they suffer alike from whatever else the machine does. Compiling does not count.
    """
    key = jax.random.key(TUNING_SEED)
    drawn = [problem.chunk(TUNING_SEED, step) for step in range(STEPS_PER_CALL)]
    chunks = Chunks(*(jnp.asarray(np.stack(arrays)) for arrays in zip(*drawn, strict=True)))
    rates = jnp.full(STEPS_PER_CALL, RATES[0])
    keys = jax.random.split(derive(key, "dropout"), STEPS_PER_CALL)
    programs, states = [], []
    for recipe in recipes:
        optimizer = make_optimizer(
            recipe.optimizer, clip_norm=recipe.clip_norm, clip_value=recipe.clip_value
        )
        programs.append(
            make_training_steps(
                recipe.network, optimizer, recipe.regularisation, loss=recipe.loss
            )
        )  # fmt: skip
        states.append(start(recipe.network, init(recipe.network, key), optimizer, problem.batch))
    seconds = np.zeros((1 + rounds, len(recipes)))
    for turn in seconds:
        for i, program in enumerate(programs):
            began = time.perf_counter()
            states[i], _ = program(states[i], chunks, keys, rates)
            jax.block_until_ready(states[i])
            turn[i] = time.perf_counter() - began
    return [float(t) for t in 1000 * np.median(seconds[1:], axis=0) / STEPS_PER_CALL]
