"""What makes layers and connections a network; whatever does not is refused in one sentence."""

import graphlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jaxrnn.core.checks import check_is_name, whole_number
from jaxrnn.core.errors import InputError

INPUT = "input"  # the source that stands for what the network is given
OUTPUT = "output"  # the layer whose output is the network's output


@dataclass(frozen=True, order=True)  # ordered, as keys of a pytree must be
class Connection:
    """A matrix from the source's output `delay` steps ago to the target's sums."""

    source: str
    target: str
    delay: int = 0

    def __post_init__(self) -> None:
        for name in (self.source, self.target):
            check_is_name(name, "an end of a connection")
        delay = whole_number(self.delay, f"the delay of connection {self.source} -> {self.target}")
        object.__setattr__(self, "delay", delay)

    @property
    def key(self) -> str:
        """The matrix's name among the target's parameters, as in `hidden1@1`."""
        return f"{self.source}@{self.delay}"

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}" + (f" (delay {self.delay})" if self.delay else "")


def check_graph(
    input_size: int, layers: Sequence[tuple[str, int]], connections: Sequence[Connection]
) -> None:
    """Refuses what is not a network, in one sentence; layers are given as names and sizes."""
    names = [name for name, _ in layers]
    known = {INPUT, *names}
    if input_size < 1:
        raise InputError(f"the input has size {input_size}; a size is at least 1")
    for name, count in Counter([INPUT, *names]).items():
        if count > 1:
            raise InputError(
                f"{count} layers are called '{name}'; give each layer a name of its own"
                + (", other than 'input', which stands for the network's input" * (name == INPUT))
            )
    for name, size in layers:
        if not name or "/" in name or "@" in name:
            raise InputError(f"'{name}' cannot name a layer; leave out '/' and '@'")
        if size < 1:
            raise InputError(f"layer '{name}' has size {size}; a size is at least 1")
    if OUTPUT not in names:
        raise InputError(
            f"no layer is called '{OUTPUT}'; give that name to the layer whose outputs the "
            "network returns"
        )
    for connection in connections:
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
    for connection, count in Counter(connections).items():
        if count > 1:
            raise InputError(f"connection {connection} is given {count} times; give it once")
    feedforward_order(names, connections)
    reached = {INPUT}
    while heard := {c.target for c in connections if c.source in reached} - reached:
        reached |= heard
    for name in names:
        if name not in reached:
            raise InputError(
                f"nothing reaches layer '{name}'; connect it, directly or not, from '{INPUT}'"
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
