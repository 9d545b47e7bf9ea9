"""What makes layers and connections a network; whatever does not is refused in one sentence."""

import graphlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import FULL, IDENTITY, INPUT, OUTPUT, Connection, Layer


def check_graph(
    inputs: Mapping[str, int],
    layers: Sequence[Layer],
    connections: Sequence[Connection],
    outputs: Sequence[str],
) -> None:
    """Refuses what is not a network, in one sentence; inputs are given by name and size."""
    _check_names(inputs, layers, outputs)
    _check_connections(inputs, layers, connections)
    names = [layer.name for layer in layers]
    feedforward_order(names, connections)
    _check_reached(inputs, names, connections)
    _check_kinds(dict(inputs), layers, connections)
    if any(layer.backward for layer in layers):
        _check_directions(layers, connections)


def _check_names(
    inputs: Mapping[str, int], layers: Sequence[Layer], outputs: Sequence[str]
) -> None:
    names = [layer.name for layer in layers]
    if not inputs:
        raise InputError("the network has no input; give at least one, by name and size")
    for name, size in inputs.items():
        what = "the input" if name == INPUT else f"the input '{name}'"
        _check_name(name, "an input")
        if size < 1:
            raise InputError(f"{what} has size {size}; a size is at least 1")
    for name, count in Counter([*inputs, *names]).items():
        if count > 1:
            raise InputError(
                f"{count} layers are called '{name}'; give each layer a name of its own"
                + f", other than '{name}', which stands for the network's input" * (name in inputs)
            )
    for layer in layers:
        _check_name(layer.name, "a layer")
        if layer.size < 1:
            raise InputError(f"layer '{layer.name}' has size {layer.size}; a size is at least 1")
    if not outputs:
        raise InputError("the network has no output; name at least one layer that it returns")
    for name, count in Counter(outputs).items():
        if name not in names:
            raise InputError(
                f"no layer is called '{name}'; give that name to the layer whose outputs the "
                "network returns" + (", or name others as outputs" * (name != OUTPUT))
            )
        if count > 1:
            raise InputError(f"output '{name}' is named {count} times; name it once")


def _check_name(name: str, what: str) -> None:
    if not name or "/" in name or "@" in name:
        raise InputError(f"'{name}' cannot name {what}; leave out '/' and '@'")


def _check_connections(
    inputs: Mapping[str, int], layers: Sequence[Layer], connections: Sequence[Connection]
) -> None:
    known = [*inputs, *(layer.name for layer in layers)]
    for connection in connections:
        for name in (connection.source, connection.target):
            if name not in known:
                raise InputError(
                    f"connection {connection} names an unknown layer '{name}'; "
                    f"the layers are {', '.join(known)}"
                )
        if connection.target in inputs:
            raise InputError(
                f"connection {connection} leads into the input; only layers can listen"
            )
        if connection.delay < 0:
            raise InputError(
                f"connection {connection} has a negative delay; use 0 for the same time step"
            )
    ends = Counter((c.source, c.target, c.delay) for c in connections)
    for connection in connections:
        count = ends[connection.source, connection.target, connection.delay]
        if count > 1:
            raise InputError(f"connection {connection} is given {count} times; give it once")


def _check_reached(
    inputs: Mapping[str, int], names: Sequence[str], connections: Sequence[Connection]
) -> None:
    reached = set(inputs)
    while heard := {c.target for c in connections if c.source in reached} - reached:
        reached |= heard
    for name in names:
        if name not in reached:
            raise InputError(
                f"nothing reaches layer '{name}'; connect it, directly or not, from "
                + " or ".join(f"'{name}'" for name in inputs)
            )
    for name in inputs:
        if not any(c.source == name for c in connections):
            raise InputError(f"no layer hears the input '{name}'; connect it, or leave it out")


def _check_kinds(
    sizes: dict[str, int], layers: Sequence[Layer], connections: Sequence[Connection]
) -> None:
    by_name = {layer.name: layer for layer in layers}
    sizes |= {layer.name: layer.size for layer in layers}
    for connection in (c for c in connections if c.kind != FULL):
        source, target = sizes[connection.source], by_name[connection.target]
        if source != target.size:
            raise InputError(
                f"connection {connection} leads from {source} units to {target.size}; make the "
                "sizes equal, or the connection full"
            )
        if connection.kind == IDENTITY and target.cell.heard_gates != 1:
            raise InputError(
                f"connection {connection} leads to the cell '{target.cell.name}', in which "
                f"connections add to {target.cell.heard_gates} gates; an identity adds to one, so "
                "make it full or diagonal"
            )


def _check_directions(layers: Sequence[Layer], connections: Sequence[Connection]) -> None:
    backward = {layer.name: layer.backward for layer in layers}
    for names in strong_components(backward, connections):
        ways = {backward[name]: name for name in names}
        if len(ways) > 1:
            raise InputError(
                f"layers '{ways[False]}' and '{ways[True]}' hear each other but run in opposite "
                "directions; make both of them backward, or neither"
            )
    for connection in connections:
        if (
            connection.delay
            and backward.get(connection.source, False) != backward[connection.target]
        ):
            raise InputError(
                f"connection {connection} has a delay between layers of opposite directions, in "
                "which late means different things; make its delay 0"
            )


def feedforward_order(names: Iterable[str], connections: Iterable[Connection]) -> tuple[str, ...]:
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


def strong_components(
    names: Iterable[str], connections: Iterable[Connection]
) -> tuple[tuple[str, ...], ...]:
    """The names in groups whose members hear each other, over whatever delays.

    Each group comes after those that it hears, and keeps the order of the names.
    """
    names = tuple(names)
    heard: dict[str, set[str]] = {name: set() for name in names}
    for connection in connections:
        if connection.source in heard:
            heard[connection.target].add(connection.source)
    reach = {name: _reached(heard, name) for name in names}
    group = {
        name: tuple(n for n in names if n == name or (n in reach[name] and name in reach[n]))
        for name in names
    }
    earlier: dict[tuple[str, ...], set[tuple[str, ...]]] = {own: set() for own in group.values()}
    for name in names:
        earlier[group[name]] |= {group[n] for n in heard[name] if group[n] != group[name]}
    return tuple(graphlib.TopologicalSorter(earlier).static_order())


def _reached(heard: dict[str, set[str]], name: str) -> set[str]:
    reached, new = set(), {name}
    while new:
        new = set().union(*(heard[n] for n in new)) - reached
        reached |= new
    return reached
