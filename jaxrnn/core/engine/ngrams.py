"""N-grams: which symbol stands for an input's last few symbols, at each step of a chunk.

Each of these has a digit: its code and one, or 0 where nothing was read yet. An n-gram whose digits
are all below a radix is the number that they write in it, the latest last; the radix is the largest
at which all such numbers are symbols. So no two n-grams of a small vocabulary share a symbol. Any
other n-gram stands where a hash puts it. Nothing of this depends on the vocabulary's size: in one
that has grown, the n-grams of old symbols are where they were.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Int, UInt32

from jaxrnn.core.engine.arguments import Inputs
from jaxrnn.core.engine.delays import Ages, forget_older, remembered
from jaxrnn.core.layers import NGram
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import State

Digits = Int[Array, "time batch 1"]

NO_SYMBOL = -1  # of an n-gram that holds what is no symbol: a look-up of its row gives NaN


def ngram_symbols(
    network: Network,
    inputs: dict[str, Inputs],
    state: State,
    ages: Ages | None,
    reset_state: State | None = None,
) -> dict[str, Int[Array, "time batch"]]:
    """Of each of the network's n-grams, by name, its symbol at each step, in the text's order.

    Features stand for the symbol of their largest entry; where none is above 0, for nothing.

    Args:
      network: whose n-grams.
      inputs: of the chunk, by name.
      state: before it; what it has of the inputs' past is read.
      ages: as from `ages_since`.
      reset_state: of as many lanes, if there is one.
    """
    found = {}
    for ngram in network.ngrams:
        size = network.size(ngram.source)
        sequence = _digits(inputs[ngram.source], size, ngram)
        before, returns = (
            [_digits(x[None], size, ngram)[0] for x in which[ngram.source].past]
            if which and ngram.length > 1
            else []
            for which in (state, reset_state)
        )
        digits = [
            forget_older(_late(sequence, before[:lag]), lag, ages, tuple(returns))
            for lag in reversed(range(ngram.length))
        ]
        found[ngram.name] = _symbols(digits, ngram)[..., 0]
    return found


def _digits(given: Inputs, size: int, ngram: NGram) -> Digits:
    """Of each symbol its digit; -1 for what is no symbol."""
    if given.ndim == 2:
        # In 32 bits at least, so that no number wraps round.
        symbols = given.astype(jnp.int32) if given.dtype.itemsize < 4 else given
        is_symbol, otherwise = (symbols >= 0) & (symbols < size), -1
    else:
        peak, symbols = given.max(axis=-1), given.argmax(axis=-1)
        is_symbol, otherwise = peak > 0, jnp.where(jnp.isnan(peak), -1, 0)
    symbols = jnp.where(is_symbol, symbols, 0).astype(jnp.int32)
    codes = symbols if ngram.codes is None else jnp.asarray(ngram.codes, jnp.int32)[symbols]
    return jnp.where(is_symbol, codes + 1, otherwise)[..., None]


def _late(sequence: Digits, before: list[Int[Array, "batch 1"]]) -> Digits:
    """As many steps late as came `before`, newest first."""
    if not before:
        return sequence
    return jnp.concatenate([remembered(tuple(before)), sequence])[: sequence.shape[0]]


def _symbols(digits: Sequence[Digits], ngram: NGram) -> Digits:
    """Of n-grams, their digits given from the earliest on."""
    radix = radix_of(ngram)
    number = hashed = jnp.zeros(digits[0].shape, jnp.uint32)
    fits, is_ngram = jnp.ones(number.shape, bool), jnp.ones(number.shape, bool)
    for digit in digits:
        fits, is_ngram = fits & (digit < radix), is_ngram & (digit >= 0)
        number = number * radix + digit.astype(jnp.uint32)
        hashed = _mixed(hashed ^ digit.astype(jnp.uint32))
    symbols = jnp.where(fits, number, hashed % ngram.size).astype(jnp.int32)
    return jnp.where(is_ngram, symbols, NO_SYMBOL)


def radix_of(ngram: NGram) -> int:
    """The largest of which the power `length` is at most `size`."""
    radix = round(ngram.size ** (1 / ngram.length))
    return radix if radix**ngram.length <= ngram.size else radix - 1


def _mixed(word: UInt32[Array, "*any"]) -> UInt32[Array, "*any"]:
    """Every bit of the word in every bit of another, one to one: the finaliser of MurmurHash3
    (Appleby 2011), in arithmetic that is the same wherever it is done.
    """
    word = (word ^ (word >> 16)) * jnp.uint32(0x85EBCA6B)
    word = (word ^ (word >> 13)) * jnp.uint32(0xC2B2AE35)
    return word ^ (word >> 16)
