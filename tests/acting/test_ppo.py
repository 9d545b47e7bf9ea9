"""A training step of PPO, against NumPy on what happened; runs that end, stop and go on."""

import signal
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import InputError, Network, init
from jaxrnn.acting import PPO, Box, Discrete, Environment, adapt, play, policy_network, train_agent
from jaxrnn.acting.advantages import normalised
from jaxrnn.acting.policy import POLICY, VALUE, draw, entropy, likeliest, log_probability, within
from jaxrnn.acting.ppo import (
    Learned,
    make_agent_steps,
    objective,
    replay,
    start,
)
from jaxrnn.acting.rollout import begin, collect
from jaxrnn.learning.replicas import over_replicas
from tests.acting.places import PLACE, by_numpy

SMALL = PPO(lanes=4, rollout=5, epochs=2, minibatches=2, learning_rate=1e-2, schedule="constant")
NETWORK = policy_network(PLACE, [4])


def learned(network=NETWORK, place=PLACE, ppo=SMALL):
    """Parameters, and a rollout with made-up advantages and goals to learn from."""
    params = init(network, jax.random.key(0))
    lanes = begin(network, place, ppo.lanes, jax.random.key(1))
    _, rollout = collect(network, params, place, lanes, jax.random.key(2), length=ppo.rollout)
    made = jax.random.normal(jax.random.key(3), (2, ppo.rollout, ppo.lanes))
    return params, Learned(lanes.memory, rollout, made[0], made[1])


def test_the_objective_is_the_published_one():
    """With other parameters than those that acted, so that ratios differ from 1, some clipped."""
    _, batch = learned()
    params = jax.tree.map(lambda x: 3 * x, init(NETWORK, jax.random.key(7)))
    ppo = PPO(lanes=4, rollout=5, clip=0.1, entropy=0.3, value_weight=0.7)
    found = objective(params, NETWORK, PLACE, ppo, batch, jnp.float32(0.5))
    heard = batch.rollout.heard
    inputs = np.concatenate(
        [
            np.eye(5)[np.asarray(heard["observation"])],
            np.asarray(heard["action"]),
            np.asarray(heard["reward"]),
        ],
        axis=-1,
    )
    policy, value = by_numpy(NETWORK, params, inputs, np.asarray(batch.rollout.first))
    logs = policy - np.log(np.exp(policy).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logs, np.asarray(batch.rollout.action)[..., None], axis=-1)[..., 0]
    ratio = np.exp(own - np.asarray(batch.rollout.log_probability))
    assert (np.abs(ratio - 1) > 0.1).any()
    advantage = np.asarray(batch.advantage)
    surrogate = np.minimum(ratio * advantage, np.clip(ratio, 0.9, 1.1) * advantage).mean()
    error = ((value - np.asarray(batch.goal)) ** 2).mean() / 2
    spread = -(np.exp(logs) * logs).sum(axis=-1).mean()
    assert float(found) == pytest.approx(0.7 * error - surrogate - 0.3 * 0.5 * spread, abs=1e-5)


def test_one_epoch_and_one_minibatch_is_an_advantage_actor_critic():
    """The first gradient is that of -log p times advantage, which has no ratio in it."""
    params, batch = learned()
    ppo = PPO(lanes=4, rollout=5, epochs=1, minibatches=1, entropy=0.0)
    found = jax.grad(objective)(params, NETWORK, PLACE, ppo, batch, jnp.float32(1))

    def plain(params):
        outputs = replay(NETWORK, params, batch.memory, batch.rollout)
        logs = log_probability(PLACE.actions, outputs[POLICY], batch.rollout.action)
        error = jnp.square(outputs[VALUE][..., 0] - batch.goal).mean() / 2
        return 0.5 * error - (logs * batch.advantage).mean()

    for one, other in zip(
        jax.tree.leaves(found), jax.tree.leaves(jax.grad(plain)(params)), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_advantages_are_normalised_over_the_whole_rollout():
    values = np.random.default_rng(0).normal(3, 7, size=(5, 4)).astype(np.float32)
    found = normalised(jnp.array(values))
    np.testing.assert_allclose(found, (values - values.mean()) / values.std(), atol=1e-5)


@pytest.mark.parametrize("actions", [Discrete(3), Box((2,), (-1.0, -2.0), 1.0), Box(())])
def test_probabilities_and_entropies_are_those_of_scipy(actions):
    stats = pytest.importorskip("scipy.stats")
    size = 3 if isinstance(actions, Discrete) else 2 * int(np.prod(actions.shape))
    policy = np.random.default_rng(0).normal(size=(6, size)).astype(np.float32)
    action, logs = draw(actions, jnp.array(policy), jax.random.key(0))
    if isinstance(actions, Discrete):
        chances = np.exp(policy) / np.exp(policy).sum(axis=-1, keepdims=True)
        expected = np.log(chances[np.arange(6), np.asarray(action)])
        spread = stats.entropy(chances, axis=-1)
        sure = policy.argmax(axis=-1)
    else:
        mean, deviation = np.split(policy, 2, axis=-1)
        deviation = np.exp(deviation)
        flat = np.asarray(action).reshape(6, -1)
        expected = stats.norm.logpdf(flat, mean, deviation).sum(axis=-1)
        spread = stats.norm.entropy(mean, deviation).sum(axis=-1)
        sure = mean.reshape(6, *actions.shape)
        inside = within(actions, action)
        assert inside.shape == action.shape
        if actions.shape:
            assert float(inside[:, 0].min()) >= -1
            assert float(inside.max()) <= 1
    np.testing.assert_allclose(logs, expected, atol=1e-5)
    np.testing.assert_allclose(log_probability(actions, jnp.array(policy), action), expected,
                               atol=1e-5)  # fmt: skip
    np.testing.assert_allclose(entropy(actions, jnp.array(policy)), spread, atol=1e-5)
    np.testing.assert_allclose(likeliest(actions, jnp.array(policy)), sure)


class Aim(Environment):
    """Continuous: the nearer to what was seen two numbers are, the more is won."""

    observations, actions, limit = Box((2,)), Box((2,), -1.0, 1.0), 4
    name = "aim"

    def begin(self, key):
        goal = jax.random.uniform(key, (2,), minval=-1, maxval=1)
        return goal, goal

    def move(self, key, state, action):
        return state, state, -jnp.abs(action - state).sum(), False


def test_continuous_actions_learn_to_aim():
    place = adapt(Aim())
    ppo = PPO(lanes=32, rollout=8, epochs=4, minibatches=2, discount=0.5, learning_rate=1e-2,
              entropy=0.0)  # fmt: skip
    network = policy_network(place, [16], "tanh", memory=False)
    fitted = train_agent(network, place, ppo, steps=40_000, evaluations=2, episodes=64, watched=4)
    (_, before), *_, (_, after) = fitted.figures
    assert before < -3
    assert after > -1  # an eighth of a unit off in each number and step


class Broken(Aim):
    """Its reward is no number from some step on."""

    name = "broken"

    def begin(self, key):
        return jnp.zeros(2), jnp.int32(0)

    def move(self, key, state, action):
        reward = jnp.where(state > 20, jnp.nan, 1.0)
        return jnp.zeros(2), state + 1, reward, False

    limit = None


def test_a_reward_that_is_not_finite_stops_the_run_with_the_last_good_state():
    place = adapt(Broken())
    network = policy_network(place, [4])
    fitted = train_agent(network, place, SMALL, steps=10_000, episodes=2, watched=5)
    assert fitted.reason == "not finite"
    assert not np.asarray(fitted.state.reward_is_finite).any()
    assert fitted.progress.step - fitted.progress.skipped == 4  # 20 of its steps, 5 in a rollout
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(fitted.state.params))


def test_a_step_whose_gradient_is_not_finite_is_skipped_and_the_lanes_go_on():
    steps = make_agent_steps(NETWORK, PLACE, SMALL)
    state = jax.tree.map(lambda x: x[None], start(NETWORK, PLACE, SMALL, jax.random.key(0)))
    before = jax.tree.map(np.asarray, state.params)
    keys = jax.random.split(jax.random.key(1), 1)[None]
    state, report = steps(state, {}, keys, jnp.full(1, jnp.inf))
    assert not report.finite.any()
    assert state.reward_is_finite.all()
    for one, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(one, other)


def trained(seeds, steps=400, **others):
    return train_agent(
        NETWORK, PLACE, SMALL, steps=steps, seeds=seeds, evaluations=4, episodes=8, watched=4,
        **others,
    )  # fmt: skip


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = map(jax.random.key_data, (a, b))
        np.testing.assert_array_equal(a, b)


def test_a_seed_learns_the_same_among_others_as_alone():
    both, alone = trained([3, 5]).state, trained([5]).state
    assert_same(jax.tree.map(lambda x: x[1:], both), alone)
    assert any((x[0] != x[1]).any() for x in jax.tree.leaves(both.params))


def test_a_run_that_was_stopped_goes_on_to_the_bit(tmp_path):
    whole = trained([0, 1])

    def stop(step, params):
        if step == 10:
            signal.raise_signal(signal.SIGINT)

    stopped = trained([0, 1], workdir=tmp_path / "run", after=stop)
    assert stopped.reason == "SIGINT"
    assert 0 < stopped.progress.step < whole.progress.step
    again = trained([0, 1], workdir=tmp_path / "run")
    assert_same(again.state, whole.state)
    assert again.progress.step == whole.progress.step


def test_seeds_learn_one_after_the_other_on_a_cpu_and_side_by_side_elsewhere(monkeypatch):
    """The same numbers, but for rounding."""
    states = jax.jit(jax.vmap(partial(start, NETWORK, PLACE, SMALL)))(
        jax.random.split(jax.random.key(0), 2)
    )
    keys = jax.vmap(lambda key: jax.random.split(key, 3))(jax.random.split(jax.random.key(1), 2))
    rates = jnp.full(3, 1e-3)
    copy = jax.tree.map(jnp.array, states)
    mapped, report = make_agent_steps(NETWORK, PLACE, SMALL)(states, {}, keys, rates)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert over_replicas(jnp.sum)(jnp.ones((2, 3))).shape == (2,)
    beside, other = make_agent_steps(NETWORK, PLACE, SMALL)(copy, {}, keys, rates)
    np.testing.assert_allclose(report.losses, other.losses, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(mapped.params), jax.tree.leaves(beside.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_episodes_are_played_to_their_end_and_no_further():
    params = init(NETWORK, jax.random.key(0))
    found = play(NETWORK, params, PLACE, jax.random.key(1), episodes=200, steps=9, discount=0.5)
    lengths = np.asarray(found.length)
    assert set(lengths.tolist()) == {2, 3}
    assert found.ended.all()
    # The reward of step t, from 0, is the action times t + 1, and an action is at most 2.
    assert float(found.won.max()) <= 2 * (1 + 2 + 3)
    assert (np.asarray(found.discounted) <= np.asarray(found.won)).all()
    cut = play(NETWORK, params, PLACE, jax.random.key(1), episodes=200, steps=1)
    assert not cut.ended.any()
    np.testing.assert_array_equal(cut.length, 1)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: PPO(lanes=6, minibatches=4), ["6 lanes", "multiple"]),
        (lambda: PPO(discount=1.5), ["discount"]),
        (lambda: policy_network(PLACE, [4], hears=["smell"]), ["smell", "observation"]),
        (lambda: policy_network(PLACE, [4], hears=[]), ["nothing"]),
        (lambda: train_agent(NETWORK, PLACE, SMALL, steps=0), ["steps is 0"]),
        (lambda: train_agent(NETWORK, PLACE, SMALL, steps=9, seeds=[]), ["no seed"]),
        (lambda: train_agent(
            Network(5, [("output", 3, "linear")], [("input", "output")]), PLACE, SMALL, steps=9,
        ), ["'input'", "'observation' of size 5"]),
        (lambda: train_agent(
            Network({"observation": 5}, [("policy", 2, "linear"), ("value", 1, "linear")],
                    [("observation", "policy"), ("observation", "value")],
                    outputs=["policy", "value"]), PLACE, SMALL, steps=9,
        ), ["outputs", "'policy': 3"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_sentence(build, said):
    with pytest.raises(InputError) as caught:
        build()
    assert all(part in str(caught.value) for part in said), caught.value
