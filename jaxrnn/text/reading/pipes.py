"""Text that comes once, through a pipe: copied to a file, which can be read again and found again.

The copy's name is the SHA-256 of its bytes: the same text has the same path whenever it comes.
"""

import hashlib
import os
import stat
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading.download import cache_folder
from jaxrnn.text.reading.files import BLOCK, named, naming, workshop

STANDARD_INPUT = "-"
_NO_INPUT = "there is no standard input to read; pipe a text in, or give a path"


def copies() -> Path:
    """The folder of the copies."""
    return cache_folder() / "piped"


def pipe_behind(name: str) -> tuple[int, int] | None:
    """What tells one pipe from another, if a name stands for one: `-`, or a path.

    What is redirected to the standard input counts as a pipe, by the name `-`. Raises `InputError`
    for devices, which may never end, and for a standard input that is closed.
    """
    try:
        found = os.fstat(_standard_input()) if name == STANDARD_INPUT else os.stat(name)  # noqa: PTH116
    except (OSError, ValueError):
        if name == STANDARD_INPUT:
            raise InputError(_NO_INPUT) from None
        return None  # no such path, and so no pipe
    if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
        raise InputError(
            f"{_shown(name)} is a terminal or another device, not a text; give a file or a pipe"
        )
    is_pipe = stat.S_ISFIFO(found.st_mode) or name == STANDARD_INPUT
    return (found.st_dev, found.st_ino) if is_pipe else None


def copied(name: str) -> Path:
    """A copy of all that comes through a pipe, made a block at a time; it may take the disk's room.

    Raises `InputError` for a pipe that cannot be read or brings nothing, and for a cache folder
    that cannot be written. An interrupted copy is removed.
    """
    folder = copies()
    try:
        with workshop(folder) as temporary:
            path = temporary / "copy"
            with path.open("wb") as file:
                sha256 = spool(name, file)
                file.flush()
                os.fsync(file.fileno())  # before it takes its name
            return path.rename(folder / sha256)
    except OSError as error:
        raise InputError(
            f"the cache folder {named(folder)} cannot be written ({error.strerror});"
            " set JAXRNN_CACHE to one that can, with room for what is piped in"
        ) from error


def spool(name: str, file: BinaryIO) -> str:
    """Writes all that comes through a pipe to a file, a block at a time; returns its SHA-256.

    Raises `InputError` for a pipe that cannot be read or brings nothing, and what writing raises.
    """
    sha256, size = hashlib.sha256(), 0
    with _opened(name) as pipe:
        while data := _read(name, pipe):
            sha256.update(data)
            size += file.write(data)
    if size == 0:
        raise InputError(f"{_shown(name)} is empty; give a text")
    return sha256.hexdigest()


def _read(name: str, pipe: Any) -> bytes:
    with naming(Path(_shown(name))):
        return pipe.read(BLOCK)


def _opened(name: str) -> Any:
    if name == STANDARD_INPUT and sys.stdin is None:
        raise InputError(_NO_INPUT)
    with naming(Path(_shown(name))):
        return nullcontext(sys.stdin.buffer) if name == STANDARD_INPUT else Path(name).open("rb")


def _standard_input() -> int:
    if sys.stdin is None:
        raise OSError("it is closed")
    return sys.stdin.fileno()


def _shown(name: str) -> str:
    return "the standard input" if name == STANDARD_INPUT else named(name)
