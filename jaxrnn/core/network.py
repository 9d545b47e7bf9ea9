"""Networks as data: layers, and connections that each have a delay.

Delay 0 is a feed-forward connection (same time step), delay k >= 1 a recurrent one (k steps ago).
Stacked, skip, feedback, time-delay and dilated networks all fall out of that one number.
"""

import functools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex

from jaxrnn.core import cells
from jaxrnn.core.checks import check_is_name, listed, whole_number
from jaxrnn.core.errors import InputError
from jaxrnn.core.graph import check_graph
from jaxrnn.core.layers import (
    DIAGONAL,
    FULL,
    IDENTITY,
    INPUT,
    OUTPUT,
    Connection,
    Layer,
    NGram,
    as_connection,
    as_layer,
    as_ngram,
)
from jaxrnn.core.record import EXPECTED, read_record


@dataclass(frozen=True)
class Network:
    """A graph of layers, checked when made; hashable, so that it can be static under `jit`.

    The source called "input" has as many features (or symbols) as `inputs` says; the layer called
    "output" is what `unroll` returns. Of several inputs, or one of another name, the names and
    sizes are given; of several outputs, the names of their layers. Then `unroll` takes, or returns,
    arrays by name. N-grams of an input's symbols are sources beside it; see `NGram`.

    Layers, connections and n-grams may also be given as tuples: `("low", 64, "tanh")`,
    `("low", "low", 1)`, `("pairs", 2, 4096)`.

    Raises:
      InputError: names unknown, duplicate or missing; a cycle of delay-0 connections; a negative
        delay; a layer that nothing reaches; an input that nothing hears; a connection into an
        input or an n-gram; one from an n-gram that is late or not full; a size below 1; a diagonal
        or an identity between layers that it cannot join; layers that hear each other in opposite
        directions.
    """

    inputs: tuple[tuple[str, int], ...]
    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]
    outputs: tuple[str, ...]
    ngrams: tuple[NGram, ...]

    def __init__(
        self,
        inputs: SupportsIndex | Mapping[str, SupportsIndex],
        layers: Iterable[Layer | tuple],
        connections: Iterable[Connection | tuple],
        outputs: Iterable[str] = (OUTPUT,),
        ngrams: Iterable[NGram | tuple] = (),
    ) -> None:
        given = inputs if isinstance(inputs, Mapping) else {INPUT: inputs}
        for name in given:
            check_is_name(name, "an input")
        sizes = {name: whole_number(size, _size_of(name)) for name, size in given.items()}
        object.__setattr__(self, "inputs", tuple(sizes.items()))
        object.__setattr__(self, "layers", tuple(map(as_layer, listed(layers, "layers"))))
        object.__setattr__(
            self, "connections", tuple(map(as_connection, listed(connections, "connections")))
        )
        object.__setattr__(self, "outputs", tuple(listed(outputs, "outputs")))
        for name in self.outputs:
            check_is_name(name, "an output")
        object.__setattr__(self, "ngrams", tuple(map(as_ngram, listed(ngrams, "n-grams"))))
        check_graph(sizes, self.ngrams, self.layers, self.connections, self.outputs)

    @property
    def input_size(self) -> int:
        """Of the one input, how many features or symbols it has.

        Raises:
          InputError: there are several.
        """
        name, *others = (name for name, _ in self.inputs)
        if others:
            names = ", ".join([name, *others])
            raise InputError(f"the network has several inputs ({names}); ask for size(name) of one")
        return self.size(name)

    @functools.cached_property
    def _sizes(self) -> dict[str, int]:
        return dict(self.inputs) | {x.name: x.size for x in (*self.ngrams, *self.layers)}

    @property
    def takes_one_array(self) -> bool:
        """Whether inputs are one array, that of the source "input", not arrays by name."""
        return [name for name, _ in self.inputs] == [INPUT]

    @property
    def returns_one_array(self) -> bool:
        """Whether outputs are one array, that of the layer "output", not arrays by name."""
        return self.outputs == (OUTPUT,)

    @property
    def runs_backward(self) -> bool:
        """Whether some layer does, so that an output depends on later inputs."""
        return any(layer.backward for layer in self.layers)

    def layer(self, name: str) -> Layer:
        return next(layer for layer in self.layers if layer.name == name)

    def size(self, source: str) -> int:
        """How many numbers the source puts out at each step."""
        return self._sizes[source]

    def is_input(self, source: str) -> bool:
        return any(source == name for name, _ in self.inputs)

    def is_ngram(self, source: str) -> bool:
        return any(source == ngram.name for ngram in self.ngrams)

    def into(self, target: str) -> tuple[Connection, ...]:
        return tuple(c for c in self.connections if c.target == target)

    def memory(self, source: str) -> int:
        """How many past outputs of the source some connection or n-gram still needs."""
        heard = (c.delay for c in self.connections if c.source == source)
        joined = (ngram.length - 1 for ngram in self.ngrams if ngram.source == source)
        return max((*heard, *joined), default=0)

    def shape(self, connection: Connection) -> tuple[int, ...] | None:
        """Of the connection's weights; None where it has none.

        Of a matrix: source size, gates that hear it times target size; of a diagonal the latter.
        """
        target = self.layer(connection.target)
        heard = target.cell.heard_gates * target.size
        return {FULL: (self.size(connection.source), heard), DIAGONAL: (heard,), IDENTITY: None}[
            connection.kind
        ]

    @property
    def parameter_count(self) -> int:
        """How many numbers training adjusts."""
        return sum(self._count(layer) for layer in self.layers)

    def _count(self, layer: Layer) -> int:
        shapes = filter(None, map(self.shape, self.into(layer.name)))
        return layer.biased_gates * layer.size + sum(math.prod(shape) for shape in shapes)

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
            "input": self.input_size if self.takes_one_array else dict(self.inputs),
            "layers": [
                {"name": x.name, "size": x.size, "cell": x.cell.name}
                | ({} if x.bias else {"bias": False})
                | ({"backward": True} if x.backward else {})
                for x in self.layers
            ],
            "connections": [
                {"source": c.source, "target": c.target, "delay": c.delay}
                | ({} if c.kind == FULL else {"kind": c.kind})
                for c in self.connections
            ],
        } | (
            ({} if self.returns_one_array else {"outputs": list(self.outputs)})
            | ({"ngrams": [_ngram_record(x) for x in self.ngrams]} if self.ngrams else {})
        )

    @staticmethod
    def from_dict(record: Any, symbols: int | None = None) -> "Network":
        """Makes the network that `to_dict` described, or that a person did.

        Args:
          record: has `input`, `layers` and `connections`, `outputs` where they are not the one
            called "output", and `ngrams` where there are any; whatever has a default value in
            Python may be left out.
          symbols: stands in for an input size or a size of the output layer that is left out.
        """
        return Network(*read_record(record, symbols))

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @staticmethod
    def from_json(text: str, symbols: int | None = None) -> "Network":
        """`from_dict` of a text that a person may have written."""
        try:
            record = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"the network's JSON cannot be read ({error}); {EXPECTED}") from None
        return Network.from_dict(record, symbols)

    def __str__(self) -> str:
        """A table: one line a layer, with what it hears and how many parameters it has."""
        rows = [("layer", "size", "cell", "connections from", "parameters")]
        rows += [(name, f"{size:,}", "", "", "") for name, size in self.inputs]
        rows += [(x.name, f"{x.size:,}", f"last {x.length}", x.source, "") for x in self.ngrams]
        for layer in self.layers:
            heard = ", ".join(c.source + c.remarks for c in self.into(layer.name))
            kind = layer.cell.name + ", no bias" * (not layer.bias) + ", backward" * layer.backward
            rows.append((layer.name, f"{layer.size:,}", kind, heard, f"{self._count(layer):,}"))
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
        returned = [] if self.returns_one_array else [f"returns {', '.join(self.outputs)}"]
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *returned])


def _ngram_record(ngram: NGram) -> dict[str, Any]:
    return (
        {"name": ngram.name, "length": ngram.length, "size": ngram.size}
        | ({} if ngram.source == INPUT else {"source": ngram.source})
        | ({} if ngram.codes is None else {"codes": list(ngram.codes)})
    )


def _size_of(name: str) -> str:
    return "the input's size" if name == INPUT else f"the size of input '{name}'"
