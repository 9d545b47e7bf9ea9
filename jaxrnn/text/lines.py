"""A stream of text, line by line."""

from collections.abc import Iterable, Iterator
from typing import Any


def lines(blocks: Iterable[Any], end: str | bytes) -> Iterator[Any]:
    """The lines of a text in blocks, without their ends; the last one may lack its own.

    All are of the type of `end`, one character or byte; nothing else ends a line.
    """
    nothing = end[:0]
    unfinished = []
    for block in blocks:
        first, *others = block.split(end)
        unfinished.append(first)
        for line in others:
            yield nothing.join(unfinished)
            unfinished = [line]
    if any(unfinished):
        yield nothing.join(unfinished)
