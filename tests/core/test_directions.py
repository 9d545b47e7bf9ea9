"""Backward layers against forward ones on reversed lanes, and against pieces run by themselves."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from jaxrnn import (
    Connection,
    Dropout,
    InputError,
    Layer,
    Network,
    Options,
    initial_state,
    step,
    unroll,
    unroll_layers,
)
from tests.networks import cases, examples, made, random_params
from tests.reference import assert_close

BOTH_WAYS = Network(
    3,
    [Layer("ahead", 4, "lstm"), Layer("back", 4, "gru", backward=True),
     Layer("before", 3, "min_gru", backward=True), Layer("output", 2, "tanh")],
    [Connection("input", "ahead"), Connection("ahead", "ahead", 1),
     Connection("input", "back"), Connection("back", "back", 1), Connection("ahead", "back"),
     Connection("back", "before"), Connection("back", "before", 2),
     Connection("before", "before", 3), Connection("back", "output"),
     Connection("before", "output"), Connection("output", "output", 1)],
)  # fmt: skip


def reversed_lanes(sequence, lengths):
    """Each lane's first steps, as many as it has, from the last to the first."""
    result = np.array(sequence)
    for lane, length in enumerate(lengths):
        result[:length, lane] = result[:length, lane][::-1]
    return result


@given(case=cases(dropout=False))
@examples(8)
def test_a_backward_network_is_the_forward_one_on_reversed_lanes(case):
    """Outputs, and the gradient by everything that goes in; the state is returned as it was."""
    inputs = {(c.source, c.target) for c in case.network.connections if c.source == "input"}
    others = [c for c in case.network.connections if c.source != "input"]
    edges = [*(Connection(*ends) for ends in inputs), *others]
    network = Network(case.network.input_size, case.network.layers, edges)
    layers = [made_backward(layer) for layer in network.layers]
    backward = Network(network.input_size, layers, edges)
    lengths = case.rng.integers(case.time + 1, size=case.batch)
    params = random_params(network, case.rng)
    with jax.enable_x64(True):
        state = case.noise(initial_state(network, case.batch, jnp.float64))
        weights = case.rng.normal(size=(case.time, case.batch, network.size("output")))

        def loss(network, weights, params, state, inputs):
            outputs, after = unroll(network, params, state, inputs, lengths=lengths)
            return (outputs * weights).sum(), (outputs, after)

        def run(network, *arguments):
            function = jax.value_and_grad(partial(loss, network), (1, 2, 3), has_aux=True)
            return jax.jit(function)(*arguments)

        (_, (outputs, after)), grads = run(backward, weights, params, state, case.inputs)
        turned = (reversed_lanes(x, lengths) for x in (weights, case.inputs))
        (_, (expected, _)), expected_grads = run(network, next(turned), params, state, next(turned))
    assert_close(outputs, reversed_lanes(expected, lengths))
    assert_close(grads[:2], expected_grads[:2])
    assert_close(grads[2], reversed_lanes(expected_grads[2], lengths))
    assert_close(after, state)


def made_backward(layer: Layer) -> Layer:
    return Layer(layer.name, layer.size, layer.cell, layer.bias, backward=True)


@pytest.mark.parametrize("lengths", [None, np.array([7, 5])], ids=["whole", "lengths"])
def test_a_reset_cuts_the_steps_before_it_from_those_after_it_in_both_directions(lengths):
    rng = np.random.default_rng(0)
    params, state = made(BOTH_WAYS)
    inputs = rng.normal(size=(8, 2, 3)).astype(np.float32)
    resets = np.zeros((8, 2), bool)
    resets[[3, 5], 0] = resets[2, 1] = True
    outputs, _ = unroll(BOTH_WAYS, params, state, inputs, resets=resets, lengths=lengths)
    for lane, ends in enumerate(([0, 3, 5], [0, 2])):
        ends = [*ends, 8 if lengths is None else lengths[lane]]
        pieces = [
            unroll(BOTH_WAYS, params, initial_state(BOTH_WAYS, 1), inputs[a:b, lane : lane + 1])[0]
            for a, b in pairwise(ends)
        ]
        np.testing.assert_allclose(
            outputs[: ends[-1], lane], np.concatenate(pieces)[:, 0], rtol=1e-4, atol=1e-5
        )


def test_dropout_drops_the_same_steps_in_either_direction():
    """Its mask belongs to the time step, whenever a layer comes to it."""
    edges = [Connection("input", "output")]
    ahead, back = (
        Network(3, [Layer("output", 3, "linear", backward=way)], edges) for way in (False, True)
    )
    params, _ = made(ahead)
    inputs = jnp.ones((5, 2, 3))
    dropped = {"dropout": Dropout(0.5), "dropout_key": jax.random.key(0)}
    results = [unroll(network, params, {}, inputs, **dropped)[0] for network in (ahead, back)]
    assert_close(*results)


def test_a_backward_layer_starts_from_the_state_given_and_leaves_it_as_it_was():
    params, zeros = made(BOTH_WAYS)
    given = jax.tree.map(lambda x: x + 0.5, zeros)
    inputs = jnp.ones((4, 2, 3))
    started, cold = (unroll_layers(BOTH_WAYS, params, s, inputs) for s in (given, zeros))
    assert not np.allclose(started.outputs["back"][-1], cold.outputs["back"][-1])
    for name in ("back", "before"):
        assert_close(started.state[name], given[name])
    assert not np.allclose(started.state["ahead"].carry[0], given["ahead"].carry[0])


LAYERS = [Layer("a", 2, "tanh"), Layer("b", 2, "tanh", backward=True), Layer("output", 2, "tanh")]


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([("a", "b"), ("b", "a", 1), ("b", "output")], r"layers 'a' and 'b' hear each other but"),
        ([("a", "b", 1), ("b", "output")], r"a -> b \(delay 1\) has a delay between layers of opp"),
        ([("b", "output", 2)], r"b -> output \(delay 2\) has a delay between"),
        ([("input", "b", 1), ("b", "output")], r"input -> b \(delay 1\) has a delay between"),
    ],
)
def test_directions_that_do_not_go_together_are_refused(edges, message):
    with pytest.raises(InputError, match=message):
        Network(3, LAYERS, [("input", "a"), ("input", "b"), *edges])


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda *given: step(*given[:3], given[3][0]), r"backward layers cannot be stepped"),
        (partial(unroll, options=Options(segment=2)), r"in one piece; leave segment out"),
        (partial(unroll, options=Options(stepwise=True)), r"in one piece; leave stepwise out"),
    ],
)
def test_what_a_backward_layer_cannot_do_is_refused(run, message):
    params, state = made(BOTH_WAYS)
    with pytest.raises(InputError, match=message):
        run(BOTH_WAYS, params, state, jnp.ones((4, 2, 3)))


def test_a_long_chunk_of_a_network_with_backward_layers_is_run_in_one_piece():
    network = Network(
        1, [("output", 1, "tanh", True, True)], [("input", "output"), ("output", "output", 1)]
    )
    params, state = made(network, 1)
    inputs = jnp.zeros((1030, 1, 1)).at[-1].set(1.0)
    short, long = (unroll(network, params, state, x)[0] for x in (inputs[-6:], inputs))
    np.testing.assert_allclose(long[-6:], short, rtol=1e-5)


def test_the_json_and_the_table_tell_which_layers_run_backward():
    assert Network.from_json(BOTH_WAYS.to_json()) == BOTH_WAYS
    assert "gru, backward" in str(BOTH_WAYS)
