"""What can be known of a play's text once a character has been read: one number for each."""

import re
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Values = Float[np.ndarray, " length"]

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
