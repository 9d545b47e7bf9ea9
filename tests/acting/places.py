"""Environments whose every step can be foretold, and what NumPy makes of an agent's network."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrnn import Connection, Layer, Network
from jaxrnn.acting import Discrete, Environment, adapt
from tests import reference


class Clock(NamedTuple):
    time: jnp.ndarray
    length: jnp.ndarray


class Counting(Environment):
    """Shows the step of the episode; its length is that of the first action, from 2 to 4.

    Longer ones are cut off at the limit of 3. The reward is the action times the step.
    """

    observations, actions, limit = Discrete(5), Discrete(3), 3
    name = "counting"

    def begin(self, key):
        return jnp.int32(0), Clock(jnp.int32(0), jnp.int32(9))

    def move(self, key, state, action):
        length = jnp.where(state.time == 0, action + 2, state.length)
        time = state.time + 1
        return time, Clock(time, length), jnp.float32(action * time), time >= length


PLACE = adapt(Counting())


def foretold(actions):
    """What a lane of `Counting` sees for these actions, in plain Python, with a fresh start.

    Returns:
      observations, firsts, last actions, last rewards, rewards, terminated, truncated.
    """
    rows, time, last, won, length = [], 0, None, 0.0, 9
    for action in actions:
        first = time == 0
        seen, heard = time, np.zeros(3) if first else np.eye(3)[last]
        reward_heard = 0.0 if first else won
        length = action + 2 if first else length
        time += 1
        won, last = float(action * time), action
        terminated = time >= length
        truncated = not terminated and time >= 3
        rows.append((seen, first, heard, reward_heard, won, terminated, truncated))
        if terminated or truncated:
            time = 0
    return [np.array(column) for column in zip(*rows, strict=True)]


def merged(network, params):
    """The same network with one input and one output, as the NumPy reference knows networks."""
    names = [name for name, _ in network.inputs]
    outputs = network.outputs
    connections, weights = [], {}
    for c in network.connections:
        source = "input" if c.source in names else c.source
        target = "output" if c.target in outputs else c.target
        joined = Connection(source, target, c.delay, c.kind)
        if joined not in connections:
            connections.append(joined)
    kept = [layer for layer in network.layers if layer.name not in outputs]
    size = sum(network.layer(name).size for name in outputs)
    one = Network(sum(size for _, size in network.inputs), [*kept, Layer("output", size, "linear")],
                  connections)  # fmt: skip

    def of(target, source, delay):
        rows = [params[target][f"{name}@{delay}"] for name in (names if source == "input" else
                                                              [source])]  # fmt: skip
        return np.concatenate([np.asarray(x, np.float64) for x in rows])

    for layer in one.layers:
        targets = outputs if layer.name == "output" else (layer.name,)
        own = {
            c.key: np.concatenate([of(t, c.source, c.delay) for t in targets], axis=-1)
            for c in one.into(layer.name)
        }
        biases = [np.asarray(params[t]["bias"], np.float64) for t in targets]
        weights[layer.name] = own | {"bias": np.concatenate(biases)}
    return one, weights


def by_numpy(network, params, inputs, resets):
    """Policy and value of every step from the zero state, in float64: inputs are one array."""
    one, weights = merged(network, params)
    state = initial(one, inputs.shape[1])
    tape = reference.forward(one, weights, state, inputs, resets)
    return tape.outputs[..., :-1], tape.outputs[..., -1]


def initial(network, lanes):
    from jaxrnn import initial_state  # of its shapes alone

    state = initial_state(network, lanes)
    return {
        name: type(kept)(*(tuple(np.zeros(x.shape) for x in part) for part in kept))
        for name, kept in state.items()
    }
