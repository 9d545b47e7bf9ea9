"""Networks as data: layers, and connections that each have a delay.

Delay 0 is a feed-forward connection (same time step), delay k >= 1 a recurrent one (k steps ago).
Stacked, skip, feedback, time-delay and dilated networks all fall out of that one number.
"""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, SupportsIndex

from jaxrnn.core import cells
from jaxrnn.core.cells import Cell
from jaxrnn.core.checks import check_is_name, listed, shown, whole_number
from jaxrnn.core.errors import InputError
from jaxrnn.core.graph import INPUT, OUTPUT, Connection, check_graph


@dataclass(frozen=True)
class Layer:
    """`size` units of one cell; `cell` may be given by its name."""

    name: str
    size: int
    cell: Cell

    def __init__(self, name: str, size: SupportsIndex, cell: Cell | str) -> None:
        check_is_name(name, "a layer")
        cell = cells.find(cell) if isinstance(cell, str) else cell
        if not isinstance(cell, Cell):
            raise InputError(
                f"layer '{name}' has {shown(cell)} as its cell; give a Cell, or the name of one: "
                f"{', '.join(cells.CELLS)}"
            )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "size", whole_number(size, f"the size of layer '{name}'"))
        object.__setattr__(self, "cell", cell)


@dataclass(frozen=True)
class Network:
    """A graph of layers, checked when made; hashable, so that it can be static under `jit`.

    The source called "input" has `input_size` features (or symbols); the layer called "output" is
    what `unroll` returns.

    Layers and connections may also be given as tuples: `("low", 64, "tanh")`, `("low", "low", 1)`.

    Raises:
      InputError: names unknown, duplicate or missing; a cycle of delay-0 connections; a negative
        delay; a layer that nothing reaches; a connection into the input; a size below 1.
    """

    input_size: int
    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]

    def __init__(
        self,
        input_size: SupportsIndex,
        layers: Iterable[Layer | tuple],
        connections: Iterable[Connection | tuple],
    ) -> None:
        object.__setattr__(self, "input_size", whole_number(input_size, "the input's size"))
        object.__setattr__(self, "layers", tuple(map(_layer, listed(layers, "layers"))))
        object.__setattr__(
            self, "connections", tuple(map(_connection, listed(connections, "connections")))
        )
        sizes = [(layer.name, layer.size) for layer in self.layers]
        check_graph(self.input_size, sizes, self.connections)

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
    def parameter_count(self) -> int:
        """How many numbers training adjusts."""
        matrices = sum(rows * columns for rows, columns in map(self.shape, self.connections))
        return matrices + sum(layer.cell.gates * layer.size for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes, and JSON holds: cells by their names alone.

        Raises:
          InputError: a layer's cell is not the one that is registered under its name.
        """
        for layer in self.layers:
            if not cells.is_registered(layer.cell):
                raise InputError(
                    f"layer '{layer.name}' has a cell called '{layer.cell.name}' which is not the "
                    "one registered under that name; files hold cells by name, so register it"
                    + ", under a name of its own"
                    * (layer.cell.name in cells.BUILT_IN)
                )
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
        rows.append(("total", "", "", "", f"{self.parameter_count:,}"))
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
    input_size: SupportsIndex,
    hidden: Iterable[SupportsIndex],
    output_size: SupportsIndex,
    cell: Cell | str = "tanh",
    *,
    skip: bool = False,
    feedback: bool = False,
) -> Network:
    """The usual network: recurrent layers `hidden1`, `hidden2`, ... below a linear output layer.

    Args:
      input_size: how many features or symbols the input has.
      hidden: the size of each hidden layer, from the input up; without any, the output layer hears
        the input.
      output_size: how many outputs there are.
      cell: of the hidden layers. One that is linear in its carry, min_gru say, comes without
        recurrent connections, as published: so it needs no loop.
      skip: connect the input to every hidden layer, and every hidden layer to the output
        (Graves 2013, Generating sequences with recurrent neural networks).
      feedback: connect each hidden layer to the one below it with delay 1.
    """
    layers = [
        Layer(f"hidden{i}", size, cell) for i, size in enumerate(listed(hidden, "hidden sizes"), 1)
    ]
    names = [layer.name for layer in layers]
    chain = [INPUT, *names, OUTPUT]
    connections = [Connection(a, b) for a, b in itertools.pairwise(chain)]
    connections += [Connection(x.name, x.name, delay=1) for x in layers if not x.cell.terms]
    if skip:
        connections += [Connection(INPUT, name) for name in names[1:]]
        connections += [Connection(name, OUTPUT) for name in names[:-1]]
    if feedback:
        connections += [Connection(b, a, delay=1) for a, b in itertools.pairwise(names)]
    return Network(input_size, [*layers, Layer(OUTPUT, output_size, "linear")], connections)


def _layer(given: Any) -> Layer:
    if isinstance(given, tuple | list) and len(given) == 3:
        return Layer(*given)
    if not isinstance(given, Layer):
        raise InputError(f"{shown(given)} is no layer; give Layer(name, size, cell)")
    return given


def _connection(given: Any) -> Connection:
    if isinstance(given, tuple | list) and len(given) in (2, 3):
        return Connection(*given)
    if not isinstance(given, Connection):
        raise InputError(f"{shown(given)} is no connection; give Connection(source, target, delay)")
    return given


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"the network's JSON has {shown(value)} where a name is expected")
    return value


def _whole(value: Any) -> int:
    try:
        return whole_number(value, "it")
    except InputError:
        raise InputError(
            f"the network's JSON has {shown(value)} where a whole number is expected"
        ) from None


def _size(record: dict[str, Any], key: str, default: int | None) -> int:
    size = record[key] if default is None else record.get(key)
    return _whole(default if size is None else size)
