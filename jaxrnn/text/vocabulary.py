"""The symbols of a text and their numbers: what a model reads and writes."""

import codecs
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Integer, UInt, UInt8, UInt32

from jaxrnn.core.errors import InputError

Level = Literal["character", "byte"]

UNKNOWN = 0  # the symbol that stands for everything the training text did not have


@dataclass(frozen=True)
class Vocabulary:
    """Symbols in ascending order, numbered from 1; number 0 is the unknown symbol.

    `symbols` is a `str` for characters and `bytes` for bytes: that is the level. The options say
    how text is normalised before it is encoded; at byte level it is taken as it is. Raises
    `InputError` for symbols that are not sorted or not unique, and for options at byte level.
    """

    symbols: str | bytes
    lowercase: bool = False
    collapse_whitespace: bool = False

    def __post_init__(self):
        if list(self.symbols) != sorted(set(self.symbols)):
            raise InputError("a vocabulary's symbols must be in ascending order, each once")
        if self.level == "byte" and (self.lowercase or self.collapse_whitespace):
            raise InputError(
                "lowercase and collapse_whitespace need characters, but the level is byte;"
                " take the level character, or leave them out"
            )

    @property
    def level(self) -> Level:
        """Whether symbols are characters or bytes."""
        return "character" if isinstance(self.symbols, str) else "byte"

    @property
    def size(self) -> int:
        """How many symbols there are, the unknown one included."""
        return len(self.symbols) + 1

    @property
    def dtype(self) -> np.dtype:
        """The smallest unsigned integer type that holds every symbol's number."""
        return np.min_scalar_type(len(self.symbols))

    def normalise(self, text: str) -> str:
        """What of a text is encoded: lower-cased, with runs of white space as one space each."""
        text = lower(text) if self.lowercase else text
        return re.sub(r"\s+", " ", text) if self.collapse_whitespace else text

    def encode(self, text: str | bytes) -> UInt[np.ndarray, " length"]:
        """The number of each symbol of a text that has been normalised; 0 for unknown ones.

        At byte level a `str` is taken as UTF-8.
        """
        if self.level == "byte" and isinstance(text, str):
            text = text.encode()
        found = codes(text)
        if self.level == "character":  # what is beyond the table's end is as unknown as its last
            found = np.minimum(found, np.uint32(len(self._numbers) - 1))
        return self._numbers[found]

    def decode(self, tokens: Integer[np.ndarray, " length"]) -> str:
        """The text that symbols' numbers stand for, the unknown one as U+FFFD.

        Bytes are read as UTF-8; what is not UTF-8 becomes U+FFFD as well.
        """
        return self.incremental_decoder()(tokens, True)

    def incremental_decoder(self) -> Callable[[Integer[np.ndarray, " length"], bool], str]:
        """A function of tokens and `final` that decodes a stream piece by piece.

        At byte level it holds back the first bytes of a character until the rest has come, or
        until `final` says that nothing more does.
        """
        if self.level == "byte":
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            return lambda tokens, final=False: decoder.decode(self._codes[tokens].tobytes(), final)
        return lambda tokens, final=False: (
            self._codes[tokens].tobytes().decode("utf-32-le", "surrogatepass")
        )

    def unknown_in(self, text: str) -> str:
        """The characters of a normalised text that are not known, each once, in order."""
        return "".join(
            character for character in dict.fromkeys(text) if UNKNOWN in self.encode(character)
        )

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes, and JSON holds, made of strings, lists and numbers only."""
        return {
            "level": self.level,
            "symbols": self.symbols if isinstance(self.symbols, str) else list(self.symbols),
            "lowercase": self.lowercase,
            "collapse_whitespace": self.collapse_whitespace,
        }

    @staticmethod
    def from_dict(data: Any) -> "Vocabulary":
        """The vocabulary that `to_dict` was called on. Raises `InputError` for anything else."""
        try:
            level, symbols = data["level"], data["symbols"]
            options = {name: data[name] for name in ("lowercase", "collapse_whitespace")}
            if level == "byte" and isinstance(symbols, list):
                symbols = bytes(symbols)
            if not (
                level in ("character", "byte")
                and isinstance(symbols, str if level == "character" else bytes)
                and all(isinstance(option, bool) for option in options.values())
            ):
                raise TypeError("a field has the wrong type")
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"this is not a jaxrnn vocabulary ({type(error).__name__}: {error});"
                f" expected an object with level, symbols, lowercase and collapse_whitespace,"
                f" but got {json.dumps(data, default=repr)[:80]}"
            ) from error
        return Vocabulary(symbols, **options)

    @cached_property
    def _codes(self) -> UInt32[np.ndarray, " size"] | UInt8[np.ndarray, " size"]:
        # The byte 0xFF occurs nowhere in UTF-8, so it decodes to U+FFFD.
        unknown = "\ufffd" if isinstance(self.symbols, str) else b"\xff"
        return codes(unknown + self.symbols)  # type: ignore[operator]

    @cached_property
    def _numbers(self) -> UInt[np.ndarray, " codes"]:
        symbols = self._codes[1:]
        ends = int(symbols.max(initial=0)) + 2 if self.level == "character" else 256
        numbers = np.zeros(ends, self.dtype)
        numbers[symbols] = np.arange(1, self.size)
        return numbers


def codes(text: str | bytes) -> UInt32[np.ndarray, " length"] | UInt8[np.ndarray, " length"]:
    """The code point of each character, or the value of each byte."""
    if isinstance(text, str):
        return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    return np.frombuffer(text, np.uint8)


def lower(text: str) -> str:
    """Lower case, character by character, so that it can be done to any part of a text.

    Python's own rule looks around a Greek capital sigma to choose between its two small forms;
    here it always becomes the medial one. The result may be longer than the text.
    """
    return text.replace("\u03a3", "\u03c3").lower()
