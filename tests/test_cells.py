"""Cells against published formulas in NumPy, and a cell of one's own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    Cell,
    Connection,
    InputError,
    Layer,
    Network,
    cells,
    init,
    initial_state,
    register,
    stacked,
    step,
    unroll,
)  # fmt: skip
from jaxrnn.cells import CELLS, find
from tests.networks import compiled, made
from tests.reference import ACTIVATIONS, assert_close, sigmoid

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_elman_cell_is_its_activation_of_the_sum(name):
    total = RNG.normal(size=(3, 4)).astype(np.float32)
    output, carry = CELLS[name].apply((jnp.array(total),), ())
    np.testing.assert_allclose(output, ACTIVATIONS[name][0](total), rtol=1e-5, atol=1e-6)
    assert carry == ()


def one_layer(cell: str) -> Network:
    edges = [Connection("input", "output"), Connection("output", "output", 1)]
    return Network(3, [Layer("output", 2, cell)], edges)


def matrices(gates: str) -> tuple[dict, dict, dict, dict]:
    """Separate W, U and b for each gate, and the parameters in which they lie side by side."""
    w = {gate: RNG.normal(size=(3, 2)) for gate in gates}
    u = {gate: RNG.normal(size=(2, 2)) for gate in gates}
    b = {gate: RNG.normal(size=2) for gate in gates}
    params = {
        "input@0": np.concatenate([w[gate] for gate in gates], axis=1),
        "output@1": np.concatenate([u[gate] for gate in gates], axis=1),
        "bias": np.concatenate([b[gate] for gate in gates]),
    }
    return w, u, b, {"output": params}


def test_an_lstm_layer_is_that_of_the_literature():
    """The equations of Graves 2013, section 2, without peepholes."""
    w, u, b, params = matrices("ifco")
    inputs = RNG.normal(size=(5, 2, 3))
    h, c, expected = np.zeros((2, 2)), np.zeros((2, 2)), []
    for x in inputs:
        i = sigmoid(x @ w["i"] + h @ u["i"] + b["i"])
        f = sigmoid(x @ w["f"] + h @ u["f"] + b["f"])
        c = f * c + i * np.tanh(x @ w["c"] + h @ u["c"] + b["c"])
        o = sigmoid(x @ w["o"] + h @ u["o"] + b["o"])
        h = o * np.tanh(c)
        expected.append(h)
    with jax.enable_x64(True):
        network = one_layer("lstm")
        state = initial_state(network, 2, jnp.float64)
        outputs, state = compiled(partial(unroll, network))(params, state, inputs)
    assert_close(outputs, np.array(expected))
    assert_close(state["output"].carry[0], c)


def test_a_gru_layer_is_that_of_the_literature():
    """Cho and others 2014, equations 5 to 8, with the reset gate outside the product."""
    w, u, b, params = matrices("rzh")
    inputs = RNG.normal(size=(5, 2, 3))
    h, expected = np.zeros((2, 2)), []
    for x in inputs:
        r = sigmoid(x @ w["r"] + h @ u["r"] + b["r"])
        z = sigmoid(x @ w["z"] + h @ u["z"] + b["z"])
        h = z * h + (1 - z) * np.tanh(x @ w["h"] + b["h"] + r * (h @ u["h"]))
        expected.append(h)
    with jax.enable_x64(True):
        network = one_layer("gru")
        state = initial_state(network, 2, jnp.float64)
        outputs, _ = compiled(partial(unroll, network))(params, state, inputs)
    assert_close(outputs, np.array(expected))


@pytest.mark.parametrize("name", ["logistic", "tanh", "relu", "leaky_relu", "elu", "linear",
                                  "lstm", "gru"])  # fmt: skip
def test_the_gradient_of_each_cell_is_its_finite_difference(name):
    cell = CELLS[name]
    sums = [[*RNG.normal(size=(cell.gates, 2, 3))] for _ in range(1 + cell.separate_sums)]
    arguments = (*map(tuple, sums), tuple(RNG.normal(size=(cell.carries, 2, 3))))
    with jax.enable_x64(True):
        arguments = jax.tree.map(jnp.array, arguments)
        # Of elementwise functions all derivatives come at once, by moving all units together.
        for i, array in enumerate(jax.tree.leaves(arguments)):
            leaves, tree = jax.tree.flatten(arguments)

            def run(x, i=i, leaves=leaves, tree=tree):
                return cell.apply(*jax.tree.unflatten(tree, [*leaves[:i], x, *leaves[i + 1 :]]))

            _, slope = jax.jvp(run, (array,), (jnp.ones_like(array),))
            above, below = run(array + 1e-6), run(array - 1e-6)
            assert_close(slope, jax.tree.map(lambda a, b: (a - b) / 2e-6, above, below), 1e-6)


@pytest.fixture
def own_registry(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(cells, "CELLS", dict(CELLS))


@pytest.mark.usefixtures("own_registry")
def test_a_cell_of_one_s_own_needs_a_function_and_a_name():
    """The one in the docstring of `jaxrnn.cells`, in all that a network can do."""

    def leaky(sums, carry):
        (drive,), (trace,) = sums, carry
        trace = 0.9 * trace + 0.1 * drive
        return jnp.tanh(trace), (trace,)

    register(Cell("leaky", leaky, carries=1))
    network = stacked(3, [4], 2, "leaky", feedback=True)
    assert Network.from_json(network.to_json()) == network
    assert "leaky" in str(network)

    params, state = made(network)
    inputs = RNG.normal(size=(4, 2, 3)).astype(np.float32)
    outputs, final = compiled(partial(unroll, network))(params, state, inputs)
    w, layer = params["output"], params["hidden1"]
    h = trace = np.zeros((2, 4))
    stepped = state
    take = compiled(partial(step, network))
    for t, x in enumerate(inputs):
        drive = layer["bias"] + x @ layer["input@0"] + h @ layer["hidden1@1"]
        trace = 0.9 * trace + 0.1 * drive
        h = np.tanh(trace)
        np.testing.assert_allclose(outputs[t], w["bias"] + h @ w["hidden1@0"], atol=1e-5)
        output, stepped = take(params, stepped, x)
        np.testing.assert_allclose(output, outputs[t], atol=1e-5)
    np.testing.assert_allclose(final["hidden1"].carry[0], trace, atol=1e-5)
    assert_close(stepped, final, 1e-5)

    def loss(params, deferred):
        outputs, _ = unroll(network, params, state, jnp.array(inputs), deferred=deferred)
        return jnp.sum(outputs**2)

    ours, plain = (compiled(jax.grad(partial(loss, deferred=d)))(params) for d in (True, False))
    assert_close(ours, plain, 1e-4)
    assert init(network, jax.random.key(0))["hidden1"]["input@0"].shape == (3, 4)


@pytest.mark.usefixtures("own_registry")
def test_a_cell_without_carry_may_have_the_two_sums_apart():
    """Where no connection leads into one of the sums, the cell finds zeros."""
    product = Cell("product", lambda below, back, carry: (below[0] * (1 + back[0]), carry),
                   separate_sums=True)  # fmt: skip
    register(product)
    network = Network(1, [Layer("output", 1, product)], [Connection("input", "output")])
    params = {"output": {"bias": jnp.ones(1), "input@0": 2 * jnp.ones((1, 1))}}
    outputs, _ = unroll(network, params, {}, jnp.array([1.0, 2, 3])[:, None, None])
    np.testing.assert_array_equal(outputs[:, 0, 0], [3, 5, 7])


@pytest.mark.usefixtures("own_registry")
def test_a_name_stands_for_one_cell():
    cell = Cell("own", CELLS["tanh"].apply)
    assert register(cell) is cell
    assert find("own") == cell
    again = Cell("own", CELLS["relu"].apply)  # as when a notebook's cell is run twice
    register(again)
    assert find("own") == again != cell
    register(CELLS["lstm"])
    with pytest.raises(InputError, match=r"jaxrnn has a cell called 'lstm'"):
        register(Cell("lstm", CELLS["tanh"].apply))


@pytest.mark.usefixtures("own_registry")
def test_what_a_test_registers_is_forgotten():
    with pytest.raises(InputError, match=r"unknown cell 'leaky'"):
        find("leaky")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gates": 0}, r"'bad' has 0 gates"),
        ({"carries": -1}, r"'bad' has 1 gates and -1 carries"),
        ({"own_gates": 1}, r"'bad' has 1 own gates of 1"),
        ({"gates": 2, "own_gates": 1, "separate_sums": True}, r"'bad' has own gates and separate"),
        ({"gates": 2, "biases": (1.0,)}, r"'bad' has 2 gates but 1 initial biases"),
    ],
)
def test_an_impossible_cell_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Cell("bad", CELLS["tanh"].apply, **options)
