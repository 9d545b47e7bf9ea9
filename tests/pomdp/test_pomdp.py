"""POMDPs as data: against enumeration, against published values, and against hand-made arrays."""

import contextlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.laboratory.tasks.catalogue import FILES, FINITE, SEEN_AT_START
from experiments.laboratory.tasks.mazes import TMaze, tmaze_pomdp
from jaxrnn import InputError
from jaxrnn.acting import adapt
from jaxrnn.acting.finite import FiniteEnvironment
from jaxrnn.pomdp import POMDP, best_memoryless, bound_value, parse_pomdp, read_pomdp
from jaxrnn.pomdp.memoryless import value_of

TIGER = (FILES / "tiger.POMDP").read_text(encoding="utf-8")

SMALL = """
# All forms in which a line may give its numbers.
discount: 0.9
values: cost
states: a b
actions: 3
observations: x y z
start include: b
T: * identity
T: 1 : a
0.25 0.75
T : 1 : b uniform
T: 2 reset
O: *
  1 0 0
  0 0.5 0.5
O: 1 : b : x 0.25
O: 1 : b : y 0.25
R: * : * : * : * 1
R: 1 : a : b
  1 3 5
R: 1 : b : a : x -2.5e0
"""


def test_each_form_of_a_line_is_read():
    pomdp = parse_pomdp(SMALL)
    assert (pomdp.states, pomdp.actions, pomdp.observations) == (
        ("a", "b"), ("0", "1", "2"), ("x", "y", "z"),
    )  # fmt: skip
    np.testing.assert_array_equal(pomdp.start, [0, 1])
    np.testing.assert_array_equal(pomdp.transition[0], np.eye(2))
    np.testing.assert_array_equal(pomdp.transition[1], [[0.25, 0.75], [0.5, 0.5]])
    np.testing.assert_array_equal(pomdp.transition[2], [[0, 1], [0, 1]])
    np.testing.assert_array_equal(pomdp.observation[0], [[1, 0, 0], [0, 0.5, 0.5]])
    np.testing.assert_array_equal(pomdp.observation[1, 1], [0.25, 0.25, 0.5])
    # Costs; where one depends on what is seen, their mean: 0.25 * 1 + 0.25 * 3 + 0.5 * 5.
    np.testing.assert_allclose(pomdp.reward[1], [[-1, -3.5], [2.5, -1]])
    np.testing.assert_allclose(pomdp.reward[0], -1)
    assert pomdp.discount == 0.9
    assert not pomdp.terminal.any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("0.95", "much"), ["line", "'much'", "a number"]),
        (("discount", "rebate"), ["begins with"]),
        (("reward\n", "money\n"), ["'money'", "reward or cost"]),
        (("tiger-left tiger-right\na", "tiger tiger\na"), ["'states'", "all different"]),
        (("0.85 0.15\n", "0.85 0.25\n"), ["observation", "adds up to 1.1", "1"]),
        (("0.85 0.15\n", "0.85\n"), ["'O'", "2 x 2", "not 3"]),
        (("R: listen : *", "R: sing : *"), ["'sing'", "actions"]),
        (("observations: hear-left hear-right\n", ""), ["observations:"]),
        (("start: uniform", "start: here"), ["'here'", "states"]),
        (("states: tiger-left tiger-right", "states: 99999"), ["99999"]),
    ],
)  # fmt: skip
def test_a_line_that_says_something_else_is_refused_by_its_number(change, said):
    assert change[0] in TIGER
    with pytest.raises(InputError) as caught:
        parse_pomdp(TIGER.replace(*change), "tiger.POMDP")
    message = str(caught.value)
    assert "tiger.POMDP" in message
    assert all(part in message for part in said), message


def test_no_text_brings_a_traceback():
    """Words left out, doubled and swapped, wherever they are."""
    words, random = TIGER.split(), np.random.default_rng(0)
    for _ in range(150):
        at, other = random.integers(len(words), size=2)
        changed = list(words)
        if random.random() < 0.4:
            del changed[at]
        elif random.random() < 0.5:
            changed.insert(at, words[other])
        else:
            changed[at], changed[other] = changed[other], changed[at]
        with contextlib.suppress(InputError):  # and nothing else
            parse_pomdp(" ".join(changed))


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_pomdp(tmp_path / "none.POMDP")
    (tmp_path / "binary.POMDP").write_bytes(b"\xff\xfe\0")
    with pytest.raises(InputError, match="UTF-8"):
        read_pomdp(tmp_path / "binary.POMDP")
    with pytest.raises(InputError, match="depends on the action"):
        parse_pomdp(TIGER, seen_at_start=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"transition": np.ones((2, 2))}, "axes"),
        ({"reward": np.zeros((1, 2, 3))}, "shape [1, 2, 3]"),
        ({"start": np.array([0.5, 0.6])}, "adds up to 1.1"),
        ({"discount": 1.5}, "discount"),
        ({"states": ("one",)}, "1 names"),
        ({"reward": np.full((1, 2, 2), np.nan)}, "not finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, said, unchecked):
    arrays = {
        "transition": np.eye(2)[None], "observation": np.eye(2)[None],
        "reward": np.zeros((1, 2, 2)), "start": np.array([0.5, 0.5]), "discount": 0.9,
    }  # fmt: skip
    with pytest.raises(InputError) as caught:
        POMDP(**(arrays | changes))
    assert said in str(caught.value)


def random_pomdp(seed=0, states=3, actions=2, seen=3, first=False):
    random = np.random.default_rng(seed)

    def chances(*shape):
        return random.dirichlet(np.ones(shape[-1]), size=shape[:-1])

    return POMDP(
        chances(actions, states, states), chances(actions, states, seen),
        random.normal(size=(actions, states, states)), chances(1, states)[0], 0.8,
        chances(states, seen) if first else None,
    )  # fmt: skip


def test_beliefs_are_what_adding_up_every_way_says():
    """The probability of each state after three steps, over all sequences of states."""
    pomdp = random_pomdp()
    actions, seen = (0, 1, 1), (2, 0, 1)
    joint = np.zeros(3)
    for way in itertools.product(range(3), repeat=4):
        p = pomdp.start[way[0]]
        for a, o, s, after in zip(actions, seen, way, way[1:], strict=False):
            p *= pomdp.transition[a, s, after] * pomdp.observation[a, after, o]
        joint[way[-1]] += p
    belief = pomdp.start
    for a, o in zip(actions, seen, strict=True):
        belief = pomdp.believe(belief, a, o)
    np.testing.assert_allclose(belief, joint / joint.sum())
    with pytest.raises(InputError, match="cannot follow"):
        parse_pomdp(SMALL).believe(np.array([1.0, 0.0]), 0, 1)


def test_an_environment_does_what_the_arrays_say_and_carries_the_exact_belief():
    pomdp = random_pomdp(first=True)
    place = adapt(FiniteEnvironment(pomdp))
    keys = jax.random.split(jax.random.key(0), 40_000)
    seen, state = jax.vmap(place.reset)(keys)
    states = np.asarray(state[0].state)
    np.testing.assert_allclose(np.bincount(states) / 40_000, pomdp.start, atol=0.01)
    action = np.arange(40_000) % 2
    came = jax.vmap(place.step)(jax.random.split(jax.random.key(1), 40_000), state, action)
    after = np.asarray(came.state[0].state)
    for a, s in itertools.product(range(2), range(3)):
        chosen = (action == a) & (states == s)
        np.testing.assert_allclose(
            np.bincount(after[chosen], minlength=3) / chosen.sum(), pomdp.transition[a, s],
            atol=0.03,
        )  # fmt: skip
        looked = (action == a) & (after == s)
        np.testing.assert_allclose(
            np.bincount(np.asarray(came.observation)[looked], minlength=3) / looked.sum(),
            pomdp.observation[a, s], atol=0.03,
        )  # fmt: skip
    np.testing.assert_allclose(came.reward, pomdp.reward[action, states, after], rtol=1e-6)
    assert pomdp.first_observation is not None
    for lane in range(20):
        first, then = int(seen[lane]), int(came.observation[lane])
        begun = pomdp.start * pomdp.first_observation[:, first]
        belief = pomdp.believe(begun / begun.sum(), int(action[lane]), then)
        np.testing.assert_allclose(came.state[0].belief[lane], belief, atol=1e-5)


def test_an_episode_ends_where_the_pomdp_does():
    place = adapt(FiniteEnvironment(read_pomdp(FILES / "tiger-once.POMDP")))
    observation, state = place.reset(jax.random.key(0))
    assert int(observation) == 3  # nothing was seen yet: one more than the observations
    assert not place.step(jax.random.key(1), state, jnp.int32(0)).terminated
    came = place.step(jax.random.key(1), state, jnp.int32(1))
    assert bool(came.terminated)
    assert float(came.reward) in (10.0, -100.0)


def best_by_tree(pomdp, belief, depth):
    """The optimal value of so many steps, by trying all plans, and what is left at most."""
    if not depth:
        return 0.0
    values = []
    for a in range(pomdp.transition.shape[0]):
        value = pomdp.expected_reward[a] @ belief
        for o in range(pomdp.observation.shape[2]):
            joint = belief @ pomdp.transition[a] * pomdp.observation[a, :, o]
            if joint.sum() > 1e-12:
                value += pomdp.discount * joint.sum() * best_by_tree(
                    pomdp, joint / joint.sum(), depth - 1
                )  # fmt: skip
        values.append(value)
    return max(values)


@pytest.mark.parametrize("first", [False, True])
def test_bounds_hold_the_value_that_trying_all_plans_finds(first):
    pomdp = random_pomdp(2, seen=2, first=first)
    bounds = bound_value(pomdp, gap=1e-3)
    assert 0 <= bounds.upper - bounds.lower <= 1e-3
    depth = 8
    found = sum(p * best_by_tree(pomdp, b, depth) for p, b in pomdp.starts)
    most = np.abs(pomdp.expected_reward).max()
    left = most * pomdp.discount**depth / (1 - pomdp.discount)
    assert bounds.lower - left <= found <= bounds.upper + left


@pytest.mark.parametrize(
    ("name", "optimum", "memoryless"),
    [  # of Allen and others 2024, their solver's and the best of their ascents
        ("tiger-once", 3.7702, -7.175),  # seen at the start: nothing
        ("cheese", 3.5789, 2.0792), ("shuttle", 32.8897, 18.9231),
    ],
)  # fmt: skip
def test_published_values_are_found(name, optimum, memoryless):
    pomdp = read_pomdp(FILES / f"{name}.POMDP", seen_at_start=name in SEEN_AT_START)
    bounds = bound_value(pomdp, gap=5e-3)
    assert bounds.lower - 2e-3 <= optimum <= bounds.upper + 2e-3
    assert bounds.upper - bounds.lower <= 5e-3
    found = best_memoryless(pomdp, ascents=24)
    assert found.value == pytest.approx(memoryless, abs=2e-3)


def test_the_policy_of_the_lower_bound_wins_what_it_says():
    """Played with exact beliefs: the tiger, of which no one without memory makes anything."""
    pomdp = read_pomdp(FILES / "tiger.POMDP")
    bounds = bound_value(pomdp, gap=0.2)
    random, won = np.random.default_rng(0), []
    for _ in range(150):
        state, belief, total = random.choice(2), pomdp.start, 0.0
        for t in range(90):
            a = bounds.action(belief)
            after = random.choice(2, p=pomdp.transition[a, state])
            total += pomdp.discount**t * pomdp.reward[a, state, after]
            o = random.choice(2, p=pomdp.observation[a, after])
            state, belief = after, pomdp.believe(belief, a, o)
        won.append(total)
    error = np.std(won) / np.sqrt(len(won))
    assert np.mean(won) == pytest.approx(bounds.lower, abs=3 * error)


def test_the_value_of_a_memoryless_policy_is_what_playing_it_wins():
    pomdp = random_pomdp(1)
    policy = np.random.default_rng(3).dirichlet(np.ones(2), size=4)
    found, random, won = value_of(pomdp, policy), np.random.default_rng(0), []
    for _ in range(2000):
        state, seen, total = random.choice(3, p=pomdp.start), 3, 0.0
        for t in range(40):
            a = random.choice(2, p=policy[seen])
            after = random.choice(3, p=pomdp.transition[a, state])
            total += pomdp.discount**t * pomdp.reward[a, state, after]
            state, seen = after, random.choice(3, p=pomdp.observation[a, after])
        won.append(total)
    assert found == pytest.approx(np.mean(won), abs=4 * np.std(won) / np.sqrt(len(won)))


def test_where_chance_helps_a_memoryless_policy_takes_it():
    """Two rooms that look the same, the way out being left of one and right of the other."""
    transition = np.zeros((2, 3, 3))
    transition[0] = [[0, 0, 1], [0, 1, 0], [0, 0, 1]]
    transition[1] = [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
    reward = np.zeros((2, 3, 3))
    reward[:, :2, 2] = 1
    seen = np.broadcast_to([[1.0, 0], [1, 0], [0, 1]], (2, 3, 2))
    pomdp = POMDP(transition, seen, reward, np.array([0.5, 0.5, 0]), 0.9, seen[0])
    found = best_memoryless(pomdp, ascents=8)
    # Out with probability 1/2 at each step, first seen before acting: 1 / 2 / (1 - 0.9 / 2).
    assert found.value == pytest.approx(0.5 / 0.55, abs=1e-4)
    np.testing.assert_allclose(found.policy[0], 0.5, atol=0.01)


@pytest.mark.parametrize("function", [bound_value, best_memoryless])
def test_without_a_discount_there_is_no_bound(function):
    with pytest.raises(InputError, match="below 1"):
        function(tmaze_pomdp(2, 1.0))


def test_the_t_maze_as_data_is_the_environment():
    length, random = 3, np.random.default_rng(0)
    place, pomdp = adapt(TMaze(length)), tmaze_pomdp(length)
    cells = length + 2
    step = jax.jit(place.step)
    for episode in range(20):
        seen, state = place.reset(jax.random.key(episode))
        goal, over = int(state[0].goal), False
        here = goal * cells
        assert pomdp.first_observation[here, int(seen)] == 1
        while not over:
            action = int(random.choice(4, p=[0.1, 0.1, 0.5, 0.3]))
            came = step(jax.random.key(0), state, jnp.int32(action))
            (after,) = np.flatnonzero(pomdp.transition[action, here])
            assert float(came.reward) == pytest.approx(pomdp.reward[action, here, after])
            over = bool(pomdp.terminal[after])
            assert bool(came.terminated) == over
            if not over:
                assert pomdp.observation[action, after, int(came.final)] == 1
            here, state = after, came.state
    bounds = bound_value(tmaze_pomdp(5, 0.9), gap=1e-4)
    assert bounds.lower == pytest.approx(4 * 0.9**6, abs=1e-4)  # 2.1258
    # Who sees the goal for which it would turn the wrong way had better stay where it is.
    assert best_memoryless(tmaze_pomdp(5, 0.9), ascents=8).value == pytest.approx(
        2 * 0.9**6, abs=1e-4
    )


def test_every_file_is_one_of_the_tasks():
    assert {path.stem for path in FILES.glob("*.POMDP")} == set(FINITE)
