"""How an agent is judged: by what it wins in fresh episodes, each from its start to its end."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray

from jaxrnn.acting.environments import Place
from jaxrnn.acting.rollout import Lanes, act, begin
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params


class Episodes(NamedTuple):
    """What came of some episodes.

    Attributes:
      won: the rewards of each, added up.
      discounted: likewise, each reward worth less by the discount for every step before it.
      length: in steps.
      ended: false where an episode went on for longer than it was watched.
    """

    won: Float[Array, " episodes"]
    discounted: Float[Array, " episodes"]
    length: Integer[Array, " episodes"]
    ended: Bool[Array, " episodes"]


class Trace(NamedTuple):
    """One step of all episodes; of some of them it may lie beyond the end (`alive` is false).

    Attributes:
      heard: the network's inputs, of which
      first: says whether they are an episode's first: what `unroll` takes, and its resets.
      observation, action, reward: what was seen, done and won.
      policy: the policy's outputs.
      alive: likewise.
      environment: its states when the observation was made.
      memory: the network's state after it has heard all that.
    """

    heard: dict[str, Array]
    first: Bool[Array, " episodes"]
    observation: Array
    action: Array
    reward: Float[Array, " episodes"]
    policy: Float[Array, "episodes _size"]
    alive: Bool[Array, " episodes"]
    environment: object
    memory: object


class _Playing(NamedTuple):
    lanes: Lanes
    found: Episodes
    time: Integer[Array, ""]


_STATIC = ("network", "place", "episodes", "steps", "discount", "reward_scale", "likely")


@partial(jax.jit, static_argnames=_STATIC)
def play(
    network: Network,
    params: Params,
    place: Place,
    key: PRNGKeyArray,
    *,
    episodes: int,
    steps: int,
    discount: float = 1.0,
    reward_scale: float = 1.0,
    likely: bool = False,
) -> Episodes:
    """Plays episodes side by side, until all have ended.

    Args:
      network: the agent's.
      params: its parameters.
      place: where it acts.
      key: decides what is drawn and what the environment does.
      episodes: how many.
      steps: the most that are watched of any.
      discount: for what is discounted.
      reward_scale: what the network hears rewards multiplied by.
      likely: take the likeliest action each time, instead of drawing one from the policy.
    """

    def goes_on(now: _Playing) -> Bool[Array, ""]:
        return (now.time < steps) & ~now.found.ended.all()

    def body(now: _Playing) -> _Playing:
        lanes, acted = act(
            network, params, place, now.lanes, jax.random.fold_in(key, now.time),
            reward_scale=reward_scale, likely=likely,
        )  # fmt: skip
        won, discounted, length, ended = now.found
        reward = jnp.where(ended, 0, acted.came.reward)
        weight = jnp.power(jnp.float32(discount), now.time)
        found = Episodes(
            won + reward, discounted + weight * reward, length + ~ended, ended | acted.done
        )
        return _Playing(lanes, found, now.time + 1)

    zeros = jnp.zeros(episodes)
    nothing = Episodes(zeros, zeros, jnp.zeros(episodes, jnp.int32), jnp.zeros(episodes, bool))
    lanes = begin(network, place, episodes, jax.random.fold_in(key, steps))
    return jax.lax.while_loop(goes_on, body, _Playing(lanes, nothing, jnp.int32(0))).found


@partial(jax.jit, static_argnames=[name for name in _STATIC if name != "discount"])
def watch(
    network: Network,
    params: Params,
    place: Place,
    key: PRNGKeyArray,
    *,
    episodes: int,
    steps: int,
    reward_scale: float = 1.0,
    likely: bool = False,
) -> Trace:
    """Plays episodes and keeps each of so many steps, along a first axis."""

    def body(
        now: tuple[Lanes, Bool[Array, " episodes"]], key: PRNGKeyArray
    ) -> tuple[tuple[Lanes, Bool[Array, " episodes"]], Trace]:
        lanes, alive = now
        after, acted = act(
            network, params, place, lanes, key, reward_scale=reward_scale, likely=likely
        )
        trace = Trace(
            acted.heard, lanes.first, lanes.observation, acted.action, acted.came.reward,
            acted.policy, alive, lanes.environment, acted.memory,
        )  # fmt: skip
        return (after, alive & ~acted.done), trace

    lanes = begin(network, place, episodes, jax.random.fold_in(key, steps))
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(steps))
    return jax.lax.scan(body, (lanes, jnp.ones(episodes, bool)), keys)[1]
