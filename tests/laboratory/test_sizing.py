import pytest

from experiments.laboratory.sizing import evenly, feedforward, nearest
from jaxrnn import stacked


@pytest.mark.parametrize("parameters", [100, 1000, 1234, 5000])
@pytest.mark.parametrize("cell", ["tanh", "gru", "rg_lru"])
def test_no_number_of_units_comes_nearer(cell, parameters):
    networks = [stacked(10, evenly(units, 2), 10, cell) for units in range(2, 100)]
    gaps = [abs(network.parameter_count - parameters) for network in networks]
    found = nearest(lambda units: stacked(10, evenly(units, 2), 10, cell), parameters, least=2)
    assert abs(found.parameter_count - parameters) == min(gaps)


def test_units_are_shared_out_evenly():
    assert evenly(11, 3) == [4, 4, 3]
    assert evenly(12, 3) == [4, 4, 4]
    assert evenly(5, 1) == [5]


def test_the_feed_forward_twin_lacks_only_what_recurs():
    twin, network = feedforward(5, [3, 4]), stacked(5, [3, 4], 5)
    assert twin.layers == network.layers
    assert {*network.connections} - {*twin.connections} == {
        c for c in network.connections if c.source == c.target
    }
