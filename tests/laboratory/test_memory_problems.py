"""Memory problems, read back symbol by symbol."""

import math
from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.laboratory.memory_problems import adding, copying, first_symbol, temporal_order
from jaxrnn.core.errors import InputError
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.problem import Problem

MAKERS = {
    "adding 7": partial(adding, 7), "adding 2": partial(adding, 2),
    "copying 1": partial(copying, 1), "copying 5": partial(copying, 5),
    "temporal order": temporal_order, "first symbol 4": partial(first_symbol, 4),
}  # fmt: skip
MANY = 2000  # lanes


def drawn(problem: Problem, *, seed: int = 1, step: int = 2) -> Batch:
    return problem.data(seed, step, slice(None))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_sequences_are_a_function_of_seed_and_step(make):
    one, again = (drawn(make(batch=9), seed=3, step=5) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, one, again)
    for seed, step in [(3, 6), (4, 5), (5, 3)]:
        assert (drawn(make(batch=9), seed=seed, step=step).inputs != one.inputs).any()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_process_draws_its_own_lanes_of_the_whole(make):
    problem = make(batch=6)
    parts = [problem.data(0, 3, lanes) for lanes in (slice(0, 2), slice(2, 6))]
    joined = jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=1), *parts)
    jax.tree.map(np.testing.assert_array_equal, joined, drawn(problem, seed=0, step=3))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_every_sequence_starts_from_the_zero_state_at_its_first_step(make):
    resets = drawn(make(batch=4)).resets
    assert resets[0].all()
    assert not resets[1:].any()


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_no_run_is_trained_on_what_it_is_judged_by(make):
    problem = make(batch=8, held_out=8)
    (judged,) = problem.held_out()
    for seed, step in [(0, 0), (1, 0), (1_000_000, 0)]:
        assert (drawn(problem, seed=seed, step=step).inputs != judged.inputs).any()


@pytest.mark.parametrize("length", [2, 7, 100])
def test_the_sum_is_that_of_one_marked_number_in_each_half(length):
    inputs, targets, _, weights, _ = drawn(adding(length, batch=MANY))
    assert inputs.shape == (length, MANY, 2)
    assert (inputs[..., 0] >= 0).all()
    assert (inputs[..., 0] < 1).all()
    places = set()
    for lane in range(MANY):
        marked = [t for t in range(length) if inputs[t, lane, 1] == 1]
        first, second = marked
        assert first < length // 2 <= second
        places |= {first, second}
        expected = float(inputs[first, lane, 0]) + float(inputs[second, lane, 0])
        assert targets[-1, lane] == pytest.approx(expected, abs=1e-6)
        assert weights[:, lane].tolist() == [0] * (length - 1) + [1]
    assert set(np.unique(inputs[..., 1])) <= {0, 1}
    assert places == set(range(length))


def test_always_answering_1_leaves_a_sixth_in_adding():
    problem = adding(10, batch=50_000)
    batch = drawn(problem)
    losses = problem.loss.of(jnp.ones((10, 50_000, 1)), jnp.asarray(batch.targets))
    assert problem.baseline == 1 / 6
    assert np.average(losses, weights=batch.weights) == pytest.approx(1 / 6, abs=5e-3)


@pytest.mark.parametrize("delay", [1, 2, 30])
def test_ten_symbols_are_to_be_copied_after_the_delimiter(delay):
    inputs, targets, _, weights, _ = drawn(copying(delay, batch=MANY))
    for lane in range(MANY):
        read = "".join("abcdefgh_|"[symbol] for symbol in inputs[:, lane])
        copied = read[:10]
        assert set(copied) <= set("abcdefgh")
        assert read == copied + "_" * (delay - 1) + "|" + "_" * 10
        asked = "".join("abcdefgh_"[symbol] for symbol in targets[:, lane])
        assert asked == "_" * (delay + 10) + copied
    assert (weights == 1).all()


def test_who_knows_the_time_but_not_the_symbols_gets_the_baseline_in_copying():
    """The frequencies of the right answers at each time, given the input there."""
    problem = copying(50, batch=5000)
    inputs, targets, *_ = drawn(problem)
    assert len(inputs) == 70
    nats = 0.0
    for t in range(70):
        for symbol, count in Counter(inputs[t].tolist()).items():
            answers = Counter(targets[t, inputs[t] == symbol].tolist())
            nats -= sum(n * math.log(n / count) for n in answers.values()) / inputs.size
    assert nats == pytest.approx(10 * math.log(8) / 70, rel=1e-3)
    assert problem.baseline == pytest.approx(10 * math.log(8) / 70)

    logits = np.full((70, 1, 9), -np.inf)
    logits[:60, :, 8], logits[60:, :, :8] = 0, 0
    losses = problem.loss.of(jnp.asarray(logits), jnp.asarray(targets[:, :1]))
    assert losses.mean() == pytest.approx(problem.baseline)


def test_the_class_is_the_order_of_two_symbols_at_the_published_places():
    problem = temporal_order(batch=MANY)
    inputs, targets, _, weights, _ = drawn(problem)
    seen = {"length": Counter(), "first": Counter(), "second": Counter(), "class": Counter()}
    for lane in range(MANY):
        read = "".join("abcdXYEB"[symbol] for symbol in inputs[:, lane])
        (last,) = np.flatnonzero(weights[:, lane])
        read = read[: last + 1]
        assert read[0] == "E"
        assert read[-1] == "B"
        assert set(read[1:-1]) <= set("abcdXY")
        first, second = (t for t, symbol in enumerate(read) if symbol in "XY")
        order = read[first] + read[second]
        assert targets[last, lane] == ["XX", "XY", "YX", "YY"].index(order)
        for what, value in zip(seen, (len(read), first, second, order), strict=True):
            seen[what][value] += 1
    assert set(seen["length"]) == set(range(100, 111))
    assert set(seen["first"]) == set(range(10, 21))
    assert set(seen["second"]) == set(range(50, 61))
    assert min(seen["class"].values()) > 0.2 * MANY
    assert problem.baseline == math.log(4)


@pytest.mark.parametrize("length", [1, 50])
def test_the_first_symbol_is_asked_for_so_many_steps_later(length):
    problem = first_symbol(length, batch=MANY)
    inputs, targets, _, weights, _ = drawn(problem)
    (asked,) = np.flatnonzero(weights.any(axis=1))
    assert asked == length
    assert weights[asked].all()
    np.testing.assert_array_equal(targets[asked], inputs[0])
    assert set(np.unique(inputs[0])) == {0, 1}
    assert set(np.unique(inputs[1:])) == {2, 3, 4, 5}
    assert abs(inputs[0].mean() - 0.5) < 0.05
    assert problem.baseline == math.log(2)


@pytest.mark.parametrize(("make", "number"), [(adding, 1), (copying, 0), (first_symbol, 0)])
def test_a_length_too_short_is_refused(make, number):
    with pytest.raises(InputError, match=f" is {number}; it must be at least {number + 1}"):
        make(number)
