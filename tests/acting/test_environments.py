"""Environments of others, by what they do: six values, five values, and what is refused."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import InputError
from jaxrnn.acting import Box, Discrete, Environment, adapt
from jaxrnn.acting.environments import sample_space
from tests.acting.places import Counting


def spaces(observations, actions):
    return {
        "observation_space": lambda self, params=None: observations,
        "action_space": lambda self, params=None: actions,
    }


TWO = Discrete(2)


def made(observations=TWO, actions=TWO, reset=None, step=None, **others):
    """An environment of another library's kind: no class of ours."""
    body = {
        "reset": reset or (lambda self, key, params: (jnp.int32(0), jnp.int32(0))),
        "step": step or (lambda self, key, state, action, params: (
            jnp.int32(1), state + 1, 1.0, state > 0, state > 3,
            {"final_observation": jnp.int32(1)})),
        **spaces(observations, actions), **others,
    }  # fmt: skip
    return type("Theirs", (), body)()


def test_an_episode_that_ends_begins_anew_within_the_step_and_its_last_observation_is_told():
    place, key = adapt(Counting()), jax.random.key(0)
    observation, state = place.reset(key)
    assert int(observation) == 0
    seen = []
    for action in (1, 1, 1, 0, 2):  # an episode of three steps, then one of two
        came = place.step(key, state, jnp.int32(action))
        seen.append((int(came.observation), int(came.final), bool(came.terminated),
                     bool(came.truncated)))  # fmt: skip
        state = came.state
    assert seen == [(1, 1, False, False), (2, 2, False, False), (0, 3, True, False),
                    (1, 1, False, False), (0, 2, True, False)]  # fmt: skip


def test_six_values_tell_an_end_from_a_cut_and_five_do_not():
    six = adapt(made())
    five = adapt(made(step=lambda self, key, state, action, params: (
        jnp.int32(1), state + 1, 1.0, state > 0, {})))  # fmt: skip
    assert (six.truncates, five.truncates) == (True, False)
    endless = type("Endless", (Counting,), {"limit": None})
    assert (adapt(Counting()).truncates, adapt(endless()).truncates) == (True, False)
    for place, cut in ((six, True), (five, False)):
        came = place.step(jax.random.key(0), jnp.int32(5), jnp.int32(0))
        assert bool(came.terminated)
        assert bool(came.truncated) == cut
        assert came.reward.dtype == jnp.float32


def test_spaces_are_known_by_what_they_have():
    theirs = SimpleNamespace(low=np.array([-1.0, 0.0]), high=2.0, shape=(2,))
    place = adapt(made(
        SimpleNamespace(n=3), theirs, name="of others",
        reset=lambda self, key, params: (jnp.float32(2), jnp.int32(0)),
    ))  # fmt: skip
    assert place.name == "of others"
    assert place.observations == Discrete(3)
    assert place.actions == Box((2,), (-1.0, 0.0), 2.0)
    drawn = jax.vmap(lambda key: sample_space(place.actions, key))(
        jax.random.split(jax.random.key(0), 500)
    )
    np.testing.assert_allclose(drawn.min(axis=0), [-1, 0], atol=0.05)
    np.testing.assert_allclose(drawn.max(axis=0), [2, 2], atol=0.05)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (SimpleNamespace(reset=len), ["step", "gymnax"]),
        (made(observations=SimpleNamespace(spaces=())), ["observation space", "discrete or a box"]),
        (made(actions=None), ["action space", "discrete or a box"]),
        (made(step=lambda *_: (1, 2, 3)), ["a step of Theirs", "five values"]),
        (made(step=lambda self, key, state, action, params: (
            jnp.int32(0), state, 0.0, False, False, {})), ["final_observation"]),
        (made(reset=lambda self, key, params: np.asarray(key)), ["under jax.jit", "JAX"]),
    ],
)  # fmt: skip
def test_what_is_no_environment_is_refused_in_a_sentence(environment, said):
    with pytest.raises(InputError) as caught:
        adapt(environment)
    assert all(part in str(caught.value) for part in said), caught.value


def test_a_base_class_asks_for_its_two_functions():
    with pytest.raises(InputError, match="cannot be reset"):
        adapt(type("Mine", (Environment,), {"observations": Discrete(1), "actions": Discrete(1)})())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["MemoryChain-bsuite", "CartPole-v1"])
def test_gymnax_runs(name):
    """An agent learns there, with velocities hidden where there are such."""
    gymnax = pytest.importorskip("gymnax")
    from jaxrnn.acting import PPO, policy_network, train_agent

    environment, params = gymnax.make(name)
    if name == "CartPole-v1":
        shown = environment

        class Hidden:
            """Place and angle alone."""

            default_params = params
            action_space = shown.action_space
            observation_space = staticmethod(lambda params: Box((2,)))

            def reset(self, key, params):
                observation, state = shown.reset(key, params)
                return observation[::2], state

            def step(self, key, state, action, params):
                observation, state, reward, *ends, info = shown.step(key, state, action, params)
                info = {**info, "final_observation": info["final_observation"][::2]}
                return observation[::2], state, reward, *ends, info

        environment = Hidden()
    place = adapt(environment, params)
    assert place.truncates
    ppo = PPO(lanes=4, rollout=8, epochs=1, minibatches=1)
    network = policy_network(place, [4])
    fitted = train_agent(network, place, ppo, steps=64, episodes=4, watched=20, evaluations=1)
    assert np.isfinite(fitted.progress.figure)
    assert fitted.progress.skipped == 0
