"""Memory problems, read back symbol by symbol."""

import math
from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.laboratory.memory_problems import adding, copying, first_symbol, temporal_order
from jaxrnn.core.errors import InputError

TASKS = [adding(7), adding(2), copying(1), copying(5), temporal_order(), first_symbol(4)]
MANY = 2000  # lanes


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name} {task.length}")
def test_sequences_are_a_function_of_seed_and_step(task):
    one = task.sequences(batch=9, seed=3, step=5)
    for same, array in zip(task.sequences(batch=9, seed=3, step=5), one, strict=True):
        np.testing.assert_array_equal(same, array)
    for seed, step in [(3, 6), (4, 5), (5, 3)]:
        other = task.sequences(batch=9, seed=seed, step=step)
        assert (other.inputs != one.inputs).any()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name} {task.length}")
def test_every_sequence_starts_from_the_zero_state_at_its_first_step(task):
    resets = task.sequences(batch=4, seed=0, step=0).resets
    assert resets[0].all()
    assert not resets[1:].any()


@pytest.mark.parametrize("length", [2, 7, 100])
def test_the_sum_is_that_of_one_marked_number_in_each_half(length):
    inputs, targets, _, weights = adding(length).sequences(batch=MANY, seed=1, step=2)
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
    task = adding(10)
    batch = task.sequences(batch=50_000, seed=0, step=0)
    losses = task.loss(jnp.ones((10, 50_000, 1)), jnp.asarray(batch.targets))
    assert task.baseline == 1 / 6
    assert np.average(losses, weights=batch.weights) == pytest.approx(1 / 6, abs=5e-3)


@pytest.mark.parametrize("delay", [1, 2, 30])
def test_ten_symbols_are_to_be_copied_after_the_delimiter(delay):
    inputs, targets, _, weights = copying(delay).sequences(batch=MANY, seed=1, step=2)
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
    task = copying(50)
    inputs, targets, *_ = task.sequences(batch=5000, seed=0, step=0)
    assert len(inputs) == 70
    nats = 0.0
    for t in range(70):
        for symbol, count in Counter(inputs[t].tolist()).items():
            answers = Counter(targets[t, inputs[t] == symbol].tolist())
            nats -= sum(n * math.log(n / count) for n in answers.values()) / inputs.size
    assert nats == pytest.approx(10 * math.log(8) / 70, rel=1e-3)
    assert task.baseline == pytest.approx(10 * math.log(8) / 70)

    logits = np.full((70, 1, 9), -np.inf)
    logits[:60, :, 8], logits[60:, :, :8] = 0, 0
    losses = task.loss(jnp.asarray(logits), jnp.asarray(targets[:, :1]))
    assert losses.mean() == pytest.approx(task.baseline)


def test_the_class_is_the_order_of_two_symbols_at_the_published_places():
    task = temporal_order()
    inputs, targets, _, weights = task.sequences(batch=MANY, seed=1, step=2)
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
    assert task.baseline == math.log(4)


@pytest.mark.parametrize("length", [1, 50])
def test_the_first_symbol_is_asked_for_so_many_steps_later(length):
    task = first_symbol(length)
    inputs, targets, _, weights = task.sequences(batch=MANY, seed=1, step=2)
    (asked,) = np.flatnonzero(weights.any(axis=1))
    assert asked == length
    assert weights[asked].all()
    np.testing.assert_array_equal(targets[asked], inputs[0])
    assert set(np.unique(inputs[0])) == {0, 1}
    assert set(np.unique(inputs[1:])) == {2, 3, 4, 5}
    assert abs(inputs[0].mean() - 0.5) < 0.05
    assert task.baseline == math.log(2)


@pytest.mark.parametrize(("make", "number"), [(adding, 1), (copying, 0), (first_symbol, 0)])
def test_a_length_too_short_is_refused(make, number):
    with pytest.raises(InputError, match=f" is {number}; it must be at least {number + 1}"):
        make(number)
