"""One file as a stream of blocks: plain or compressed, as bytes or as text, with errors named."""

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from jaxrnn.core.errors import InputError

BLOCK = 2**20
COMPRESSED = (".gz", ".bz2", ".xz", ".zip")


def check_file(path: Path) -> None:
    """Raises `InputError` unless `path` is a file that exists, can be read and is not empty."""
    if not path.exists():
        raise InputError(f"there is no file {path}")
    if not path.is_file():
        raise InputError(f"{path} is neither a file nor a directory; give a text file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} cannot be read: allow it with chmod u+r, or give another file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; give a file with text in it")


def byte_blocks(path: Path, block: int = BLOCK) -> Iterator[bytes]:
    """The bytes of a file, decompressed according to its suffix, at most `block` at a time.

    Raises `InputError` if the file is damaged or cannot be read.
    """
    with open_bytes(path) as file:
        while data := file.read(block):
            yield data


def text_blocks(path: Path, encoding: str, block: int = BLOCK) -> Iterator[str]:
    r"""The text of a file, with every line end as \n and without a byte order mark.

    Raises `InputError` as `byte_blocks` does, and if the bytes are not text in the encoding.
    """
    name = codecs.lookup(encoding).name
    decoder = codecs.getincrementaldecoder(name)()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    position = 0  # in bytes, of what the decoder has not seen yet
    for data in byte_blocks(path, block):
        if position == 0 and name == "utf-8" and data.startswith(codecs.BOM_UTF8):
            position = len(codecs.BOM_UTF8)
            data = data[position:]
        held_back = len(decoder.getstate()[0])  # the start of a character cut by the block's end
        yield newlines.decode(_decode(decoder, data, path, encoding, position - held_back))
        position += len(data)
    held_back = len(decoder.getstate()[0])
    last = _decode(decoder, b"", path, encoding, position - held_back, final=True)
    yield newlines.decode(last, final=True)


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


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedIOBase]:
    """A file opened for reading bytes; what goes wrong while it is open becomes `InputError`."""
    try:
        with contextlib.ExitStack() as stack:
            yield stack.enter_context(_opened(path, stack))
    except (EOFError, RuntimeError, lzma.LZMAError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(_damaged(path, error)) from error
    except OSError as error:
        if error.errno is None:  # how gzip and bz2 report bytes that are not theirs
            raise InputError(_damaged(path, error)) from error
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _opened(path: Path, stack: contextlib.ExitStack) -> io.BufferedIOBase:
    match path.suffix.lower():
        case ".gz":
            return gzip.open(path)
        case ".bz2":
            return bz2.open(path)
        case ".xz":
            return lzma.open(path)
        case ".zip":
            archive = stack.enter_context(zipfile.ZipFile(path))
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise InputError(
                    f"{path} holds {len(members)} files where one was expected;"
                    " unpack it and give the directory"
                )
            return cast(io.BufferedIOBase, archive.open(members[0]))
        case _:
            return path.open("rb")


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"{path} is damaged, or not what its suffix {path.suffix} says ({error});"
        " fetch or compress it again"
    )


def _decode(
    decoder: codecs.IncrementalDecoder,
    data: bytes,
    path: Path,
    encoding: str,
    position: int,
    final: bool = False,
) -> str:
    try:
        return decoder.decode(data, final)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not {encoding} text: {error.reason} at byte {position + error.start};"
            " convert it to UTF-8, or read it at byte level (--bytes)"
        ) from error
