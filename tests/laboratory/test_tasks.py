"""Tasks, played by plain Python: the best agent reaches the ceiling, one at random does not."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.laboratory.tasks.catalogue import NAMES, REPEATED, task
from experiments.laboratory.tasks.recall import (
    Bandit,
    MemoryLength,
    PassiveTMaze,
    PositionCartPole,
    Repeat,
    bandit_optimum,
)
from jaxrnn import InputError
from jaxrnn.acting import adapt


def played(environment, choose, seed=0):
    """The return of an episode in which `choose(what was seen so far)` acts, and its length."""
    place = adapt(environment)
    step = jax.jit(place.step)
    seen, state = place.reset(jax.random.key(seed))
    history, won, length, over = [np.asarray(seen)], 0.0, 0, False
    while not over:
        came = step(jax.random.key(1000 * seed + length), state, jnp.int32(choose(history)))
        won, length, state = won + float(came.reward), length + 1, came.state
        over = bool(came.terminated | came.truncated)
        history.append(np.asarray(came.observation))
    return won, length


@pytest.mark.parametrize("seed", range(3))
def test_who_remembers_wins_all(seed):
    def turns(length):
        return lambda seen: int(seen[0]) if len(seen) == length + 1 else 2

    assert played(PassiveTMaze(7), turns(7), seed) == (1.0, 8)
    answer = lambda seen: int(seen[0][1] > 0)  # noqa: E731
    assert played(MemoryLength(5), answer, seed) == (1.0, 6)
    for back in (3, 31):
        won, length = played(
            Repeat(1, back), lambda seen, k=back: int(seen[max(len(seen) - 1 - k, 0)]), seed
        )
        assert won == pytest.approx(1.0, abs=1e-4)
        assert length == 52
    won, _ = played(Repeat(1, None), lambda seen: int(seen[0]), seed)
    assert won == pytest.approx(1.0, abs=1e-4)


def test_who_is_wrong_or_late_pays_for_it():
    wrong = lambda seen: 1 - int(seen[0]) if len(seen) == 5 else 2  # noqa: E731
    assert played(PassiveTMaze(4), wrong) == (0.0, 5)
    # One step back at first: one cell behind in each of the four steps before the last.
    slow = lambda seen: 3 if len(seen) == 1 else 2  # noqa: E731
    assert played(PassiveTMaze(4), slow)[0] == pytest.approx(-1.0)
    assert played(MemoryLength(2), lambda seen: int(seen[0][1] < 0)) == (-1.0, 3)
    random = np.random.default_rng(0)
    won = [played(Repeat(1, 3), lambda _: random.integers(4), seed)[0] for seed in range(8)]
    assert np.mean(won) == pytest.approx(-0.5, abs=0.1)


def test_cards_are_those_of_whole_decks():
    place = adapt(Repeat(2, 3))
    _, (state, _) = place.reset(jax.random.key(0))
    np.testing.assert_array_equal(np.bincount(state.suits), 26)


def test_what_memory_length_shows_is_what_bsuite_shows():
    place = adapt(MemoryLength(4))
    seen, state = place.reset(jax.random.key(3))
    rows = [np.asarray(seen)]
    for _ in range(3):
        came = place.step(jax.random.key(0), state, jnp.int32(0))
        rows.append(np.asarray(came.observation))
        state = came.state
    assert abs(rows[0][1]) == 1
    assert not np.array(rows)[1:, 1].any()
    np.testing.assert_allclose(np.array(rows)[:, 0], [1, 0.75, 0.5, 0.25])


def test_the_best_at_the_bandit_is_what_trying_all_plans_says():
    """For three pulls by recursion over what was won and lost; for 20 as known."""

    def best(counts, left):
        if not left:
            return 0.0
        values = []
        for arm in (0, 1):
            won, lost = counts[2 * arm : 2 * arm + 2]
            p = (won + 1) / (won + lost + 2)
            after = [list(counts), list(counts)]
            after[0][2 * arm] += 1
            after[1][2 * arm + 1] += 1
            values.append(p * (1 + best(after[0], left - 1)) + (1 - p) * best(after[1], left - 1))
        return max(values)

    assert bandit_optimum(5) == pytest.approx(best([0, 0, 0, 0], 5))
    assert bandit_optimum(20) == pytest.approx(12.431, abs=1e-3)
    place = adapt(Bandit(2, 3))
    _, state = place.reset(jax.random.key(0))
    ends = []
    for _ in range(3):
        came = place.step(jax.random.key(1), state, jnp.int32(1))
        ends.append(bool(came.terminated))
        state = came.state
    assert ends == [False, False, True]


def test_the_cart_moves_as_gymnasium_says():
    gymnasium = pytest.importorskip("gymnasium.envs.classic_control.cartpole")
    theirs = gymnasium.CartPoleEnv()
    theirs.reset(seed=0)
    place = adapt(PositionCartPole())
    _, ((pole), time) = place.reset(jax.random.key(0))
    state, random = (pole, time), np.random.default_rng(0)
    theirs.state = tuple(float(x) for x in pole)
    step = jax.jit(place.step)
    for _, action in itertools.product(range(30), (0, 1)):
        action = int(action if random.random() < 0.8 else 1 - action)
        came = step(jax.random.key(0), state, jnp.int32(action))
        seen, _, fallen, _, _ = theirs.step(action)
        np.testing.assert_allclose(
            came.final, [seen[0] / 2.4, seen[2] / (12 * np.pi / 180)], atol=1e-4
        )
        assert bool(came.terminated) == fallen
        assert float(came.reward) == pytest.approx(1 / 200)
        if fallen:
            break
        state = came.state


@pytest.mark.parametrize("name", NAMES)
def test_every_task_can_be_begun(name):
    chosen = task(name)
    assert chosen.watched >= 1
    jax.eval_shape(chosen.place.reset, jax.random.key(0))
    if name in REPEATED:
        assert chosen.watched == chosen.place.reset(jax.random.key(0))[1][0].suits.size


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chess",), ["chess", "tmaze", ".POMDP"]),
        (("tiger", 5), ["--length is 5", "tiger", "passive_tmaze"]),
        (("tmaze", 0), ["--length is 0", "cells"]),
        (("none.POMDP",), ["none.POMDP", "cannot be read"]),
    ],
)
def test_what_is_no_task_is_refused(arguments, said):
    with pytest.raises(InputError) as caught:
        task(*arguments)
    assert all(part in str(caught.value) for part in said), caught.value
