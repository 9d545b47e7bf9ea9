"""Cassandra's format of POMDP files, as at pomdp.org: names, then lines of T, O and R.

    discount: 0.95
    values: reward
    states: left right
    actions: listen open
    observations: growl none
    start: 0.5 0.5
    T: listen identity
    O: listen : left : growl 0.85
    R: open : * : * : * 10

What a line says holds until a later one says otherwise; `*` stands for all. A probability may be
given one by one, as a row or as a whole matrix.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxrnn.core.errors import InputError
from jaxrnn.pomdp.model import POMDP

MOST = 10**8  # numbers in an array

_NAMES = ("states", "actions", "observations")
_KEYWORDS = {"discount", "values", *_NAMES, "start", "T", "O", "R"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class _Word(NamedTuple):
    text: str
    line: int


class _Statement(NamedTuple):
    keyword: _Word
    words: list[_Word]  # colons among them


def read_pomdp(path: Path | str, *, seen_at_start: bool = False) -> POMDP:
    """The POMDP in a file; as for `parse_pomdp`.

    Raises:
      InputError: it cannot be read, or is none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8"
        raise InputError(f"{path} cannot be read ({reason}); give a .POMDP file") from None
    return parse_pomdp(text, str(path), seen_at_start=seen_at_start)


def parse_pomdp(text: str, name: str = "the text", *, seen_at_start: bool = False) -> POMDP:
    """The POMDP that a text describes.

    Rewards that depend on the observation are taken as their mean over observations.

    Args:
      text: in Cassandra's format.
      name: what errors call it.
      seen_at_start: whether the state that an episode starts in is observed before the first
        action, as any other one; the format itself has an observation only after an action.

    Raises:
      InputError: a line says something else than the format knows, or probabilities do not add up.
    """
    return _Reader(name).read(text, seen_at_start)


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.of: dict[str, list[str]] = {}  # names by what they are of

    def read(self, text: str, seen_at_start: bool) -> POMDP:
        statements = list(self.statements(text))
        preamble = {s.keyword.text: s for s in statements if s.keyword.text not in "TOR"}
        for what in ("discount", *_NAMES):
            if what not in preamble:
                raise InputError(f"{self.name} has no line '{what}:'; a POMDP file needs one")
        for what in _NAMES:
            self.of[what] = self.names(preamble[what])
        states, actions, seen = (len(self.of[what]) for what in _NAMES)
        if actions * states * states * seen > MOST:
            raise InputError(
                f"{self.name} has {states} states, {actions} actions and {seen} observations; "
                f"arrays of more than {MOST:,} numbers are not read"
            )
        discount = self.number(self.only(preamble["discount"]))
        sign = 1.0
        if "values" in preamble:
            word = self.only(preamble["values"])
            if word.text not in ("reward", "cost"):
                raise self.wrong(word, "reward or cost")
            sign = 1.0 if word.text == "reward" else -1.0
        transition = np.zeros((actions, states, states))
        observation = np.zeros((actions, states, seen))
        reward = np.zeros((actions, states, states, seen))
        kinds = {
            "T": (transition, ("actions", "states", "states")),
            "O": (observation, ("actions", "states", "observations")),
            "R": (reward, ("actions", "states", "states", "observations")),
        }
        start = self.start(preamble.get("start"), states)
        for statement in statements:
            if statement.keyword.text in kinds:
                array, axes = kinds[statement.keyword.text]
                self.fill(statement, array, axes, start)
        mean = sign * np.einsum("asto,ato->ast", reward, observation)
        first = None
        if seen_at_start:
            if not (observation == observation[:1]).all():
                raise InputError(
                    f"what is seen in {self.name} depends on the action before, of which there is "
                    "none at the start; read it with seen_at_start=False"
                )
            first = observation[0]
        try:
            return POMDP(
                transition, observation, mean, start, discount, first,
                *(self.of[what] for what in _NAMES),
            )  # fmt: skip
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None

    def statements(self, text: str) -> Iterator[_Statement]:
        """Keywords, and the words that follow until the next one."""
        words = [
            _Word(word, number)
            for number, line in enumerate(text.splitlines(), 1)
            for word in re.findall(r":|[^\s:]+", line.partition("#")[0])
        ]
        begins = [
            i for i, word in enumerate(words[:-1])
            if word.text in _KEYWORDS
            and (words[i + 1].text == ":" or words[i + 1].text in ("include", "exclude"))
            and (not i or words[i - 1].text != ":" or word.text in ("T", "O", "R"))
        ]  # fmt: skip
        if not words or not begins or begins[0] != 0:
            what = (
                f"line {words[0].line} of {self.name}, '{words[0].text}'," if words else self.name
            )
            raise InputError(
                f"{what} is no POMDP file's; it begins with lines such as 'discount: 0.95'"
            )
        for i, j in zip(begins, [*begins[1:], len(words)], strict=True):
            rest = words[i + 1 : j]
            yield _Statement(words[i], rest[1:] if rest[0].text == ":" else rest)

    def names(self, statement: _Statement) -> list[str]:
        """Those given, or the numbers from 0."""
        words = [word.text for word in statement.words]
        if len(words) == 1 and words[0].isdecimal():
            count = int(words[0])
            if not 0 < count <= MOST:
                raise self.wrong(statement.words[0], "a number of them, at least 1")
            return list(map(str, range(count)))
        if not words or len(set(words)) < len(words):
            raise self.wrong(statement.keyword, "their number, or names that are all different")
        return words

    def start(self, statement: _Statement | None, states: int) -> np.ndarray:
        """The probability of each state at first; without a line, all are equally likely."""
        if statement is None:
            return np.full(states, 1 / states)
        words = statement.words
        if words and words[0].text in ("include", "exclude"):
            named = [self.index("states", word) for word in words[1:] if word.text != ":"]
            chosen = np.isin(np.arange(states), [i for part in named for i in part])
            chosen = chosen if words[0].text == "include" else ~chosen
            if not chosen.any():
                raise self.wrong(words[0], "at least one state to start in")
            return chosen / chosen.sum()
        if len(words) == 1 and words[0].text == "uniform":
            return np.full(states, 1 / states)
        if len(words) == states and all(_NUMBER.fullmatch(word.text) for word in words):
            return np.array([float(word.text) for word in words])
        chosen = np.isin(np.arange(states), [i for w in words for i in self.index("states", w)])
        if not chosen.any():
            raise self.wrong(statement.keyword, f"{states} probabilities, or states")
        return chosen / chosen.sum()

    def fill(
        self, statement: _Statement, array: np.ndarray, axes: Sequence[str], start: np.ndarray
    ) -> None:
        """Puts what a line of T, O or R says into its array; a reset leads to the start."""
        words, chosen = list(statement.words), []
        while words and len(chosen) < len(axes):
            chosen.append(self.index(axes[len(chosen)], words.pop(0)))
            if not words or words[0].text != ":":
                break
            words.pop(0)
        rest = array.shape[len(chosen) :]
        place = np.ix_(*chosen)
        said = [word.text for word in words]
        if said == ["identity"] and len(rest) == 2 and rest[0] == rest[1]:
            array[place] = np.eye(rest[0])
        elif said == ["reset"] and rest and statement.keyword.text == "T":
            array[place] = start
        elif said == ["uniform"] and rest and statement.keyword.text != "R":
            array[place] = 1 / rest[-1]
        elif len(said) == int(np.prod(rest)):
            array[place] = np.array([self.number(word) for word in words]).reshape(rest)
        else:
            shape = " x ".join(map(str, rest)) or "1"
            raise self.wrong(
                statement.keyword, f"{shape} numbers after what it is about, not {len(said)}"
            )

    def index(self, what: str, word: _Word) -> list[int]:
        """The numbers of what is named; of all, for a star."""
        names = self.of[what]
        if word.text == "*":
            return list(range(len(names)))
        if word.text in names:
            return [names.index(word.text)]
        if word.text.isdecimal() and int(word.text) < len(names):
            return [int(word.text)]
        raise self.wrong(word, f"one of the {what}")

    def only(self, statement: _Statement) -> _Word:
        if len(statement.words) != 1:
            raise self.wrong(statement.keyword, "one word after it")
        return statement.words[0]

    def number(self, word: _Word) -> float:
        if not _NUMBER.fullmatch(word.text):
            raise self.wrong(word, "a number")
        return float(word.text)

    def wrong(self, word: _Word, expected: str) -> InputError:
        return InputError(
            f"line {word.line} of {self.name} has '{word.text}'; expected is {expected}"
        )
