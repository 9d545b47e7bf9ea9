"""Networks as data: layers, and connections that each have a delay.

Delay 0 is a feed-forward connection (same time step), delay k >= 1 a recurrent one (k steps ago).
Stacked, skip, feedback, time-delay and dilated networks all fall out of that one number.
"""

import graphlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jaxrnn import cells
from jaxrnn.cells import Cell
from jaxrnn.errors import InputError

INPUT = "input"  # the source that stands for what the network is given
OUTPUT = "output"  # the layer whose output is the network's output


@dataclass(frozen=True)
class Layer:
    """`size` units of one cell; `cell` may be given by its name."""

    name: str
    size: int
    cell: Cell

    def __init__(self, name: str, size: int, cell: Cell | str) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "cell", cells.find(cell) if isinstance(cell, str) else cell)


@dataclass(frozen=True, order=True)  # ordered, as keys of a pytree must be
class Connection:
    """A matrix from the source's output `delay` steps ago to the target's sums."""

    source: str
    target: str
    delay: int = 0

    @property
    def key(self) -> str:
        """The matrix's name among the target's parameters, as in `hidden1@1`."""
        return f"{self.source}@{self.delay}"

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}" + (f" (delay {self.delay})" if self.delay else "")


@dataclass(frozen=True)
class Network:
    """A graph of layers, checked when made; hashable, so that it can be static under `jit`.

    The source called "input" has `input_size` features (or symbols); the layer called "output" is
    what `unroll` returns.

    Raises:
      InputError: names unknown, duplicate or missing; a cycle of delay-0 connections; a negative
        delay; a layer that nothing reaches; a connection into the input; a size below 1.
    """

    input_size: int
    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]

    def __init__(
        self, input_size: int, layers: Iterable[Layer], connections: Iterable[Connection]
    ) -> None:
        object.__setattr__(self, "input_size", input_size)
        object.__setattr__(self, "layers", tuple(layers))
        object.__setattr__(self, "connections", tuple(connections))
        _check(self)

    def layer(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)

    def size(self, source: str) -> int:
        """How many numbers the source puts out at each step."""
        return self.input_size if source == INPUT else self.layer(source).size

    def into(self, target: str) -> tuple[Connection, ...]:
        return tuple(c for c in self.connections if c.target == target)

    def memory(self, source: str) -> int:
        """How many past outputs of the source some connection still needs."""
        return max((c.delay for c in self.connections if c.source == source), default=0)

    def shape(self, connection: Connection) -> tuple[int, int]:
        """Of the connection's matrix: source size, gates that hear it times target size."""
        target = self.layer(connection.target)
        return self.size(connection.source), target.cell.heard_gates * target.size

    @property
    def parameters(self) -> int:
        """How many numbers training adjusts."""
        matrices = sum(rows * columns for rows, columns in map(self.shape, self.connections))
        return matrices + sum(layer.cell.gates * layer.size for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes, and JSON holds."""
        return {
            "input": self.input_size,
            "layers": [{"name": x.name, "size": x.size, "cell": x.cell.name} for x in self.layers],
            "connections": [
                {"source": c.source, "target": c.target, "delay": c.delay} for c in self.connections
            ],
        }

    @staticmethod
    def from_dict(record: Any, symbols: int | None = None) -> "Network":
        """Makes the network that `to_dict` described, or that a person did.

        Args:
          record: has `input`, `layers` and `connections`; a `delay` of 0 may be left out.
          symbols: stands in for an input size or a size of the output layer that is left out.
        """
        try:
            for part, known in (
                (record, ("input", "layers", "connections")),
                *((layer, ("name", "size", "cell")) for layer in record["layers"]),
                *((c, ("source", "target", "delay")) for c in record["connections"]),
            ):
                if isinstance(part, dict) and (unknown := set(part) - set(known)):
                    raise InputError(
                        f"the network's JSON has an unknown '{min(unknown)}'; "
                        f"expected {', '.join(known)}"
                    )
            layers = [
                Layer(
                    _text(x["name"]),
                    _size(x, "size", symbols if x["name"] == OUTPUT else None),
                    _text(x["cell"]),
                )
                for x in record["layers"]
            ]
            connections = [
                Connection(_text(c["source"]), _text(c["target"]), _whole(c.get("delay", 0)))
                for c in record["connections"]
            ]
            return Network(_size(record, "input", symbols), layers, connections)
        except InputError:
            raise
        except KeyError as missing:
            raise InputError(
                f"the network's JSON lacks {missing}; expected 'input', 'layers' (each with "
                "'name', 'size', 'cell') and 'connections' (each with 'source', 'target', 'delay')"
            ) from None
        except (TypeError, AttributeError) as error:
            raise InputError(
                f"the network's JSON cannot be read ({error}); expected an object with 'input', "
                "'layers' and 'connections'"
            ) from None

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @staticmethod
    def from_json(text: str, symbols: int | None = None) -> "Network":
        """`from_dict` of a text that a person may have written."""
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"the network's JSON cannot be read ({error}); expected an object with 'input', "
                "'layers' and 'connections'"
            ) from None
        return Network.from_dict(record, symbols)

    def __str__(self) -> str:
        """A table: one line a layer, with what it hears and how many parameters it has."""
        rows = [("layer", "size", "cell", "connections from", "parameters")]
        rows.append((INPUT, f"{self.input_size:,}", "", "", ""))
        for layer in self.layers:
            into = self.into(layer.name)
            heard = ", ".join(c.source + (f" (delay {c.delay})" if c.delay else "") for c in into)
            count = sum(a * b for a, b in map(self.shape, into)) + layer.cell.gates * layer.size
            rows.append((layer.name, f"{layer.size:,}", layer.cell.name, heard, f"{count:,}"))
        rows.append(("total", "", "", "", f"{self.parameters:,}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for row in rows:
            name, size, cell, heard, count = (
                entry.rjust(width) if i in (1, 4) else entry.ljust(width)
                for i, (entry, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append(f"{name}  {size}  {cell}  {heard}  {count}")
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def stacked(
    input_size: int,
    hidden: Sequence[int],
    output_size: int,
    cell: Cell | str = "tanh",
    *,
    skip: bool = False,
    feedback: bool = False,
) -> Network:
    """The usual network: recurrent layers `hidden1`, `hidden2`, ... below a linear output layer.

    Args:
      input_size: how many features or symbols the input has.
      hidden: the size of each hidden layer, from the input up.
      output_size: how many outputs there are.
      cell: of the hidden layers. One that is linear in its carry, min_gru say, comes without
        recurrent connections, as published: so it needs no loop.
      skip: connect the input to every hidden layer, and every hidden layer to the output
        (Graves 2013, Generating sequences with recurrent neural networks).
      feedback: connect each hidden layer to the one below it with delay 1.
    """
    if isinstance(hidden, int):
        raise InputError(f"hidden is {hidden}; give a list of sizes, such as [{hidden}]")
    names = [f"hidden{i}" for i in range(1, len(hidden) + 1)]
    layers = [Layer(name, size, cell) for name, size in zip(names, hidden, strict=True)]
    chain = [INPUT, *names, OUTPUT]
    connections = [Connection(a, b) for a, b in itertools.pairwise(chain)]
    connections += [Connection(x.name, x.name, delay=1) for x in layers if not x.cell.terms]
    if skip:
        connections += [Connection(INPUT, name) for name in names[1:]]
        connections += [Connection(name, OUTPUT) for name in names[:-1]]
    if feedback:
        connections += [Connection(b, a, delay=1) for a, b in itertools.pairwise(names)]
    return Network(input_size, [*layers, Layer(OUTPUT, output_size, "linear")], connections)


def _check(network: Network) -> None:
    """Refuses what is not a network, in one sentence."""
    names = [layer.name for layer in network.layers]
    known = {INPUT, *names}
    numbers = {"the input's size": network.input_size}
    numbers |= {f"the size of layer '{layer.name}'": layer.size for layer in network.layers}
    numbers |= {f"the delay of connection {c}": c.delay for c in network.connections}
    for what, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool):
            raise InputError(f"{what} is {number!r}; it must be a whole number")
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


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"the network's JSON has {value!r} where a name is expected")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"the network's JSON has {value!r} where a whole number is expected")
    return value


def _size(record: dict[str, Any], key: str, default: int | None) -> int:
    size = record[key] if default is None else record.get(key)
    return _whole(default if size is None else size)
