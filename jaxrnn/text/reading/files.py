"""Files as streams of bytes: looked at before they are read, unpacked, with errors named."""

import contextlib
import os
import shutil
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from jaxrnn.core.errors import InputError

BLOCK = 2**20
HEAD = 2**16  # bytes at a file's beginning that tell what it is
UNFINISHED = "writing-"
WEEK = 7 * 24 * 3600  # seconds


class Damaged(Exception):
    """Compressed bytes that cannot be unpacked."""


# What the libraries that unpack raise for damaged bytes, beside OSError.
UNPACKING = (
    Damaged, EOFError, RuntimeError, ValueError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


@runtime_checkable
class Readable(Protocol):
    """What gives at most `size` bytes, and none only at its end."""

    def read(self, size: int, /) -> bytes: ...


class Stream:
    """A file's bytes, to be read once from first to last.

    Whatever reading raises becomes an `InputError` that names the file.
    """

    def __init__(self, path: Path, file: Readable):
        self.path = path
        self._file = file
        self._waiting = b""

    def head(self, size: int = HEAD) -> bytes:
        """The next `size` bytes, which stay to be read; fewer at the end."""
        with naming(self.path):
            while len(self._waiting) < size:
                data = self._file.read(size - len(self._waiting))
                if not data:
                    break
                self._waiting += data
        return self._waiting[:size]

    def read(self, size: int = BLOCK, /) -> bytes:
        """The next `size` bytes; fewer at the end."""
        data = self.head(size)
        self._waiting = self._waiting[size:]
        return data

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """All the bytes, `size` at a time."""
        while data := self.read(size):
            yield data


def check_file(path: Path) -> None:
    """Raises `InputError` unless `path` is a file that exists, can be read and is not empty."""
    name = named(path)
    if path.is_symlink() and not os.path.exists(path):  # noqa: PTH110 (no error for a loop)
        target = named(path.readlink())
        raise InputError(f"{name} is a link to {target}, which is not there; mend or remove it")
    if not path.exists():
        raise InputError(f"there is no file {name}")
    if not path.is_file():
        raise InputError(f"{name} is neither a file nor a directory; give a text file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{name} cannot be read: allow it with chmod u+r, or give another file")
    if path.stat().st_size == 0:
        raise InputError(f"{name} is empty; give a file with text in it")


def named(path: Path | str) -> str:
    """A path for a sentence: as it is, or in quotes where it would be misread."""
    text = str(path)
    return text if text and text.isprintable() and text == text.strip() else ascii(text)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Around what opens, reads and unpacks a file: its errors become `InputError`."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        if error.errno is not None:
            told = f"{named(path)} cannot be read: {error.strerror}"
            raise InputError(told) from error
        raise _damaged(path, error) from error  # how gzip and bz2 report bytes that are not theirs
    except UNPACKING as error:
        raise _damaged(path, error) from error


@contextlib.contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A directory of this process's own within a folder, to write what is then moved out of it.

    It goes with what is left in it; what killed processes left a week ago goes as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):  # another process may be removing it
            if left.stat().st_mtime < time.time() - WEEK:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=folder, prefix=UNFINISHED) as inner:
        yield Path(inner)


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{named(path)} is damaged: it begins as a compressed file does, but cannot be unpacked"
        f" ({error}); fetch or compress it again"
    )
