"""Where a text that is being written ends: after a length, at a stop text, after so many lines."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxrnn.core.errors import InputError
from jaxrnn.text.vocabulary import Text, Vocabulary, codes


class Ending(NamedTuple):
    """What ends a text; what comes first counts. By default nothing does.

    Attributes:
      length: how many symbols, at most.
      stop: texts at whose first occurrence it ends; what was found is left out.
      lines: after how many line ends, the last of which is kept.
    """

    length: int | None = None
    stop: tuple[Text, ...] = ()
    lines: int | None = None

    @property
    def comes(self) -> bool:
        """Whether there is anything that may end a text."""
        return self != Ending()

    def checked(self, vocabulary: Vocabulary) -> "Ending":
        """The same for texts of a vocabulary, its stop texts normalised as those are.

        Raises:
          InputError: a limit is out of its range, or never reached by these symbols.
        """
        if self.length is not None and self.length < 0:
            raise InputError(f"the length is {self.length}; it must be at least 0")
        if self.lines is not None and self.lines < 1:
            raise InputError(f"the number of lines is {self.lines}; it must be at least 1")
        if self.lines is not None and vocabulary.unknown_in(vocabulary.normalise("\n")):
            raise InputError(
                "lines cannot be counted: there is no line end among the symbols of the model; "
                "give a length or a stop text"
            )
        if self.lines is not None and vocabulary.collapse_whitespace:
            raise InputError(
                "lines cannot be counted: the model writes line ends as spaces; give a length or a "
                "stop text"
            )
        stops = tuple(vocabulary.normalise(stop) for stop in self.stop)
        for given, stop in zip(self.stop, stops, strict=True):
            if not stop:
                raise InputError("a stop text is empty; give at least one character")
            if unknown := vocabulary.unknown_in(stop):
                raise InputError(
                    f"the model never writes {next(iter(unknown))!r}, so that the stop text "
                    f"{given!r} would never come; give another"
                )
        return self._replace(stop=stops)


class Cut:
    """One text while it is written: takes pieces, and gives back what belongs to it.

    It holds back what might be the beginning of a stop text until more has come.
    """

    def __init__(self, ending: Ending) -> None:
        self.ended = ending.length == 0
        self._ending = ending
        self._length = 0  # of what was given back
        self._lines = 0
        self._held: Text | None = None

    def add(self, piece: Text) -> Text:
        """What can be written, of what was held back and this piece."""
        held = piece if self._held is None else self._held + piece  # type: ignore[operator]
        ends = list(self._ends(held))
        if self.ended or ends:
            cut = min(ends)[1] if ends else 0
            self.ended = True
        else:
            longest = max(map(len, self._ending.stop), default=1)
            cut = max(0, len(held) - (longest - 1))
        given, self._held = held[:cut], held[cut:]
        self._length += len(given)
        if self._ending.lines is not None:
            self._lines += int((codes(given) == ord("\n")).sum())
        return given

    def _ends(self, held: Text) -> Iterator[tuple[int, int]]:
        """Where each limit is reached, and where it cuts; of equals the shortest text counts."""
        if self._ending.length is not None:
            left = self._ending.length - self._length
            if len(held) >= left:
                yield left, left
        if self._ending.lines is not None:
            left = self._ending.lines - self._lines
            ends = np.flatnonzero(codes(held) == ord("\n"))
            if len(ends) >= left:
                yield int(ends[left - 1]) + 1, int(ends[left - 1]) + 1
        for stop in self._ending.stop:
            start = held.find(stop)  # type: ignore[arg-type]
            if start >= 0:
                yield start + len(stop), start
