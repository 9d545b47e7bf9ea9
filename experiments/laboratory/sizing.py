"""Networks of one size, so that what is compared is their kind."""

import bisect
from collections.abc import Callable, Sequence

from jaxrnn import Network, stacked


def nearest(
    make: Callable[[int], Network], parameters: int, *, least: int = 1, most: int = 4096
) -> Network:
    """The network, of those that `make` makes of a number of units, nearest to so many parameters.

    Args:
      make: called with numbers of units; more units have to mean more parameters.
      parameters: how many there should be.
      least: the fewest units.
      most: the most units.
    """
    above = bisect.bisect_left(
        range(least, most), parameters, key=lambda units: make(units).parameter_count
    )
    networks = [make(least + above), make(least + max(above - 1, 0))]
    return min(networks, key=lambda network: abs(network.parameter_count - parameters))


def evenly(units: int, layers: int) -> list[int]:
    """Sizes of so many layers that add up to `units`, as equal as can be, the larger ones first."""
    return [units // layers + (i < units % layers) for i in range(layers)]


def feedforward(symbols: int, hidden: Sequence[int]) -> Network:
    """Tanh layers without recurrent connections, for which a chunk is so many more lanes."""
    network = stacked(symbols, hidden, symbols)
    connections = [connection for connection in network.connections if not connection.delay]
    return Network(network.input_size, network.layers, connections)
