"""Acting: a network takes steps in many places at once, a lane each, and what happened is kept.

The order of a step in each lane: the agent sees an observation, which may be the first of an
episode; what it remembers from before is then forgotten; it acts; the environment answers. So the
flag of a reset belongs to the observation that is first, and the state of the network that goes
with a rollout is the one before its first step.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrnn.acting.environments import Place, Transition
from jaxrnn.acting.policy import (
    POLICY,
    VALUE,
    as_heard,
    draw,
    likeliest,
    log_probability,
    within,
)
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
    """

    memory: State
    environment: Any
    observation: Array
    action: Float[Array, "lanes _size"]
    reward: Float[Array, " lanes"]
    first: Bool[Array, " lanes"]
    won: Float[Array, " lanes"]


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
        jnp.ones(lanes, bool), zeros,
    )  # fmt: skip


def heard(
    network: Network, observation: Array, action: Array, reward: Float[Array, " lanes"]
) -> Heard:
    """What the network hears of it."""
    offered = {"observation": observation, "action": action, "reward": reward[:, None]}
    return {name: offered[name] for name, _ in network.inputs}


class Act(NamedTuple):
    """One step in every lane, and what came of it.

    Attributes:
      heard: the network's inputs.
      memory: its state, after it has heard them.
      policy, value: what it put out.
      action, log_probability: what was done.
      came: what the environment made of that.
      last: the action, as the network hears it.
      reward: that of the environment, scaled.
      won: the rewards of the episode, this one among them.
    """

    heard: Heard
    memory: State
    policy: Float[Array, "lanes _size"]
    value: Float[Array, " lanes"]
    action: Array
    log_probability: Float[Array, " lanes"]
    came: Transition
    last: Float[Array, "lanes _size"]
    reward: Float[Array, " lanes"]
    won: Float[Array, " lanes"]

    @property
    def done(self) -> Bool[Array, " lanes"]:
        return self.came.terminated | self.came.truncated


def act(
    network: Network,
    params: Params,
    place: Place,
    lanes: Lanes,
    key: PRNGKeyArray,
    *,
    reward_scale: float = 1.0,
    likely: bool = False,
) -> tuple[Lanes, Act]:
    """Takes a step in every lane.

    Args:
      network: the agent's, with a policy and a value as outputs.
      params: its parameters.
      place: where it acts.
      lanes: where acting stands.
      key: decides what is drawn and what the environment does.
      reward_scale: the network hears rewards multiplied by it.
      likely: take the likeliest action, instead of drawing one from the policy.

    Returns:
      Where acting stands then, and what it was.
    """
    inputs = heard(network, lanes.observation, lanes.action, lanes.reward)
    outputs, memory = step(network, params, lanes.memory, inputs, resets=lanes.first)
    action_key, place_key = jax.random.split(key)
    policy = outputs[POLICY]
    if likely:
        action = likeliest(place.actions, policy)
        log = log_probability(place.actions, policy, action)
    else:
        action, log = draw(place.actions, policy, action_key)
    came = move(place, lanes.environment, action, place_key)
    acted = Act(
        inputs, memory, policy, outputs[VALUE][:, 0], action, log, came,
        as_heard(place.actions, action), reward_scale * came.reward, lanes.won + came.reward,
    )  # fmt: skip
    goes_on = ~acted.done
    return Lanes(
        memory, came.state, came.observation, acted.last * goes_on[:, None],
        acted.reward * goes_on, acted.done, acted.won * goes_on,
    ), acted  # fmt: skip


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
      network: as for `act`; likewise
      params: and
      place: and
      lanes: and
      key: and
      reward_scale: what the network hears rewards multiplied by.
      length: of the rollout.
    """

    def body(lanes: Lanes, key: PRNGKeyArray) -> tuple[Lanes, Rollout]:
        after, acted = act(network, params, place, lanes, key, reward_scale=reward_scale)
        came = acted.came
        final_value = jnp.zeros_like(acted.reward)
        if place.truncates:
            final = heard(network, came.final, acted.last, acted.reward)
            final_value = jax.lax.cond(
                came.truncated.any(),
                # Of the state that has seen all of the episode but its last observation. The state
                # that comes of it is nobody's.
                lambda: step(network, params, acted.memory, final)[0][VALUE][:, 0],
                lambda: final_value,
            )
        return after, Rollout(
            acted.heard, lanes.first, acted.action, acted.log_probability, acted.value,
            came.reward, came.terminated, came.truncated,
            jnp.where(came.truncated, final_value, 0), acted.won,
        )  # fmt: skip

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
