"""Long chunks in segments: the same numbers, from less memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from jaxrnn import Dropout, InputError, Options, stacked, unroll
from jaxrnn.core.engine.segments import segment_length
from tests import reference
from tests.networks import cases, examples, made
from tests.reference import assert_close

NETWORK = stacked(3, [4], 2, cell="gru")


@pytest.mark.parametrize("segment", [1, 2, 4])
@given(case=cases(dropout=False))
@examples(5)
def test_segments_give_the_outputs_state_and_gradients_of_textbook_bptt(case, segment):
    arguments = case.params, case.state, case.inputs

    @jax.jit
    def run(arguments, cotangents):
        result, pull = jax.vjp(
            lambda *a: unroll(case.network, *a, **case.options, options=Options(segment=segment)),
            *arguments,
        )
        return result, pull(cotangents)

    with jax.enable_x64(True):
        tape = reference.forward(case.network, *arguments, case.resets)
        cotangents = case.noise((tape.outputs, tape.state))
        result, gradients = run(arguments, cotangents)
    assert_close(result, (tape.outputs, tape.state))
    assert_close(gradients, reference.backward(tape, *cotangents))


def dropped(segment: int, locked: bool) -> jax.Array:
    """What a network of nothing but dropout lets through, at each of 8 steps."""
    network = stacked(64, [], 64)
    params = {"output": {"bias": jnp.zeros(64), "input@0": jnp.eye(64)}}
    outputs, _ = unroll(
        network, params, {}, jnp.ones((8, 2, 64)), options=Options(segment=segment),
        dropout=Dropout(0.5, locked), dropout_key=jax.random.key(0),
    )  # fmt: skip
    return outputs


def test_each_segment_drops_other_outputs():
    steps = np.asarray(dropped(4, locked=False)).reshape(8, -1)
    assert len({step.tobytes() for step in steps}) == 8


def test_a_locked_mask_holds_for_all_segments():
    np.testing.assert_array_equal(dropped(4, locked=True), dropped(0, locked=True))


def test_the_gradient_of_a_long_chunk_keeps_the_states_between_segments_only():
    """Time steps enter what is kept for the backward pass through inputs and outputs alone."""
    params, state = made(NETWORK)
    inputs = jnp.zeros((64, 2, 3))

    def kept(segment: int) -> int:
        run = partial(unroll, NETWORK, options=Options(segment=segment))
        _, pull = jax.vjp(lambda p: run(p, state, inputs)[0], params)
        return sum(x.size for x in jax.tree.leaves(pull))

    assert kept(8) < kept(0) / 2


def test_only_long_chunks_are_cut_unless_asked():
    assert segment_length(None, 1000) == 1000
    assert segment_length(None, 4096) == 128
    assert segment_length(0, 4096) == 4096
    assert segment_length(100, 50) == 50


def test_a_negative_segment_is_refused():
    with pytest.raises(InputError, match="segment is -1 steps long"):
        Options(segment=-1)
