"""The engine against the definition in NumPy, against itself, and what resets and dropout mean."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from jaxrnn import (
    Connection,
    Dropout,
    InputError,
    Layer,
    Network,
    Options,
    init,
    initial_state,
    stacked,
    step,
    unroll,
    unroll_layers,
)
from jaxrnn.core.engine.components import run_order
from jaxrnn.core.engine.dropout import draw_masks, dropped_on
from jaxrnn.core.parameters import LayerState
from tests import reference
from tests.networks import Case, cases, equations, examples, made, random_params
from tests.reference import assert_close, inner, one_hot, shifted

ELMAN = stacked(3, [4], 2)
RESETS = jnp.array([[False, True], [True, False], [False, False]])


def run_and_differentiate(case, **options):
    """Outputs and final state; and the gradients, given random ones of these."""

    def run(params, state, inputs):
        return unroll(case.network, params, state, inputs, **case.options, **options)

    @jax.jit
    def both(arguments, cotangents):
        result, pull = jax.vjp(run, *arguments)
        return result, pull(cotangents)

    return both


def by_reference(case, params, state, inputs):
    return reference.forward(
        case.network, params, state, inputs, case.resets, case.masks() if case.dropout else None
    )


@pytest.mark.parametrize(
    "options",
    [Options(), Options(plain_autodiff=True), Options(stepwise=True)],
    ids=["as it comes", "plain autodiff", "stepwise"],
)
@given(case=cases())
@examples(5)
def test_outputs_state_and_gradients_are_those_of_textbook_bptt(case, options):
    arguments = case.params, case.state, case.inputs
    with jax.enable_x64(True):
        tape = by_reference(case, *arguments)
        cotangents = case.noise((tape.outputs, tape.state))
        result, gradients = run_and_differentiate(case, options=options)(arguments, cotangents)
    assert_close(result, (tape.outputs, tape.state))
    assert_close(gradients, reference.backward(tape, *cotangents))


@given(case=cases())
@examples(25)
def test_the_reference_gradients_are_finite_differences(case):
    arguments = case.params, case.state, case.inputs
    with jax.enable_x64(True):
        tape = by_reference(case, *arguments)
        cotangents = case.noise((tape.outputs, tape.state))
        gradients = reference.backward(tape, *cotangents)

        def loss(distance):
            moved = by_reference(case, *shifted(arguments, direction, distance))
            return inner((moved.outputs, moved.state), cotangents)

        direction = case.noise(arguments)
        slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
    np.testing.assert_allclose(inner(gradients, direction), slope, rtol=1e-5, atol=1e-6)


def test_the_engine_s_gradient_is_every_finite_difference():
    """Number by number, on a network with all there is, and without the NumPy reference."""
    layers = [Layer("low", 2, "lstm"), Layer("high", 2, "gru"), Layer("output", 2, "tanh")]
    edges = [
        ("input", "low"), ("input", "low", 2), ("low", "low", 1), ("low", "low", 3),
        ("low", "high"), ("high", "high", 1), ("high", "low", 2), ("low", "output"),
        ("high", "output"), ("output", "high", 1), ("input", "output", 1),
    ]  # fmt: skip
    network = Network(2, layers, [Connection(*edge) for edge in edges])
    rng = np.random.default_rng(0)
    resets = jnp.array(rng.random((5, 2)) < 0.2)
    with jax.enable_x64(True):
        arguments = jax.tree.map(
            lambda x: jnp.asarray(rng.normal(size=x.shape)), (*made(network), jnp.zeros((5, 2, 2)))
        )
        flat, unravel = ravel_pytree(arguments)
        weights = jnp.asarray(rng.normal(size=(5, 2, 2)))

        def loss(flat):
            outputs, final = unroll(
                network, *unravel(flat), resets=resets,
                dropout=Dropout(0.3), dropout_key=jax.random.key(1),
            )  # fmt: skip
            return jnp.sum(outputs * weights) + sum(map(jnp.sum, jax.tree.leaves(final)))

        steps = 1e-6 * jnp.eye(flat.size)
        slopes = jax.jit(lambda f: (jax.vmap(loss)(f + steps) - jax.vmap(loss)(f - steps)) / 2e-6)
        np.testing.assert_allclose(
            jax.jit(jax.grad(loss))(flat), slopes(flat), rtol=1e-6, atol=1e-7
        )


@given(case=cases(dropout=False))
@examples(8)
def test_unroll_is_repeated_step(case):
    take = jax.jit(partial(step, case.network))
    with jax.enable_x64(True):
        run = jax.jit(partial(unroll, case.network, **case.options))
        expected = run(case.params, case.state, case.inputs)
        state, outputs = case.state, []
        for t, x in enumerate(case.inputs):
            resets = None if case.resets is None else case.resets[t]
            output, state = take(case.params, state, x, resets=resets)
            outputs.append(output)
    assert_close((jnp.stack(outputs), state), expected)


@given(case=cases(dropout=False), data=st.data())
@examples(8)
def test_a_chunk_is_the_same_chunk_cut_in_two(case, data):
    cut = data.draw(st.integers(0, case.time))

    def run(params, state, span):
        resets = None if case.resets is None else jnp.array(case.resets[span])
        return unroll(case.network, params, state, jnp.array(case.symbols[span]), resets=resets)

    @jax.jit
    def both(params, state):
        whole = run(params, state, slice(None))
        if cut in (0, case.time):  # nothing to cut
            return whole, whole
        first, middle = run(params, state, slice(0, cut))
        second, last = run(params, middle, slice(cut, None))
        return whole, (jnp.concatenate([first, second]), last)

    with jax.enable_x64(True):
        whole, parts = both(case.params, case.state)
    assert_close(parts, whole)


@given(case=cases(dropout=False))
@examples(8)
def test_a_packed_stream_is_the_separate_sequences(case):
    resets = case.rng.random((case.time, case.batch)) < 0.4
    resets[0] = True
    run = jax.jit(partial(unroll, case.network))
    with jax.enable_x64(True):
        outputs, final = run(case.params, case.state, case.inputs, resets=resets)
        blank = jax.tree.map(lambda x: np.zeros((1, *x.shape[1:])), case.state)
        for lane in range(case.batch):
            starts = [*np.flatnonzero(resets[:, lane]), case.time]
            for start, end in pairwise(starts):
                alone = case.inputs[start:end, lane : lane + 1]
                tape = reference.forward(case.network, case.params, blank, alone)
                assert_close(outputs[start:end, lane : lane + 1], tape.outputs)
            last = jax.tree.map(lambda x, lane=lane: x[lane : lane + 1], final)
            assert_close(last, tape.state)


@given(case=cases())
@examples(8)
def test_symbols_are_one_hot_vectors(case):
    """Dropout keeps or drops each symbol as a whole; what is remembered are one-hot vectors."""
    network, size = case.network, case.network.input_size
    if "input" in case.state:
        past = case.rng.integers(size, size=(len(case.state["input"].past), case.batch))
        case.state["input"] = LayerState(tuple(one_hot(past, size)), ())

    @jax.jit
    def by_symbols(params, state, cotangents):
        run = partial(unroll, network, inputs=jnp.array(case.symbols), **case.options)
        result, pull = jax.vjp(lambda p, s: run(p, s), params, state)
        return result, pull(cotangents)

    with jax.enable_x64(True):
        masks = case.masks(symbols=True) if case.dropout else None
        arguments = case.params, case.state, one_hot(case.symbols, size)
        tape = reference.forward(network, *arguments, case.resets, masks)
        cotangents = case.noise((tape.outputs, tape.state))
        result, gradients = by_symbols(case.params, case.state, cotangents)
    assert_close(result, (tape.outputs, tape.state))
    params, state, _ = reference.backward(tape, *cotangents)
    assert_close(gradients, (params, state))


def test_a_reset_hides_what_delayed_connections_from_the_input_would_still_hear():
    """A time-delay net that adds up the last three inputs."""
    edges = [Connection("input", "output", delay) for delay in range(3)]
    network = Network(1, [Layer("output", 1, "linear")], edges)
    params = {"output": {"bias": jnp.zeros(1)} | {f"input@{k}": jnp.eye(1) for k in range(3)}}
    inputs = jnp.array([1.0, 10, 100, 1000, 10000])[:, None, None]
    resets = jnp.array([False, False, False, True, False])[:, None]
    run = jax.jit(partial(unroll, network))
    outputs, state = run(params, initial_state(network, 1), inputs, resets=resets)
    np.testing.assert_array_equal(outputs[:, 0, 0], [1, 11, 111, 1000, 11000])
    np.testing.assert_array_equal(jnp.array(state["input"].past)[:, 0, 0], [10000, 1000])


def test_unroll_layers_returns_every_layer_and_not_the_input():
    network = stacked(3, [4, 5], 2, "gru")
    params, state = made(network)
    inputs = jnp.ones((3, 2, 3))
    outputs, _, after = jax.jit(partial(unroll_layers, network))(params, state, inputs)
    shapes = {name: output.shape for name, output in outputs.items()}
    assert shapes == {"hidden1": (3, 2, 4), "hidden2": (3, 2, 5), "output": (3, 2, 2)}
    expected, _ = jax.jit(partial(unroll, network))(params, state, inputs)
    assert_close(outputs["output"], expected, 1e-6)
    assert_close(after["hidden2"].past[0], outputs["hidden2"][-1])


@pytest.mark.parametrize(
    "options",
    [Options(), Options(plain_autodiff=True), Options(stepwise=True), Options(segment=2)],
    ids=["as it comes", "plain autodiff", "stepwise", "in segments"],
)  # fmt: skip
@given(case=cases(dropout=False))
@examples(5)
def test_every_layer_s_outputs_and_carries_are_textbook_bptt_s_and_so_are_gradients_of_them(
    case, options
):
    """The gradient along one direction, against a finite difference of the reference."""
    arguments = case.params, case.state, case.inputs
    names = [layer.name for layer in case.network.layers]

    def expected(arguments):
        tape = reference.forward(case.network, *arguments, case.resets)
        steps = range(case.time)
        outputs = {name: np.stack([tape.out[name][t] for t in steps]) for name in names}
        after = {name: [tape.carried[name, t] for t in steps] for name in names}
        carries = {name: tuple(map(np.stack, zip(*after[name], strict=True))) for name in names}
        return outputs, carries, tape.state

    @jax.jit
    def run(arguments, cotangents):
        run = partial(unroll_layers, case.network, **case.options, options=options)
        result, pull = jax.vjp(lambda *a: tuple(run(*a)), *arguments)
        return result, pull(cotangents)

    with jax.enable_x64(True):
        known = expected(arguments)
        cotangents, direction = case.noise(known), case.noise(arguments)
        result, gradients = run(arguments, cotangents)
        there, back = (expected(shifted(arguments, direction, h)) for h in (1e-6, -1e-6))
        slope = (inner(there, cotangents) - inner(back, cotangents)) / 2e-6
        along = inner(gradients, direction)
    assert_close(result, known)
    np.testing.assert_allclose(along, slope, rtol=1e-5, atol=1e-6)


def mask_layer(size=1000, rate=0.25, key=0, locked=False, time=4):
    """The factors by which dropout multiplies each input: a layer that copies what it hears."""
    network = Network(size, [Layer("output", size, "linear")], [Connection("input", "output")])
    params = {"output": {"bias": jnp.zeros(size), "input@0": jnp.eye(size)}}
    dropout = Dropout(rate, locked)
    inputs = jnp.ones((time, 3, size))
    run = jax.jit(partial(unroll, network, dropout=dropout))
    outputs, _ = run(params, {}, inputs, dropout_key=jax.random.key(key))
    return np.asarray(outputs)


def test_dropout_hides_its_rate_and_leaves_the_expectation_unchanged():
    factors = mask_layer()
    np.testing.assert_allclose(np.unique(factors), [0, 1 / 0.75], rtol=1e-6)
    deviation = np.sqrt(0.25 * 0.75 / factors.size)
    assert abs(np.mean(factors == 0) - 0.25) < 4 * deviation
    assert abs(np.mean(factors) - 1) < 4 * deviation / 0.75


def test_dropout_is_a_function_of_its_key():
    np.testing.assert_array_equal(mask_layer(key=1), mask_layer(key=1))
    assert np.mean(mask_layer(key=1) == mask_layer(key=2)) < 0.9


def test_fresh_dropout_differs_between_time_steps_lanes_and_units():
    factors = mask_layer() == 0
    for axis in range(3):
        assert np.mean(np.diff(factors, axis=axis)) == pytest.approx(2 * 0.25 * 0.75, abs=0.03)


def test_locked_dropout_holds_one_mask_for_the_chunk():
    factors = mask_layer(locked=True)
    np.testing.assert_array_equal(factors, np.broadcast_to(factors[:1], factors.shape))
    assert np.mean(np.diff(factors == 0, axis=1)) == pytest.approx(2 * 0.25 * 0.75, abs=0.05)


@pytest.mark.parametrize("stepwise", [False, True])
@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("cell", ["tanh", "gru"])
def test_dropout_leaves_delayed_connections_alone(cell, locked, stepwise):
    layers = [Layer("hidden", 4, cell), Layer("output", 3, "linear")]
    edges = [("input", "hidden", 1), ("hidden", "hidden", 1), ("hidden", "output", 2)]
    network = Network(3, layers, [Connection(*edge) for edge in edges])
    params, state = made(network)
    inputs = jax.random.normal(jax.random.key(1), (6, 2, 3))

    def run(dropout):
        options = {"dropout": dropout, "dropout_key": jax.random.key(2)}
        options["options"] = Options(stepwise=stepwise)
        return jax.jit(partial(unroll, network, **options))(params, state, inputs)

    jax.tree.map(np.testing.assert_array_equal, run(Dropout(0.9, locked)), run(None))


@pytest.mark.parametrize("cell", ["tanh", "gru"])
def test_recurrent_dropout_touches_delayed_connections_and_leaves_the_other_masks(cell):
    layers = [Layer("hidden", 4, cell), Layer("output", 3, "linear")]
    edges = [("input", "hidden", 0), ("hidden", "hidden", 1), ("hidden", "output", 0)]
    network = Network(3, layers, [Connection(*edge) for edge in edges])
    params, state = made(network)
    inputs = jax.random.normal(jax.random.key(1), (6, 2, 3))

    def run(dropout):
        options = {"dropout": dropout, "dropout_key": jax.random.key(2)}
        return jax.jit(partial(unroll, network, **options))(params, state, inputs)[0]

    plain, recurrent = run(Dropout(0.5)), run(Dropout(0.5, recurrent=True))
    np.testing.assert_array_equal(recurrent[0], plain[0])  # before the first step there are zeros
    assert not np.allclose(recurrent[1:], plain[1:])


def test_dropout_draws_a_mask_for_each_delay_0_connection():
    """Two layers that copy the input hear different parts of it."""
    layers = [Layer("copy", 50, "linear"), Layer("output", 50, "linear")]
    edges = [Connection("input", "copy"), Connection("input", "output")]
    network = Network(50, layers, edges)
    params = {name: {"bias": jnp.zeros(50), "input@0": jnp.eye(50)} for name in ("copy", "output")}
    options = {"dropout": Dropout(0.5), "dropout_key": jax.random.key(0)}
    run = jax.jit(partial(unroll_layers, network, **options))
    outputs = run(params, {}, jnp.ones((1, 1, 50))).outputs
    assert 0.2 < np.mean(outputs["copy"] == outputs["output"]) < 0.8


def sizes_of_arrays(function, *arguments) -> list[int]:
    """Of everything that a program computes, loops included."""
    return [v.aval.size for e in equations(jax.make_jaxpr(function)(*arguments)) for v in e.outvars]


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("delay", [0, 2])
def test_dropout_of_symbols_makes_no_mask_as_wide_as_the_vocabulary_for_each_step(locked, delay):
    time, batch, symbols = 6, 3, 5000
    edges = [Connection("input", "output", delay)]
    network = Network(symbols, [Layer("output", 2, "linear")], edges)
    params, state = made(network, batch)
    dropout = Dropout(0.5, locked, recurrent=True)

    def loss(params, inputs, key):
        options = {"dropout": dropout, "dropout_key": key}
        return unroll(network, params, state, inputs, **options)[0].sum()

    arguments = params, jnp.zeros((time, batch), int), jax.random.key(0)
    largest = max(sizes_of_arrays(jax.grad(loss), *arguments))
    assert largest < time * batch * symbols  # the matrix, or what is remembered


def kept_symbols(symbols, **options) -> np.ndarray:
    """Which of the symbols a layer hears that has rows of ones."""
    size = int(symbols.max()) + 1
    network = Network(size, [Layer("output", 1, "linear")], [Connection("input", "output")])
    params = {"output": {"bias": jnp.zeros(1), "input@0": jnp.ones((size, 1))}}
    run = partial(unroll, network, dropout=Dropout(0.25, **options), dropout_key=jax.random.key(0))
    factors = np.asarray(run(params, {}, jnp.asarray(symbols))[0][..., 0])
    np.testing.assert_allclose(np.unique(factors), [0, 1 / 0.75], rtol=1e-6)
    return factors > 0


def test_fresh_dropout_of_symbols_draws_anew_for_each_step_and_lane():
    kept = kept_symbols(np.zeros((60, 50), int))
    assert np.mean(kept) == pytest.approx(0.75, abs=0.03)
    for axis in range(2):
        assert np.mean(np.diff(kept, axis=axis)) == pytest.approx(2 * 0.25 * 0.75, abs=0.04)


def test_locked_dropout_of_symbols_drops_a_symbol_of_a_lane_for_the_whole_chunk():
    rng = np.random.default_rng(0)
    symbols = rng.permuted(np.repeat(np.arange(40)[:, None], 5, axis=0).repeat(50, axis=1), axis=0)
    kept = kept_symbols(symbols, locked=True)
    fates = np.full((50, 40), -1)
    for lane in range(50):
        for symbol in range(40):
            (fate,) = set(kept[symbols[:, lane] == symbol, lane])
            fates[lane, symbol] = fate
    assert np.mean(fates) == pytest.approx(0.75, abs=0.04)
    for axis in range(2):
        assert np.mean(np.diff(fates, axis=axis) != 0) == pytest.approx(0.375, abs=0.05)


def test_another_connection_leaves_the_masks_of_all_others_as_they_were():
    layers = [Layer("a", 3, "tanh"), Layer("b", 3, "tanh"), Layer("output", 3, "linear")]
    edges = [Connection("input", "a"), Connection("a", "b"), Connection("b", "output")]
    more = [Connection("input", "b"), *edges, Connection("a", "output")]
    few, many = (
        draw_masks(
            network, {"input": jnp.ones((4, 2, 3))}, {}, dropped_on(network, Dropout(0.5)),
            jax.random.key(0), jnp.dtype(jnp.float32),
        )
        for network in (Network(3, layers, edges), Network(3, layers, more))
    )  # fmt: skip
    assert len(many) == len(few) + 2
    for connection in edges:
        np.testing.assert_array_equal(few[connection], many[connection])


FAR = [
    ("tanh", [("a", "a", 4)], 4),
    ("tanh", [("a", "b", 2), ("b", "a", 3), ("b", "b", 6)], 2),
    ("tanh", [("a", "b", 0), ("b", "a", 1), ("b", "b", 7)], 1),
    ("tanh", [("a", "a", 50)], 50),
    ("gru", [("a", "b", 0), ("b", "a", 3), ("a", "a", 5)], 1),
]


@pytest.mark.parametrize(("cell", "edges", "stride"), FAR, ids=str)
def test_long_delays_are_textbook_bptt_however_many_steps_run_at_once(cell, edges, stride):
    """In nine steps, which divide into none of these strides, with resets and dropout on all."""
    names = sorted({name for a, b, _ in edges for name in (a, b)})
    layers = [Layer(name, 2, cell) for name in names] + [Layer("output", 2, "linear")]
    connections = [Connection("input", "a"), Connection(names[-1], "output")]
    connections += [Connection(*edge) for edge in edges]
    network = Network(2, layers, connections)
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        zeros = initial_state(network, 2, jnp.float64)
        case = Case(
            network=network,
            params=random_params(network, rng),
            state=jax.tree.map(lambda x: rng.normal(size=x.shape), zeros),
            inputs=rng.normal(size=(9, 2, 2)),
            symbols=rng.integers(2, size=(9, 2)),
            resets=rng.random((9, 2)) < 0.1,
            dropout=Dropout(0.3, recurrent=True),
            rng=rng,
        )
        arguments = case.params, case.state, case.inputs
        tape = by_reference(case, *arguments)
        cotangents = case.noise((tape.outputs, tape.state))
        result, gradients = run_and_differentiate(case)(arguments, cotangents)
    assert_close(result, (tape.outputs, tape.state))
    assert_close(gradients, reference.backward(tape, *cotangents))
    (component,) = (part for part in run_order(network) if part.is_stepped)
    assert component.stride == stride


def test_a_layer_whose_only_loop_is_long_takes_as_many_steps_at_once():
    layers = [Layer("a", 2, "tanh"), Layer("output", 2, "linear")]
    edges = [Connection("input", "a"), Connection("a", "a", 8), Connection("a", "output")]
    network = Network(2, layers, edges)
    params, state = made(network)

    def loops(time):
        run = lambda p: unroll(network, p, state, jnp.ones((time, 2, 2)))[0].sum()  # noqa: E731
        found = equations(jax.make_jaxpr(jax.grad(run))(params))
        return [e.params["length"] for e in found if e.primitive.name == "scan"]

    assert loops(32) == [4, 4]  # forward and backward
    assert loops(30) == [3, 3]
    assert loops(7) == []


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_a_dropout_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(InputError, match=rf"dropout rate is {rate}.*at least 0 and below 1"):
        mask_layer(size=2, rate=rate)


def test_dropout_without_a_key_is_refused():
    params, state = made(ELMAN)
    with pytest.raises(InputError, match=r"dropout needs a dropout_key"):
        unroll(ELMAN, params, state, jnp.ones((1, 2, 3)), dropout=Dropout(0.5))


@pytest.mark.parametrize("shape", [(1, 2, 5), (1, 2), (2, 3, 2, 3)])
def test_inputs_of_another_shape_are_refused(shape):
    params, state = made(ELMAN)
    with pytest.raises((InputError, TypeError), match=r"inputs"):
        unroll(ELMAN, params, state, jnp.ones(shape))


def test_parameters_of_another_network_are_refused():
    params, state = made(ELMAN)
    other = stacked(3, [2], 4, "lstm")
    with pytest.raises(InputError, match=r"parameters do not fit the network.*hidden1.*bias"):
        unroll(ELMAN, made(other)[0], state, jnp.ones((1, 2, 3)))
    del params["output"]
    with pytest.raises(InputError, match=r"parameters do not fit the network.*output.*None"):
        unroll(ELMAN, params, state, jnp.ones((1, 2, 3)))


def test_a_state_of_another_batch_is_refused():
    params, _ = made(ELMAN)
    with pytest.raises(InputError, match=r"state does not fit the network and 2 lanes"):
        unroll(ELMAN, params, initial_state(ELMAN, 5), jnp.ones((1, 2, 3)))


def test_resets_of_another_shape_are_refused():
    params, state = made(ELMAN)
    with pytest.raises((InputError, TypeError), match=r"resets"):
        unroll(ELMAN, params, state, jnp.ones((1, 2, 3)), resets=jnp.zeros((2, 2), bool))


def loss(params, inputs, resets=None):
    outputs, _ = unroll(ELMAN, params, initial_state(ELMAN, 2), inputs, resets=resets)
    return jnp.mean(outputs**2)


def test_the_gradient_under_jit_is_that_without():
    params, _ = made(ELMAN)
    inputs = jax.random.normal(jax.random.key(1), (3, 2, 3))
    plain = jax.grad(loss)(params, inputs, RESETS)
    assert_close(jax.jit(jax.grad(loss))(params, inputs, RESETS), plain, 1e-5)


def test_networks_trained_side_by_side_under_vmap_are_those_trained_alone():
    keys = jax.random.split(jax.random.key(0), 3)
    inputs = jax.random.normal(jax.random.key(1), (3, 2, 3))

    def train(key):
        params = init(ELMAN, key)
        gradient = jax.grad(loss)(params, inputs, RESETS)
        return jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient)

    alone = jax.tree.map(lambda *x: jnp.stack(x), *map(jax.jit(train), keys))
    assert_close(jax.jit(jax.vmap(train))(keys), alone, 1e-5)


def test_a_network_is_a_static_argument_of_jit_and_equal_ones_share_a_program():
    traced = []

    @partial(jax.jit, static_argnums=0)
    def run(network, params, state, inputs):
        traced.append(network)
        return unroll(network, params, state, inputs)

    for network in (stacked(3, [4], 2), stacked(3, [4], 2), stacked(3, [5], 2)):
        params, state = made(network)
        run(network, params, state, jnp.ones((2, 2, 3)))
    assert len(traced) == 2


def test_plain_autodiff_allows_second_derivatives():
    """A Hessian times a vector against the difference of two gradients."""

    @jax.grad
    def gradient(params):
        inputs = jnp.sin(jnp.arange(18.0)).reshape(3, 2, 3)
        state = initial_state(ELMAN, 2, jnp.float64)
        outputs, _ = unroll(ELMAN, params, state, inputs, options=Options(plain_autodiff=True))
        return jnp.sum(outputs**2)

    with jax.enable_x64(True):
        params = jax.tree.map(jnp.float64, made(ELMAN)[0])
        direction = jax.tree.map(jnp.cos, params)
        _, curvature = jax.jit(lambda p, d: jax.jvp(gradient, (p,), (d,)))(params, direction)
        above, below = (shifted(params, direction, h) for h in (1e-5, -1e-5))
        ends = map(jax.jit(gradient), (above, below))
        assert_close(curvature, jax.tree.map(lambda a, b: (a - b) / 2e-5, *ends), 1e-6)


@pytest.mark.parametrize("symbols", [True, False])
def test_half_precision_parameters_keep_sums_state_and_outputs_in_float32(symbols):
    layers = [Layer("low", 3, "gru"), Layer("high", 3, "tanh"), Layer("output", 2, "linear")]
    edges = [("input", "low"), ("input", "high", 1), ("low", "high"), ("high", "low", 1),
             ("high", "output")]  # fmt: skip
    network = Network(3, layers, [Connection(*edge) for edge in edges])
    params, state = made(network)
    inputs = jnp.array([[0, 1], [2, 0], [1, 2]])
    inputs = inputs if symbols else jax.nn.one_hot(inputs, 3)
    options = {"dropout": Dropout(0.2), "dropout_key": jax.random.key(1), "resets": RESETS}

    @jax.jit
    def run(params):
        result, pull = jax.vjp(lambda p: unroll(network, p, state, inputs, **options), params)
        return result, pull(jax.tree.map(jnp.ones_like, result))

    result, gradients = run(jax.tree.map(lambda x: x.astype(jnp.bfloat16), params))
    expected, expected_gradients = run(params)
    assert {x.dtype for x in jax.tree.leaves(result)} == {jnp.dtype("float32")}
    assert {x.dtype for x in jax.tree.leaves(gradients)} == {jnp.dtype("bfloat16")}
    assert_close(result, expected, 0.03)
    assert_close(jax.tree.map(jnp.float32, gradients), expected_gradients, 0.1)


def test_float32_networks_stay_so_where_float64_is_enabled():
    network = stacked(3, [4], 2, "lstm")
    options = {"dropout": Dropout(0.2), "dropout_key": jax.random.key(1)}
    with jax.enable_x64(True):
        params, state = made(network)
        symbols = jnp.array([[0, 1], [2, 0]])
        result = jax.jit(partial(unroll, network, **options))(params, state, symbols)
    assert {x.dtype for x in jax.tree.leaves(result)} == {jnp.dtype("float32")}
