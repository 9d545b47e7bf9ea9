"""Dropout by what is heard: rates for inputs, n-grams, other layers and the past."""

from jaxrnn.core.engine.dropout import Dropout
from jaxrnn.core.layers import IDENTITY, Connection
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Ends


def dropout_by_source(
    network: Network,
    rate: float = 0.0,
    *,
    input_rate: float = 0.0,
    ngram_rate: float = 0.0,
    recurrent_rate: float = 0.0,
    output_rate: float | None = None,
    locked: bool = False,
) -> dict[Connection | Ends, Dropout]:
    """What each connection drops, as `unroll` takes it. Identities hear all.

    A rate for what the network does not have drops nothing.

    An embedding is a linear layer that hears nothing but inputs and n-grams. What it puts out
    enters, and is dropped as that; what it hears of inputs is not, else it would be dropped twice.

    Args:
      network: whose connections.
      rate: between layers.
      input_rate: of what enters: of symbols whole ones, of features and embeddings entries.
      ngram_rate: of an n-gram the whole row, in each lane at each step anew.
      recurrent_rate: on delayed connections between layers, where masks are always locked (Gal and
        Ghahramani 2016).
      output_rate: before the network's outputs, where masks are always fresh; None: as `rate`.
      locked: whether masks between layers, and of what enters, are locked, as of `Dropout`.
    """
    by_place = {
        "input": Dropout(input_rate, locked),
        "n-gram": Dropout(ngram_rate),
        "recurrent": Dropout(recurrent_rate, locked=True),
        "output": Dropout(rate if output_rate is None else output_rate),
        "between": Dropout(rate, locked),
    }
    places = {c: _place(network, c) for c in network.connections if c.kind != IDENTITY}
    return {c: by_place[place] for c, place in places.items() if place is not None}


def _place(network: Network, connection: Connection) -> str | None:
    """Which rate a connection drops by; None where it hears all."""
    source, target = connection.source, connection.target
    if network.is_ngram(source):
        return "n-gram"
    if network.is_input(source):
        return None if _is_embedding(network, target) else "input"
    if _is_embedding(network, source):
        return "input"
    if connection.delay:
        return "recurrent"
    return "output" if target in network.outputs else "between"


def _is_embedding(network: Network, name: str) -> bool:
    return (
        name not in network.outputs
        and network.layer(name).cell.name == "linear"
        and all(
            network.is_input(c.source) or network.is_ngram(c.source) for c in network.into(name)
        )
    )
