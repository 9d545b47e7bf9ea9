"""Parameters and states: shapes, scales, keys."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from jaxrnn import (
    INITIALIZERS,
    Connection,
    Dropout,
    InputError,
    Layer,
    Network,
    init,
    initial_state,
    stacked,
)
from jaxrnn.core.engine.dropout import dropped_on
from tests.networks import examples, networks

LSTM = stacked(30, [20], 5, "lstm")


@cache
def draw(network: Network, seed: int = 0, **options) -> dict:
    params = jax.jit(lambda key: init(network, key, **options))(jax.random.key(seed))
    return jax.tree.map(np.asarray, params)


def gates(matrix: np.ndarray, count: int = 4) -> list[np.ndarray]:
    return np.split(matrix, count, axis=-1)


@given(networks())
@examples(30)
def test_each_layer_has_its_biases_and_each_connection_its_weights(network):
    heard = {"lstm": 4, "gru": 3, "min_gru": 2, "min_lstm": 3, "rg_lru": 3, "gru_recurrent_bias": 3,
             "layer_norm_lstm": 4, "mi_lstm": 4, "mi_gru": 3}  # fmt: skip
    own = {"rg_lru": 1, "gru_recurrent_bias": 1, "layer_norm": 2, "rms_norm": 1,
           "layer_norm_lstm": 14, "mi_tanh": 2, "mi_lstm": 8, "mi_gru": 6}  # fmt: skip
    params = jax.eval_shape(lambda key: init(network, key), jax.random.key(0))
    expected = {}
    for layer in network.layers:
        width = heard.get(layer.cell.name, 1) * layer.size
        biases = width * layer.bias + own.get(layer.cell.name, 0) * layer.size
        expected[layer.name] = {"bias": (biases,)} if biases else {}
        for c in network.connections:
            if c.target == layer.name and c.kind != "identity":
                matrix = (network.size(c.source), width)
                expected[layer.name][f"{c.source}@{c.delay}"] = matrix[c.kind == "diagonal" :]
    assert jax.tree.map(lambda x: x.shape, params) == expected


@given(networks())
@examples(30)
def test_a_state_is_zeros_for_what_delays_and_carries_need_and_nothing_else(network):
    state = initial_state(network, 2)
    for name in ("input", *(layer.name for layer in network.layers)):
        delays = max((c.delay for c in network.connections if c.source == name), default=0)
        cell = "" if name == "input" else network.layer(name).cell.name
        # A cell that carries its output, as all of these but the LSTMs, has it as its last one.
        carrying = ("lstm", "layer_norm_lstm", "mi_lstm", "rg_lru")
        carries, outputs = int(cell in carrying), int("gru" in cell or "min" in cell)
        past = max(delays, outputs or int(cell == "rg_lru"))
        assert (name in state) == bool(past or carries)
        if name in state:
            assert (len(state[name].past), len(state[name].carry)) == (past, carries)
    for name, remembered in state.items():
        for array in jax.tree.leaves(remembered):
            np.testing.assert_array_equal(array, np.zeros((2, network.size(name))))


def test_initialisers_may_be_chosen_by_connection():
    layers = [Layer("h", 3, "gru"), Layer("output", 3, "tanh")]
    diagonal = Connection("output", "output", 1, "diagonal")
    edges = [("input", "h"), ("h", "h", 1), ("h", "h", 2), ("h", "output"), diagonal]
    network, key = Network(3, layers, edges), jax.random.key(0)
    usual = init(network, key)
    chosen = init(network, key, initializer="gaussian", initializers={
        ("input", "h"): "identity", ("h", "h", 1): "identity", diagonal: "ones",
    })  # fmt: skip
    eye = np.tile(np.eye(3), 3)
    np.testing.assert_array_equal(chosen["h"]["input@0"], eye)
    np.testing.assert_array_equal(chosen["h"]["h@1"], eye)
    np.testing.assert_array_equal(chosen["h"]["h@2"], usual["h"]["h@2"])
    np.testing.assert_array_equal(chosen["output"]["output@1"], np.ones(3))
    assert np.any(np.asarray(chosen["output"]["h@0"] != usual["output"]["h@0"]))
    assert np.all(np.asarray(usual["output"]["output@1"]) >= 0)
    assert np.all(np.asarray(usual["output"]["output@1"]) < 1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {("input", "output"): "orthogonal"},
            r"name \('input', 'output'\), which is no",
        ),
        (
            {Connection("input", "h", 1): "orthogonal"},
            r"which is no connection of the",
        ),
        ({"h": "orthogonal"}, r"initializers name 'h', which is no connection"),
        ({("input", "h"): "best"}, r"unknown initialiser 'best'; they are gaussian"),
        ({("h", "output"): "orthogonal"}, r"unknown initialiser 'orthogonal' of .*; they are unif"),
    ],
)
def test_initialisers_of_no_connection_or_of_no_name_are_refused(given, message):
    layers = [Layer("h", 3, "gru"), Layer("output", 3, "tanh")]
    edges = [("input", "h"), ("h", "output", 0, "diagonal")]
    with pytest.raises(InputError, match=message):
        init(Network(3, layers, edges), jax.random.key(0), initializers=given)


@pytest.mark.parametrize(
    "keys",
    [
        [("input", "output"), Connection("input", "output")],
        [("input", "output", 0), ("input", "output")],
    ],
)
def test_a_connection_that_is_given_twice_is_refused(keys):
    network = stacked(3, [], 2)
    with pytest.raises(InputError, match="initializers name the connection input -> output twice"):
        init(network, jax.random.key(0), initializers=dict.fromkeys(keys, "orthogonal"))
    with pytest.raises(InputError, match="dropout name the connection input -> output twice"):
        dropped_on(network, dict.fromkeys(keys, Dropout(0.5)))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: init(LSTM, 0), "the key is 0; give one key, as from"),
        (lambda: init(LSTM, None), "the key is None; give one key"),
        (lambda: init(LSTM, jax.random.split(jax.random.key(0))), "the key is .*; give one key"),
        (lambda: init(LSTM, jax.random.key(0), dtype=int), "dtype is .*int.*; give a floating-"),
        (lambda: init(LSTM, jax.random.key(0), dtype="foo"), "dtype is 'foo'; give a floating-"),
        (lambda: init(LSTM, jax.random.key(0), initializers=["ones"]), "give a mapping from con"),
        (lambda: initial_state(LSTM, -1), "batch_size is -1; give a number of lanes, at least 0"),
        (lambda: initial_state(LSTM, 2.5), "batch_size is 2.5; it must be a whole number"),
        (lambda: initial_state(LSTM, 2, int), "dtype is .*int.*; give a floating-point type"),
    ],
)
def test_keys_types_and_numbers_of_lanes_that_are_none_are_refused(make, message):
    with pytest.raises(InputError, match=message) as refusal:
        make()
    assert "\n" not in str(refusal.value)


def test_no_two_arrays_of_a_state_share_a_buffer_so_that_it_can_be_donated():
    network = Network(2, [Layer("output", 2, "lstm")], [
        Connection("input", "output", 3), Connection("output", "output", 2)
    ])  # fmt: skip
    leaves = jax.tree.leaves(initial_state(network, 2))
    assert len({x.unsafe_buffer_pointer() for x in leaves}) == len(leaves) == 6


@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("gaussian", 1 / np.sqrt(100)),
        ("lecun_uniform", 1 / np.sqrt(100)),
        ("glorot_uniform", np.sqrt(2 / (100 + 150))),
    ],
)
def test_random_initialisers_have_the_scale_of_their_paper_in_each_gate(name, std):
    network = stacked(100, [150], 2, "lstm")
    options = {"initializer": name, "recurrent_initializer": "identity"}
    matrix = draw(network, **options)["hidden1"]["input@0"]
    for gate in gates(matrix):
        assert np.std(gate) == pytest.approx(std, rel=0.02)
        assert np.mean(gate) == pytest.approx(0, abs=4 * std / np.sqrt(gate.size))
        if "uniform" in name:
            assert np.max(np.abs(gate)) == pytest.approx(std * np.sqrt(3), rel=0.01)
        else:
            assert np.max(np.abs(gate)) > std * 1.9


def test_orthogonal_matrices_are_orthogonal_in_each_gate():
    matrix = draw(LSTM, recurrent_initializer="orthogonal")["hidden1"]["hidden1@1"]
    for gate in gates(matrix):
        np.testing.assert_allclose(gate.T @ gate, np.eye(20), atol=1e-5)


def test_identity_matrices_are_the_identity_in_each_gate():
    matrix = draw(LSTM, recurrent_initializer="identity")["hidden1"]["hidden1@1"]
    for gate in gates(matrix):
        np.testing.assert_array_equal(gate, np.eye(20))


def test_gates_are_drawn_apart():
    params = draw(LSTM)["hidden1"]
    for matrix in (params["input@0"], params["hidden1@1"]):
        first, *others = gates(matrix)
        assert all(np.mean(first == other) < 0.01 for other in others)


def test_by_default_recurrent_matrices_are_orthogonal_and_others_glorot():
    for gate in gates(draw(LSTM)["hidden1"]["hidden1@1"]):
        np.testing.assert_allclose(gate.T @ gate, np.eye(20), atol=1e-5)
    matrix = draw(LSTM)["hidden1"]["input@0"]
    assert np.max(np.abs(matrix)) == pytest.approx(np.sqrt(6 / 50), rel=0.01)


def test_delayed_connections_from_the_input_are_drawn_as_feed_forward_ones():
    edges = [("input", "output"), ("input", "output", 1), ("output", "output", 1)]
    network = Network(3, [Layer("output", 3, "tanh")], [Connection(*edge) for edge in edges])
    params = draw(network, initializer="identity", recurrent_initializer="gaussian")["output"]
    np.testing.assert_array_equal(params["input@0"], np.eye(3))
    np.testing.assert_array_equal(params["input@1"], np.eye(3))
    assert np.all(params["output@1"] != np.eye(3))


def test_an_lstm_starts_with_a_forget_bias_of_1_and_all_else_at_0():
    np.testing.assert_array_equal(
        draw(LSTM)["hidden1"]["bias"], np.repeat([0.0, 1.0, 0.0, 0.0], 20)
    )
    for cell in ("gru", "tanh"):
        np.testing.assert_array_equal(draw(stacked(3, [4], 2, cell))["hidden1"]["bias"], 0)


def test_parameters_are_a_function_of_the_key():
    first, again, other = draw(LSTM, 1), draw(LSTM, 1), draw(LSTM, 2)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    for name, array in first["hidden1"].items():
        if name != "bias":
            assert np.mean(array == other["hidden1"][name]) < 0.01


def test_no_two_matrices_are_drawn_alike():
    params = draw(stacked(4, [4, 4], 4, skip=True, feedback=True), recurrent_initializer="gaussian")
    matrices = [x for layer in params.values() for name, x in layer.items() if name != "bias"]
    assert len({matrix.tobytes() for matrix in matrices}) == len(matrices) == 8


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_parameters_and_states_come_in_the_precision_asked_for(dtype):
    network = stacked(3, [4], 2, "gru")
    state = initial_state(network, 2, dtype)
    assert {x.dtype for x in jax.tree.leaves((draw(network, dtype=dtype), state))} == {
        jnp.dtype(dtype)
    }


@pytest.mark.parametrize("option", ["initializer", "recurrent_initializer"])
def test_an_unknown_initialiser_is_refused_with_the_known_ones(option):
    with pytest.raises(InputError, match=r"unknown initialiser 'xavier'") as refusal:
        init(LSTM, jax.random.key(0), **{option: "xavier"})
    assert all(name in str(refusal.value) for name in INITIALIZERS)


def test_an_rg_lru_starts_with_decays_from_0_9_to_0_999():
    network = Network(3, [Layer("output", 5, "rg_lru")], [Connection("input", "output")])
    bias = np.asarray(init(network, jax.random.key(0))["output"]["bias"])
    np.testing.assert_array_equal(bias[:15], np.zeros(15))
    decays = (1 / (1 + np.exp(-bias[15:]))) ** 8
    np.testing.assert_allclose(decays, np.linspace(0.9, 0.999, 5), rtol=1e-5)


def test_another_layer_or_connection_leaves_all_other_matrices_as_they_were():
    layers = [Layer("a", 3, "gru"), Layer("output", 3, "linear")]
    edges = [Connection("input", "a"), Connection("a", "a", 1), Connection("a", "output")]
    few = draw(Network(3, layers, edges))
    more = [Connection("input", "b"), *edges[::-1], Connection("a", "a", 2), Connection("b", "a")]
    many = draw(Network(3, [Layer("b", 3, "lstm"), *layers[::-1]], more))
    for layer, arrays in few.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(many[layer][name], array)
    drawn = [x for arrays in many.values() for name, x in arrays.items() if name != "bias"]
    blocks = [block.tobytes() for x in drawn for block in np.split(x, x.shape[1] // 3, axis=1)]
    assert len(set(blocks)) == len(blocks)  # each gate of each connection for itself


def test_a_key_may_decide_dropout_as_well_as_parameters():
    """None of the keys that `split` and `fold_in` make of it drew a matrix."""
    key, network = jax.random.key(0), stacked(4, [4], 4)
    matrices = draw(network, initializer="gaussian", recurrent_initializer="gaussian")
    others = [key, *jax.random.split(key, 5), *(jax.random.fold_in(key, i) for i in range(5))]
    others += [inner for outer in others for inner in jax.random.split(outer, 2)]
    for other in others:
        matrix = INITIALIZERS["gaussian"](other, (4, 4))
        for arrays in matrices.values():
            for name, array in arrays.items():
                assert name == "bias" or not np.allclose(array, matrix)
