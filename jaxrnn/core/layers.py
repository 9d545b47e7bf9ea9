"""What a network is made of: layers, the connections between them, and n-grams of its symbols."""

from dataclasses import dataclass
from typing import Any, SupportsIndex, TypeVar

from jaxrnn.core import cells
from jaxrnn.core.cells import Cell
from jaxrnn.core.checks import check_is_name, listed, shown, whole_number
from jaxrnn.core.errors import InputError

Part = TypeVar("Part")

INPUT = "input"  # the source that stands for what the network is given
OUTPUT = "output"  # the layer whose output is the network's output

FULL, DIAGONAL, IDENTITY = KINDS = ("full", "diagonal", "identity")


@dataclass(frozen=True)
class Layer:
    """`size` units of one cell.

    Attributes:
      name: its own among the layers.
      size: how many units.
      cell: what each step does; may be given by its name.
      bias: whether the sums that connections add to have a bias. A cell's own gates keep theirs,
        and a gate without one begins at 0: an LSTM's forget gate too.
      backward: whether it runs from each lane's last step to its first, and so hears what comes
        later in place of what came before (Schuster and Paliwal 1997, Bidirectional recurrent
        neural networks). It begins at the end of every chunk from the state that is given, which
        is returned as it was.
    """

    name: str
    size: int
    cell: Cell
    bias: bool = True
    backward: bool = False

    def __init__(
        self,
        name: str,
        size: SupportsIndex,
        cell: Cell | str,
        bias: bool = True,
        backward: bool = False,
    ) -> None:
        check_is_name(name, "a layer")
        cell = cells.find(cell) if isinstance(cell, str) else cell
        if not isinstance(cell, Cell):
            raise InputError(
                f"layer '{name}' has {shown(cell)} as its cell; give a Cell, or the name of one: "
                f"{', '.join(cells.CELLS)}"
            )
        for what, value in (("bias", bias), ("backward", backward)):
            if not isinstance(value, bool):
                raise InputError(
                    f"layer '{name}' has {what}={shown(value)}; it must be True or False"
                )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "size", whole_number(size, f"the size of layer '{name}'"))
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "backward", backward)

    @property
    def biased_gates(self) -> int:
        """How many gates have a bias, the last ones."""
        return self.cell.gates if self.bias else self.cell.own_gates


@dataclass(frozen=True, order=True)  # ordered, as keys of a pytree must be
class Connection:
    """From the source's output `delay` steps ago to the target's sums.

    Attributes:
      source, target: names of layers; the source may be an input.
      delay: in time steps.
      kind: "full", a matrix; "diagonal", a number for each unit and gate, between layers of one
        size (Li and others 2018, Independently recurrent neural network); or "identity", the
        source as it is, without parameters, to a cell with one gate that connections add to.
    """

    source: str
    target: str
    delay: int = 0
    kind: str = FULL

    def __post_init__(self) -> None:
        for name in (self.source, self.target):
            check_is_name(name, "an end of a connection")
        between = f"connection {self.source} -> {self.target}"
        object.__setattr__(self, "delay", whole_number(self.delay, f"the delay of {between}"))
        if self.kind not in KINDS:
            raise InputError(
                f"the kind of {between} is {shown(self.kind)}; it must be {', '.join(KINDS[:-1])} "
                f"or {KINDS[-1]}"
            )

    @property
    def key(self) -> str:
        """Its weights' name among the target's parameters, as in `hidden1@1`."""
        return f"{self.source}@{self.delay}"

    @property
    def remarks(self) -> str:
        """In brackets, what is not as usual."""
        said = [f"delay {self.delay}"] if self.delay else []
        said += [self.kind] if self.kind != FULL else []
        return f" ({', '.join(said)})" if said else ""

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}{self.remarks}"


@dataclass(frozen=True)
class NGram:
    """A source that stands, at each step, at the symbol of an input's last `length` symbols.

    Which symbol of [0, size) that is `jaxrnn.core.engine.ngrams` says: each n-gram has its own
    where (symbols of the input + 1) ** length is at most `size`; else some share one. What came
    before a reset, or before the text, is one symbol more.

    Attributes:
      name: its own among inputs, n-grams and layers.
      length: of how many symbols, the present one among them.
      size: how many symbols it has: rows of the matrices of its connections.
      source: the input's name.
      codes: by which number, each its own, a symbol of the input is known; by default its own. With
        them a vocabulary can grow, and old n-grams stay where they are.
    """

    name: str
    length: int
    size: int
    source: str = INPUT
    codes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_is_name(self.name, "an n-gram")
        check_is_name(self.source, f"the source of n-gram '{self.name}'")
        for field in ("length", "size"):
            whole = whole_number(getattr(self, field), f"the {field} of n-gram '{self.name}'")
            object.__setattr__(self, field, whole)
        if self.codes is not None:
            what = f"the codes of n-gram '{self.name}'"
            codes = (whole_number(code, f"one of {what}") for code in listed(self.codes, what))
            object.__setattr__(self, "codes", tuple(codes))


def as_layer(given: Any) -> Layer:
    """The layer that was given, as such or as a tuple of its fields."""
    return _as(Layer, given, (3, 5), "layer; give Layer(name, size, cell)")


def as_connection(given: Any) -> Connection:
    """The connection that was given, as such or as a tuple of its fields."""
    return _as(Connection, given, (2, 4), "connection; give Connection(source, target, delay)")


def as_ngram(given: Any) -> NGram:
    """The n-gram that was given, as such or as a tuple of its fields."""
    return _as(NGram, given, (3, 5), "n-gram; give NGram(name, length, size)")


def _as(kind: type[Part], given: Any, lengths: tuple[int, int], advice: str) -> Part:
    least, most = lengths
    if isinstance(given, tuple | list) and least <= len(given) <= most:
        return kind(*given)
    if not isinstance(given, kind):
        raise InputError(f"{shown(given)} is no {advice}")
    return given
