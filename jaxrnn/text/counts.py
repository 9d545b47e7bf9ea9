"""Language models without a network: characters counted after every context, and smoothed.

Interpolated Kneser-Ney (Kneser and Ney 1995, Improved backing-off for m-gram language modeling) as
modified by Chen and Goodman 1999 (An empirical study of smoothing techniques for language
modeling): with c(hw) counts of symbol w after context h, and g being h less its first symbol,

    p(w|h) = (c(hw) - D(c(hw)) + p(w|g) * sum over v of D(c(hv))) / sum over v of c(hv)

and p(w|h) = p(w|g) where h was never seen. The longest contexts count occurrences; shorter ones
count the distinct symbols that came before hw. Below the empty context all symbols are as likely.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, Integer

from jaxrnn.core.errors import InputError


class Counted(NamedTuple):
    """What counts say of each symbol of a text.

    Attributes:
      probabilities: of the symbol, by models of contexts of 0 to `longest` symbols.
      seen: the length of the longest of these contexts that something followed in what was counted.
    """

    probabilities: Float64[np.ndarray, "contexts positions"]
    seen: Int64[np.ndarray, " positions"]


def counted(
    train: Integer[np.ndarray, " length"],
    texts: Sequence[Integer[np.ndarray, " _"]],
    *,
    symbols: int,
    longest: int,
) -> list[Counted]:
    """Predicts each symbol of some texts from those before it in its own.

    Args:
      train: what is counted, longer than the longest context.
      texts: what is predicted; nothing stands before any of them.
      symbols: how many different ones there are.
      longest: the most symbols that a model looks back.
    """
    if len(train) <= longest:
        raise InputError(
            f"contexts of {longest} symbols cannot be counted in a text of {len(train)}; give a "
            "longer text or take shorter contexts"
        )
    # Between them a symbol that none of them has, so that no context that begins before a text is
    # ever one that was counted.
    parted = [part for text in texts for part in ([symbols], text)]
    joined = np.concatenate([train, *parted]).astype(np.int64)
    positions = len(joined) - len(train)
    # Strings of one length are numbered by sorting: each by the number of the string that is one
    # symbol shorter, and its last symbol. grams[i] is the number of the string that ends at i, and
    # there is one more for the empty string, which also ends before the first symbol.
    grams = np.zeros(len(joined) + 1, np.int64)
    contexts = np.zeros(1, np.int64)
    lower = np.full(positions, 1 / symbols)
    found, seen = [], np.zeros(positions, np.int64)
    for length in range(1, longest + 2):
        keys, first, longer = np.unique(
            grams[:-1] * (symbols + 1) + joined[length - 1 :],
            return_index=True, return_inverse=True,
        )  # fmt: skip
        counts = np.bincount(longer[: len(train) - length + 1], minlength=len(keys))
        if length > 1:
            # Each distinct string is one more symbol before what it ends with.
            endings = grams[1:][first[counts > 0]]
            preceded = np.bincount(endings, minlength=len(contexts))
            lower = _interpolated(preceded, contexts, grams[-positions:], lower)
        grams, contexts = longer, keys // (symbols + 1)
        wanted = grams[-positions:]
        found.append(_interpolated(counts, contexts, wanted, lower))
        is_seen = np.bincount(contexts, weights=counts)[contexts[wanted]] > 0
        seen[is_seen] = length - 1
    ends = np.cumsum([len(part) for part in parted])[1::2]
    probabilities = np.stack(found)
    return [
        Counted(probabilities[:, end - len(text) : end], seen[end - len(text) : end])
        for text, end in zip(texts, ends, strict=True)
    ]


def _interpolated(
    counts: Int64[np.ndarray, " grams"],
    contexts: Int64[np.ndarray, " grams"],
    wanted: Int64[np.ndarray, " positions"],
    lower: Float64[np.ndarray, " positions"],
) -> Float64[np.ndarray, " positions"]:
    """The formula above for wanted strings, of which `lower` is p(w|g)."""
    taken = discounts(counts)[np.minimum(counts, 3)]
    total = np.bincount(contexts, weights=counts)
    freed = np.bincount(contexts, weights=taken)
    context = contexts[wanted]
    kept = counts[wanted] - taken[wanted] + freed[context] * lower
    return np.where(total[context] > 0, kept / np.maximum(total[context], 1), lower)


def discounts(counts: Integer[np.ndarray, " grams"]) -> Float64[np.ndarray, "4"]:
    """What to take from counts of 0, 1, 2 and more (Chen and Goodman 1999, equation 26).

    Where too few strings are rare for the estimate, 0.5, 1 and 1.5.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6).astype(float)
    if not n[1:5].all():
        return np.array([0, 0.5, 1, 1.5])
    y = n[1] / (n[1] + 2 * n[2])
    estimates = [r - (r + 1) * y * n[r + 1] / n[r] for r in (1, 2, 3)]
    return np.array([0, *np.clip(estimates, 0, [1, 2, 3])])
