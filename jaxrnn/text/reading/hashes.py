"""The SHA-256 of files, remembered for as long as a file is certainly the one that was hashed.

As git does with its index: a file's facts (where it lies on the disk, its size, its times) are
remembered beside its hash, and a file with the same facts is not read again. A change within one
tick of the disk's clock may leave the facts as they were, so they are remembered only if they were
older than any tick when the hashing began.

A file that is replaced, whatever its size and its time of modification are made to be, has another
inode or another time of change, which no program can set. What remains is what escapes that clock:
a system clock set back to the same nanosecond, writing to the disk below its file system, or
through a memory map whose pages the system has not looked at yet, and file systems that keep no
such times (FAT; Windows, where it is the time of creation).
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from jaxrnn.text.reading.files import naming, workshop

TICK = 2 * 10**9  # nanoseconds; the coarsest clock of a file system, that of FAT


def content_hashes(paths: Sequence[Path], folder: Path | None = None) -> list[str]:
    """The SHA-256 of each file's bytes, in hexadecimal.

    `folder`, where given, is where hashes are remembered, in one file for these paths. Raises
    `InputError` for a file that cannot be read.
    """
    names = [str(path) for path in paths]
    key = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]
    memory = folder / f"{key}.hashes" if folder else None
    known = _remembered(memory) if memory else {}
    now: dict[str, list] = {}
    hashes = []
    for name, path in zip(names, paths, strict=True):
        with naming(path):
            facts, sha256 = _facts(path.stat()), None
            if known.get(name, [])[:-1] == facts:
                sha256 = known[name][-1]
                now[name] = known[name]
            else:
                sha256, facts, is_settled = _hashed(path)
                if is_settled:
                    now[name] = [*facts, sha256]
        hashes.append(sha256)
    if memory and now != known:
        _remember(memory, now)
    return hashes


def _hashed(path: Path) -> tuple[str, list[int], bool]:
    """Hash and facts of a file; and whether a later change is sure to change the facts."""
    began = time.time_ns()
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    facts = _facts(path.stat())
    is_old = max(before.st_mtime_ns, before.st_ctime_ns) + TICK < began
    return sha256, facts, is_old and facts == _facts(before)


def _facts(stat: os.stat_result) -> list[int]:
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _remembered(memory: Path) -> dict[str, list]:
    try:
        known = json.loads(memory.read_bytes())
        return {name: [*map(int, facts), str(sha256)] for name, (*facts, sha256) in known.items()}
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return {}  # there is none, or it is damaged


def _remember(memory: Path, known: dict[str, list]) -> None:
    # Where it cannot be written, files are hashed again the next time: no more is lost.
    with contextlib.suppress(OSError), workshop(memory.parent) as folder:
        written = folder / "hashes"
        written.write_text(json.dumps(known))
        written.replace(memory)
