"""How long training steps and gradients take, measured side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from experiments.laboratory.replicas import RATES, training
from experiments.laboratory.stopwatch import Contender, Spread, take_turns
from jaxrnn.core.engine.options import Options
from jaxrnn.core.engine.unroll import unroll
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, init, initial_state
from jaxrnn.learning.loss import cross_entropy
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.training import STEPS_PER_CALL

SECONDS = 0.05  # of each measurement, or one call of the training program if that takes longer
LANES = 32  # of chunks whose gradients are timed


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


def time_gradients(
    network: Network, twin: Network, chunks: Sequence[int], *, rounds: int, seconds: float
) -> dict[str, Any]:
    """Milliseconds, in rounds, and megabytes that gradients of chunks of several lengths need.

    Args:
      network: a recurrent one.
      twin: a feed-forward one, for which a chunk is so many more lanes.
      chunks: how many time steps each has.
      rounds: in each of them all have their turn.
      seconds: of each measurement.

    Returns:
      `milliseconds` and `megabytes`, both from "recurrent 1", "feedforward 1" and so on.
    """
    contenders = {
        f"{name} {chunk}": Gradient(one, chunk)
        for name, one in (("recurrent", network), ("feedforward", twin))
        for chunk in chunks
    }
    timers = {name: contender.seconds_each for name, contender in contenders.items()}
    found = take_turns(timers, rounds, seconds)
    return {
        "milliseconds": {name: (1e3 * s).round(4).tolist() for name, s in found.items()},
        "megabytes": {name: contender.megabytes for name, contender in contenders.items()},
    }


def compare_gradients(timed: Mapping[str, Any], chunks: Sequence[int]) -> list[dict[str, Any]]:
    """What `time_gradients` found, for each chunk: medians of rounds, and their spread."""
    rounds = {name: np.array(figures) for name, figures in timed["milliseconds"].items()}
    rows = []
    for chunk in chunks:
        own, other = rounds[f"recurrent {chunk}"], rounds[f"feedforward {chunk}"]
        rows.append({
            "chunk": chunk,
            "milliseconds": _spread(own),
            "times_a_step": _spread(own / rounds["feedforward 1"]),
            "times_as_many": _spread(own / other),
            "feedforward_times_a_step": _spread(other / rounds["feedforward 1"]),
            "megabytes": timed["megabytes"][f"recurrent {chunk}"],
            "feedforward_megabytes": timed["megabytes"][f"feedforward {chunk}"],
        })  # fmt: skip
    return rows


class Steps(Contender):
    """Calls of the program that trains a network from all seeds."""

    def __init__(
        self, network: Network, recipe: Recipe, problem: Problem, seeds: Sequence[int]
    ) -> None:
        self._states = training(network, recipe, problem, seeds, [RATES[0]] * len(seeds))

    def run(self, count: int) -> None:
        for _ in range(count):
            state = next(self._states)
        jax.block_until_ready(state)


class Gradient(Contender):
    """The gradient of the mean cross-entropy of one chunk, in one piece.

    Attributes:
      megabytes: what it needs besides its arguments and its result.
    """

    def __init__(self, network: Network, chunk: int) -> None:
        def loss(params: Params, symbols: Integer[Array, "time batch"]) -> Float[Array, ""]:
            state = initial_state(network, LANES)
            outputs, _ = unroll(network, params, state, symbols[:-1], options=Options(segment=0))
            return cross_entropy(outputs, symbols[1:]).mean()

        size = (chunk + 1, LANES)
        symbols = np.random.default_rng(0).integers(network.input_size, size=size)
        self._arguments = init(network, jax.random.key(0)), jnp.asarray(symbols)
        self._gradient = jax.jit(jax.grad(loss)).lower(*self._arguments).compile()
        plan = self._gradient.memory_analysis()
        self.megabytes = round(plan.temp_size_in_bytes / 1e6, 3)  # pyright: ignore[reportOptionalMemberAccess]

    def run(self, count: int) -> None:
        for _ in range(count):
            gradient = self._gradient(*self._arguments)
        jax.block_until_ready(gradient)


def _spread(values: np.ndarray) -> dict[str, float]:
    return {name: round(value, 4) for name, value in Spread.of(values)._asdict().items()}
