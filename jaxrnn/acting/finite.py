"""Finite POMDPs as environments."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from jaxrnn.acting.environments import Discrete, Environment
from jaxrnn.pomdp.model import POMDP


class Finite(NamedTuple):
    """The state of the world, and what Bayes' rule says of it, which the agent is not told."""

    state: Integer[Array, ""]
    belief: Float[Array, " states"]


class FiniteEnvironment(Environment):
    """A POMDP in which an agent acts; an episode ends where the POMDP does, or at a limit.

    Where nothing is seen before the first action, an observation more, the last one, says so. The
    exact belief goes with the state, for those who look on.

    Args:
      pomdp: as data.
      name: of the environment.
      limit: steps after which an episode is cut off; None: never.
    """

    def __init__(self, pomdp: POMDP, name: str = "POMDP", limit: int | None = None) -> None:
        self.pomdp, self.name, self.limit = pomdp, name, limit
        actions, _, seen = pomdp.observation.shape
        self._nothing = seen  # an observation where none is made
        self.observations = Discrete(seen + (pomdp.first_observation is None))
        self.actions = Discrete(actions)
        # Running sums: a number drawn evenly from 0 to 1 finds its place among them.
        self._start = _sums(pomdp.start)
        self._transition, self._observation = _sums(pomdp.transition), _sums(pomdp.observation)
        first = pomdp.first_observation
        self._first = None if first is None else (_sums(first), jnp.float32(first))
        self._chance = jnp.float32(pomdp.transition), jnp.float32(pomdp.observation)
        self._reward, self._terminal = jnp.float32(pomdp.reward), jnp.asarray(pomdp.terminal)

    def begin(self, key: PRNGKeyArray) -> tuple[Array, Finite]:
        state_key, seen_key = jax.random.split(key)
        state = _draw(state_key, self._start)
        belief = jnp.float32(self.pomdp.start)
        if self._first is None:
            return jnp.int32(self._nothing), Finite(state, belief)
        sums, chances = self._first
        seen = _draw(seen_key, sums[state])
        belief = belief * chances[:, seen]
        return seen, Finite(state, belief / belief.sum())

    def move(
        self, key: PRNGKeyArray, state: Finite, action: Array
    ) -> tuple[Array, Finite, Array, Array]:
        state_key, seen_key = jax.random.split(key)
        after = _draw(state_key, self._transition[action, state.state])
        seen = _draw(seen_key, self._observation[action, after])
        transition, observation = self._chance
        belief = state.belief @ transition[action] * observation[action, :, seen]
        belief = belief / jnp.maximum(belief.sum(), 1e-30)
        reward = self._reward[action, state.state, after]
        return seen, Finite(after, belief), reward, self._terminal[after]


def _sums(probabilities: np.ndarray) -> Array:
    return jnp.float32(np.cumsum(probabilities, axis=-1))


def _draw(key: PRNGKeyArray, sums: Float[Array, " options"]) -> Integer[Array, ""]:
    """Never one of probability 0: sums that do not grow are passed over."""
    place = jax.random.uniform(key) * sums[-1]
    return jnp.minimum((sums <= place).sum(), (sums < sums[-1]).sum()).astype(jnp.int32)
