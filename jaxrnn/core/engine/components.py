"""The run order: which layers must be stepped together, and in which order the groups can run.

Layers that hear each other, over whatever delays, form a strongly connected component of the graph
and have to run step by step. Whatever enters a component from outside is known for the whole chunk
before the component starts, and so takes one matrix product over all time steps.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from jaxrnn.core.graph import feedforward_order, strong_components
from jaxrnn.core.layers import Connection, Layer
from jaxrnn.core.network import Network


@dataclass(frozen=True)
class Component:
    """Layers that run together, each after the sources of its delay-0 connections."""

    layers: tuple[Layer, ...]
    entering: tuple[Connection, ...]  # from the input and from earlier components
    internal: tuple[Connection, ...]  # between the layers

    @property
    def is_backward(self) -> bool:
        """Whether its layers run from the last step to the first; they all do, or none."""
        return self.layers[0].backward

    @property
    def is_stepped(self) -> bool:
        """Whether its layers depend on their own past; otherwise a whole chunk is one step."""
        return bool(self.internal) or any(layer.cell.carries for layer in self.layers)

    @property
    def is_linear(self) -> bool:
        """Whether it is one layer that depends on its past through a linear carry alone."""
        return len(self.layers) == 1 and not self.internal and bool(self.layers[0].cell.terms)

    @property
    def stride(self) -> int:
        """How many time steps can be run at once.

        One, but where all that a step needs of the past is what was put out longer ago than that:
        a layer whose only loop has a delay of 8 runs 8 steps at once.
        """
        if any(layer.cell.carries for layer in self.layers):
            return 1
        return min((c.delay for c in self.internal if c.delay), default=1)

    def memory(self, layer: Layer) -> int:
        """How many past outputs of the layer the component itself needs."""
        return max((c.delay for c in self.internal if c.source == layer.name), default=0)


@functools.lru_cache(maxsize=256)
def run_order(network: Network, stepwise: bool = False) -> tuple[Component, ...]:
    """The network's components in an order in which each hears only itself and earlier ones.

    With `stepwise` all layers form one component: the same numbers, one time step at a time.
    """
    if stepwise:
        return (_component(network, [layer.name for layer in network.layers]),)
    return tuple(
        _component(network, names)
        for names in strong_components(
            [layer.name for layer in network.layers], network.connections
        )
    )


def _component(network: Network, names: Sequence[str]) -> Component:
    into = [c for c in network.connections if c.target in names]
    internal = tuple(c for c in into if c.source in names)
    order = feedforward_order(names, internal)
    return Component(
        layers=tuple(network.layer(name) for name in order),
        entering=tuple(c for c in into if c.source not in names),
        internal=internal,
    )
