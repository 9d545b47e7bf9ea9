"""Networks as data: what is refused, the JSON form, the printed table."""

import json
import re
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn import Cell, Connection, InputError, Layer, Network, init, stacked
from jaxrnn.core.cells import CELLS, elman
from tests.networks import examples, networks

OUTPUT = Layer("output", 2, "linear")
HEARD = Connection("input", "output")
NETS = networks(cells=tuple(CELLS))


def chain(*names: str) -> list[Connection]:
    return [Connection(a, b) for a, b in pairwise(names)]


def with_layers(*names: str) -> list[Layer]:
    return [*(Layer(name, 2, "tanh") for name in names), OUTPUT]


REFUSED = {
    "unknown source": (with_layers(), [HEARD, *chain("ghost", "output")],
                       r"ghost -> output names an unknown layer 'ghost'.*input, output"),
    "unknown target": (with_layers(), [HEARD, *chain("input", "ghost")],
                       r"input -> ghost names an unknown layer 'ghost'"),
    "two layers of one name": (with_layers("a", "a"), [HEARD, *chain("input", "a")],
                               r"2 layers are called 'a'.*a name of its own"),
    "a layer called input": (with_layers("input"), [HEARD], r"called 'input'.*network's input"),
    "a connection twice": (with_layers(), [HEARD, HEARD], r"input -> output is given 2 times"),
    "a delayed connection twice": (
        with_layers(), [HEARD, *[Connection("output", "output", 2)] * 3],
        r"output -> output \(delay 2\) is given 3 times",
    ),
    "a layer that hears itself at once": (
        with_layers("a"), [*chain("input", "a", "output"), *chain("a", "a")],
        r"cycle \(a -> a\); give one of them a delay",
    ),
    "negative delay": (with_layers(), [HEARD, Connection("input", "output", -1)],
                       r"delay -1.*negative delay"),
    "unreachable": (with_layers("a"), [HEARD, *chain("a", "output")],
                    r"nothing reaches layer 'a'.*from 'input'"),
    "reached only by itself": (with_layers("a"), [HEARD, Connection("a", "a", 1)],
                               r"nothing reaches layer 'a'"),
    "no connections": (with_layers(), [], r"nothing reaches layer 'output'"),
    "into the input": (with_layers(), [HEARD, Connection("output", "input", 1)],
                       r"output -> input \(delay 1\) leads into the input"),
    "no output": ([Layer("a", 2, "tanh")], chain("input", "a"), r"no layer is called 'output'"),
    "no layers": ([], [], r"no layer is called 'output'"),
    "empty layer": ([Layer("output", 0, "tanh")], [HEARD], r"'output' has size 0.*at least 1"),
    "negative size": ([Layer("output", -3, "tanh")], [HEARD], r"layer 'output' has size -3"),
    "slash in a name": (with_layers("a/b"), [HEARD], r"'a/b' cannot name a layer"),
    "at in a name": (with_layers("a@1"), [HEARD], r"'a@1' cannot name a layer"),
    "no name": (with_layers(""), [HEARD], r"'' cannot name a layer"),
    "an identity between unequal sizes": (
        with_layers(), [Connection("input", "output", kind="identity")],
        r"input -> output \(identity\) leads from 3 units to 2; make the sizes equal",
    ),
    "a diagonal between unequal sizes": (
        with_layers(), [HEARD, Connection("input", "output", 1, "diagonal")],
        r"input -> output \(delay 1, diagonal\) leads from 3 units to 2",
    ),
    "an identity to several gates": (
        [Layer("a", 2, "lstm"), Layer("b", 2, "lstm"), OUTPUT],
        [HEARD, Connection("input", "a"), Connection("a", "b", kind="identity")],
        r"a -> b \(identity\) leads to the cell 'lstm', in which connections add to 4 gates",
    ),
    "two kinds at one delay": (
        with_layers(), [HEARD, Connection("output", "output", 1),
                        Connection("output", "output", 1, "identity")],
        r"output -> output \(delay 1\) is given 2 times",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("layers", "connections", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_network_is_refused_in_one_sentence(layers, connections, message):
    with pytest.raises(InputError, match=message) as refusal:
        Network(3, layers, connections)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("size", [0, -1])
def test_an_input_size_below_1_is_refused(size):
    with pytest.raises(InputError, match=rf"the input has size {size}.*at least 1"):
        Network(size, [OUTPUT], [HEARD])


def test_a_cycle_of_delay_0_connections_is_named_in_its_direction():
    edges = [*chain("input", "a", "b", "c", "a"), *chain("c", "output")]
    with pytest.raises(InputError, match=r"form a cycle \(([^)]*)\)") as refusal:
        Network(3, with_layers("a", "b", "c"), edges)
    named = re.search(r"\((.*?)\)", str(refusal.value))[1].split(" -> ")
    assert len(named) == 4
    assert set(chain(*named)) == set(chain("a", "b", "c", "a"))


def test_a_cycle_with_a_delay_is_a_network():
    edges = [*chain("input", "a", "b", "output"), Connection("b", "a", 1)]
    network = Network(3, with_layers("a", "b"), edges)
    assert network.memory("b") == 1
    assert network.memory("a") == network.memory("input") == 0


@given(NETS)
@examples(100)
def test_a_network_survives_its_json(network):
    again = Network.from_json(network.to_json())
    assert again == network
    assert hash(again) == hash(network)
    assert str(again) == str(network)


def record(**changes) -> dict:
    return {
        "input": 3,
        "layers": [{"name": "output", "size": 2, "cell": "linear"}],
        "connections": [{"source": "input", "target": "output", "delay": 0}],
    } | changes


def test_a_delay_that_is_left_out_is_0():
    text = json.dumps(record(connections=[{"source": "input", "target": "output"}]))
    assert Network.from_json(text) == Network(3, [OUTPUT], [HEARD])


@pytest.mark.parametrize("absent", ["left out", "null"])
def test_symbols_fill_in_the_sizes_of_input_and_output(absent):
    layers = [
        {"name": "hidden", "size": 4, "cell": "gru"},
        {"name": "output", "size": None, "cell": "linear"},
    ]
    edges = [{"source": "input", "target": "hidden"}, {"source": "hidden", "target": "output"}]
    fields = record(input=None, layers=layers, connections=edges)
    if absent == "left out":
        del fields["input"], layers[1]["size"]
    network = Network.from_json(json.dumps(fields), symbols=87)
    assert (network.input_size, network.size("output"), network.size("hidden")) == (87, 87, 4)


def test_symbols_leave_given_sizes_alone():
    network = Network.from_json(json.dumps(record()), symbols=87)
    assert (network.input_size, network.size("output")) == (3, 2)


def layer(**changes) -> dict:
    return record(layers=[{"name": "output", "size": 2, "cell": "linear"} | changes])


def edge(**changes) -> dict:
    return record(connections=[{"source": "input", "target": "output", "delay": 0} | changes])


def without(key: str, fields: dict) -> dict:
    return {k: v for k, v in fields.items() if k != key}


BAD_JSON = {
    "empty": ("", r"cannot be read"),
    "broken": ('{"input": 3,', r"cannot be read"),
    "nested beyond measure": ("[" * 100_000, r"cannot be read"),
    "a number beyond measure": ("9" * 10_000, r"cannot be read"),
    "a list": ("[]", r"cannot be read.*expected an object"),
    "a number": ("3", r"cannot be read"),
    "null": ("null", r"cannot be read"),
    "a text": ('"network"', r"cannot be read"),
    "nothing in it": ("{}", r"lacks 'layers'"),
    "no layers": (without("layers", record()), r"lacks 'layers'"),
    "no connections": (without("connections", record()), r"lacks 'connections'"),
    "no input size": (without("input", record()), r"lacks 'input'"),
    "a layer without name": (record(layers=[{"size": 2, "cell": "tanh"}]), r"lacks 'name'"),
    "a layer without size": (record(layers=[{"name": "a", "cell": "tanh"}]), r"lacks 'size'"),
    "a layer without cell": (record(layers=[{"name": "a", "size": 2}]), r"lacks 'cell'"),
    "a connection without source": (record(connections=[{"target": "a"}]), r"lacks 'source'"),
    "a connection without target": (record(connections=[{"source": "a"}]), r"lacks 'target'"),
    "no output size": (layer(size=None), r"None where a whole number"),
    "a whole float as size": (layer(size=2.0), r"2\.0 where a whole number"),
    "a size that is no number": (layer(size=float("nan")), r"nan where a whole number"),
    "a text as size": (layer(size="2"), r"'2' where a whole number"),
    "a truth value as size": (layer(size=True), r"True where a whole number"),
    "a float as input size": (record(input=3.5), r"3\.5 where a whole number"),
    "a list as input size": (record(input=[3]), r"\[3\] where a whole number"),
    "size 0": (layer(size=0), r"size 0"),
    "a number as name": (layer(name=1), r"1 where a name"),
    "a list as name": (layer(name=["output"]), r"where a name"),
    "null as name": (layer(name=None), r"None where a name"),
    "a number as cell": (layer(cell=1), r"1 where a name"),
    "an unknown cell": (layer(cell="lsmt"), r"unknown cell 'lsmt'.*lstm"),
    "a float as delay": (edge(delay=1.0), r"1\.0 where a whole number"),
    "null as delay": (edge(delay=None), r"None where a whole number"),
    "a negative delay": (edge(delay=-1), r"negative delay"),
    "a number as source": (edge(source=0), r"0 where a name"),
    "an object as target": (edge(target={}), r"\{\} where a name"),
    "an unknown target": (edge(target="ghost"), r"unknown layer 'ghost'"),
    "an unknown kind": (edge(kind="dense"), r"is 'dense'; it must be full, diagonal or identity"),
    "a number as kind": (edge(kind=1), r"1 where a name"),
    "a number as bias": (layer(bias=0), r"0 where true or false"),
    "a text as outputs": (record(outputs="output"), r"outputs are 'output'; give a list"),
    "a number as an output": (record(outputs=[1]), r"1 where a name"),
    "a text as an input's size": (record(input={"a": "3"}), r"'3' where a whole number"),
    "a misspelt delay": (
        record(connections=[{"source": "input", "target": "output", "dealy": 2}]),
        r"unknown 'dealy'; expected source, target, delay",
    ),
    "layers by name": (record(layers={"output": 2}), r"cannot be read"),
    "layers as names": (record(layers=["output"]), r"cannot be read"),
    "a number of layers": (record(layers=1), r"cannot be read"),
    "connections as pairs": (record(connections=[["input", "output"]]), r"cannot be read"),
    "connections null": (record(connections=None), r"cannot be read"),
}


@pytest.mark.parametrize(("text", "message"), BAD_JSON.values(), ids=BAD_JSON)
def test_json_that_is_no_network_is_refused_in_one_sentence(text, message):
    text = text if isinstance(text, str) else json.dumps(text)
    with pytest.raises(InputError, match=message) as refusal:
        Network.from_json(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("text", [None, 3, {}])
def test_what_is_no_text_is_no_json(text):
    with pytest.raises(InputError, match=r"the network's JSON cannot be read .*; expected"):
        Network.from_json(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
nearly = st.fixed_dictionaries(
    {
        "input": st.just(3) | anything,
        "layers": anything
        | st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["output", "a"]) | anything,
                 "size": st.just(2) | anything,
                 "cell": st.just("tanh") | anything},
                optional={"bias": st.booleans() | anything, "backward": st.booleans() | anything},
            ) | anything, max_size=3,
        ),
        "connections": anything
        | st.lists(
            st.fixed_dictionaries(
                {"source": st.just("input") | anything,
                 "target": st.sampled_from(["output", "a"]) | anything},
                optional={"delay": st.integers(-1, 2) | anything,
                          "kind": st.sampled_from(["diagonal", "identity"]) | anything},
            ) | anything, max_size=3,
        ),
    },
    optional={"outputs": st.just(["output"]) | anything},
)  # fmt: skip


@given(fields=anything | nearly, symbols=st.none() | st.integers(-1, 3))
@examples(300)
def test_any_json_is_a_network_or_an_input_error(fields, symbols):
    try:
        network = Network.from_json(json.dumps(fields), symbols)
    except InputError:
        return
    assert isinstance(network, Network)


@given(NETS)
@examples(30)
def test_the_parameter_counts_are_the_numbers_that_init_draws(network):
    params = jax.eval_shape(lambda key: init(network, key), jax.random.key(0))
    lines = str(network).splitlines()
    table = {row.split()[0]: row.split() for row in lines if not row.startswith("-")}
    for layer in network.layers:
        size = sum(array.size for array in params[layer.name].values())
        assert table[layer.name][1:3] == [
            str(layer.size),
            layer.cell.name + "," * (not layer.bias),
        ]
        assert table[layer.name][-1] == f"{size:,}"
        for connection in network.into(layer.name):
            shape = getattr(params[layer.name].get(connection.key), "shape", None)
            assert shape == network.shape(connection)
    total = sum(array.size for array in jax.tree.leaves(params))
    assert network.parameter_count == total
    assert table["total"][-1] == f"{total:,}"


def test_the_table_tells_what_each_layer_hears():
    network = stacked(1000, [20], 1000, "lstm")
    assert str(network).splitlines() == [
        "layer     size  cell    connections from          parameters",
        "------------------------------------------------------------",
        "input    1,000                                              ",
        "hidden1     20  lstm    input, hidden1 (delay 1)      81,680",
        "output   1,000  linear  hidden1                       21,000",
        "------------------------------------------------------------",
        "total                                                102,680",
    ]


def test_equal_networks_hash_equal_and_different_ones_differ():
    assert stacked(3, [4], 2) == stacked(3, [4], 2)
    assert hash(stacked(3, [4], 2)) == hash(stacked(3, [4], 2))
    others = {
        stacked(3, [4], 2), stacked(4, [4], 2), stacked(3, [5], 2), stacked(3, [4], 3),
        stacked(3, [4], 2, "gru"), stacked(3, [4, 4], 2), stacked(3, [4, 4], 2, skip=True),
        stacked(3, [4, 4], 2, feedback=True),
    }  # fmt: skip
    assert len(others) == 8


def test_a_stack_is_a_chain_of_layers_that_hear_themselves():
    network = stacked(3, [4, 5], 2, "gru")
    assert set(map(str, network.connections)) == {
        "input -> hidden1", "hidden1 -> hidden2", "hidden2 -> output",
        "hidden1 -> hidden1 (delay 1)", "hidden2 -> hidden2 (delay 1)",
    }  # fmt: skip
    assert [(x.name, x.size, x.cell.name) for x in network.layers] == [
        ("hidden1", 4, "gru"), ("hidden2", 5, "gru"), ("output", 2, "linear"),
    ]  # fmt: skip


def test_skip_and_feedback_add_their_connections_to_a_stack():
    plain = set(stacked(3, [4, 5, 6], 2).connections)
    skip = set(stacked(3, [4, 5, 6], 2, skip=True).connections)
    feedback = set(stacked(3, [4, 5, 6], 2, feedback=True).connections)
    assert set(map(str, skip - plain)) == {
        "input -> hidden2", "input -> hidden3", "hidden1 -> output", "hidden2 -> output",
    }  # fmt: skip
    assert set(map(str, feedback - plain)) == {
        "hidden2 -> hidden1 (delay 1)", "hidden3 -> hidden2 (delay 1)",
    }  # fmt: skip
    assert plain < skip
    assert plain < feedback


@pytest.mark.parametrize(
    ("how", "first"),
    [({}, "hidden1"), ({"hidden": []}, "output"), ({"residual": True}, "embedding"),
     ({"normalised": True, "skip": True}, "hidden1")],
)  # fmt: skip
def test_what_first_hears_the_input_hears_its_n_grams_beside_it(how, first):
    def made(**more) -> Network:
        return stacked(**{"input_size": 3, "hidden": [4, 4], "output_size": 2} | how | more)

    plain, added = made(), made(ngrams=(2, 3), ngram_rows=9, ngram_size=5)
    assert set(map(str, {*added.connections} - {*plain.connections})) == {
        "2-grams -> ngrams", "3-grams -> ngrams", f"ngrams -> {first}",
    }  # fmt: skip
    assert {*added.layers} - {*plain.layers} == {Layer("ngrams", 5, "linear", bias=False)}
    assert [(x.length, x.size) for x in added.ngrams] == [(2, 9), (3, 9)]
    straight = made(ngrams=(2, 3), ngram_rows=9, ngram_size=0)
    assert straight.layers == plain.layers
    assert set(map(str, {*straight.connections} - {*plain.connections})) == {
        f"2-grams -> {first}", f"3-grams -> {first}",
    }  # fmt: skip
    assert made(ngrams=()) == plain


def test_residual_stacks_add_to_a_stream_what_is_heard_through_a_norm():
    network = stacked(3, [4, 4], 2, "min_gru", residual=True, normalised=True)
    assert set(map(str, network.connections)) == {
        "input -> embedding", "embedding -> norm1 (identity)", "norm1 -> hidden1",
        "embedding -> sum1 (identity)", "hidden1 -> sum1 (identity)", "sum1 -> norm2 (identity)",
        "norm2 -> hidden2", "sum1 -> sum2 (identity)", "hidden2 -> sum2 (identity)",
        "sum2 -> norm (identity)", "norm -> output",
    }  # fmt: skip
    plain = stacked(3, [4, 5], 2, "lstm", normalised=True)
    assert {"input -> hidden1", "hidden1 -> norm2 (identity)"} < set(map(str, plain.connections))
    with pytest.raises(InputError, match=r"hidden sizes are \[4, 5\]; with residual=True"):
        stacked(3, [4, 5], 2, residual=True)


def test_in_a_stack_of_multiplicative_lstms_products_stand_for_their_past():
    network = stacked(3, [4, 5], 2, "mlstm", skip=True)
    assert set(map(str, network.connections)) == {
        "input -> product1", "hidden1 -> product1 (delay 1)", "input -> hidden1",
        "product1 -> hidden1", "hidden1 -> product2", "input -> product2",
        "hidden2 -> product2 (delay 1)", "hidden1 -> hidden2", "input -> hidden2",
        "product2 -> hidden2", "hidden1 -> output", "hidden2 -> output",
    }  # fmt: skip
    assert [(x.name, x.size, x.cell.name, x.bias) for x in network.layers] == [
        ("product1", 4, "product", False), ("hidden1", 4, "lstm", True),
        ("product2", 5, "product", False), ("hidden2", 5, "lstm", True),
        ("output", 2, "linear", True),
    ]  # fmt: skip


def test_a_mogrifier_takes_what_is_below_as_it_is_where_sizes_allow():
    network = stacked(3, [4, 4, 5], 2, "mogrifier_lstm", feedback=True)
    lstms = [Connection(f"hidden{i}", f"hidden{i}", 1) for i in (1, 2, 3)]
    assert set(map(str, {*network.connections} - {*lstms})) == {
        "input -> mogrifier1", "hidden1 -> mogrifier1 (delay 1)", "mogrifier1 -> hidden1",
        "hidden1 -> mogrifier2 (identity)", "hidden2 -> mogrifier2 (delay 1)",
        "mogrifier2 -> hidden2", "hidden2 -> mogrifier3", "hidden3 -> mogrifier3 (delay 1)",
        "mogrifier3 -> hidden3", "hidden3 -> output",
        "hidden2 -> hidden1 (delay 1)", "hidden3 -> hidden2 (delay 1)",
    }  # fmt: skip


def test_a_cell_of_one_s_own_goes_before_a_motif_of_its_name(monkeypatch):
    monkeypatch.setitem(CELLS, "mlstm", Cell("mlstm", CELLS["tanh"].apply))
    assert [layer.cell.name for layer in stacked(3, [4], 2, "mlstm").layers] == ["mlstm", "linear"]


def test_a_layer_takes_a_cell_or_its_name():
    assert Layer("a", 1, "lstm") == Layer("a", 1, CELLS["lstm"])
    assert isinstance(Layer("a", 1, "lstm").cell, Cell)
    with pytest.raises(InputError, match=r"unknown cell 'lsmt'; the cells are .*lstm"):
        Layer("a", 1, "lsmt")


EDGES = [("input", "h"), ("h", "h", 1), ("h", "output")]


def test_layers_and_connections_may_be_tuples():
    network = Network(3, [("h", 4, "gru"), ("output", 2, CELLS["linear"])], EDGES)
    layers = [Layer("h", 4, "gru"), Layer("output", 2, "linear")]
    assert network == Network(3, layers, [Connection(*edge) for edge in EDGES])
    mixed = Network(3, (("h", 4, "gru"), layers[1]), iter([Connection(*EDGES[0]), *EDGES[1:]]))
    assert mixed == network
    assert hash(mixed) == hash(network)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "kind", [np.int64, np.uint8, np.array, jnp.array], ids=["int64", "uint8", "array", "JAX"]
)
def test_whole_numbers_of_other_kinds_are_ints(kind):
    layers = [Layer("h", kind(4), "tanh"), Layer("output", kind(2), "linear")]
    network = Network(kind(3), layers, [*EDGES, Connection("h", "h", kind(2))])
    plain = Network(3, [("h", 4, "tanh"), ("output", 2, "linear")], [*EDGES, ("h", "h", 2)])
    assert network == plain
    assert hash(network) == hash(plain)
    assert network.to_json() == plain.to_json()
    assert type(network.input_size) is type(network.size("h")) is type(network.memory("h")) is int
    assert stacked(kind(3), np.array([4, 5]), kind(2)) == stacked(3, [4, 5], 2)
    fields = network.to_dict() | {"input": kind(3)}
    assert Network.from_dict(fields) == Network.from_dict(fields, symbols=kind(7)) == plain


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "value", [4.0, np.float32(4), True, np.True_, "4", None, [4], np.array([4]), 4j, jnp.array(4.0)]
)
def test_sizes_and_delays_are_whole_numbers(value):
    for what, make in {
        "the size of layer 'h'": lambda: Layer("h", value, "tanh"),
        "the delay of connection h -> h": lambda: Connection("h", "h", value),
        "the input's size": lambda: Network(value, [OUTPUT], [HEARD]),
        "the size of layer 'hidden1'": lambda: stacked(3, [value], 2),
        "the size of layer 'output'": lambda: stacked(3, [4], value),
    }.items():
        with pytest.raises(InputError, match=rf"^{what} is .*; it must be a whole number$"):
            make()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "cell",
    [3, None, jnp.tanh, 2.0, ["tanh"], Layer("a", 1, "tanh")],
    ids=lambda x: type(x).__name__,
)
def test_what_is_no_cell_is_refused_by_its_layer(cell):
    with pytest.raises(InputError, match=r"layer 'a' has .* as its cell; give a Cell, .*tanh"):
        Layer("a", 4, cell)


NO_LISTS = [
    None,
    3,
    4.5,
    "output",
    b"output",
    {},
    {"output": 2},
    {1, 2},
    OUTPUT,
    HEARD,
    np.array(4),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("given", NO_LISTS, ids=lambda given: type(given).__name__)
def test_what_is_no_list_is_refused_in_its_place(given):
    for what, make in {
        "layers": lambda: Network(3, given, [HEARD]),
        "connections": lambda: Network(3, [OUTPUT], given),
        "hidden sizes": lambda: stacked(3, given, 2),
    }.items():
        with pytest.raises(InputError, match=rf"^{what} are .*; give a list of them$"):
            make()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("layers", "connections", "message"),
    [
        ([("output", 2)], [HEARD], r"\('output', 2\) is no layer; give Layer\(name, size, cell\)"),
        (["output"], [HEARD], r"'output' is no layer"),
        (("output", 2, "tanh"), [HEARD], r"'output' is no layer"),
        ([None], [HEARD], r"None is no layer"),
        ([HEARD], [HEARD], r"Connection\(.* is no layer"),
        ([(3, 2, "tanh")], [HEARD], r"a layer is called 3; a layer's name is a string"),
        ([OUTPUT], [("input",)], r"\('input',\) is no connection; give Connection\(source"),
        ([OUTPUT], [("input", "output", 0, "full", 1)], r"is no connection"),
        ([OUTPUT], [("input", "output", 0, 1)], r"kind of .*input -> output is 1; it must be full"),
        ([("output", 2, "tanh", 1)], [HEARD], r"'output' has bias=1; it must be True or False"),
        ([OUTPUT], ("input", "output"), r"'input' is no connection"),
        ([OUTPUT], [None], r"None is no connection"),
        ([OUTPUT], [OUTPUT], r"Layer\(.* is no connection"),
        ([OUTPUT], [("input", 3)], r"an end of a connection is called 3"),
        ([OUTPUT], [(None, "output")], r"an end of a connection is called None"),
    ],
)
def test_an_entry_that_is_no_layer_or_no_connection_is_refused(layers, connections, message):
    with pytest.raises(InputError, match=message) as refusal:
        Network(3, layers, connections)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 150


def test_a_stack_without_hidden_layers_is_a_linear_map():
    assert stacked(3, [], 2) == Network(3, [OUTPUT], [HEARD])


def test_only_registered_cells_are_written():
    """Not a cell that a reader would take for another one of its name."""
    false = Network(3, [("output", 2, elman("tanh", jax.nn.relu))], [HEARD])
    own = Network(3, [("output", 2, elman("mine", jnp.sin))], [HEARD])
    for write in (Network.to_dict, Network.to_json):
        with pytest.raises(InputError, match=r"'output' has a cell called 'tanh' which .* own$"):
            write(false)
        with pytest.raises(InputError, match=r"called 'mine' which is .*, so register it$"):
            write(own)
    assert "tanh" in str(false)
    again = Network(3, [("output", 2, elman("tanh", jnp.tanh))], [HEARD])  # the registered one
    assert Network.from_json(again.to_json()) == again
