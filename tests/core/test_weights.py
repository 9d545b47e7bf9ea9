"""Weights of other libraries' modules: against the formulas of their documentation, in float64
NumPy, and against what the modules themselves put out (`record_peers.py`).
"""

import json
from collections import defaultdict
from functools import partial

import jax
import numpy as np
import pytest

from jaxrnn import InputError, Layer, Network, initial_state, stacked, unroll
from jaxrnn.core.weights.exchange import (
    from_flax,
    from_haiku,
    from_torch,
    to_flax,
    to_haiku,
    to_torch,
)
from tests.core import record_peers
from tests.core.record_peers import BATCH, CASES, INPUTS, SIZE, filled, in_pairs, nested, sequences
from tests.networks import made
from tests.reference import sigmoid

RECORD = json.loads(record_peers.RECORD.read_text(encoding="utf-8"))["cases"]


def torch_rnn(a, x, h, c, activation=np.tanh):
    return activation(x @ a["weight_ih"].T + a["bias_ih"] + h @ a["weight_hh"].T + a["bias_hh"]), c


def lstm(i, f, g, o, c):
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def torch_lstm(a, x, h, c):
    sums = x @ a["weight_ih"].T + a["bias_ih"] + h @ a["weight_hh"].T + a["bias_hh"]
    return lstm(*np.split(sums, 4, axis=1), c)


def gru(below, own, h):
    r, z = sigmoid(below[0] + own[0]), sigmoid(below[1] + own[1])
    return (1 - z) * np.tanh(below[2] + r * own[2]) + z * h


def torch_gru(a, x, h, c):
    below = np.split(x @ a["weight_ih"].T + a["bias_ih"], 3, axis=1)
    return gru(below, np.split(h @ a["weight_hh"].T + a["bias_hh"], 3, axis=1), h), c


def linen_simple(a, x, h, c):
    return np.tanh(x @ a["i/kernel"] + a["i/bias"] + h @ a["h/kernel"]), c


def linen_lstm(a, x, h, c):
    def gate(below, own):
        return x @ a[f"{below}/kernel"] + h @ a[f"{own}/kernel"] + a[f"{own}/bias"]

    forget = "if" if "if/kernel" in a else "if_"
    return lstm(gate("ii", "hi"), gate(forget, "hf"), gate("ig", "hg"), gate("io", "ho"), c)


def linen_gru(a, x, h, c):
    below = [x @ a[f"i{gate}/kernel"] + a[f"i{gate}/bias"] for gate in "rzn"]
    return gru(below, [h @ a[f"h{gate}/kernel"] + a[f"h{gate}/bias"] for gate in "rzn"], h), c


def nnx_simple(a, x, h, c):
    return np.tanh(x @ a["dense_i/kernel"] + a["dense_i/bias"] + h @ a["dense_h/kernel"]), c


def nnx_lstm(a, x, h, c):
    sums = x @ a["dense_i/kernel"] + h @ a["dense_h/kernel"] + a["dense_h/bias"]
    return lstm(*np.split(sums, 4, axis=1), c)


def nnx_gru(a, x, h, c):
    below = np.split(x @ a["dense_i/kernel"] + a["dense_i/bias"], 3, axis=1)
    return gru(below, np.split(h @ a["dense_h/kernel"], 3, axis=1), h), c


def haiku_rnn(a, x, h, c):
    below, own = x @ a["linear/w"] + a["linear/b"], h @ a["linear_1/w"] + a["linear_1/b"]
    return np.maximum(below + own, 0), c


def haiku_lstm(a, x, h, c):
    i, g, f, o = np.split(np.hstack([x, h]) @ a["linear/w"] + a["linear/b"], 4, axis=1)
    return lstm(i, f + 1, g, o, c)


FORMULAS = {
    "torch.nn.RNN": torch_rnn,
    "torch.nn.LSTM": torch_lstm,
    "torch.nn.GRU": torch_gru,
    "flax.linen.SimpleCell": linen_simple,
    "flax.linen.LSTMCell": linen_lstm,
    "flax.linen.OptimizedLSTMCell": linen_lstm,
    "flax.linen.GRUCell": linen_gru,
    "flax.nnx.SimpleCell": nnx_simple,
    "flax.nnx.LSTMCell": linen_lstm,
    "flax.nnx.OptimizedLSTMCell": nnx_lstm,
    "flax.nnx.GRUCell": nnx_gru,
    "haiku.VanillaRNN": haiku_rnn,
    "haiku.LSTM": haiku_lstm,
}


def by_formula(case, arrays):
    """The outputs of the recorded modules."""
    modules, name = RECORD[case]["modules"], case.split(" ")[0]
    separator = "." if name.startswith("torch") else "/"

    def under(module, after=""):
        found = defaultdict(float)  # what is left out adds nothing
        for path, array in arrays.items():
            if path.startswith(module + separator) and path.endswith(after):
                found[path.removeprefix(module + separator).removesuffix(after)] = array
        return found

    def scan(inputs, own):
        extra = (lambda sums: np.maximum(sums, 0),) if case.endswith("with relu") else ()
        h = c = np.zeros((BATCH, SIZE))
        outputs = []
        for x in inputs:
            h, c = FORMULAS[name](own, x, h, c, *extra)
            outputs.append(h)
        return np.stack(outputs)

    x = sequences().astype(np.float64)
    for layer in range(CASES[case].get("num_layers", 1)):
        after = f"_l{layer}" if separator == "." else ""
        ways = [scan(x, under(modules[0], after))]
        if "bidirectional" in CASES[case]:
            ways.append(scan(x[::-1], under(modules[0], f"{after}_reverse"))[::-1])
        x = np.concatenate(ways, axis=2)
    head = under(modules[-1])
    matrix = np.transpose(head["weight"]) + head["kernel"] + head["w"]
    return x @ matrix + head["bias"] + head["b"]


def exchange(case):
    """How the library nests arrays; what takes them over and gives them back."""
    modules = RECORD[case]["modules"]
    if case.startswith("haiku"):
        return in_pairs, partial(from_haiku, modules=modules), partial(to_haiku, modules=modules)
    cell = "relu" if case.endswith("with relu") else "tanh"
    if case.startswith("torch"):
        take = partial(from_torch, modules=modules, cell=cell)
        return dict, take, partial(to_torch, modules=modules)
    give = partial(to_flax, modules=modules, nnx="nnx" in case)
    return nested, partial(from_flax, modules=modules, cell=cell), give


def run(network, params, inputs):
    state = initial_state(network, BATCH, jax.tree.leaves(params)[0].dtype)
    return jax.jit(partial(unroll, network))(params, state, inputs)[0]


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_those_of_the_formulas_and_of_the_library(case):
    nest, take, _ = exchange(case)
    with jax.enable_x64(True):
        arrays = filled(RECORD[case]["shapes"])
        arrays = {path: array.astype(np.float64) for path, array in arrays.items()}
        outputs = run(*take(nest(arrays)), sequences().astype(np.float64))
        np.testing.assert_allclose(outputs, by_formula(case, arrays), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(outputs, RECORD[case]["outputs"], rtol=2e-6, atol=2e-6)


# Those that come back as another module of the library, or with one more bias.
OTHERS = ("flax.nnx.LSTMCell", "haiku.VanillaRNN with one bias")


@pytest.mark.parametrize("case", CASES)
def test_weights_come_back_to_the_bit_and_two_biases_as_their_sum(case):
    nest, take, give = exchange(case)
    arrays = filled(RECORD[case]["shapes"])
    network, params = take(nest(arrays))
    back = give(network, params)
    again, equal = take(back)
    assert again == network
    jax.tree.map(np.testing.assert_array_equal, equal, params)
    if case in OTHERS:
        return
    assert jax.tree.map(np.shape, back) == jax.tree.map(np.shape, nest(arrays))
    if case.startswith("flax"):
        jax.tree.map(np.testing.assert_array_equal, back, nest(arrays))
    if case.startswith("torch"):
        for name, array in arrays.items():
            if "bias_hh" in name:
                total = array + arrays[name.replace("hh", "ih")]
                if "GRU" in case:  # whose b_hn stays apart
                    np.testing.assert_array_equal(back[name][2 * SIZE :], array[2 * SIZE :])
                np.testing.assert_array_equal(back[name] + back[name.replace("hh", "ih")], total)
            elif "bias_ih" not in name:
                np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize(
    ("case", "key"),
    [("torch.nn.LSTM", ".weight"), ("flax.linen.GRUCell", "/embedding"),
     ("haiku.LSTM", "/embeddings")],
)  # fmt: skip
def test_the_lowest_module_may_be_an_embedding_of_symbols(case, key):
    nest, take, give = exchange(case)
    symbols = np.array([[0, 6], [3, 3], [5, 1]])
    arrays = filled(RECORD[case]["shapes"])
    table = {f"embed{key}": filled({"": [7, INPUTS]})[""]}
    outputs = run(*take(nest(arrays)), table[f"embed{key}"][symbols])
    modules = ["embed", *RECORD[case]["modules"]]
    network, params = take(nest(table | arrays), modules=modules)
    assert network.input_size == 7
    found = run(network, params, symbols)
    np.testing.assert_allclose(found, outputs, rtol=1e-6, atol=1e-6)
    again = take(give(network, params, modules=modules), modules=modules)
    jax.tree.map(np.testing.assert_array_equal, again[1], params)


def test_a_stack_becomes_modules_of_its_own_or_layers_of_one():
    network = stacked(3, [4, 4], 2, "lstm")
    params = made(network)[0]
    together = to_torch(network, params, ["rnn", "head"])
    apart = to_torch(network, params, ["low", "high", "head"])
    assert sorted(apart)[2] == "high.bias_hh_l0"
    np.testing.assert_array_equal(apart["high.weight_ih_l0"], together["rnn.weight_ih_l1"])
    np.testing.assert_array_equal(params["hidden1"]["input@0"].T, together["rnn.weight_ih_l0"])
    assert from_torch(apart, ["low", "high", "head"])[0] == network
    bare = {name.removeprefix("rnn."): x for name, x in together.items() if "rnn" in name}
    network, _ = from_torch(bare)
    assert [layer.name for layer in network.layers] == ["hidden1", "output"]


def test_without_a_layer_above_both_directions_are_outputs():
    case = "torch.nn.GRU in both directions"
    arrays = filled(RECORD[case]["shapes"])
    outputs = run(*from_torch(arrays, ["rnn"]), sequences())
    joined = np.concatenate([outputs["output"], outputs["output_backward"]], axis=2)
    found = joined @ arrays["head.weight"].T + arrays["head.bias"]
    np.testing.assert_allclose(found, RECORD[case]["outputs"], rtol=2e-6, atol=2e-6)


def test_what_is_given_may_be_written_to():
    network = stacked(3, [4], 2)
    for array in to_torch(network, made(network)[0], ["rnn", "head"]).values():
        assert array.flags.writeable
        assert array.flags.c_contiguous


def lstm_arrays(**changes):
    arrays = filled(RECORD["torch.nn.LSTM"]["shapes"])
    changes = {name.replace("__", "."): array for name, array in changes.items()}
    return {name: x for name, x in (arrays | changes).items() if x is not None}


@pytest.mark.parametrize(
    ("changes", "modules", "message"),
    [
        ({}, [""], "'head.bias' is no array of a module .* name the modules"),
        ({}, ["lstm"], "no array lies in the module 'lstm'; those with arrays are 'head', 'rnn'"),
        ({}, [], "no modules are named"),
        ({}, "rnn", "modules are 'rnn'; give a list"),
        ({}, ["head", "rnn"], r"'rnn.weight_ih_l0' has the shape \[16, 3\]; expected \[16, 2\]"),
        ({"rnn__weight_hh_l1": None}, ["rnn"], "lack 'rnn.weight_hh_l1'"),
        ({"rnn__bias_hh_l0": None}, ["rnn"], "lack 'rnn.bias_hh_l0'"),
        ({"rnn__gain_l0": np.ones(3)}, ["rnn"], "unknown 'rnn.gain_l0'"),
        ({"rnn__bias_ih_l0": np.ones(15)}, ["rnn"], r"\[15\]; expected \[16\]"),
        ({"rnn__weight_hh_l0": np.ones((20, 4))}, ["rnn"], r"\[20, 4\], as of none of torch"),
        ({"rnn__weight_ih_l0": np.ones(16)}, ["rnn"], "expected a matrix"),
        ({"rnn__weight_ih_l0": np.ones((16, 3), int)}, ["rnn"], "is int64; .* floating"),
        ({"rnn__weight_ih_l0": object()}, ["rnn"], "'rnn.weight_ih_l0' is object"),
        ({"rnn__weight_hr_l0": np.ones((2, 4))}, ["rnn"], "proj_size"),
        ({"rnn__weight_ih_l0_reverse": np.ones((16, 3))}, ["rnn"],
         "has no layer 'l1_reverse'"),
        ({f"rnn__{kind}_l0": None for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
         ["rnn"], "has no layer 'l0'"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_modules_are_refused(changes, modules, message):
    with pytest.raises(InputError, match=message):
        from_torch(lstm_arrays(**changes), modules)


@pytest.mark.usefixtures("unchecked")
def test_what_has_no_counterpart_is_refused():
    shapes = {"gru/w_i": [3, 12], "gru/w_h": [4, 12], "gru/b": [12]}
    with pytest.raises(InputError, match=r"'gru/b' is a haiku.GRU's, which resets the outputs"):
        from_haiku(in_pairs(filled(shapes)), ["gru"])
    stacked_arrays = in_pairs(filled({"linear/w": [2, 16], "linear/b": [16]}))
    with pytest.raises(InputError, match=r"\[2, 16\]; expected \[5, 16\], for a haiku.LSTM of 1"):
        from_haiku(stacked_arrays, [""])
    with pytest.raises(InputError, match=r"cell is 'elu'; a torch.nn.RNN can be tanh or relu"):
        from_torch(filled(RECORD["torch.nn.RNN"]["shapes"]), ["rnn"], cell="elu")
    with pytest.raises(InputError, match="the arrays are 3; give a mapping"):
        from_torch(3)  # type: ignore[arg-type]


def both_ways(connections=(), **options):
    """Two layers of a level, of which one runs backward."""
    layers = [Layer("output", 4, "tanh"), Layer("last", 4, "tanh", **options)]
    chain = [("input", "output"), ("input", "last"), ("output", "output", 1), *connections]
    return Network(3, layers, chain, ["output", "last"])


@pytest.mark.parametrize(
    ("give", "network", "message"),
    [
        (to_torch, stacked(3, [4, 4], 2, skip=True), "no stack of layers"),
        (to_torch, both_ways([("last", "last", 1)]), "no stack of layers"),
        (to_torch, both_ways(backward=True), "no stack of layers"),
        (to_torch, Network({"a": 3}, [("output", 4, "tanh")], [("a", "output")]), "no stack"),
        (to_torch, stacked(3, [4], 2, "min_gru"), "torch has no module for layer 'hidden1'"),
        (to_torch, stacked(3, [4, 5], 2), "not alike"),
        (to_torch, stacked(3, [], 2), "the modules are .* for the layers output"),
        (partial(to_flax, nnx=True), stacked(3, [4], 2, "gru_recurrent_bias"), "flax.nnx has no"),
        (to_flax, both_ways([("last", "last", 1)], backward=True), "'last', .* runs backward"),
        (to_haiku, stacked(3, [4], 2, "gru"), "haiku has no module for layer 'hidden1', a gru"),
    ],
)  # fmt: skip
def test_a_network_that_is_no_stack_of_modules_is_refused(give, network, message):
    with pytest.raises(InputError, match=message):
        give(network, made(network)[0], modules=["rnn", "head"])


def test_parameters_of_another_network_are_refused():
    params = made(stacked(3, [4], 2))[0]
    with pytest.raises(InputError, match="do not fit the network"):
        to_torch(stacked(3, [5], 2), params, ["rnn", "head"])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("params", [None, 3, [], {"hidden1": None, "output": "weights"}], ids=str)
def test_what_is_no_parameters_is_refused(params):
    with pytest.raises(InputError, match="the parameters do not fit the network; give those that"):
        to_torch(stacked(3, [4], 2), params, ["rnn", "head"])


@pytest.mark.parametrize(
    ("give", "modules", "path"),
    [
        (to_flax, ["a", "a/hf"], "a/hf/bias"),  # the same array
        (to_flax, ["a", "a/ii/kernel"], "a/ii/kernel"),  # an array where the other has a folder
        (to_flax, ["a/kernel/b", "a"], "a/kernel"),
        (to_haiku, ["a", "a/linear/w"], "a/linear/w"),
    ],
)
def test_modules_that_lie_in_each_other_s_arrays_are_refused(give, modules, path):
    network = stacked(3, [4], 2, "lstm")
    with pytest.raises(InputError, match=f"two of the modules .* something at '{path}'; name"):
        give(network, made(network)[0], modules)


@pytest.mark.parametrize("case", CASES)
def test_the_record_is_what_the_libraries_put_out(case):
    pytest.importorskip(case.split(".")[0])
    found = record_peers.run(case)
    np.testing.assert_allclose(found.pop("outputs"), RECORD[case]["outputs"], rtol=2e-6, atol=2e-6)
    assert found == {key: RECORD[case][key] for key in found}
