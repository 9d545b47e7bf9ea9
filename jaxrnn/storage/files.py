"""Files that no crash leaves half-written, and the strict JSON that runs keep in them."""

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from jaxrnn.core.errors import InputError

SURROGATE = re.compile("[\ud800-\udfff]")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Has an `OSError` name the file that a person knows.

    A full disk names none by itself, and a file that is written beside another one names itself.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def replace(path: Path, content: bytes) -> None:
    """Writes a file at once: a reader, or a crash, sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.unfinished")
    try:
        with writing(path):
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # before it takes the name: a power cut may empty it
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def to_json(value: Any, **layout: Any) -> str:
    """As `json.dumps`, but what is not finite, for which JSON has no word, becomes null.

    The halves of surrogates that stand for the bytes of a name which is not UTF-8 are escaped.
    """
    text = json.dumps(_finite(value), allow_nan=False, **layout)
    return SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def append_record(path: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Adds an object to a file of one a line, and returns it as it will be read.

    It is on the disk when this returns. One process may append at a time.
    """
    line = to_json(record)
    with writing(path), path.open("ab+") as file:
        _end_line(file)
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return json.loads(line)


def read_records(path: Path, **fields: type | tuple[type, ...]) -> list[dict[str, Any]]:
    """The objects in a file of one a line, which need not exist, that have all these fields.

    A line that a crash cut short is left out, and so is whatever else is no such object.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return []
    records = filter(None, map(_parsed, lines))
    return [
        record
        for record in records
        if all(isinstance(record.get(name), kind) for name, kind in fields.items())
    ]


def _end_line(file: BinaryIO) -> None:
    """Cuts off a last line that a crash left unfinished: it would take the next one with it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if file.read(1) in (b"\n", b""):
        return
    file.seek(0)
    content = file.read()
    start = content.rfind(b"\n") + 1
    if _parsed(content[start:]) is None:
        file.truncate(start)
    else:  # all there but its end
        file.write(b"\n")


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        # A power cut may leave zeros where a line was to be, and the next one after them.
        record = json.loads(line.strip(b"\0").decode())
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(inside) for name, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inside) for inside in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def user_path(text: str) -> Path:
    """The path that a person wrote, `~` expanded."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"there is no home folder for {text}; write the path out") from None
