"""Proximal policy optimisation with recurrent networks: a training step, as a pure function.

Schulman and others 2017, Proximal policy optimization algorithms. What decides with recurrence: the
network's state is carried from rollout to rollout; replay begins from the state before the first
step of the rollout, and forgets where acting did; minibatches are whole lanes, never cut through
time. So the first update of a rollout finds the very probabilities that it was drawn with.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from jaxrnn.acting.advantages import advantages, normalised
from jaxrnn.acting.environments import Place
from jaxrnn.acting.policy import POLICY, VALUE, check_policy, entropy, log_probability
from jaxrnn.acting.rollout import Lanes, Rollout, begin, collect, next_value
from jaxrnn.core.engine.unroll import unroll
from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import INITIALIZERS, Params, State, init
from jaxrnn.learning.optimizers import OPTIMIZERS, SCHEDULES, make_optimizer
from jaxrnn.learning.replicas import over_replicas
from jaxrnn.learning.training import Report
from jaxrnn.storage.fields import check, setting


@dataclass(frozen=True)
class PPO:
    """How an agent learns. One epoch and one minibatch make it an advantage actor-critic (A2C)."""

    lanes: int = setting(64, "Places in which the agent acts at once.", at_least=1)
    rollout: int = setting(
        32, "Steps in each place between two updates; gradients go no further back.", at_least=1
    )
    epochs: int = setting(4, "How often a rollout is learned from.", at_least=1)
    minibatches: int = setting(
        4, "Parts of the lanes, each with an update of its own, in every epoch.", at_least=1
    )
    discount: float = setting(0.99, "Of rewards, a step.", at_least=0, at_most=1)
    trace: float = setting(
        0.95, "Lambda of generalised advantages: 0 trusts the values, 1 the rewards.", at_least=0,
        at_most=1,
    )  # fmt: skip
    clip: float = setting(0.2, "Bounds of the probability ratio: 1 minus and plus this.", above=0)
    entropy: float = setting(
        0.01, "Weight of the policy's entropy, in nats, which falls with the learning rate.",
        at_least=0,
    )  # fmt: skip
    value_weight: float = setting(0.5, "Weight of the value's squared error.", at_least=0)
    reward_scale: float = setting(
        1.0, "What rewards are multiplied by for the network; reports are of rewards as they are.",
        above=0,
    )  # fmt: skip
    optimizer: str = setting("adam", "How to walk downhill.", choices=tuple(OPTIMIZERS))
    learning_rate: float = setting(2.5e-3, "The highest of the schedule.", above=0)
    schedule: str = setting("cosine", "How the learning rate moves.", choices=SCHEDULES)
    clip_norm: float | None = setting(0.5, "Scale gradients down to this norm; 0: never.", above=0)
    recurrent_initializer: str | None = setting(
        None,
        "For matrices of delayed connections [as the cell recommends].",
        choices=tuple(INITIALIZERS),
    )

    def __post_init__(self) -> None:
        check(self)
        if self.lanes % self.minibatches:
            raise InputError(
                f"{self.lanes} lanes cannot be parted into {self.minibatches} equal minibatches; "
                "take a multiple"
            )

    def make_optimizer(self) -> optax.GradientTransformationExtraArgs:
        """Takes its learning rate at each update."""
        return make_optimizer(self.optimizer, clip_norm=self.clip_norm)


class AgentState(NamedTuple):
    """All that learning changes.

    Attributes:
      params: the network's.
      optimizer_state: the optimiser's.
      lanes: where acting stands.
      won: the mean of the rewards of an episode, in the last rollout in which one ended.
      reward_is_finite: false after the environment has given one that was not: then nothing changes
        any more.
    """

    params: Params
    optimizer_state: optax.OptState
    lanes: Lanes
    won: Float[Array, ""]
    reward_is_finite: Bool[Array, ""]


def start(network: Network, place: Place, ppo: PPO, key: PRNGKeyArray) -> AgentState:
    """The state before the first step, with parameters that are drawn.

    The policy's own are a hundredth as large, so that it begins nearly uniform (Andrychowicz and
    others 2021, What matters for on-policy deep actor-critic methods).
    """
    check_policy(network, place)
    params = init(
        network, derive(key, "parameters"), recurrent_initializer=ppo.recurrent_initializer
    )
    params = {**params, POLICY: jax.tree.map(lambda x: 0.01 * x, params[POLICY])}
    optimizer_state = jax.tree.map(jnp.array, ppo.make_optimizer().init(params))
    lanes = begin(network, place, ppo.lanes, derive(key, "episodes"))
    return AgentState(params, optimizer_state, lanes, jnp.zeros(()), jnp.ones((), bool))


class Learned(NamedTuple):
    """What an update learns from, of some lanes."""

    memory: State
    rollout: Rollout
    advantage: Float[Array, "time lanes"]
    goal: Float[Array, "time lanes"]  # of the values


def replay(
    network: Network, params: Params, memory: State, rollout: Rollout
) -> dict[str, Float[Array, "time lanes _size"]]:
    """The outputs of these parameters for what was heard in a rollout, as one chunk."""
    return unroll(network, params, memory, rollout.heard, resets=rollout.first)[0]


def objective(
    params: Params, network: Network, place: Place, ppo: PPO, batch: Learned, share: Array
) -> Float[Array, ""]:
    """What is minimised: the clipped surrogate, the values' error and the entropy's bonus.

    Args:
      params: of the network.
      network: the agent's.
      place: where it acted.
      ppo: how it learns.
      batch: what it learns from.
      share: of the entropy's weight, from 0 to 1.
    """
    outputs = replay(network, params, batch.memory, batch.rollout)
    logs = log_probability(place.actions, outputs[POLICY], batch.rollout.action)
    ratio = jnp.exp(logs - batch.rollout.log_probability)
    clipped = jnp.clip(ratio, 1 - ppo.clip, 1 + ppo.clip)
    surrogate = jnp.minimum(ratio * batch.advantage, clipped * batch.advantage).mean()
    error = jnp.square(outputs[VALUE][..., 0] - batch.goal).mean() / 2
    bonus = ppo.entropy * share * entropy(place.actions, outputs[POLICY]).mean()
    return ppo.value_weight * error - surrogate - bonus


def make_agent_steps(network: Network, place: Place, ppo: PPO) -> Any:
    """Compiles `(state, data, keys, rates) -> (state, report)`: a rollout and its updates a key.

    All of it runs over a first axis of seeds, of the state and of the keys, which are
    `[seeds, steps]`. Rates, `[steps]`, are the learning rate's. The state is donated. Data are
    nothing: what is learned from is what the agent does.

    The losses of the report are the rewards of an episode, the mean over those that ended and over
    seeds. A step that would leave behind what is not finite is skipped, and one in which the
    environment gives a reward that is not finite is the last: nothing changes after it.
    """
    check_policy(network, place)
    optimizer = ppo.make_optimizer()

    def train(state: AgentState, x: tuple[PRNGKeyArray, Array]) -> tuple[AgentState, Report]:
        key, rate = x
        act_key, learn_key = jax.random.split(key)
        lanes, rollout = collect(
            network, state.params, place, state.lanes, act_key, length=ppo.rollout,
            reward_scale=ppo.reward_scale,
        )  # fmt: skip
        follows = next_value(network, state.params, lanes)
        advantage = advantages(
            rollout, follows, discount=ppo.discount, trace=ppo.trace, reward_scale=ppo.reward_scale
        )
        whole = Learned(
            state.lanes.memory, rollout, normalised(advantage), advantage + rollout.value
        )
        order = jax.vmap(lambda key: jax.random.permutation(key, ppo.lanes))(
            jax.random.split(learn_key, ppo.epochs)
        ).reshape(ppo.epochs * ppo.minibatches, -1)

        def learn(
            learned: tuple[Any, optax.OptState], chosen: Array
        ) -> tuple[tuple[Any, optax.OptState], Float[Array, ""]]:
            params, optimizer_state = learned
            batch = whole if ppo.minibatches == 1 else lanes_of(whole, chosen)
            gradient = jax.grad(objective)(
                params, network, place, ppo, batch, rate / ppo.learning_rate
            )
            updates, optimizer_state = optimizer.update(
                gradient, optimizer_state, params, learning_rate=rate
            )
            learned = optax.apply_updates(params, updates), optimizer_state
            return learned, optax.tree.norm(gradient)

        before = state.params, state.optimizer_state
        learned, norms = jax.lax.scan(learn, before, order)
        rewarded = jnp.isfinite(rollout.reward).all() & state.reward_is_finite
        finite = rewarded & jnp.isfinite(norms).all() & _are_finite(learned[0])
        params, optimizer_state = jax.tree.map(partial(jnp.where, finite), learned, before)
        lanes = jax.tree.map(partial(jnp.where, rewarded), lanes, state.lanes)
        ended = rollout.done.sum()
        won = jnp.where(rollout.done, rollout.won, 0).sum() / jnp.maximum(ended, 1)
        won = jnp.where((ended > 0) & rewarded, won, state.won)
        report = Report(won, finite, norms.max(), jnp.int32(0))
        return AgentState(params, optimizer_state, lanes, won, rewarded), report

    @partial(jax.jit, donate_argnums=0)
    def agent_steps(
        state: AgentState, data: Any, keys: Array, rates: Float[Array, " steps"]
    ) -> tuple[AgentState, Report]:
        del data

        def one(state: AgentState, keys: Array) -> tuple[AgentState, Report]:
            return jax.lax.scan(train, state, (keys, rates))

        state, report = over_replicas(one)(state, keys)
        return state, Report(
            report.losses.mean(axis=0), report.finite.all(axis=0), report.norms.max(axis=0),
            report.restarted.sum(axis=0),
        )  # fmt: skip

    return agent_steps


def lanes_of(batch: Learned, chosen: Array) -> Learned:
    """Whole lanes; of the network's state they are the first axis, of all else the second."""
    memory = jax.tree.map(lambda x: x[chosen], batch.memory)
    others = jax.tree.map(lambda x: x[:, chosen], batch[1:])
    return Learned(memory, *others)


def _are_finite(tree: Any) -> Bool[Array, ""]:
    return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()
