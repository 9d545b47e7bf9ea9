"""What of a text a vocabulary lacks: how much, which symbols, and how to say so."""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Integer

from jaxrnn.text.encoded import EncodedText
from jaxrnn.text.scoring import Tally
from jaxrnn.text.vocabulary import UNKNOWN, Text, Vocabulary

NOTABLE = 0.001  # a share that is said unasked: at some 15 bits each, it costs 0.01 per character
BLOCK = 2**20  # symbols


def unknown_share(symbols: Integer[np.ndarray, " length"]) -> float:
    """Which part of a text is unknown, from 0 to 1; the text may be larger than memory."""
    starts = range(0, len(symbols), BLOCK)
    unknown = sum(int((symbols[start : start + BLOCK] == UNKNOWN).sum()) for start in starts)
    return unknown / len(symbols) if len(symbols) else 0.0


def foretold(text: EncodedText) -> str:
    """A sentence, before training, on what a model will not know; empty if that is not notable."""
    shares = {"validation": unknown_share(text.valid), "test": unknown_share(text.test)}
    notable = [f"{share:.2%} of the {n} split" for n, share in shares.items() if share >= NOTABLE]
    if not notable:
        return ""
    return (
        f"{' and '.join(notable)} are {text.vocabulary.level}s that the training split lacks"
        f"{' or has too rarely' * bool(text.rare.symbols)}: the "
        "model will not know them, and they will make its bits higher."
    )


def left_out(text: EncodedText, minimum_count: int) -> str:
    """A sentence on what is too rare for the vocabulary; empty if nothing is."""
    kinds, count = len(text.rare.symbols), text.rare.count
    if not kinds:
        return ""
    which = "1 symbol that occurs" if kinds == 1 else f"{kinds:,} symbols that occur"
    return (
        f"{which} fewer than {minimum_count:,} times in the training split, "
        f"{count:,} occurrence{'s' * (count != 1)}, {'is' if kinds == 1 else 'are'} read as "
        "unknown."
    )


def unknown_symbols(texts: Iterable[Text], vocabulary: Vocabulary) -> Counter[Text]:
    """How often each symbol that a vocabulary lacks is in normalised texts."""
    counts: Counter[Text] = Counter()
    for text in texts:
        counts.update(vocabulary.unknown_in(text))
    return counts


def between(blocks: Iterable[Text], start: int, end: int) -> Iterator[Text]:
    """What of a text in blocks is between two places."""
    at = 0
    for block in blocks:
        yield block[max(0, start - at) : max(0, end - at)]
        at += len(block)


def told(tally: Tally, unit: str, where: str) -> str:
    """A sentence on what a model does not know of a text, and what that costs.

    Args:
      tally: of the text.
      unit: what its symbols are called.
      where: the text, as it is called in the sentence.
    """
    of_them = f"{tally.unknown_share:.2%} of the {unit}s of {where}"
    cost = f"{of_them} are unknown to the model, at {tally.bits_per_unknown:.2f} bits each"
    if tally.known.bits is None:
        return f"{cost}."
    return f"{cost}; the others cost {tally.known.bits:.4f} bits each."
