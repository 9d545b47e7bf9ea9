"""What makes layers and connections a network; whatever does not is refused in one sentence."""

import graphlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import FULL, IDENTITY, INPUT, OUTPUT, Connection, Layer, NGram

_MOST = 2**31 - 1  # symbols are counted in 32 bits


def check_graph(
    inputs: Mapping[str, int],
    ngrams: Sequence[NGram],
    layers: Sequence[Layer],
    connections: Sequence[Connection],
    outputs: Sequence[str],
) -> None:
    """Refuses what is not a network, in one sentence; inputs are given by name and size."""
    _check_names(inputs, ngrams, layers, outputs)
    _check_ngrams(inputs, ngrams, connections)
    sources = dict(inputs) | {ngram.name: ngram.size for ngram in ngrams}
    _check_connections(sources, layers, connections)
    names = [layer.name for layer in layers]
    feedforward_order(names, connections)
    _check_reached(sources, names, connections)
    _check_heard(inputs, ngrams, connections)
    _check_kinds(sources, layers, connections)
    if any(layer.backward for layer in layers):
        _check_directions(layers, connections)


def _check_names(
    inputs: Mapping[str, int],
    ngrams: Sequence[NGram],
    layers: Sequence[Layer],
    outputs: Sequence[str],
) -> None:
    names = [layer.name for layer in layers]
    if not inputs:
        raise InputError("the network has no input; give at least one, by name and size")
    for name, size in inputs.items():
        what = "the input" if name == INPUT else f"the input '{name}'"
        _check_name(name, "an input")
        if size < 1:
            raise InputError(f"{what} has size {size}; a size is at least 1")
    for ngram in ngrams:
        _check_name(ngram.name, "an n-gram")
        if ngram.name in inputs or [x.name for x in (*ngrams, *layers)].count(ngram.name) > 1:
            raise InputError(
                f"n-gram '{ngram.name}' shares its name; give it one that no input, layer or other "
                "n-gram has"
            )
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


def _check_ngrams(
    inputs: Mapping[str, int], ngrams: Sequence[NGram], connections: Sequence[Connection]
) -> None:
    for ngram in ngrams:
        what = f"n-gram '{ngram.name}'"
        if ngram.source not in inputs:
            raise InputError(
                f"{what} is made of '{ngram.source}'; the source of n-grams is an input, here "
                + " or ".join(inputs)
            )
        if ngram.length < 1 or not 1 <= ngram.size <= _MOST:
            raise InputError(
                f"{what} has length {ngram.length} and size {ngram.size}; both are at least 1, and "
                f"a size is at most {_MOST}"
            )
        codes, symbols = ngram.codes, inputs[ngram.source]
        if codes is not None and (len(set(codes)) != symbols or len(codes) != symbols):
            raise InputError(
                f"{what} has {len(codes)} codes, {len(set(codes))} of them different; give a "
                f"number of its own to each of the {symbols} symbols of '{ngram.source}'"
            )
        if codes is not None and not 0 <= min(codes) <= max(codes) < _MOST:
            raise InputError(
                f"{what} has codes from {min(codes)} to {max(codes)}; they are at least 0 and "
                f"below {_MOST}"
            )
        for connection in connections:
            if connection.target == ngram.name:
                raise InputError(
                    f"connection {connection} leads into an n-gram; only layers can listen"
                )
            if connection.source == ngram.name and (connection.delay or connection.kind != FULL):
                raise InputError(
                    f"connection {connection} leads from an n-gram; make it full and its delay 0, "
                    "and take a longer n-gram to hear what came before"
                )


def _check_connections(
    sources: Mapping[str, int], layers: Sequence[Layer], connections: Sequence[Connection]
) -> None:
    known = [*sources, *(layer.name for layer in layers)]
    for connection in connections:
        for name in (connection.source, connection.target):
            if name not in known:
                raise InputError(
                    f"connection {connection} names an unknown layer '{name}'; "
                    f"the layers are {', '.join(known)}"
                )
        if connection.target in sources:
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
    sources: Mapping[str, int], names: Sequence[str], connections: Sequence[Connection]
) -> None:
    reached = set(sources)
    while heard := {c.target for c in connections if c.source in reached} - reached:
        reached |= heard
    for name in names:
        if name not in reached:
            raise InputError(
                f"nothing reaches layer '{name}'; connect it, directly or not, from "
                + " or ".join(f"'{name}'" for name in sources)
            )


def _check_heard(
    inputs: Mapping[str, int], ngrams: Sequence[NGram], connections: Sequence[Connection]
) -> None:
    heard = {c.source for c in connections}
    for ngram in ngrams:
        if ngram.name not in heard:
            raise InputError(
                f"no layer hears the n-gram '{ngram.name}'; connect it, or leave it out"
            )
    for name in inputs:
        if name not in heard and name not in {ngram.source for ngram in ngrams}:
            raise InputError(f"no layer hears the input '{name}'; connect it, or leave it out")


def _check_kinds(
    sources: Mapping[str, int], layers: Sequence[Layer], connections: Sequence[Connection]
) -> None:
    by_name = {layer.name: layer for layer in layers}
    sizes = {**sources, **{layer.name: layer.size for layer in layers}}
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
