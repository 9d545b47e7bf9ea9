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
    Options,
    init,
    initial_state,
    linear_cell,
    register,
    stacked,
    step,
    unroll,
)  # fmt: skip
from jaxrnn.core import cells
from jaxrnn.core.cells import CELLS, elman, find
from tests.networks import equations, made, random_params
from tests.reference import ACTIVATIONS, assert_close, sigmoid

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_elman_cell_is_its_activation_of_the_sum(name):
    total = RNG.normal(size=(3, 4)).astype(np.float32)
    output, carry = CELLS[name].apply((jnp.array(total),), ())
    np.testing.assert_allclose(output, ACTIVATIONS[name][0](total), rtol=1e-5, atol=1e-6)
    assert carry == ()


def one_layer(cell: Cell | str) -> Network:
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
        outputs, state = jax.jit(partial(unroll, network))(params, state, inputs)
    assert_close(outputs, np.array(expected))
    assert_close(state["output"].carry[0], c)


@pytest.mark.parametrize("name", ["gru", "gru_recurrent_bias"])
def test_a_gru_layer_is_that_of_the_literature(name):
    """Cho and others 2014, equations 5 to 8, with the reset gate outside the product.

    With a recurrent bias it is PyTorch's: h~ = tanh(W x + b + r * (U h + b_hn)).
    """
    w, u, b, params = matrices("rzh")
    recurrent_bias = RNG.normal(size=2) if name == "gru_recurrent_bias" else np.zeros(2)
    if name == "gru_recurrent_bias":
        own = np.concatenate([params["output"]["bias"], recurrent_bias])
        params["output"]["bias"] = own
    inputs = RNG.normal(size=(5, 2, 3))
    h, expected = np.zeros((2, 2)), []
    for x in inputs:
        r = sigmoid(x @ w["r"] + h @ u["r"] + b["r"])
        z = sigmoid(x @ w["z"] + h @ u["z"] + b["z"])
        h = z * h + (1 - z) * np.tanh(x @ w["h"] + b["h"] + r * (h @ u["h"] + recurrent_bias))
        expected.append(h)
    assert_close(outputs_of(name, params, inputs), np.array(expected))


def outputs_of(name, params, inputs):
    """In float64, of two lanes from the zero state."""
    with jax.enable_x64(True):
        network = one_layer(name)
        state = initial_state(network, 2, jnp.float64)
        outputs, _ = jax.jit(partial(unroll, network))(params, state, inputs)
    return outputs


def integrated(below, before, alpha, beta1, beta2, b):
    """Wu and others 2016, On multiplicative integration with recurrent neural networks."""
    return alpha * below * before + beta1 * before + beta2 * below + b


@pytest.mark.parametrize(
    ("name", "gates"), [("mi_tanh", "c"), ("mi_lstm", "ifco"), ("mi_gru", "rzh")]
)
def test_multiplicative_integration_is_that_of_the_literature(name, gates):
    """Published parameters, alpha among them, taken over into those of the cell."""
    w, u, _, params = matrices(gates)
    alpha, beta1, beta2, b = ({g: RNG.normal(size=2) for g in gates} for _ in range(4))
    params["output"]["input@0"] = np.concatenate([alpha[g] * w[g] for g in gates], axis=1)
    params["output"]["bias"] = np.concatenate(
        [beta1[g] for g in gates]
        + [beta2[g] / alpha[g] for g in gates]
        + [b[g] - beta1[g] * beta2[g] / alpha[g] for g in gates]
    )
    inputs = RNG.normal(size=(5, 2, 3))
    h, c, expected = np.zeros((2, 2)), np.zeros((2, 2)), []
    for x in inputs:

        def total(g, x=x, h=h, by=1.0):
            return integrated(x @ w[g], by * (h @ u[g]), alpha[g], beta1[g], beta2[g], b[g])

        if name == "mi_tanh":
            h = np.tanh(total("c"))
        elif name == "mi_lstm":
            c = sigmoid(total("f")) * c + sigmoid(total("i")) * np.tanh(total("c"))
            h = sigmoid(total("o")) * np.tanh(c)
        else:
            z = sigmoid(total("z"))
            h = z * h + (1 - z) * np.tanh(total("h", by=sigmoid(total("r"))))
        expected.append(h)
    assert_close(outputs_of(name, params, inputs), np.array(expected))


def test_multiplicative_integration_begins_at_one_product_and_half_of_each_sum():
    """With alpha 1, both betas 0.5, and b 0."""
    params = init(one_layer("mi_tanh"), jax.random.key(0))
    x, h = jnp.array([[0.3, -1.0, 2.0]]), jnp.array([[0.7, -0.2]])
    state = {"output": initial_state(one_layer("mi_tanh"), 1)["output"]._replace(past=(h,))}
    output, _ = step(one_layer("mi_tanh"), params, state, x)
    below, before = x @ params["output"]["input@0"], h @ params["output"]["output@1"]
    expected = jnp.tanh(below * before + 0.5 * before + 0.5 * below)
    np.testing.assert_allclose(output, expected, atol=1e-6)


# Of 3 symbols, as `--network` files hold them.
PAIRS = {
    "mlstm": """
{"input": 3,
 "layers": [{"name": "product1", "size": 2, "cell": "product", "bias": false},
            {"name": "hidden1", "size": 2, "cell": "lstm"},
            {"name": "output", "size": 3, "cell": "linear"}],
 "connections": [{"source": "input", "target": "hidden1"},
                 {"source": "hidden1", "target": "output"},
                 {"source": "input", "target": "product1"},
                 {"source": "hidden1", "target": "product1", "delay": 1},
                 {"source": "product1", "target": "hidden1"}]}""",
    "mogrifier_lstm": """
{"input": 3,
 "layers": [{"name": "mogrifier1", "size": 2, "cell": "mogrifier", "bias": false},
            {"name": "hidden1", "size": 2, "cell": "lstm"},
            {"name": "output", "size": 3, "cell": "linear"}],
 "connections": [{"source": "hidden1", "target": "output"},
                 {"source": "hidden1", "target": "hidden1", "delay": 1},
                 {"source": "input", "target": "mogrifier1"},
                 {"source": "hidden1", "target": "mogrifier1", "delay": 1},
                 {"source": "mogrifier1", "target": "hidden1"}]}""",
}


@pytest.mark.parametrize("name", PAIRS)
def test_an_lstm_and_the_layer_before_it_are_those_of_the_literature(name):
    """Krause and others 2016, and Melis and others 2020, with the LSTM of the test above."""
    network = Network.from_json(PAIRS[name])
    assert network == stacked(3, [2], 3, name)
    params = random_params(network, RNG)
    hidden = params["hidden1"]
    inputs = RNG.normal(size=(5, 2, 3))
    h, c, expected = np.zeros((2, 2)), np.zeros((2, 2)), []
    for x in inputs:
        pair = params[network.layers[0].name]
        below, before = x @ pair["input@0"], h @ pair["hidden1@1"]
        if name == "mlstm":
            m = below * before
            total = x @ hidden["input@0"] + m @ hidden["product1@0"]
        else:
            total = 2 * sigmoid(before) * below @ hidden["mogrifier1@0"] + h @ hidden["hidden1@1"]
        i, f, g, o = np.split(total + hidden["bias"], 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        expected.append(h @ params["output"]["hidden1@0"] + params["output"]["bias"])
    with jax.enable_x64(True):
        state = initial_state(network, 2, jnp.float64)
        outputs, _ = jax.jit(partial(unroll, network))(params, state, inputs)
    assert_close(outputs, np.array(expected))


@pytest.mark.parametrize("name", ["logistic", "tanh", "relu", "leaky_relu", "elu", "linear",
                                  "lstm", "gru", "product", "mogrifier", "mi_tanh", "mi_lstm",
                                  "mi_gru"])  # fmt: skip
def test_the_gradient_of_each_cell_is_its_finite_difference(name):
    cell = CELLS[name]
    widths = [cell.gates, *[cell.heard_gates] * cell.separate_sums]
    sums = [[*RNG.normal(size=(width, 2, 3))] for width in widths]
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
    """The one in the docstring of `jaxrnn.core.cells`, in all that a network can do."""

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
    outputs, final = jax.jit(partial(unroll, network))(params, state, inputs)
    w, layer = params["output"], params["hidden1"]
    h = trace = np.zeros((2, 4))
    stepped = state
    take = jax.jit(partial(step, network))
    for t, x in enumerate(inputs):
        drive = layer["bias"] + x @ layer["input@0"] + h @ layer["hidden1@1"]
        trace = 0.9 * trace + 0.1 * drive
        h = np.tanh(trace)
        np.testing.assert_allclose(outputs[t], w["bias"] + h @ w["hidden1@0"], atol=1e-5)
        output, stepped = take(params, stepped, x)
        np.testing.assert_allclose(output, outputs[t], atol=1e-5)
    np.testing.assert_allclose(final["hidden1"].carry[0], trace, atol=1e-5)
    assert_close(stepped, final, 1e-5)

    def loss(params, plain):
        outputs, _ = unroll(
            network, params, state, jnp.array(inputs), options=Options(plain_autodiff=plain)
        )
        return jnp.sum(outputs**2)

    ours, plain = (jax.jit(jax.grad(partial(loss, plain=p)))(params) for p in (False, True))
    assert_close(ours, plain, 1e-4)
    assert init(network, jax.random.key(0))["hidden1"]["input@0"].shape == (3, 4)


@pytest.mark.usefixtures("own_registry")
def test_a_cell_without_carry_may_have_the_two_sums_apart():
    """Where no connection leads into one of the sums, the cell finds zeros."""
    own = Cell("own", lambda below, back, carry: (below[0] * (1 + back[0]), carry),
               separate_sums=True)  # fmt: skip
    register(own)
    network = Network(1, [Layer("output", 1, own)], [Connection("input", "output")])
    params = {"output": {"bias": jnp.ones(1), "input@0": 2 * jnp.ones((1, 1))}}
    outputs, _ = unroll(network, params, {}, jnp.array([1.0, 2, 3])[:, None, None])
    np.testing.assert_array_equal(outputs[:, 0, 0], [3, 5, 7])


def test_gates_of_a_cell_s_own_are_not_kept_for_every_step():
    def stepped(own_gates: int) -> list[tuple[int, ...]]:
        """What goes in and out of the loops of a gradient, step by step."""

        def scaled(sums, carry):
            return jnp.tanh(sums[0] * sum(sums[1:], 1.0)), carry

        network = one_layer(Cell("scaled", scaled, gates=1 + own_gates, own_gates=own_gates))
        params, state = made(network)

        def loss(params):
            return unroll(network, params, state, jnp.ones((7, 2, 3)))[0].sum()

        program = jax.make_jaxpr(jax.grad(loss))(params)
        loops = [e for e in equations(program) if e.primitive.name == "scan"]
        shapes = [x.aval.shape for loop in loops for x in (*loop.invars, *loop.outvars)]
        return sorted(shape for shape in shapes if shape[:1] == (7,))

    assert stepped(0) == stepped(5) != []


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


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gates": 0}, r"'bad' has 0 gates"),
        ({"carries": -1}, r"'bad' has 1 gates and -1 carries"),
        ({"own_gates": 1}, r"'bad' has 1 own gates of 1"),
        ({"gates": 2, "biases": (1.0,)}, r"'bad' has 2 gates but 1 initial biases"),
        ({"gates": 1.0}, r"gates of cell 'bad' is 1.0; it must be a whole number"),
        ({"gates": True}, r"gates of cell 'bad' is True"),
        ({"carries": None}, r"carries of cell 'bad' is None"),
        ({"own_gates": "1"}, r"own_gates of cell 'bad' is '1'"),
        ({"biases": 1.0}, r"initial biases are 1.0; give a list"),
        ({"biases": ("a",)}, r"'bad' has the initial bias 'a'; give a number, or a function"),
        ({"carries_output": True}, r"'bad' is said to carry its output but has no carries"),
        ({"terms": jnp.tanh}, r"'bad' has terms, 0 carries and .*one carry"),
        ({"terms": 3, "carries": 1}, r"terms of cell 'bad' is 3; give a function of \(sums\)"),
        ({"name": 3}, r"a cell is called 3; give it a name"),
        ({"name": ""}, r"a cell is called ''; give it a name"),
        ({"apply": None}, r"apply of cell 'bad' is None; give a function of \(sums, carry\)"),
        ({"apply": "tanh"}, r"apply of cell 'bad' is 'tanh'"),
        (
            {"apply": lambda sums: sums},
            r"apply .*'bad' cannot be called with \(sums, carry\) \(too",
        ),
        ({"apply": lambda a, b, c: a}, r"called with \(sums, carry\) \(missing .*'c'\)"),
        ({"separate_sums": True}, r"called with \(feedforward, recurrent, carry\) \(too many"),
    ],
)
def test_an_impossible_cell_is_refused(options, message):
    with pytest.raises(InputError, match=message) as refusal:
        Cell(**{"name": "bad", "apply": lambda sums, carry: (sums[0], carry)} | options)
    assert "\n" not in str(refusal.value)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_called_makes_no_cell():
    for make, message in {
        lambda: elman("bad", None): r"activation of cell 'bad' is None",
        lambda: elman(
            "bad", jnp.arctan2
        ): r"activation of cell 'bad' cannot be called with \(total\)",
        lambda: linear_cell("bad", None): r"terms of cell 'bad' is None",
        lambda: linear_cell(
            "bad", jnp.arctan2
        ): r"terms of cell 'bad' cannot be called with \(sums\)",
        lambda: register(jnp.tanh): r"is no cell; register a Cell",
    }.items():
        with pytest.raises(InputError, match=message):
            make()


@pytest.mark.usefixtures("unchecked")
def test_whole_numbers_of_numpy_and_a_list_of_biases_make_the_same_cell():
    one = Cell("own", lstm, gates=np.int64(4), carries=np.int8(1), biases=[0.0, 1.0, 0.0, 0.0])
    other = Cell("own", lstm, gates=4, carries=1, biases=(0.0, 1.0, 0.0, 0.0))
    assert one == other
    assert hash(one) == hash(other)


lstm = CELLS["lstm"].apply
TOTAL = np.ones((2, 3), np.float32)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("carries", "result", "message"),
    [
        (1, (TOTAL, (TOTAL, TOTAL)), r"returns 2 carries but says carries=1"),
        (1, (TOTAL, ()), r"returns 0 carries but says carries=1"),
        (0, (TOTAL, (TOTAL,)), r"returns 1 carries but says carries=0"),
        (
            1,
            (TOTAL, (TOTAL[0],)),
            r"returns as its carry 1 of 1 float32\[3\] where float32\[2, 3\] is",
        ),
        (
            2,
            (TOTAL, (TOTAL, 0.0)),
            r"returns as its carry 2 of 2 0.0 where float32\[2, 3\] is expected",
        ),
        (
            1,
            (TOTAL, (TOTAL.astype(np.float16),)),
            r"returns as its carry 1 of 1 float16\[2, 3\] where float32",
        ),
        (0, (TOTAL[:, :1], ()), r"returns as its output float32\[2, 1\] where float32\[2, 3\] is"),
        (0, (TOTAL.sum(), ()), r"returns as its output float32\[\] where"),
        (0, (TOTAL.astype(int), ()), r"returns as its output int64\[2, 3\] where"),
        (0, (None, ()), r"returns as its output None where"),
        (0, TOTAL, r"returns float32\[2, 3\]; give \(output, carry\), the carry a tuple of 0"),
        (1, (TOTAL, TOTAL), r"returns \(float32\[2, 3\], float32\[2, 3\]\); give \(output"),
        (1, (TOTAL, [TOTAL]), r"returns \(float32\[2, 3\], \[float32\[2, 3\]\]\); give"),
        (0, [TOTAL, ()], r"returns \[float32\[2, 3\], \(\)\]; give"),
        (0, (TOTAL, (), ()), r"returns \(float32\[2, 3\], \(\), \(\)\); give"),
        (0, None, r"returns None; give"),
    ],
)
def test_a_cell_that_returns_something_else_than_it_says_is_refused(carries, result, message):
    cell = Cell("bad", lambda sums, carry: result, carries=carries)
    with pytest.raises(InputError, match=f"^cell 'bad' {message}") as refusal:
        cell.run((TOTAL,), (TOTAL,) * carries)
    assert "\n" not in str(refusal.value)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (TOTAL, r"are float32\[2, 3\]; give \(decay, drive\)"),
        ((TOTAL,) * 3, r"are \(float32\[2, 3\], .*; give \(decay, drive\)"),
        (None, r"are None; give"),
        ((0.9, TOTAL), r"have as their decay 0.9 where float32\[2, 3\] is expected"),
        ((TOTAL, TOTAL[:, :1]), r"have as their drive float32\[2, 1\] where"),
        ((TOTAL, TOTAL.astype(np.float16)), r"have as their drive float16\[2, 3\] where"),
    ],
)
def test_terms_that_are_no_decay_and_drive_are_refused(terms, message):
    cell = linear_cell("bad", lambda sums: terms)
    for run in (lambda: cell.run_terms((TOTAL,)), lambda: cell.run((TOTAL,), (TOTAL,))):
        with pytest.raises(InputError, match=f"^the terms of cell 'bad' {message}") as refusal:
            run()
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", CELLS)
def test_running_a_cell_is_applying_it(name):
    cell = CELLS[name]
    widths = [cell.gates, *[cell.heard_gates] * cell.separate_sums]
    sums = [tuple(jnp.ones((width, 2, 3)) / 2) for width in widths]
    arguments = (*sums, tuple(jnp.ones((cell.carries, 2, 3))))
    assert_close(cell.run(*arguments), cell.apply(*arguments))
    ran, applied = (jax.make_jaxpr(f)(*arguments) for f in (cell.run, cell.apply))
    assert str(ran) == str(applied)  # the check is no part of the program
    if cell.terms is not None:
        assert_close(cell.run_terms(sums[0]), cell.terms(sums[0]))
