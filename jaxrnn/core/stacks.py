"""The usual networks: stacks of recurrent layers."""

import itertools
from collections.abc import Iterable, Sequence
from typing import SupportsIndex

from jaxrnn.core.cells import CELLS, Cell
from jaxrnn.core.checks import listed, whole_number
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import FULL, IDENTITY, INPUT, OUTPUT, Connection, Layer, NGram
from jaxrnn.core.network import Network

NGRAMS = "ngrams"  # the layer that n-grams are added up in
MOTIFS = {"mlstm": "product", "mogrifier_lstm": "mogrifier"}  # what stands before each LSTM


def stacked(
    input_size: SupportsIndex,
    hidden: Iterable[SupportsIndex],
    output_size: SupportsIndex,
    cell: Cell | str = "tanh",
    *,
    skip: bool = False,
    feedback: bool = False,
    normalised: bool = False,
    residual: bool = False,
    ngrams: Iterable[SupportsIndex] = (),
    ngram_rows: SupportsIndex = 2**14,
    ngram_size: SupportsIndex = 64,
) -> Network:
    """The usual network: recurrent layers `hidden1`, `hidden2`, ... below a linear output layer.

    Args:
      input_size: how many features or symbols the input has.
      hidden: the size of each hidden layer, from the input up; without any, the output layer hears
        the input.
      output_size: how many outputs there are.
      cell: of the hidden layers. One that is linear in its carry, min_gru say, comes without
        recurrent connections, as published: so it needs no loop. Or the name of a motif: of LSTMs
        that each hear a layer `product1`, ... (mlstm: Krause, Lu, Murray and Renals 2016,
        Multiplicative LSTM for sequence modelling, equations 12 to 16) or `mogrifier1`, ...
        (mogrifier_lstm: Melis, Kocisky and Blunsom 2020, Mogrifier LSTM, with one round).
      skip: connect the input to every hidden layer, and every hidden layer to the output
        (Graves 2013, Generating sequences with recurrent neural networks).
      feedback: connect each hidden layer to the one below it with delay 1.
      normalised: between what a hidden layer or the output layer hears from below and that layer,
        put a layer `norm1`, `norm2`, ..., `norm` of the cell "rms_norm"; not above the input.
      residual: what each hidden layer puts out is added, in a layer `sum1`, `sum2`, ..., to what
        it heard, so that a stream leads from a layer `embedding` above the input to the output.
        With `normalised` these are the blocks x + recurrent(norm(x)) of deep stacks without loops
        (De and others 2024, Griffin, section 2.1), without the perceptrons between them.
      ngrams: how many symbols each of several n-grams of the input has. What first hears the input
        hears beside it a layer `ngrams`, which adds up a row of each one's table.
      ngram_rows: of each of these tables.
      ngram_size: of the layer; 0: there is none, rows are added to the sums that it would go to.
    """
    sizes = [whole_number(n, f"the size of layer 'hidden{i}'")
             for i, n in enumerate(listed(hidden, "hidden sizes"), 1)]  # fmt: skip
    rows = whole_number(ngram_rows, "ngram_rows")
    joined = [whole_number(n, "the length of an n-gram") for n in listed(ngrams, "n-grams")]
    tables = [NGram(f"{n}-grams", n, rows) for n in joined]
    if residual and len(set(sizes)) > 1:
        raise InputError(f"hidden sizes are {sizes}; with residual=True give equal ones")
    before = ""  # the cell of the layers before the LSTMs of a motif
    if isinstance(cell, str) and cell in MOTIFS and cell not in CELLS:
        before, cell = MOTIFS[cell], "lstm"
    layers, connections, names, below = [], [], [], INPUT
    if residual and sizes:
        layers.append(Layer("embedding", sizes[0], "linear"))
        connections.append(Connection(INPUT, "embedding"))
        below = "embedding"

    def normal(below: str, size: int, name: str) -> str:
        if not normalised or below == INPUT:
            return below
        layers.append(Layer(name, size, "rms_norm", bias=False))
        connections.append(Connection(below, name, kind=IDENTITY))
        return name

    size_below = sizes[0] if sizes else 0
    for i, size in enumerate(sizes, 1):
        heard, name = normal(below, size_below, f"norm{i}"), f"hidden{i}"
        layers.append(Layer(name, size, cell))
        connections.append(Connection(heard, name))
        if residual:
            layers.append(Layer(f"sum{i}", size, "linear", bias=False))
            connections += [Connection(x, f"sum{i}", kind=IDENTITY) for x in (below, name)]
        names.append(name)
        below, size_below = f"sum{i}" if residual else name, size
    layers.append(Layer(OUTPUT, output_size, "linear"))
    connections.append(Connection(normal(below, size_below, "norm"), OUTPUT))
    hidden_layers = [layer for layer in layers if layer.name in names]
    connections += [Connection(x.name, x.name, 1) for x in hidden_layers if not x.cell.terms]
    if skip:
        connections += [Connection(INPUT, name) for name in names[1:]]
        connections += [Connection(name, OUTPUT) for name in names[:-1]]
    if feedback:
        connections += [Connection(b, a, delay=1) for a, b in itertools.pairwise(names)]
    above, first = [ngram.name for ngram in tables], connections[0].target
    if tables and whole_number(ngram_size, "ngram_size"):
        layers.insert(0, Layer(NGRAMS, ngram_size, "linear", bias=False))
        connections += [Connection(name, NGRAMS) for name in above]
        above = [NGRAMS]
    connections += [Connection(name, first) for name in above]
    for i, layer in enumerate(hidden_layers if before else (), 1):
        between = Layer(f"{before}{i}", layer.size, before, bias=False)
        connections = _heard_through(between, layer.name, layers, connections)
        layers.insert(layers.index(layer), between)
    return Network(input_size, layers, connections, ngrams=tables)


def _heard_through(
    between: Layer, name: str, layers: Sequence[Layer], connections: Sequence[Connection]
) -> list[Connection]:
    """The connections where an LSTM hears, through a layer of its own, what it heard itself.

    A product takes the place of the LSTM's own past; a Mogrifier's gate that of what is below, of
    which it takes the units as they are, where they are as many.
    """
    below = [c for c in connections if c.target == name and not c.delay]
    gone, as_they_are = [Connection(name, name, 1)], set()
    if between.cell.name == "mogrifier":
        gone, as_they_are = below, {x.name for x in layers if x.size == between.size}
    return [
        *(c for c in connections if c not in gone),
        *(
            Connection(c.source, between.name, kind=IDENTITY if c.source in as_they_are else FULL)
            for c in below
        ),
        Connection(name, between.name, 1),
        Connection(between.name, name),
    ]
