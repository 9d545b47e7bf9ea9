"""What can be known of a play's text once a character has been read: one number for each."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from jaxrnn.core.errors import InputError
from jaxrnn.text import EncodedText

Values = Float[np.ndarray, " length"]

FIRST = 300  # characters of a passage that should show all features


class Reading(NamedTuple):
    """The text that the units read; what is searched on its first half is judged on its second."""

    tokens: Integer[np.ndarray, " length"]
    characters: str
    features: dict[str, Values]
    shown: slice  # of the second half

    @property
    def half(self) -> int:
        return len(self.tokens) // 2


def read(text: EncodedText, length: int, shown: int) -> Reading:
    """So much of the validation text, and a passage of so many characters to be shown."""
    tokens = text.valid[:length]
    characters = text.vocabulary.decode(tokens)
    if len(characters) != len(tokens):
        raise InputError(
            "the model reads bytes, several of which may be one character; give one of characters"
        )
    half = len(tokens) // 2
    features = {name: feature(characters) for name, feature in FEATURES.items()}
    features = {name: x for name, x in features.items() if np.ptp(x[:half]) and np.ptp(x[half:])}
    if not features:
        raise InputError("the validation text has nothing that is looked for; give more text")
    start = half + passage(characters[half:], [x[half:] for x in features.values()], shown, FIRST)
    return Reading(tokens, characters, features, slice(start, start + shown))


def passage(text: str, features: Sequence[Values], length: int, first: int) -> int:
    """Where to begin so that `length` characters follow, the first of which show all features."""
    starts = [match.end() for match in re.finditer(r"\n\n", text[: 1 - length])] or [0]
    return max(
        starts, key=lambda start: min(np.std(x[start : start + first]) / x.std() for x in features)
    )


NAME = r"(?:(?<=\n\n)|\A)[^\n]+:(?=\n)"


def in_name(text: str) -> Values:
    """1 in a speaker's name: the first line of a paragraph, where it ends with a colon."""
    return _inside(text, NAME)


def in_direction(text: str) -> Values:
    """1 in a stage direction, from its opening bracket to before the closing one."""
    return _inside(text, r"\[[^\]]*")


def line_position(text: str) -> Values:
    """Characters since the line end; 0 at the line end itself."""
    return _since(text, r"\n")


def word_position(text: str) -> Values:
    """Letters and apostrophes of the word so far; 0 between words."""
    return _since(text, r"[^\w']")


def speech_length(text: str) -> Values:
    """log(1 + characters since the last speaker's name)."""
    return np.log1p(_since(text, NAME))


def upper_case(text: str) -> Values:
    """1 at an upper-case letter: what takes no memory to know."""
    return _inside(text, r"[A-Z]")


FEATURES: dict[str, Callable[[str], Values]] = {
    "speaker's name": in_name,
    "stage direction": in_direction,
    "position in the line": line_position,
    "position in the word": word_position,
    "length of the speech": speech_length,
    "upper case": upper_case,
}


def _inside(text: str, pattern: str) -> Values:
    """1 in whatever matches, else 0."""
    values = np.zeros(len(text))
    for match in re.finditer(pattern, text):
        values[match.start() : match.end()] = 1
    return values


def _since(text: str, pattern: str) -> Values:
    """Characters since the last one of the latest match, or since the text's first; 0 if none."""
    ends = [match.end() - 1 for match in re.finditer(pattern, text)]
    if not ends:
        return np.zeros(len(text))
    last = np.zeros(len(text), int)
    last[ends] = ends
    return np.arange(len(text)) - np.maximum.accumulate(last).astype(float)
