"""What is said of the symbols that a model does not know."""

import unicodedata
from collections import Counter
from collections.abc import Mapping

from jaxrnn.text.vocabulary import Text, Vocabulary

SHOWN = 5
FORMS = {"NFC": "composed", "NFD": "decomposed"}


def listed(unknown: Mapping[Text, int]) -> str:
    """The most frequent of unknown symbols, each with how often it occurs, if more than once."""
    often = Counter(unknown).most_common(SHOWN)
    shown = [_named(symbol) + (f" ({n:,} times)" if n > 1 else "") for symbol, n in often]
    more = len(unknown) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def share(unknown: Mapping[Text, int], text: Text, flag: str) -> str:
    """How many of the symbols of a text, which a flag gave, these are, and which."""
    unit = "bytes" if isinstance(text, bytes) else "characters"
    count = sum(unknown.values())
    return f"{count:,} of the {len(text):,} {unit} of --{flag}: {listed(unknown)}"


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


def _named(symbol: Text) -> str:
    if isinstance(symbol, str) and unicodedata.category(symbol)[0] == "M":  # not to be seen alone
        return f"U+{ord(symbol):04X} ({unicodedata.name(symbol, 'a mark')})"
    return repr(symbol)
