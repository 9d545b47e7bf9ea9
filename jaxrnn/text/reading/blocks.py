"""Texts that come in blocks: in larger ones, line by line, and between two places."""

from collections.abc import Iterable, Iterator
from typing import Any

from jaxrnn.text.reading.files import BLOCK


def regroup(pieces: Iterable[str], block: int = BLOCK) -> Iterator[str]:
    """The same text in blocks of at least `block` characters, but for the last."""
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= block:
            yield "".join(waiting)
            waiting, size = [], 0
    if size:
        yield "".join(waiting)


def lines(blocks: Iterable[Any], end: str | bytes) -> Iterator[Any]:
    """The lines of a text, without their ends; the last one may lack its own.

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


def between(blocks: Iterable[Any], start: int, end: int) -> Iterator[Any]:
    """What of a text is between two places."""
    at = 0
    for block in blocks:
        yield block[max(0, start - at) : max(0, end - at)]
        at += len(block)
