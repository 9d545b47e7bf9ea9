"""What resets return to: a lane after a reset is one that began in that state."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from jaxrnn import InputError, Options, initial_state, stacked, step, unroll
from tests import reference
from tests.networks import Case, cases, examples, made
from tests.reference import assert_close


def lane_of(tree, lane: int):
    return jax.tree.map(lambda x: x[lane % len(x)][None], tree)


def pieces_alone(case: Case, reset_state, cotangents):
    """Each lane cut at its resets into pieces, the later ones begun in the state given."""
    masks = case.masks() if case.dropout else {}
    d_outputs, d_state = cotangents
    outputs, d_inputs = np.zeros_like(d_outputs), np.zeros_like(case.inputs)
    zeros = partial(jax.tree.map, np.zeros_like)
    d_params, d_reset, finals, d_firsts = zeros(case.params), zeros(reset_state), [], []
    for lane in range(case.batch):
        d_lane, first = zeros(lane_of(case.state, lane)), lane_of(case.state, lane)
        for start, end in pairwise([0, *np.flatnonzero(case.resets[:, lane]), case.time]):
            if start == end:  # a reset before the first step
                continue
            begun = case.resets[start, lane]
            state = lane_of(reset_state, lane) if begun else first
            own = np.s_[start:end, lane : lane + 1]
            tape = reference.forward(
                case.network, case.params, state, case.inputs[own],
                masks={connection: mask[own] for connection, mask in masks.items()},
            )  # fmt: skip
            d_end = lane_of(d_state, lane) if end == case.time else zeros(state)
            more, d_begin, d_inputs[own] = reference.backward(tape, d_outputs[own], d_end)
            outputs[own] = tape.outputs
            d_params = jax.tree.map(np.add, d_params, more)
            if begun:
                for total, grad in zip(*map(jax.tree.leaves, (d_reset, d_begin)), strict=True):
                    total[lane % len(total)] += grad[0]
            else:
                d_lane = d_begin
        finals.append(tape.state)
        d_firsts.append(d_lane)
    beside = partial(jax.tree.map, lambda *lanes: np.concatenate(lanes))
    return (outputs, beside(*finals)), (d_params, beside(*d_firsts), d_inputs, d_reset)


@pytest.mark.parametrize(
    "options",
    [Options(), Options(plain_autodiff=True), Options(stepwise=True), Options(segment=2)],
    ids=["as it comes", "plain autodiff", "stepwise", "in segments"],
)
@given(case=cases())
@examples(4)
def test_a_piece_after_a_reset_is_one_begun_in_the_state_given_and_so_are_gradients(case, options):
    if options.segment:
        case.dropout = None  # whose masks are drawn for each segment
    case.resets = case.rng.random((case.time, case.batch)) < 0.4
    count = case.rng.choice([1, case.batch])  # one for all lanes, or for each
    given = case.noise(jax.tree.map(lambda x: x[:count], case.state))

    @jax.jit
    def run(arguments, cotangents):
        def run(params, state, inputs, reset_state):
            return unroll(
                case.network, params, state, inputs, **case.options,
                options=options, reset_state=reset_state,
            )  # fmt: skip

        result, pull = jax.vjp(run, *arguments)
        return result, pull(cotangents)

    with jax.enable_x64(True):
        size = case.network.size("output")
        cotangents = case.noise((np.zeros((case.time, case.batch, size)), case.state))
        expected, gradients = pieces_alone(case, given, cotangents)
        found = run((case.params, case.state, case.inputs, given), cotangents)
    assert_close(found[0], expected)
    assert_close(found[1], gradients)


def test_a_step_returns_to_it_too():
    network = stacked(3, [4], 2, "lstm")
    params, state = made(network, 2)
    learned = jax.tree.map(lambda x: x + 0.5, initial_state(network, 1))
    resets, inputs = jnp.array([True, False]), jnp.ones((2, 3))
    outputs, after = step(network, params, state, inputs, resets=resets, reset_state=learned)
    begun = jax.tree.map(lambda new, old: jnp.stack([new[0], old[1]]), learned, state)
    assert_close((outputs, after), step(network, params, begun, inputs), 1e-6)


def test_a_reset_state_of_another_network_or_batch_is_refused():
    network = stacked(3, [4], 2)
    params, state = made(network, 3)
    run = partial(unroll, network, params, state, jnp.ones((2, 3, 3)))
    for wrong in (initial_state(network, 2), initial_state(stacked(3, [5], 2), 1)):
        with pytest.raises(InputError, match="reset_state does not fit the network and 3 lanes"):
            run(resets=jnp.zeros((2, 3), bool), reset_state=wrong)
