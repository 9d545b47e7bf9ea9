"""The order in which components run, against reachability worked out in NumPy (Warshall 1962)."""

from itertools import chain

import numpy as np
from hypothesis import given

from jaxrnn import Connection, Layer, Network, stacked
from jaxrnn.core.engine.components import run_order
from tests.networks import examples, networks


def names(network: Network, **options) -> list[list[str]]:
    components = run_order(network, **options)
    return [[layer.name for layer in component.layers] for component in components]


def reachable(network: Network) -> dict[tuple[str, str], bool]:
    """Whether a path of connections leads from one layer to the other."""
    index = {layer.name: i for i, layer in enumerate(network.layers)}
    paths = np.eye(len(index), dtype=bool)
    for c in network.connections:
        if c.source in index:
            paths[index[c.source], index[c.target]] = True
    for k in range(len(index)):
        paths |= paths[:, k : k + 1] & paths[k : k + 1, :]
    return {(a, b): bool(paths[i, j]) for a, i in index.items() for b, j in index.items()}


@given(networks(max_hidden=6))
@examples(150)
def test_layers_share_a_component_exactly_if_they_reach_each_other(network):
    paths = reachable(network)
    place = {name: i for i, group in enumerate(names(network)) for name in group}
    assert len(place) == sum(map(len, names(network))) == len(network.layers)
    for a, b in paths:
        assert (place[a] == place[b]) == (paths[a, b] and paths[b, a])


@given(networks(max_hidden=6))
@examples(150)
def test_components_hear_only_themselves_and_earlier_ones(network):
    done, seen = {"input"}, []
    for component in run_order(network):
        inside = {layer.name for layer in component.layers}
        assert all(c.source in done and c.target in inside for c in component.entering)
        assert all({c.source, c.target} <= inside for c in component.internal)
        done |= inside
        seen += [*component.entering, *component.internal]
    assert sorted(seen) == sorted(network.connections)


@given(networks(max_hidden=6))
@examples(150)
def test_a_layer_comes_after_the_sources_of_its_delay_0_connections(network):
    for stepwise in (True, False):
        order = ["input", *chain.from_iterable(names(network, stepwise=stepwise))]
        for connection in network.connections:
            if connection.delay == 0:
                assert order.index(connection.source) < order.index(connection.target)


@given(networks(max_hidden=6))
@examples(30)
def test_stepwise_all_layers_are_one_component(network):
    (component,) = run_order(network, stepwise=True)
    assert {x.name for x in component.layers} == {x.name for x in network.layers}
    assert all(c.source == "input" for c in component.entering)


def test_a_stack_is_one_component_a_layer():
    for skip in (False, True):
        groups = names(stacked(3, [4, 5, 6], 2, "lstm", skip=skip))
        assert groups == [["hidden1"], ["hidden2"], ["hidden3"], ["output"]]


def test_feedback_joins_exactly_the_layers_that_it_spans():
    network = stacked(3, [4] * 5, 2)
    loop = Connection("hidden4", "hidden2", 3)
    network = Network(3, network.layers, [*network.connections, loop])
    expected = [["hidden1"], ["hidden2", "hidden3", "hidden4"], ["hidden5"], ["output"]]
    assert names(network) == expected


def test_only_components_with_a_past_of_their_own_are_stepped():
    layers = [
        Layer("plain", 2, "tanh"), Layer("late", 2, "relu"), Layer("loop", 2, "tanh"),
        Layer("memory", 2, "lstm"), Layer("output", 2, "linear"),
    ]  # fmt: skip
    edges = [
        ("input", "plain"), ("input", "late", 3), ("input", "loop"), ("loop", "loop", 2),
        ("input", "memory"), ("loop", "output", 1), ("plain", "output"),
    ]  # fmt: skip
    network = Network(2, layers, [Connection(*edge) for edge in edges])
    stepped = {c.layers[0].name: c.is_stepped for c in run_order(network)}
    assert stepped == {
        "plain": False, "late": False, "loop": True, "memory": True, "output": False,
    }  # fmt: skip


def test_a_component_remembers_no_more_than_its_own_connections_need():
    layers = [Layer("loop", 2, "tanh"), Layer("output", 2, "linear")]
    edges = [("input", "loop"), ("loop", "loop", 2), ("loop", "output", 5)]
    network = Network(2, layers, [Connection(*edge) for edge in edges])
    component, _ = run_order(network)
    assert network.memory("loop") == 5
    assert component.memory(network.layer("loop")) == 2
