"""The network of an agent: what it hears, its two outputs, and how the first one decides."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from jaxrnn.acting.environments import Discrete, Place, Space, size_of
from jaxrnn.core.cells import Cell
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import INPUT, OUTPUT, Connection, Layer
from jaxrnn.core.network import Network
from jaxrnn.core.stacks import stacked

SOURCES = ("observation", "action", "reward")
POLICY, VALUE = OUTPUTS = ("policy", "value")

LOWEST, HIGHEST = -5.0, 2.0  # of the logarithm of a continuous action's standard deviation


def policy_network(
    place: Place,
    hidden: Iterable[SupportsIndex] = (64,),
    cell: Cell | str = "gru",
    *,
    hears: Sequence[str] = SOURCES,
    memory: bool = True,
    delays: Iterable[int] = (),
    **options: Any,
) -> Network:
    """The usual network of an agent: a stack of layers below a policy and a value.

    Any other network will do, with inputs of these names and sizes, and these outputs.

    Args:
      place: where it acts: observations and actions decide the sizes.
      hidden: the sizes of its hidden layers; without any, the outputs hear the inputs.
      cell: of these, as for `stacked`.
      hears: which of "observation", "action" (the last one, as a one-hot row or as it is; zeros at
        an episode's first step) and "reward" (the last one, likewise).
      memory: false leaves out all connections with a delay: the agent knows the present alone.
      delays: of further connections, which lead from each of these sources to the layer that hears
        them anyway: what was observed, done and won so many steps ago.
      options: of `stacked`.

    Raises:
      InputError: the agent hears nothing, or what it hears is unknown.
    """
    sizes = input_sizes(place)
    unknown = [name for name in hears if name not in sizes]
    if unknown or not hears:
        raise InputError(
            f"the agent is to hear {unknown[0] if unknown else 'nothing'}; choose among "
            f"{', '.join(sizes)}"
        )
    inner = stacked(1, hidden, 1, cell, **options)
    connections: list[Connection] = []
    for c in inner.connections:
        sources = hears if c.source == INPUT else (c.source,)
        targets = OUTPUTS if c.target == OUTPUT else (c.target,)
        connections += [
            Connection(source, target, c.delay, c.kind) for source in sources for target in targets
        ]
    first = {c.target for c in connections if c.source in hears}
    if not memory:
        connections = [c for c in connections if not c.delay]
    connections += [
        Connection(source, target, delay)
        for source in hears for target in sorted(first) for delay in delays
    ]  # fmt: skip
    layers = [layer for layer in inner.layers if layer.name != OUTPUT]
    layers += [Layer(POLICY, policy_size(place.actions), "linear"), Layer(VALUE, 1, "linear")]
    inputs = {name: sizes[name] for name in hears}
    return Network(inputs, layers, connections, outputs=OUTPUTS)


def input_sizes(place: Place) -> dict[str, int]:
    """Of what an agent may hear."""
    sizes = size_of(place.observations), size_of(place.actions), 1
    return dict(zip(SOURCES, sizes, strict=True))


def policy_size(actions: Space) -> int:
    """Of the output that decides: a logit each action; or mean and log deviation each number."""
    return actions.n if isinstance(actions, Discrete) else 2 * size_of(actions)


def check_policy(network: Network, place: Place) -> None:
    """Refuses a network that is none of an agent there."""
    sizes = input_sizes(place)
    for name, size in network.inputs:
        if sizes.get(name) != size:
            raise InputError(
                f"the network's input '{name}' has size {size}; in {place.name} an agent hears "
                + ", ".join(f"'{known}' of size {number}" for known, number in sizes.items())
            )
    expected = {POLICY: policy_size(place.actions), VALUE: 1}
    found = {name: network.layer(name).size for name in network.outputs}
    if found != expected:
        raise InputError(
            f"the network's outputs are {found}; an agent in {place.name} needs {expected}"
        )
    if network.runs_backward:
        raise InputError("the network has backward layers; an agent cannot hear what comes later")


def as_heard(actions: Space, action: Array) -> Float[Array, "*lanes _size"]:
    """An action as the network hears it at the next step."""
    if isinstance(actions, Discrete):
        return jax.nn.one_hot(action, actions.n)
    return action.reshape(*action.shape[: action.ndim - len(actions.shape)], -1)


def draw(
    actions: Space, policy: Float[Array, "lanes _size"], key: PRNGKeyArray
) -> tuple[Array, Float[Array, " lanes"]]:
    """Actions drawn from a policy's outputs, and the logarithms of their probabilities."""
    if isinstance(actions, Discrete):
        action = jax.random.categorical(key, policy)
    else:
        mean, log_deviation = _normal(policy)
        noise = jax.random.normal(key, mean.shape)
        action = (mean + jnp.exp(log_deviation) * noise).reshape(-1, *actions.shape)
    return action, log_probability(actions, policy, action)


def likeliest(actions: Space, policy: Float[Array, "lanes _size"]) -> Array:
    """The likeliest action of each lane; of continuous ones the mean."""
    if isinstance(actions, Discrete):
        return policy.argmax(axis=-1)
    return _normal(policy)[0].reshape(-1, *actions.shape)


def within(actions: Space, action: Array) -> Array:
    """What is done where an action that was drawn lies out of the space's bounds."""
    if isinstance(actions, Discrete):
        return action
    return jnp.clip(action, *actions.bounds)


def log_probability(
    actions: Space, policy: Float[Array, "*lanes _size"], action: Array
) -> Float[Array, "*lanes"]:
    """Of actions, or the logarithm of a density."""
    if isinstance(actions, Discrete):
        chosen = jnp.take_along_axis(jax.nn.log_softmax(policy), action[..., None], axis=-1)
        return chosen[..., 0]
    mean, log_deviation = _normal(policy)
    distance = (action.reshape(mean.shape) - mean) * jnp.exp(-log_deviation)
    logs = -0.5 * jnp.square(distance) - log_deviation - 0.5 * math.log(2 * math.pi)
    return logs.sum(axis=-1)


def entropy(actions: Space, policy: Float[Array, "*lanes _size"]) -> Float[Array, "*lanes"]:
    """In nats, of each policy."""
    if isinstance(actions, Discrete):
        logs = jax.nn.log_softmax(policy)
        return -(jnp.exp(logs) * logs).sum(axis=-1)
    _, log_deviation = _normal(policy)
    return (log_deviation + 0.5 * math.log(2 * math.pi * math.e)).sum(axis=-1)


def _normal(policy: Array) -> tuple[Array, Array]:
    mean, log_deviation = jnp.split(policy, 2, axis=-1)
    return mean, jnp.clip(log_deviation, LOWEST, HIGHEST)
