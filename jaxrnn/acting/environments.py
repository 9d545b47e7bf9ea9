"""Environments: what an agent acts in, by the convention of the JAX world (gymnax).

    observation, state = environment.reset(key, params)
    observation, state, reward, terminated, truncated, info = environment.step(
        key, state, action, params
    )

are pure functions of one place; `vmap` makes many of them. An episode that ends begins anew within
`step`: the observation returned is then the next episode's first, and the last one's own is
`info["final_observation"]`. Older environments return five values, `done` in place of two.
`adapt` takes both, by what they do: no library of environments is needed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrnn.core.checks import shown
from jaxrnn.core.errors import InputError


class Discrete(NamedTuple):
    """One of `n` things: 0, 1, ... n - 1."""

    n: int


class Box(NamedTuple):
    """An array of real numbers, each between two bounds: one of all, or one each, in a row."""

    shape: tuple[int, ...]
    low: float | tuple[float, ...] = -math.inf
    high: float | tuple[float, ...] = math.inf

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Of the shape of the space."""
        low, high = (
            jnp.broadcast_to(jnp.float32(bound).reshape(self.shape if many else ()), self.shape)
            for bound, many in ((b, isinstance(b, tuple)) for b in (self.low, self.high))
        )
        return low, high


Space = Discrete | Box


class Transition(NamedTuple):
    """What one step in one place leads to.

    Attributes:
      observation: seen next; the first of a new episode where one ended.
      state: the environment's, which goes with it.
      reward: for the step.
      terminated: whether the episode came to its end: nothing follows that could be worth anything.
      truncated: whether it was cut off by a limit of time: more would have followed.
      final: seen at the end of the episode, where it ended; else the observation.
    """

    observation: Array
    state: Any
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    final: Array


class Environment:
    """A base for environments of your own, which gives two functions the convention's form.

    `begin(key) -> (observation, state)` starts an episode; `move(key, state, action) ->
    (observation, state, reward, terminated)` is one step of it, after which nothing begins anew.

    Attributes:
      observations, actions: the spaces.
      limit: after so many steps an episode is cut off; None: never.
    """

    observations: Space
    actions: Space
    limit: int | None = None

    def begin(self, key: PRNGKeyArray) -> tuple[Array, Any]:
        """The first observation of an episode, and the state."""
        raise NotImplementedError

    def move(self, key: PRNGKeyArray, state: Any, action: Array) -> tuple[Array, Any, Array, Array]:
        """Observation, state, reward, and whether the episode is over."""
        raise NotImplementedError

    @property
    def default_params(self) -> None:
        return None

    def observation_space(self, params: Any = None) -> Space:
        return self.observations

    def action_space(self, params: Any = None) -> Space:
        return self.actions

    def reset(self, key: PRNGKeyArray, params: Any = None) -> tuple[Array, Any]:
        observation, state = self.begin(key)
        return observation, (state, jnp.int32(0))

    def step(
        self, key: PRNGKeyArray, state: Any, action: Array, params: Any = None
    ) -> tuple[Array, Any, Array, Array, Array, dict[str, Array]]:
        move_key, begin_key = jax.random.split(key)
        inner, time = state
        final, inner, reward, terminated = self.move(move_key, inner, action)
        terminated, time = jnp.asarray(terminated, bool), time + 1
        at_limit = False if self.limit is None else time >= self.limit
        truncated = ~terminated & at_limit
        first, fresh = self.reset(begin_key)
        observation, state = jax.tree.map(
            lambda new, old: jnp.where(terminated | truncated, new, old),
            (first, fresh), (final, (inner, time)),
        )  # fmt: skip
        info = {"final_observation": final}
        return observation, state, jnp.float32(reward), terminated, truncated, info


@dataclass(frozen=True)
class Place:
    """An environment as agents know it, made by `adapt`; all of it is about one place.

    Attributes:
      name: its own.
      observations, actions: the spaces.
      reset: `key -> (observation, state)`.
      step: `(key, state, action) -> Transition`.
      truncates: whether an episode may be cut off.
    """

    name: str
    observations: Space
    actions: Space
    reset: Callable[[PRNGKeyArray], tuple[Array, Any]]
    step: Callable[[PRNGKeyArray, Any, Array], Transition]
    truncates: bool


def adapt(environment: Any, params: Any = None) -> Place:
    """What agents need of an environment, whichever form of the convention it has.

    With five values an episode that is done counts as terminated: that it was cut off cannot be
    seen.

    Args:
      environment: with `reset`, `step`, `observation_space` and `action_space`, as of gymnax.
      params: its parameters; None: its `default_params`, if it has such.

    Raises:
      InputError: it is no such environment, a space is neither discrete nor a box, or what it
        returns is of another form.
    """
    if isinstance(environment, Place):
        return environment
    name = str(getattr(environment, "name", None) or type(environment).__name__)
    for method in ("reset", "step", "observation_space", "action_space"):
        if not callable(getattr(environment, method, None)):
            raise InputError(
                f"{name} has no function '{method}'; give an environment with reset, step, "
                "observation_space and action_space, as gymnax's are"
            )
    params = getattr(environment, "default_params", None) if params is None else params
    seen = _space(environment.observation_space(params), f"the observation space of {name}")
    acted = _space(environment.action_space(params), f"the action space of {name}")

    def reset(key: PRNGKeyArray) -> tuple[Array, Any]:
        observation, state = environment.reset(key, params)
        return _seen(observation, seen), state

    action = jax.eval_shape(lambda key: sample_space(acted, key), jax.random.key(0))
    try:
        _, state = jax.eval_shape(reset, jax.random.key(0))
        returned = jax.eval_shape(
            lambda *x: environment.step(*x, params), jax.random.key(0), state, action
        )
    except InputError:
        raise
    except Exception as error:  # whatever someone else's environment raises
        raise InputError(
            f"{name} cannot be reset and stepped under jax.jit ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}); give one written in JAX"
        ) from error
    if not isinstance(returned, tuple) or len(returned) not in (5, 6):
        raise InputError(
            f"a step of {name} returns {shown(returned)}; expected are (observation, state, "
            "reward, terminated, truncated, info), or five values with done"
        )
    if len(returned) == 6 and "final_observation" not in returned[-1]:
        raise InputError(
            f"the info of {name} lacks 'final_observation', what an episode that was cut off is "
            "judged by; add it, as gymnax 1.0 does"
        )

    def step(key: PRNGKeyArray, state: Any, action: Array) -> Transition:
        observation, state, reward, *ends, info = environment.step(key, state, action, params)
        terminated, truncated = ends if len(ends) == 2 else (ends[0], jnp.zeros_like(ends[0]))
        final = info["final_observation"] if len(ends) == 2 else observation
        return Transition(
            _seen(observation, seen), state, jnp.asarray(reward, jnp.float32).reshape(()),
            jnp.asarray(terminated, bool).reshape(()), jnp.asarray(truncated, bool).reshape(()),
            _seen(final, seen),
        )  # fmt: skip

    endless = isinstance(environment, Environment) and environment.limit is None
    return Place(name, seen, acted, reset, step, len(returned) == 6 and not endless)


def sample_space(space: Space, key: PRNGKeyArray) -> Array:
    """Something of it, all things being equally likely; of a box without bounds a normal draw."""
    if isinstance(space, Discrete):
        return jax.random.randint(key, (), 0, space.n)
    low, high = space.bounds
    bounded = jnp.isfinite(low) & jnp.isfinite(high)
    low, high = jnp.where(bounded, low, -1.0), jnp.where(bounded, high, 1.0)
    uniform = jax.random.uniform(key, space.shape, minval=low, maxval=high)
    return jnp.where(bounded, uniform, jax.random.normal(key, space.shape))


def size_of(space: Space) -> int:
    """How many symbols, or how many numbers."""
    return space.n if isinstance(space, Discrete) else math.prod(space.shape)


def _space(given: Any, what: str) -> Space:
    """By what it has: another library's Discrete has `n`, its Box a shape and bounds."""
    if hasattr(given, "n"):
        return Discrete(int(given.n))
    if hasattr(given, "shape") and hasattr(given, "low") and hasattr(given, "high"):
        shape = tuple(int(size) for size in (given.shape or ()))
        low, high = (
            float(bound) if np.ndim(bound) == 0 else tuple(map(float, np.ravel(bound)))
            for bound in (given.low, given.high)
        )
        return Box(shape, low, high)
    raise InputError(f"{what} is {shown(given)}; give one that is discrete or a box")


def _seen(observation: Any, space: Space) -> Array:
    """A symbol, or a row of numbers."""
    if isinstance(space, Discrete):
        return jnp.asarray(observation, jnp.int32).reshape(())
    return jnp.asarray(observation, jnp.float32).reshape(-1)
