"""What makes layers and connections a network; whatever does not is refused in one sentence."""

import graphlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jaxrnn.errors import InputError

if TYPE_CHECKING:
    from jaxrnn.network import Connection, Network

INPUT = "input"  # the source that stands for what the network is given
OUTPUT = "output"  # the layer whose output is the network's output


def check_graph(network: "Network") -> None:
    """Refuses what is not a network, in one sentence."""
    names = [layer.name for layer in network.layers]
    known = {INPUT, *names}
    if network.input_size < 1:
        raise InputError(f"the input has size {network.input_size}; a size is at least 1")
    for name, count in Counter([INPUT, *names]).items():
        if count > 1:
            raise InputError(
                f"{count} layers are called '{name}'; give each layer a name of its own"
                + (", other than 'input', which stands for the network's input" * (name == INPUT))
            )
    for layer in network.layers:
        if not layer.name or "/" in layer.name or "@" in layer.name:
            raise InputError(f"'{layer.name}' cannot name a layer; leave out '/' and '@'")
        if layer.size < 1:
            raise InputError(f"layer '{layer.name}' has size {layer.size}; a size is at least 1")
    if OUTPUT not in names:
        raise InputError(
            f"no layer is called '{OUTPUT}'; give that name to the layer whose outputs the "
            "network returns"
        )
    for connection in network.connections:
        for name in (connection.source, connection.target):
            if name not in known:
                raise InputError(
                    f"connection {connection} names an unknown layer '{name}'; "
                    f"the layers are {', '.join([INPUT, *names])}"
                )
        if connection.target == INPUT:
            raise InputError(
                f"connection {connection} leads into the input; only layers can listen"
            )
        if connection.delay < 0:
            raise InputError(
                f"connection {connection} has a negative delay; use 0 for the same time step"
            )
    for connection, count in Counter(network.connections).items():
        if count > 1:
            raise InputError(f"connection {connection} is given {count} times; give it once")
    feedforward_order(names, network.connections)
    reached = {INPUT}
    while heard := {c.target for c in network.connections if c.source in reached} - reached:
        reached |= heard
    for name in names:
        if name not in reached:
            raise InputError(
                f"nothing reaches layer '{name}'; connect it, directly or not, from '{INPUT}'"
            )


def feedforward_order(names: Iterable[str], connections: Iterable["Connection"]) -> tuple[str, ...]:
    """The names in an order in which each comes after the sources of its delay-0 connections."""
    below: dict[str, list[str]] = {name: [] for name in names}
    for connection in connections:
        if connection.delay == 0 and connection.source in below:
            below[connection.target].append(connection.source)
    try:
        return tuple(graphlib.TopologicalSorter(below).static_order())
    except graphlib.CycleError as error:
        raise InputError(
            f"delay-0 connections form a cycle ({' -> '.join(error.args[1])}); "
            "give one of them a delay of at least 1"
        ) from None
