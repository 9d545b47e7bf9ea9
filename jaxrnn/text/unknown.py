"""What of a text a vocabulary lacks: how much, which symbols, and how to say so."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Integer

from jaxrnn.text.encoded import EncodedText
from jaxrnn.text.vocabulary import UNKNOWN, Text, Vocabulary

NOTABLE = 0.001  # a share that is said unasked: at some 15 bits each, it costs 0.01 per character
BLOCK = 2**20  # symbols
NAMED = 5  # symbols, in a sentence
FORMS = {"NFC": "composed", "NFD": "decomposed"}


def unknown_share(symbols: Integer[np.ndarray, " length"]) -> float:
    """Which part of a text is unknown, from 0 to 1; the text may be larger than memory."""
    starts = range(0, len(symbols), BLOCK)
    unknown = sum(int((symbols[start : start + BLOCK] == UNKNOWN).sum()) for start in starts)
    return unknown / len(symbols) if len(symbols) else 0.0


def unknown_symbols(texts: Iterable[Text], vocabulary: Vocabulary) -> Counter[Text]:
    """How often each symbol that a vocabulary lacks is in normalised texts."""
    counts: Counter[Text] = Counter()
    for text in texts:
        counts.update(vocabulary.unknown_in(text))
    return counts


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


def told(
    share: float, unit: str, where: str, *, cost: float | None = None, others: float | None = None
) -> str:
    """A sentence on what a model does not know of a text, and what that costs.

    Args:
      share: of the text's symbols, from 0 to 1.
      unit: what its symbols are called.
      where: the text, as it is called in the sentence.
      cost: bits of each of them, where that is known.
      others: bits of each of the others.
    """
    sentence = f"{share:.2%} of the {unit}s of {where} are unknown to the model"
    if cost is not None:
        sentence += f", at {cost:.2f} bits each"
    if others is not None:
        sentence += f"; the others cost {others:.4f} bits each"
    return f"{sentence}."


def counted(unknown: Mapping[Text, int], text: Text, flag: str) -> str:
    """How many of the symbols of a text, which a flag gave, these are, and which."""
    unit = "bytes" if isinstance(text, bytes) else "characters"
    count = sum(unknown.values())
    return f"{count:,} of the {len(text):,} {unit} of --{flag}: {listed(unknown)}"


def listed(unknown: Mapping[Text, int]) -> str:
    """The most frequent of unknown symbols, each with how often it occurs, if more than once."""
    often = Counter(unknown).most_common(NAMED)
    shown = [quoted(symbol) + (f" ({n:,} times)" if n > 1 else "") for symbol, n in often]
    more = len(unknown) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def quoted(symbol: Text) -> str:
    """A symbol in a sentence."""
    if isinstance(symbol, str) and unicodedata.category(symbol)[0] == "M":  # not to be seen alone
        return f"U+{ord(symbol):04X} ({unicodedata.name(symbol, 'a mark')})"
    return repr(symbol)


def other_form(vocabulary: Vocabulary, text: Text) -> str:
    """Advice to be added, where Unicode writes the same characters in a way that is known."""
    if isinstance(text, bytes):
        return ""
    for form, name in FORMS.items():
        other = unicodedata.normalize(form, text)  # type: ignore[arg-type]
        if other != text and not vocabulary.unknown_in(other):
            return (
                f"; or give the same in Unicode's {name} form ({form}), in which the model knows "
                "all of it"
            )
    return ""
