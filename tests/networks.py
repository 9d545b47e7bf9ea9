"""Hypothesis strategies that make networks, and chunks to run them on."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from jaxrnn import Connection, Dropout, Layer, Network, initial_state
from jaxrnn.core.engine.dropout import draw_masks, dropped_on
from jaxrnn.core.layers import KINDS

CELLS = (
    "tanh",
    "tanh",
    "lstm",
    "lstm",
    "gru",
    "gru_recurrent_bias",
    "relu",
    "logistic",
    "linear",
    "leaky_relu",
    "elu",
    "min_gru",
    "min_lstm",
    "rg_lru",
    "layer_norm",
    "rms_norm",
    "layer_norm_lstm",
    "product",
    "mogrifier",
    "mi_tanh",
    "mi_lstm",
    "mi_gru",
)


def examples(count: int) -> settings:
    """The same few examples at each run. They are tiny, so that a failing one is not shrunk."""
    return settings(
        max_examples=count, deadline=None, derandomize=True, database=None,
        phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
    )  # fmt: skip


@contextmanager
def random_left_alone() -> Iterator[None]:
    """For jaxrnn in a strategy: its checked types draw from `random`, which Hypothesis refuses."""
    before = random.getstate()
    yield
    random.setstate(before)


def random_network(rng: np.random.Generator, max_hidden: int, cells: tuple[str, ...]) -> Network:
    """Layers are put in an order in which delay-0 connections may run, and listed in another.

    The output layer may stand anywhere in it, and so be heard by others.
    """
    hidden = min(int(rng.integers(max_hidden + 2)), max_hidden)
    names = [f"h{i}" for i in range(hidden)]
    names.insert(rng.integers(hidden + 1), "output")
    layers = [
        Layer(name, int(rng.integers(1, 4)), str(rng.choice(cells)), bool(rng.random() < 0.7))
        for name in names
    ]
    order = ["input", *names]
    connections = set()
    for i, name in enumerate(names, start=1):  # so that the input reaches every layer
        connections.add(Connection(order[rng.integers(i)], name, int(rng.choice([0, 0, 1, 2]))))
    for _ in range(rng.integers(1, 4 + hidden)):
        target = rng.integers(1, len(order))
        source = rng.integers(target if rng.random() < 0.5 else 0, len(order))  # feedback, often
        delay = int(rng.integers(0 if source < target else 1, 4))
        connections.add(Connection(order[source], order[target], delay))
    listed = [layers[i] for i in rng.permutation(len(layers))]
    input_size = int(rng.integers(1, 4))
    sizes = {"input": input_size} | {layer.name: layer.size for layer in layers}
    kinds = {layer.name: KINDS[: 3 if layer.cell.heard_gates == 1 else 2] for layer in layers}
    drawn = [
        replace(c, kind=str(rng.choice(kinds[c.target])))
        if sizes[c.source] == sizes[c.target] and rng.random() < 0.7
        else c
        for c in sorted(connections)
    ]
    return Network(input_size, listed, drawn)


# NumPy draws all but the seed: it favours no value, where Hypothesis leans towards the least.
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def networks(draw, max_hidden: int = 3, cells: tuple[str, ...] = CELLS) -> Network:
    """Any graph: skips, feedback, delays side by side and from the input, mixed cells."""
    seed = draw(SEEDS)
    with random_left_alone():
        return random_network(np.random.default_rng(seed), max_hidden, cells)


@dataclass
class Case:
    """A network, and a chunk to run it on, in float64."""

    network: Network
    params: dict[str, dict[str, np.ndarray]]
    state: dict
    inputs: np.ndarray  # [time, batch, features]
    symbols: np.ndarray  # [time, batch]
    resets: np.ndarray | None
    dropout: Dropout | None
    rng: np.random.Generator

    @property
    def time(self) -> int:
        return self.inputs.shape[0]

    @property
    def batch(self) -> int:
        return self.inputs.shape[1]

    @property
    def key(self) -> jax.Array:
        return jax.random.key(7)

    @property
    def options(self) -> dict[str, Any]:
        """What `unroll` takes beside a network, parameters, a state and inputs."""
        key = None if self.dropout is None else self.key
        resets = None if self.resets is None else jnp.array(self.resets)
        return {"resets": resets, "dropout": self.dropout, "dropout_key": key}

    def masks(self, symbols: bool = False) -> dict[Connection, np.ndarray]:
        """The dropout masks that the engine draws, for each time step."""
        inputs = jnp.asarray(self.symbols if symbols else self.inputs)
        state = jax.tree.map(jnp.asarray, self.state)
        kind = jnp.dtype(jnp.float64)
        dropped = dropped_on(self.network, self.dropout)
        masks = draw_masks(self.network, {"input": inputs}, state, dropped, self.key, kind)
        size = self.network.size
        return {
            c: np.broadcast_to(m, (self.time, self.batch, size(c.source))) for c, m in masks.items()
        }

    def noise(self, tree: Any) -> Any:
        """Random numbers in the shape of a pytree."""
        return jax.tree.map(lambda x: self.rng.normal(size=x.shape), tree)


def random_params(network: Network, rng: np.random.Generator) -> dict:
    """In every array, biases too, random numbers large enough to matter."""
    params = {}
    for layer in network.layers:
        params[layer.name] = {}
        gates = layer.cell.gates if layer.bias else layer.cell.own_gates
        if gates:
            params[layer.name]["bias"] = rng.normal(size=gates * layer.size)
        for c in network.into(layer.name):
            if c.kind != "identity":
                weights = 0.7 * rng.normal(size=network.shape(c))
                params[layer.name][f"{c.source}@{c.delay}"] = weights
    return params


def made(network: Network, batch_size: int = 2) -> tuple[dict, dict]:
    """Random parameters and the state before the first step, in float32."""
    params = jax.tree.map(jnp.float32, random_params(network, np.random.default_rng(0)))
    return params, initial_state(network, batch_size)


@st.composite
def cases(draw, nets: st.SearchStrategy[Network] | None = None, dropout: bool = True) -> Case:
    network = draw(networks() if nets is None else nets)
    rng = np.random.default_rng(draw(SEEDS))
    time, batch = int(rng.integers(1, 7)), int(rng.integers(1, 4))
    resets = rng.random((time, batch)) < 0.3 if rng.random() < 0.6 else None
    dropouts = [Dropout(0.4), Dropout(0.4, locked=True), Dropout(0.4, recurrent=True)]
    masked = [*dropouts, None][rng.integers(4)]
    with random_left_alone():
        params, state = random_params(network, rng), initial_state(network, batch)
    return Case(
        network=network,
        params=params,
        state=jax.tree.map(lambda x: rng.normal(size=x.shape), state),
        inputs=rng.normal(size=(time, batch, network.input_size)),
        symbols=rng.integers(network.input_size, size=(time, batch)),
        resets=resets,
        dropout=masked if dropout else None,
        rng=rng,
    )


def equations(jaxpr: Any) -> Iterator[Any]:
    """Every operation of a program, those inside of loops and rules included."""
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        yield equation
        inner = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
        for program in filter(_is_program, inner):
            yield from equations(program)


def _is_program(value: Any) -> bool:
    return hasattr(getattr(value, "jaxpr", value), "eqns")
