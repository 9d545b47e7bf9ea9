"""The symbols of a text and their numbers: what a model reads and writes."""

import dataclasses
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Integer, UInt, UInt8, UInt32

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading.decoding import as_read

Level = Literal["character", "byte"]
Text = str | bytes  # by the level of what reads or writes it

UNKNOWN = 0  # the symbol that stands for everything the training text did not have


@dataclass(frozen=True)
class Vocabulary:
    """Symbols in ascending order, numbered from 1; number 0 is the unknown symbol.

    `symbols` is a `str` for characters and `bytes` for bytes: that is the level. The options say
    how text is normalised before it is encoded; bytes are taken as they are. Raises
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

    def extended(self, symbols: str | bytes) -> "Vocabulary":
        """With more symbols of the same level; whatever it knows is kept, though numbers move."""
        every: list[Any] = sorted({*self.symbols, *symbols})
        joined = "".join(every) if self.level == "character" else bytes(every)
        return dataclasses.replace(self, symbols=joined)

    def numbers_of(self, other: "Vocabulary") -> Integer[np.ndarray, " size"]:
        """Of another vocabulary's symbols, the unknown one first, their numbers in this one."""
        return np.append(UNKNOWN, self.encode(other.symbols)).astype(np.int64)

    def normalise(self, text: Text) -> Text:
        """What of a text is encoded, as when it is read from a corpus.

        Of characters: line ends as `as_read` leaves them, lower case, white space as one space
        each. At byte level: the bytes as they are, a `str` in UTF-8.
        """
        if self.level == "byte":
            return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        if isinstance(text, bytes):
            raise InputError("the model knows characters but was given bytes; decode them first")
        text = as_read(text)
        text = lower(text) if self.lowercase else text
        return re.sub(r"\s+", " ", text) if self.collapse_whitespace else text

    def encode(self, text: Text) -> UInt[np.ndarray, " length"]:
        """The number of each symbol of a text that has been normalised; 0 for unknown ones.

        At byte level a `str` is taken as UTF-8.
        """
        if self.level == "byte" and isinstance(text, str):
            text = text.encode("utf-8", "surrogateescape")
        found = codes(text)
        if self.level == "character":  # what is beyond the table's end is as unknown as its last
            found = np.minimum(found, np.uint32(len(self._numbers) - 1))
        return self._numbers[found]

    def text(self, tokens: Integer[np.ndarray, " length"]) -> Text:
        """What symbols' numbers stand for: characters, or bytes.

        The unknown symbol becomes U+FFFD, or the byte 0xFF, which UTF-8 has nowhere.
        """
        content = self._codes[tokens].tobytes()
        return content if self.level == "byte" else content.decode("utf-32-le", "surrogatepass")

    def decode(self, tokens: Integer[np.ndarray, " length"]) -> str:
        """The same to be read by a person: bytes as UTF-8, U+FFFD for what is not."""
        text = self.text(tokens)
        return text if isinstance(text, str) else text.decode("utf-8", "replace")

    def unknown_in(self, text: Text) -> dict[Text, int]:
        """The symbols of a normalised text that are not known, in order, and how often each is."""
        of = codes(text)[self.encode(text) == UNKNOWN].tolist()
        return dict(Counter(bytes([code]) if isinstance(text, bytes) else chr(code) for code in of))

    def without_unknown(self, text: Text) -> Text:
        """A normalised text without the symbols that are not known."""
        tokens = self.encode(text)
        return self.text(tokens[tokens != UNKNOWN])

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
        unknown = "\ufffd" if isinstance(self.symbols, str) else b"\xff"
        return codes(unknown + self.symbols)  # type: ignore[operator]

    @cached_property
    def _numbers(self) -> UInt[np.ndarray, " codes"]:
        symbols = self._codes[1:]
        ends = int(symbols.max(initial=0)) + 2 if self.level == "character" else 256
        numbers = np.zeros(ends, self.dtype)
        numbers[symbols] = np.arange(1, self.size)
        return numbers


def codes(text: Text) -> UInt32[np.ndarray, " length"] | UInt8[np.ndarray, " length"]:
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
