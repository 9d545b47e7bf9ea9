"""Dropout: which connections hear what, and the masks that say so."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray, Shaped

from jaxrnn.core.engine.delays import Past, remembered
from jaxrnn.core.keys import derive
from jaxrnn.core.layers import IDENTITY, Connection
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import State


class Dropout(NamedTuple):
    """Dropout on delay-0 connections, not on delayed ones (Zaremba and others 2014).

    Identities always hear all: what they add may be a stream that a deep stack rests on.

    Attributes:
      rate: the share of a source's outputs that a connection does not hear, in [0, 1).
      locked: hold one mask for the whole chunk (Gal and Ghahramani 2016) instead of drawing a
        fresh one at each time step.
      recurrent: drop on delayed connections as well; locked, as Gal and Ghahramani propose.
    """

    rate: float
    locked: bool = False
    recurrent: bool = False


def draw_masks(
    network: Network,
    inputs: dict[str, Shaped[Array, "time batch *_features"]],
    state: State,
    dropout: Dropout | None,
    key: PRNGKeyArray | None,
    dtype: jnp.dtype,
) -> dict[Connection, Float[Array, "time_or_1 batch _size_or_1"]]:
    """For each connection to drop on: 0 where its source is not heard, else 1 / (1 - rate)."""
    if dropout is None or key is None or not dropout.rate:
        return {}
    time, batch = next(iter(inputs.values())).shape[:2]
    masks = {}
    for connection in network.connections:
        if connection.kind == IDENTITY or (connection.delay and not dropout.recurrent):
            continue
        mask_key = derive(key, connection.target, connection.key)
        source = connection.source
        if source in inputs and inputs[source].ndim == 2:
            past = state[source].past[: connection.delay] if connection.delay else ()
            kept = _symbols_kept(mask_key, _late_symbols(inputs[source], past), dropout)
        else:
            shape = (1 if dropout.locked else time, batch, network.size(source))
            kept = jax.random.bernoulli(mask_key, 1 - dropout.rate, shape)
        masks[connection] = jnp.where(kept, jnp.asarray(1 / (1 - dropout.rate), dtype), 0)
    return masks


def _symbols_kept(
    key: PRNGKeyArray, symbols: Integer[Array, "time batch"], dropout: Dropout
) -> Bool[Array, "time batch 1"]:
    """The entries of the masks that symbols meet: of each mask, as wide as the vocabulary, one."""
    if not dropout.locked:
        return jax.random.bernoulli(key, 1 - dropout.rate, (*symbols.shape, 1))

    def entry(key: PRNGKeyArray, symbol: Integer[Array, ""]) -> Bool[Array, ""]:
        return jax.random.bernoulli(jax.random.fold_in(key, symbol), 1 - dropout.rate)

    lanes = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(symbols.shape[1]))
    return jax.vmap(jax.vmap(entry), (None, 0))(lanes, symbols)[..., None]


def _late_symbols(
    symbols: Integer[Array, "time batch"], past: Past
) -> Integer[Array, "time batch"]:
    """The symbols as many steps late as `past`, their one-hot vectors, is long."""
    if not past:
        return symbols
    before = remembered(past).argmax(axis=-1).astype(symbols.dtype)
    return jnp.concatenate([before, symbols])[: symbols.shape[0]]
