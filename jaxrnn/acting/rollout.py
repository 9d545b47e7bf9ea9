"""Acting: a network takes steps in many places at once, a lane each, and what happened is kept.

The order of a step in each lane: the agent sees an observation, which may be the first of an
episode; what it remembers from before is then forgotten; it acts; the environment answers. So the
flag of a reset belongs to the observation that is first, and the state of the network that goes
with a rollout is the one before its first step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray

from jaxrnn.acting.environments import Place, Transition
from jaxrnn.acting.policy import POLICY, VALUE, as_heard, draw, within
from jaxrnn.core.engine.unroll import step
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, State, initial_state

Heard = dict[str, Array]  # a network's inputs by name


class Lanes(NamedTuple):
    """Where acting stands in each lane.

    Attributes:
      memory: the network's state, before it has seen the observation.
      environment: the environment's states.
      observation: what is seen now.
      action: the last one of this episode, as the network hears it; zeros where there is none.
      reward: likewise, scaled.
      first: whether the observation is the first of an episode.
      won: the rewards of this episode so far, added up.
      length: how many steps it has taken.
    """

    memory: State
    environment: Any
    observation: Array
    action: Float[Array, "lanes _size"]
    reward: Float[Array, " lanes"]
    first: Bool[Array, " lanes"]
    won: Float[Array, " lanes"]
    length: Integer[Array, " lanes"]


class Rollout(NamedTuple):
    """What happened, step by step.

    Attributes:
      heard: the network's inputs.
      first: whether they are an episode's first: what `unroll` takes as resets.
      action: what was drawn.
      log_probability: of it, then.
      value: what the network expected.
      reward: as the environment gives it.
      terminated, truncated: whether the step ended an episode, or a limit of time did.
      final_value: what the network expects after an episode's last observation, where it was cut
        off; else 0.
      won: the rewards of the whole episode, at its last step.
    """

    heard: Heard
    first: Bool[Array, "time lanes"]
    action: Array
    log_probability: Float[Array, "time lanes"]
    value: Float[Array, "time lanes"]
    reward: Float[Array, "time lanes"]
    terminated: Bool[Array, "time lanes"]
    truncated: Bool[Array, "time lanes"]
    final_value: Float[Array, "time lanes"]
    won: Float[Array, "time lanes"]

    @property
    def done(self) -> Bool[Array, "time lanes"]:
        return self.terminated | self.truncated


def begin(network: Network, place: Place, lanes: int, key: PRNGKeyArray) -> Lanes:
    """So many places, each at the start of an episode."""
    observation, environment = jax.vmap(place.reset)(jax.random.split(key, lanes))
    action = jax.eval_shape(lambda: as_heard(place.actions, _no_action(place, lanes)))
    zeros = jnp.zeros(lanes)
    return Lanes(
        initial_state(network, lanes), environment, observation, jnp.zeros(action.shape), zeros,
        jnp.ones(lanes, bool), zeros, jnp.zeros(lanes, jnp.int32),
    )  # fmt: skip


def heard(
    network: Network, observation: Array, action: Array, reward: Float[Array, " lanes"]
) -> Heard:
    """What the network hears of it."""
    offered = {"observation": observation, "action": action, "reward": reward[:, None]}
    return {name: offered[name] for name, _ in network.inputs}


def collect(
    network: Network,
    params: Params,
    place: Place,
    lanes: Lanes,
    key: PRNGKeyArray,
    *,
    length: int,
    reward_scale: float = 1.0,
) -> tuple[Lanes, Rollout]:
    """Acts for so many steps in every lane, and goes on from there the next time.

    Args:
      network: the agent's, with a policy and a value as outputs.
      params: its parameters.
      place: where it acts.
      lanes: where acting stands.
      key: decides what is drawn and what the environment does.
      length: of the rollout.
      reward_scale: the network hears rewards multiplied by it.
    """

    def body(lanes: Lanes, key: PRNGKeyArray) -> tuple[Lanes, Rollout]:
        inputs = heard(network, lanes.observation, lanes.action, lanes.reward)
        outputs, memory = step(network, params, lanes.memory, inputs, resets=lanes.first)
        action_key, place_key = jax.random.split(key)
        action, log_probability = draw(place.actions, outputs[POLICY], action_key)
        came = move(place, lanes.environment, action, place_key)
        done, last = came.terminated | came.truncated, as_heard(place.actions, action)
        scaled = reward_scale * came.reward
        final_value = jnp.zeros_like(scaled)
        if place.truncates:
            after = heard(network, came.final, last, scaled)
            final_value = jax.lax.cond(
                came.truncated.any(),
                # Of the state that has seen all of the episode but its last observation. The state
                # that comes of it is nobody's.
                lambda: step(network, params, memory, after)[0][VALUE][:, 0],
                lambda: final_value,
            )
        won = lanes.won + came.reward
        happened = Rollout(
            inputs, lanes.first, action, log_probability, outputs[VALUE][:, 0], came.reward,
            came.terminated, came.truncated, jnp.where(came.truncated, final_value, 0), won,
        )  # fmt: skip
        goes_on = ~done
        return Lanes(
            memory, came.state, came.observation, last * goes_on[:, None], scaled * goes_on, done,
            won * goes_on, (lanes.length + 1) * goes_on,
        ), happened  # fmt: skip

    return jax.lax.scan(body, lanes, jax.random.split(key, length))


def move(place: Place, environment: Any, action: Array, key: PRNGKeyArray) -> Transition:
    """One step in every lane."""
    keys = jax.random.split(key, action.shape[0])
    return jax.vmap(place.step)(keys, environment, within(place.actions, action))


def next_value(network: Network, params: Params, lanes: Lanes) -> Float[Array, " lanes"]:
    """What the network expects of what it is about to see; the lanes stay where they are."""
    inputs = heard(network, lanes.observation, lanes.action, lanes.reward)
    return step(network, params, lanes.memory, inputs, resets=lanes.first)[0][VALUE][:, 0]


def _no_action(place: Place, lanes: int) -> Array:
    shape = getattr(place.actions, "shape", ())
    return jnp.zeros((lanes, *shape), jnp.int32 if not shape else jnp.float32)
