"""Acting, against an environment that plain Python foretells and a network that NumPy runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import CELLS, Connection, Network, init
from jaxrnn.acting.advantages import advantages
from jaxrnn.acting.environments import adapt
from jaxrnn.acting.policy import POLICY, VALUE, log_probability, policy_network
from jaxrnn.acting.ppo import Learned, lanes_of, replay
from jaxrnn.acting.rollout import begin, collect, next_value
from tests.acting.places import PLACE, Counting, by_numpy, foretold

LANES, TIME, ROLLOUTS, SCALE = 4, 5, 3, 0.5

# Delays above 1, of inputs as of layers.
LATE = Network(
    {"observation": 5, "action": 3, "reward": 1},
    [("hidden", 4, "gru"), (POLICY, 3, "linear"), (VALUE, 1, "linear")],
    [("observation", "hidden"), ("action", "hidden"), ("reward", "hidden"),
     ("observation", "hidden", 2), ("action", "hidden", 2), ("reward", "hidden", 2),
     ("hidden", "hidden", 1), ("hidden", "hidden", 3), ("hidden", POLICY), ("hidden", VALUE)],
    outputs=(POLICY, VALUE),
)  # fmt: skip


def acted(network, rollouts=ROLLOUTS, seed=0):
    """Parameters, and the lanes before and what happened in each of some rollouts."""
    params = init(network, jax.random.key(seed))
    lanes, found = begin(network, PLACE, LANES, jax.random.key(1)), []
    run = jax.jit(lambda lanes, key: collect(network, params, PLACE, lanes, key, length=TIME,
                                             reward_scale=SCALE))  # fmt: skip
    for number in range(rollouts):
        after, rollout = run(lanes, jax.random.key(2 + number))
        found.append((lanes, rollout))
        lanes = after
    return params, found, lanes


def whole(found, field):
    return np.concatenate([np.asarray(getattr(rollout, field)) for _, rollout in found])


@pytest.fixture(scope="module")
def late():
    return acted(LATE)


def test_what_is_heard_and_when_it_is_forgotten_is_what_plain_python_says(late):
    _, found, _ = late
    actions = whole(found, "action")
    heard = [rollout.heard for _, rollout in found]
    names = "observation", "first", "action", "reward", "won", "terminated", "truncated"
    for lane in range(LANES):
        seen = dict(zip(names, foretold(actions[:, lane]), strict=True))
        for name in ("observation", "action"):
            own = np.concatenate([np.asarray(x[name]) for x in heard])[:, lane]
            np.testing.assert_array_equal(own, seen[name], name)
        rewards = np.concatenate([np.asarray(x["reward"]) for x in heard])[:, lane, 0]
        np.testing.assert_allclose(rewards, SCALE * seen["reward"])
        np.testing.assert_array_equal(whole(found, "first")[:, lane], seen["first"])
        np.testing.assert_allclose(whole(found, "reward")[:, lane], seen["won"])
        for name in ("terminated", "truncated"):
            np.testing.assert_array_equal(whole(found, name)[:, lane], seen[name], name)
    assert whole(found, "terminated").any()
    assert whole(found, "truncated").any()


def test_lanes_carry_their_state_on_and_a_cut_off_episode_is_worth_what_would_follow(late):
    """NumPy runs each lane's whole history; a cut is followed once more from the state before it.

    So computing the value of what would follow has not advanced any state.
    """
    params, found, lanes = late
    inputs = np.concatenate([
        np.concatenate([np.eye(5)[np.asarray(x.heard["observation"])],
                        np.asarray(x.heard["action"]), np.asarray(x.heard["reward"])], axis=-1)
        for _, x in found
    ])  # fmt: skip
    first = whole(found, "first")
    policy, value = by_numpy(LATE, params, inputs, first)
    np.testing.assert_allclose(whole(found, "value"), value, atol=1e-5)
    logs = policy - np.log(np.exp(policy).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(logs, whole(found, "action")[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(whole(found, "log_probability"), chosen, atol=1e-5)
    actions, rewards = whole(found, "action"), whole(found, "reward")
    final, cut = whole(found, "final_value"), whole(found, "truncated")
    assert not final[~cut].any()
    for time, lane in zip(*np.nonzero(cut), strict=True):
        last = np.concatenate([np.eye(5)[3], np.eye(3)[actions[time, lane]],
                               [SCALE * rewards[time, lane]]])  # fmt: skip
        longer = np.concatenate([inputs[: time + 1, lane], last[None]])[:, None]
        resets = np.append(first[: time + 1, lane], False)[:, None]
        assert final[time, lane] == pytest.approx(by_numpy(LATE, params, longer, resets)[1][-1, 0],
                                                  abs=1e-5)  # fmt: skip
    follows = next_value(LATE, params, lanes)
    coming = np.concatenate([np.eye(5)[np.asarray(lanes.observation)], np.asarray(lanes.action),
                             np.asarray(lanes.reward)[:, None]], axis=-1)  # fmt: skip
    longer = np.concatenate([inputs, coming[None]])
    resets = np.concatenate([first, np.asarray(lanes.first)[None]])
    np.testing.assert_allclose(follows, by_numpy(LATE, params, longer, resets)[1][-1], atol=1e-5)


def networks():
    """One of each cell, as the usual network has it, and those that hear what was long before."""
    for cell in CELLS:
        if CELLS[cell].heard_gates > 0:
            yield pytest.param(policy_network(PLACE, [5], cell), id=cell)
    yield pytest.param(LATE, id="late")
    yield pytest.param(
        policy_network(PLACE, [], memory=False, delays=[1, 4]), id="delays alone"
    )  # fmt: skip
    yield pytest.param(policy_network(PLACE, [4, 3], "lstm", skip=True, feedback=True), id="stack")


@pytest.mark.parametrize("network", list(networks()))
def test_a_fresh_ratio_is_one(network):
    """Replay as a chunk finds the probabilities that were drawn with, across resets and borders."""
    params, found, _ = acted(network)
    again = jax.jit(lambda lanes, rollout: replay(network, params, lanes.memory, rollout))
    for lanes, rollout in found:
        outputs = again(lanes, rollout)
        logs = log_probability(PLACE.actions, outputs[POLICY], rollout.action)
        ratio = jnp.exp(logs - rollout.log_probability)
        np.testing.assert_allclose(ratio, 1, atol=1e-5)
        np.testing.assert_allclose(outputs[VALUE][..., 0], rollout.value, atol=1e-5)
    assert any(np.asarray(rollout.first)[1:].any() for _, rollout in found)


def test_minibatches_are_whole_lanes(late):
    """A few lanes replayed alone are what they are among all."""
    params, found, _ = late
    lanes, rollout = found[-1]
    outputs = replay(LATE, params, lanes.memory, rollout)
    chosen = jnp.array([2, 0])
    part = lanes_of(Learned(lanes.memory, rollout, rollout.value, rollout.reward), chosen)
    own = replay(LATE, params, part.memory, part.rollout)
    np.testing.assert_allclose(own[POLICY], outputs[POLICY][:, chosen], atol=1e-6)
    np.testing.assert_array_equal(part.advantage, rollout.value[:, chosen])
    np.testing.assert_array_equal(part.goal, rollout.reward[:, chosen])


def test_advantages_are_what_a_loop_over_each_lane_says(late):
    _, found, _ = late
    _, rollout = found[0]
    random, discount, trace = np.random.default_rng(0), 0.9, 0.8
    shape = np.shape(rollout.value)
    value, final, reward = (random.normal(size=shape).astype(np.float32) for _ in range(3))
    follows = random.normal(size=LANES).astype(np.float32)
    ends = random.integers(3, size=shape)  # 0 goes on, 1 terminated, 2 cut off
    terminated, truncated = ends == 1, ends == 2
    made = rollout._replace(
        value=jnp.array(value), reward=jnp.array(reward), terminated=jnp.array(terminated),
        truncated=jnp.array(truncated), final_value=jnp.where(truncated, final, 0),
    )  # fmt: skip
    found = advantages(made, jnp.array(follows), discount=discount, trace=trace, reward_scale=2.0)
    expected = np.zeros(shape)
    for lane in range(LANES):
        for start in range(shape[0]):
            weight = 1.0
            for t in range(start, shape[0]):
                after = value[t + 1, lane] if t + 1 < shape[0] else follows[lane]
                after = (
                    0 if terminated[t, lane] else final[t, lane] if truncated[t, lane] else after
                )
                error = 2 * reward[t, lane] + discount * after - value[t, lane]
                expected[start, lane] += weight * error
                if ends[t, lane]:
                    break
                weight *= discount * trace
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_a_limit_no_value_of_what_would_follow_is_computed():
    """An environment of five values has no cut episodes."""

    class Endless(Counting):
        limit = None

        def step(self, key, state, action, params=None):
            observation, state, reward, terminated, _, info = super().step(key, state, action)
            return observation, state, reward, terminated, info

    place = adapt(Endless())
    assert not place.truncates
    network = policy_network(place, [3])
    lanes = begin(network, place, LANES, jax.random.key(0))
    _, rollout = collect(
        network, init(network, jax.random.key(0)), place, lanes, jax.random.key(1), length=TIME
    )
    assert not rollout.truncated.any()
    assert not rollout.final_value.any()


def test_an_agent_hears_inputs_late_where_it_is_told_to():
    network = policy_network(PLACE, [4], memory=False, delays=[2])
    late = {c for c in network.connections if c.delay}
    assert late == {Connection(x, "hidden1", 2) for x in ("observation", "action", "reward")}
