"""Compressed files, known by how they begin and not by their names.

The first bytes are those of RFC 1952 (gzip), RFC 8878 (zstd) and of the descriptions of bzip2, xz,
zip (PKWARE's APPNOTE), 7-Zip, RAR, LZ4, lzip, lzop, compress and POSIX tar.
"""

import bz2
import contextlib
import gzip
import lzma
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from jaxrnn.core.errors import InputError, installed
from jaxrnn.text.reading.files import BLOCK, Damaged, Readable, Stream, named, naming

LAYERS = 4  # of compression, one within the other

# A text may begin with BZh or with PK: what follows counts too.
BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # a frame, or one to be skipped

# What takes a program to unpack, and the program.
ELSEWHERE = {
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", "7z x"),
    b"Rar!\x1a\x07": ("a RAR archive", "unrar x"),
    b"\x04\x22\x4d\x18": ("an LZ4 file", "lz4 -d"),
    b"LZIP\x01": ("an lzip file", "lzip -d -k"),
    b"\x89LZO\x00": ("an lzop file", "lzop -d"),
    b"\x1f\x9d": ("a file of the program compress", "uncompress -k"),
}
DOCUMENTS = {"[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF"}  # a zip that is one thing


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[Stream]:
    """A file's bytes, unpacked: gzip, bzip2, xz, lzma, zstd, or a zip archive with one file in it.

    Several streams one after the other, as `cat a.gz b.gz` makes them, are read as one; so is a
    compressed file that was compressed again. Raises `InputError` for a file that is damaged or
    cannot be read, at once or while it is read, for bytes after a compressed file's end, and for
    what is packed in another way.
    """
    with contextlib.ExitStack() as stack:
        with naming(path):
            stream = Stream(path, stack.enter_context(path.open("rb")))
        for layer in range(LAYERS + 1):
            with naming(path):
                inner = _unpacked(stream, layer, stack)
            if inner is None:
                break
            stream = Stream(path, inner)
        else:
            raise InputError(
                f"{named(path)} is compressed more than {LAYERS} times over; unpack it"
            )
        yield stream


def _unpacked(stream: Stream, layer: int, stack: contextlib.ExitStack) -> Readable | None:
    """What is within a stream; None if it is not compressed."""
    head = stream.head(512)
    if head.startswith(b"\x1f\x8b\x08"):
        return cast(Readable, gzip.GzipFile(fileobj=cast(Any, stream), mode="rb"))
    if BZIP2.match(head):
        return _Streams(stream, bz2.BZ2Decompressor)
    if head.startswith(b"\xfd7zXZ\x00") or _is_lzma(head):
        return _Streams(stream, lzma.LZMADecompressor)
    if ZSTD.match(head):
        return _Streams(stream, _zstd_decompressor())
    if head.startswith(ZIP):
        return _member(stream.path, layer, stack)
    path = named(stream.path)
    for start, (what, program) in ELSEWHERE.items():
        if head.startswith(start):
            raise InputError(
                f"{path} is {what}; unpack it ({program} FILE) and give what comes out"
            )
    if head[257:262] == b"ustar":
        raise InputError(
            f"{path} is a tar archive; unpack it (tar -xf FILE) and give the directory"
        )
    return None


class _Streams:
    """The content of compressed streams that follow one another; padding by zeros is no content."""

    def __init__(self, file: Readable, begin: Callable[[], Any]):
        self._file = file
        self._begin = begin
        self._decompressor = begin()

    def read(self, size: int, /) -> bytes:
        while True:
            if self._decompressor.eof:
                data = self._decompressor.unused_data.lstrip(b"\0")
                while not data:
                    data = self._file.read(BLOCK)
                    if not data:
                        return b""
                    data = data.lstrip(b"\0")
                self._decompressor = self._begin()
            elif self._decompressor.needs_input:
                data = self._file.read(BLOCK // 16)
                if not data:
                    raise EOFError("it ends too early")
            else:
                data = b""
            try:
                unpacked = self._decompressor.decompress(data, size)
            except Exception as error:  # each library has one of its own
                raise Damaged(str(error)) from error
            if unpacked:
                return unpacked


def _is_lzma(head: bytes) -> bool:
    """Whether bytes begin as xz's old format does, which has no mark of its own: by the sizes."""
    dictionary = int.from_bytes(head[1:5], "little")
    is_usual = dictionary >= 2**12 and dictionary.bit_count() <= 2
    size = head[5:13]
    return head[:1] == b"]" and is_usual and (size == b"\xff" * 8 or size[5:] == b"\0\0\0")


def _zstd_decompressor() -> Callable[[], Any]:
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    with installed():
        return import_module(name).ZstdDecompressor


def _member(path: Path, layer: int, stack: contextlib.ExitStack) -> Readable:
    """The one file in a zip archive."""
    if layer:
        raise InputError(
            f"{named(path)} is a zip archive within another compression; unpack it once"
        )
    archive = stack.enter_context(zipfile.ZipFile(path))
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/")  # Finder's own
    ]
    if DOCUMENTS & {member.filename for member in members}:
        raise InputError(
            f"{named(path)} is a document or a program, not a text; save its text as a plain file"
        )
    if len(members) != 1:
        raise InputError(
            f"{named(path)} holds {len(members)} files where one was expected;"
            " unpack it and give the directory"
        )
    if members[0].flag_bits & 1:
        raise InputError(f"{named(path)} is encrypted; unpack it with its password")
    return cast(Readable, stack.enter_context(archive.open(members[0])))
