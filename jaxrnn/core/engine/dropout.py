"""Dropout: which connections hear what, and the masks that say so."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray, Shaped

from jaxrnn.core.checks import shown
from jaxrnn.core.engine.delays import Past, remembered
from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.layers import IDENTITY, Connection
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Ends, State, by_connection


class Dropout(NamedTuple):
    """Dropout on delay-0 connections, not on delayed ones (Zaremba and others 2014).

    Identities hear all: what they add may be a stream that a deep stack rests on. Given for one
    connection, by a mapping, it is for that one, whatever its delay and kind.

    Attributes:
      rate: the share of a source's outputs that a connection does not hear, in [0, 1). May be
        traced, as by a schedule; it must be in that range then too.
      locked: hold one mask for the whole chunk (Gal and Ghahramani 2016) instead of drawing a
        fresh one at each time step.
      recurrent: drop on delayed connections as well; locked, as Gal and Ghahramani propose.
    """

    rate: Any
    locked: bool = False
    recurrent: bool = False


def dropped_on(
    network: Network, dropout: Dropout | Mapping[Connection | Ends, Dropout] | None
) -> dict[Connection, Dropout]:
    """What is dropped, by connection.

    Raises:
      InputError: it is no `Dropout`; a rate is no number or out of range; or a connection is not
        the network's, or given twice.
    """
    if dropout is None:
        return {}
    for one in dropout.values() if isinstance(dropout, Mapping) else [dropout]:
        if not isinstance(one, Dropout):
            raise InputError(
                f"dropout is {shown(one)}; give Dropout(rate), or a mapping from connections to it"
            )
        check_rate(one.rate, "the dropout rate")
    if isinstance(dropout, Dropout):
        dropped = {
            c: dropout
            for c in network.connections
            if c.kind != IDENTITY and (dropout.recurrent or not c.delay)
        }
    else:
        dropped = by_connection(network, dropout, "dropout")
    return {c: own for c, own in dropped.items() if is_traced(own.rate) or own.rate}


def check_rate(rate: Any, what: str) -> None:
    """Refuses what is no share, or no floating-point number where it is traced."""
    if is_traced(rate):
        if rate.shape or not jnp.issubdtype(rate.dtype, jnp.floating):
            raise InputError(
                f"{what} is traced as {rate.dtype}{list(rate.shape)}; it must be one "
                "floating-point number"
            )
        return
    try:
        is_share = np.ndim(rate) == 0 and bool(0 <= rate < 1)
    except (TypeError, ValueError):
        is_share = False
    if not is_share:
        raise InputError(f"{what} is {shown(rate)}; it must be a number, at least 0 and below 1")


def is_traced(rate: Any) -> bool:
    return isinstance(rate, Tracer)


def draw_masks(
    network: Network,
    sources: dict[str, Shaped[Array, "time batch *_features"]],
    state: State,
    dropped: dict[Connection, Dropout],
    key: PRNGKeyArray | None,
    dtype: jnp.dtype,
    segment: Array | int | None = None,
) -> dict[Connection, Float[Array, "time_or_1 batch _size_or_1"]]:
    """For each connection to drop on: 0 where its source is not heard, else 1 / (1 - rate).

    `sources` are inputs, and n-grams' symbols.
    Where the chunk is run in segments, other ones in each, unless they are locked.
    """
    if key is None or not dropped:
        return {}
    fresh = key if segment is None else jax.random.fold_in(derive(key, "segments"), segment)
    time, batch = next(iter(sources.values())).shape[:2]
    masks = {}
    for connection, dropout in dropped.items():
        own_key = key if dropout.locked else fresh
        mask_key = derive(own_key, connection.target, connection.key)
        source = connection.source
        if source in sources and sources[source].ndim == 2:
            past = state[source].past[: connection.delay] if connection.delay else ()
            kept = _symbols_kept(mask_key, _late_symbols(sources[source], past), dropout)
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
