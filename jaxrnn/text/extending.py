"""A trained network that is to read and predict more symbols: it keeps what it learned.

The layers that have a unit for each symbol are found in the graph: the input and the output, and
whatever a diagonal or an identity joins to one of them, which has to be of the same size. Another
layer that happens to be as large stays as it is. N-grams go on to know old symbols by the numbers
that these had, and so find their rows.
"""

import dataclasses
import itertools
from typing import Any

import numpy as np
from jaxtyping import Integer

from jaxrnn.core.layers import FULL, INPUT, OUTPUT
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params

Numbers = Integer[np.ndarray, " symbols"]


def extended_network(network: Network, symbols: int, numbers: Numbers) -> Network:
    """The network of so many symbols that is otherwise the same.

    `numbers` are, of each of the network's symbols, its number among those of the extended one.
    """
    by_symbol = _with_a_unit_for_each_symbol(network)
    layers = [
        dataclasses.replace(layer, size=symbols) if layer.name in by_symbol else layer
        for layer in network.layers
    ]
    ngrams = [
        dataclasses.replace(x, codes=_extended_codes(x.codes, symbols, numbers))
        for x in network.ngrams
    ]
    return Network(symbols, layers, network.connections, ngrams=ngrams)


def extended_params(network: Network, params: Params, fresh: Params, numbers: Numbers) -> Params:
    """The parameters of an extended network: a trained one's, and fresh ones of new symbols.

    Args:
      network: the trained one.
      params: its parameters.
      fresh: of the extended network, as drawn; their dtype is kept.
      numbers: of each of the trained network's symbols, its number among those of the extended one.
    """
    by_symbol = _with_a_unit_for_each_symbol(network)
    found: dict[str, dict[str, Any]] = {}
    for layer in network.layers:
        found[layer.name] = {}
        sources = {c.key: c.source for c in network.into(layer.name) if c.kind == FULL}
        for name, old in params[layer.name].items():
            new = np.array(fresh[layer.name][name])  # a copy, to be written to
            gates = old.shape[-1] // layer.size
            units = numbers if layer.name in by_symbol else np.arange(layer.size)
            stride = new.shape[-1] // gates  # gates lie side by side
            axes = [(np.arange(gates)[:, None] * stride + units).ravel()]
            if name in sources:
                heard = sources[name] in by_symbol
                axes.insert(0, numbers if heard else np.arange(old.shape[0]))
            new[np.ix_(*axes)] = old
            found[layer.name][name] = new
    return found


def _extended_codes(
    codes: tuple[int, ...] | None, symbols: int, numbers: Numbers
) -> tuple[int, ...] | None:
    """Of old symbols their own, of new ones those that are free; None where all are the numbers."""
    known = range(len(numbers)) if codes is None else codes
    found, taken = dict(zip(numbers.tolist(), known, strict=True)), set(known)
    free = (code for code in itertools.count() if code not in taken)
    every = tuple(found[n] if n in found else next(free) for n in range(symbols))
    return None if every == tuple(range(symbols)) else every


def _with_a_unit_for_each_symbol(network: Network) -> frozenset[str]:
    found = {INPUT, OUTPUT}
    tied = [{c.source, c.target} for c in network.connections if c.kind != FULL]
    while more := {name for ends in tied if ends & found for name in ends} - found:
        found |= more
    return frozenset(found)
