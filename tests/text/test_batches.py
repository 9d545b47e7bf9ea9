import math
import timeit
from collections import Counter

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.core.errors import InputError
from jaxrnn.text.batches import (
    contiguous_lanes,
    evaluation_batches,
    random_chunks,
    steps_per_epoch,
)

SIZES = {"batch": st.integers(1, 5), "chunk": st.integers(1, 7)}


def text(length: int) -> np.ndarray:
    """Numbers that tell where they come from: token i is i."""
    return np.arange(length, dtype=np.uint16)


@given(**SIZES, extra=st.integers(0, 40))
def test_lanes_read_the_text_in_order_and_wrap_around_at_the_end(batch, chunk, extra):
    tokens = text(batch * chunk + 1 + extra)
    steps = steps_per_epoch(len(tokens), batch=batch, chunk=chunk)
    span = steps * chunk
    for step in range(2 * steps + 1):
        got = contiguous_lanes(tokens, batch=batch, chunk=chunk, step=step)
        assert got.inputs.shape == got.targets.shape == got.resets.shape == (chunk, batch)
        assert got.inputs.dtype == got.targets.dtype == np.int32
        for lane in range(batch):
            begin = lane * span + (step % steps) * chunk
            expected = tokens[begin : begin + chunk + 1]
            np.testing.assert_array_equal(got.inputs[:, lane], expected[:-1])
            np.testing.assert_array_equal(got.targets[:, lane], expected[1:])
        assert got.resets[0].all() == (step % steps == 0)
        assert not got.resets[1:].any()


@given(**SIZES, extra=st.integers(0, 40), seed=st.integers(0, 2**32), epoch=st.integers(0, 3))
def test_an_epoch_from_any_place_reads_no_pair_twice_and_skips_less_than_a_step(
    batch, chunk, extra, seed, epoch
):
    tokens = text(batch * chunk + 1 + extra)
    steps = steps_per_epoch(len(tokens), batch=batch, chunk=chunk)
    batches = [
        contiguous_lanes(tokens, batch=batch, chunk=chunk, step=step, seed=seed)
        for step in range(epoch * steps, (epoch + 1) * steps)
    ]
    inputs = np.concatenate([got.inputs for got in batches])
    targets = np.concatenate([got.targets for got in batches])
    resets = np.concatenate([got.resets for got in batches])
    np.testing.assert_array_equal(targets, inputs + 1)
    assert resets[0].all()
    np.testing.assert_array_equal(resets[1:], inputs[1:] != inputs[:-1] + 1)
    seen = Counter(inputs.ravel().tolist())
    assert set(seen.values()) == {1}
    assert len(tokens) - 1 - len(seen) < batch * chunk


def test_readings_begin_less_than_a_chunk_apart_and_depend_on_nothing_but_the_numbers():
    """So that what is read was last read an epoch ago, and cut elsewhere."""
    tokens = text(1000)
    steps = steps_per_epoch(1000, batch=4, chunk=10)

    def begins(seed: int, epoch: int) -> int:
        batch = contiguous_lanes(tokens, batch=4, chunk=10, step=epoch * steps, seed=seed)
        return int(batch.inputs[0, 0])

    starts = {seed: [begins(seed, epoch) for epoch in range(9)] for seed in range(5)}
    assert len({first for first, *_ in starts.values()}) == 5
    for first, *others in starts.values():
        shifts = {(other - first) % 999 for other in others}
        assert shifts <= set(range(10))
        assert len(shifts) > 1
    assert starts[1][2] == begins(1, 2)


def test_a_text_too_short_for_one_step_is_refused_with_the_lengths():
    contiguous_lanes(text(41), batch=4, chunk=10, step=0)
    with pytest.raises(InputError, match=r"4 lanes with a chunk of 10 .* at least 41 .* has 40"):
        contiguous_lanes(text(40), batch=4, chunk=10, step=0)


@given(**SIZES, extra=st.integers(0, 20), seed=st.integers(0, 2**63), step=st.integers(0, 10**9))
def test_random_chunks_are_pieces_of_the_text_that_start_anew(batch, chunk, extra, seed, step):
    tokens = text(chunk + 1 + extra)
    got = random_chunks(tokens, batch=batch, chunk=chunk, seed=seed, step=step)
    assert got.inputs.shape == (chunk, batch)
    assert got.inputs.dtype == got.targets.dtype == np.int32
    np.testing.assert_array_equal(got.inputs, got.inputs[0] + np.arange(chunk)[:, None])
    np.testing.assert_array_equal(got.targets, got.inputs + 1)
    assert got.targets.max() < len(tokens)
    assert got.resets[0].all()
    assert not got.resets[1:].any()


def test_random_chunks_are_uniform_over_all_places_the_last_included():
    tokens = text(13)  # a chunk of 3 has 10 places
    drawn = [
        random_chunks(tokens, batch=100, chunk=3, seed=0, step=step).inputs[0] for step in range(50)
    ]
    counts = np.bincount(np.concatenate(drawn), minlength=10)
    assert counts.shape == (10,)
    # Chi-squared with 9 degrees of freedom stays below 33.7 with probability 0.9999.
    assert ((counts - 500) ** 2 / 500).sum() < 33.7


def test_random_chunks_depend_on_seed_and_step_only():
    draw = {
        (seed, step): random_chunks(text(10**4), batch=8, chunk=5, seed=seed, step=step).inputs
        for seed in (0, 1)
        for step in (0, 1)
    }
    again = random_chunks(text(10**4), batch=8, chunk=5, seed=1, step=0).inputs
    np.testing.assert_array_equal(again, draw[1, 0])
    assert len({array.tobytes() for array in draw.values()}) == 4


def test_a_text_shorter_than_a_chunk_and_its_target_is_refused():
    random_chunks(text(6), batch=2, chunk=5, seed=0, step=0)
    with pytest.raises(InputError, match=r"chunk of 5 .* at least 6 .* has 5"):
        random_chunks(text(5), batch=2, chunk=5, seed=0, step=0)


@given(**SIZES, length=st.integers(2, 90), heard=st.integers(0, 30))
def test_evaluation_scores_every_symbol_but_the_first_once_after_those_it_is_to_hear(
    batch, chunk, length, heard
):
    batches = list(evaluation_batches(text(length), batch=batch, chunk=chunk, heard=heard))
    for got in batches:
        assert got.inputs.shape == got.targets.shape == got.weights.shape == (chunk, batch)
        assert got.weights.dtype == np.float32
    inputs, targets, weights = (
        np.concatenate([getattr(got, name) for got in batches])
        for name in ("inputs", "targets", "weights")
    )
    assert set(np.unique(weights)) <= {0, 1}
    assert Counter(targets[weights == 1].tolist()) == Counter(range(1, length))
    for lane in range(batch):
        for place in np.flatnonzero(weights[:, lane]):
            # All that the lane has heard by then is what stands before the target, in its order.
            before = inputs[: place + 1, lane]
            np.testing.assert_array_equal(
                before, targets[place, lane] - np.arange(place + 1, 0, -1)
            )
            assert len(before) >= min(targets[place, lane], heard + 1)
    characters = length - 1 + (batch - 1) * min(heard, length - 1)
    assert len(batches) <= math.ceil(math.ceil(characters / batch) / chunk)


def test_a_split_of_one_symbol_cannot_be_evaluated():
    with pytest.raises(InputError, match="at least 2 symbols, but this one has 1"):
        evaluation_batches(text(1), batch=2, chunk=5)


def test_a_batch_costs_microseconds(tmp_path):
    path = tmp_path / "tokens.npy"
    np.save(path, np.zeros(10**6, np.uint8))
    tokens = np.load(path, mmap_mode="r")

    def best(function):
        return min(timeit.repeat(function, number=50, repeat=20)) / 50

    # Bounds are generous: the signatures are being checked, and the machine may be busy.
    assert best(lambda: contiguous_lanes(tokens, batch=32, chunk=16, step=7)) < 5e-4
    assert best(lambda: random_chunks(tokens, batch=32, chunk=16, seed=0, step=7)) < 5e-4


@pytest.mark.parametrize("read", [contiguous_lanes, random_chunks])
def test_some_lanes_are_those_of_the_whole_batch(read):
    tokens = np.random.default_rng(0).integers(9, size=200)
    options = {"batch": 6, "chunk": 4, "seed": 3, "step": 11}
    whole, some = read(tokens, **options), read(tokens, **options, lanes=slice(2, 5))
    jax.tree.map(np.testing.assert_array_equal, some, jax.tree.map(lambda x: x[:, 2:5], whole))
