"""What units do while a network reads a text, and what that goes along with."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from experiments.laboratory.features import Reading
from jaxrnn.core.engine.unroll import unroll_layers
from jaxrnn.core.layers import OUTPUT
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, initial_state, state_dtype


def activations(
    network: Network, params: Params, tokens: Integer[np.ndarray, " length"]
) -> tuple[list[str], Float[np.ndarray, "length units"]]:
    """All hidden units' outputs after each symbol, and their carries where those differ.

    Returns:
      The units' names, such as "hidden1 unit 3" and "hidden1 carry 3", and a column for each.
    """
    names, columns = [], []
    found = _read(network, params, np.asarray(tokens, np.int32))
    for name in sorted(found, key=lambda name: name.endswith("carry")):  # units first
        column = np.asarray(found[name])
        if not any(np.array_equal(column, other) for other in columns):  # as a GRU's carry would
            columns.append(column)
            names += [f"{name} {i}" for i in range(column.shape[1])]
    return names, np.concatenate(columns, axis=1)


Units = list[dict[str, Any]]  # for each feature, what `best_units` found


def best_units(network: Network, params: Params, reading: Reading) -> Units | None:
    """For each feature the unit that correlates with it most closely in the half to search.

    `searched` is how closely, `judged` its correlation in the other half, turned such that the
    former is positive. `shown` are its activations in the passage to show, turned likewise, in
    standard deviations from its mean: as one text, which is one line of JSON. None if the units'
    activations are not all finite: the network overflows.
    """
    half, features = reading.half, np.stack(list(reading.features.values()), axis=1)
    names, units = activations(network, params, reading.tokens)
    if not np.isfinite(units).all():
        return None
    searched = correlations(units[:half], features[:half])
    judged = correlations(units[half:], features[half:])
    found = []
    for i, best in enumerate(np.abs(searched).argmax(axis=0)):
        sign, unit = np.sign(searched[best, i]), units[half:, best]
        deviations = sign * (units[reading.shown, best] - unit.mean()) / (unit.std() or 1)
        found.append({
            "name": names[best],
            "searched": round(float(sign * searched[best, i]), 4),
            "judged": round(float(sign * judged[best, i]), 4),
            "shown": " ".join(f"{x:.2f}" for x in deviations),
        })  # fmt: skip
    return found


def correlations(
    units: Float[np.ndarray, "length units"], features: Float[np.ndarray, "length features"]
) -> Float[np.ndarray, "units features"]:
    """Pearson's; 0 where a unit or a feature is constant."""
    units, features = (x - x.mean(axis=0, dtype=np.float64) for x in (units, features))
    scale = np.outer(np.linalg.norm(units, axis=0), np.linalg.norm(features, axis=0))
    return np.divide(units.T @ features, scale, out=np.zeros_like(scale), where=scale > 0)


@partial(jax.jit, static_argnums=0)
def _read(
    network: Network, params: Params, tokens: Integer[Array, " length"]
) -> dict[str, Float[Array, "length _size"]]:
    state = initial_state(network, 1, state_dtype(params))
    outputs, carries, _ = unroll_layers(network, params, state, tokens[:, None])
    seen = {}
    for name in (layer.name for layer in network.layers if layer.name != OUTPUT):
        seen[f"{name} unit"] = outputs[name][:, 0]
        if carries[name]:
            seen[f"{name} carry"] = jnp.concatenate(carries[name], axis=-1)[:, 0]
    return seen
