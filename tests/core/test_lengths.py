"""Lanes that end early: each is the lane run alone, whatever the steps beyond its end hold."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from jaxrnn import InputError, Options, unroll, unroll_layers
from tests import reference
from tests.core.test_unroll_inputs import MIXED
from tests.networks import Case, cases, examples, made
from tests.reference import assert_close, one_hot


def lane_of(tree, lane: int):
    return jax.tree.map(lambda x: x[lane : lane + 1], tree)


def lanes_alone(case: Case, lengths, cotangents):
    """Outputs, state and gradients of each lane by itself, by the reference, side by side."""
    masks = case.masks() if case.dropout else {}
    d_outputs, d_state = cotangents
    outputs, d_inputs = np.zeros_like(d_outputs), np.zeros_like(case.inputs)
    d_params, states, d_states = jax.tree.map(np.zeros_like, case.params), [], []
    for lane, length in enumerate(lengths):
        own = np.s_[:length, lane : lane + 1]
        state, d_own = lane_of(case.state, lane), lane_of(d_state, lane)
        if length:
            tape = reference.forward(
                case.network, case.params, state, case.inputs[own],
                None if case.resets is None else case.resets[own],
                {connection: mask[own] for connection, mask in masks.items()},
            )  # fmt: skip
            gradients = reference.backward(tape, d_outputs[own], d_own)
            outputs[own], state = tape.outputs, tape.state
            d_params = jax.tree.map(np.add, d_params, gradients[0])
            d_own, d_inputs[own] = gradients[1:]
        states.append(state)
        d_states.append(d_own)
    beside = partial(jax.tree.map, lambda *lanes: np.concatenate(lanes))
    return (outputs, beside(*states)), (d_params, beside(*d_states), d_inputs)


@pytest.mark.parametrize(
    "options",
    [Options(), Options(plain_autodiff=True), Options(stepwise=True), Options(segment=2)],
    ids=["as it comes", "plain autodiff", "stepwise", "in segments"],
)
@given(case=cases())
@examples(4)
def test_each_lane_is_the_lane_alone_and_so_are_gradients(case, options):
    if options.segment:
        case.dropout = None  # whose masks are drawn for each segment
    lengths = case.rng.integers(case.time + 1, size=case.batch)
    padding = np.arange(case.time)[:, None] >= lengths
    inputs = np.where(padding[..., None], case.rng.choice([np.nan, np.inf, 1e300]), case.inputs)

    @jax.jit
    def run(arguments, lengths, cotangents):
        run = partial(unroll, case.network, **case.options, options=options, lengths=lengths)
        result, pull = jax.vjp(run, *arguments)
        return result, pull(cotangents)

    with jax.enable_x64(True):
        size = case.network.size("output")
        cotangents = case.noise((np.zeros((case.time, case.batch, size)), case.state))
        expected, gradients = lanes_alone(case, lengths, cotangents)
        found = run((case.params, case.state, inputs), lengths, cotangents)
    assert_close(found[0], expected)
    assert_close(found[1], gradients)


def test_symbols_beyond_an_end_may_be_none_at_all():
    params, state = made(MIXED, 4)
    symbols, lengths = np.random.default_rng(0).integers(5, size=(6, 4)), np.array([0, 2, 4, 6])
    padded = np.where(np.arange(6)[:, None] < lengths, symbols, 77)
    expected = unroll(MIXED, params, state, jnp.asarray(one_hot(symbols, 5)), lengths=lengths)
    assert_close(unroll(MIXED, params, state, padded, lengths=lengths), expected, 1e-5)
    traced = jax.jit(lambda x, n: unroll(MIXED, params, state, x, lengths=n))
    assert_close(traced(padded, lengths), expected, 1e-5)
    padded[1, 1] = 77
    with pytest.raises(InputError, match="the inputs hold 77"):
        unroll(MIXED, params, state, padded, lengths=lengths)


def test_every_layer_s_outputs_and_carries_are_zero_beyond_an_end():
    params, state = made(MIXED, 2)
    symbols, lengths = np.ones((5, 2), int), np.array([3, 5])
    cut = unroll_layers(MIXED, params, state, symbols, lengths=lengths)
    whole = unroll_layers(MIXED, params, state, symbols)
    for found, full in zip(*map(jax.tree.leaves, (cut[:2], whole[:2])), strict=True):
        np.testing.assert_array_equal(found[3:, 0], 0)
        np.testing.assert_allclose(found[:3, 0], full[:3, 0], rtol=1e-5)
        np.testing.assert_allclose(found[:, 1], full[:, 1], rtol=1e-5)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1, 2, 3], r"lengths"),
        ([1.0, 2.0], r"lengths"),
        ([1, 6], r"a length is 6; those of inputs of 5 steps are 0 to 5"),
        ([-1, 5], r"a length is -1"),
    ],
    ids=str,
)
def test_lengths_that_do_not_fit_are_refused(lengths, message):
    params, state = made(MIXED, 2)
    with pytest.raises((InputError, TypeError), match=message):
        unroll(MIXED, params, state, np.zeros((5, 2), int), lengths=np.array(lengths))
