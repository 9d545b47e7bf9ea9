"""How far back the gradient of a loss reaches."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from experiments.laboratory.statistics import numbers
from jaxrnn.core.engine.probes import output_gradients
from jaxrnn.core.engine.unroll import unroll
from jaxrnn.core.errors import InputError
from jaxrnn.core.layers import OUTPUT
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, initial_state
from jaxrnn.learning.loss import cross_entropy

THRESHOLD = -2  # of what the gradient is at k = 0, as a power of ten: below it has vanished
TINIEST = -40  # what underflows


def passages(
    valid: Integer[np.ndarray, " length"], sizes: Mapping[str, Any]
) -> tuple[Integer[Array, "time places"], Integer[Array, " places"]]:
    """Passages spread over the validation text, and the character that follows each."""
    length = sizes["warmup"] + sizes["reach"] + 1
    if len(valid) <= length:
        raise InputError(
            f"the validation text has {len(valid)} characters, but gradients are followed through "
            f"{length}; give a longer text"
        )
    starts = np.linspace(0, len(valid) - length - 1, sizes["places"]).astype(int)
    cut = np.asarray(valid)[starts + np.arange(length + 1)[:, None]].astype(np.int32)
    return jnp.asarray(cut[:-1]), jnp.asarray(cut[-1])


def gradients_back(
    network: Network,
    params: Params,
    inputs: Integer[Array, "time places"],
    targets: Integer[Array, " places"],
    warmup: int,
) -> dict[str, Float[Array, "ks places _size"]]:
    """Of the loss of predicting the targets, with respect to hidden layers' outputs k steps ago."""
    state = initial_state(network, len(targets))
    _, state = unroll(network, params, state, inputs[:warmup])

    def loss(outputs: Float[Array, "time places symbols"]) -> Float[Array, ""]:
        return cross_entropy(outputs[-1:], targets[None]).sum()  # places do not hear each other

    gradients = output_gradients(network, params, state, inputs[warmup:], loss)
    return {name: own[::-1] for name, own in gradients.items() if name != OUTPUT}


def relative_norms(
    gradients: Float[Array, "replicas ks places size"],
) -> Float[np.ndarray, "replicas ks"]:
    """Norms, means over places, as parts of what they are at k = 0: their logarithms to base 10.

    NaN where there is no gradient at k = 0, as in a layer that has died, or it is not finite.
    """
    # In float64: squares underflow long before the gradients do.
    norms = np.linalg.norm(np.asarray(gradients, np.float64), axis=-1).mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(np.clip(norms / norms[:, :1], 10.0**TINIEST, 10.0**-TINIEST))


def reach(norms: Sequence[float | None]) -> int | None:
    """The largest k at which what `relative_norms` says is above the threshold; None: nowhere."""
    above = np.flatnonzero(numbers(norms) > THRESHOLD)
    return int(above[-1]) if len(above) else None
