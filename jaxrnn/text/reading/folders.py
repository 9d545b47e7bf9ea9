"""The texts in a directory and in those below: its .txt files, compressed or not."""

import os
import re
from pathlib import Path

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading.files import check_file, named, naming

TEXT = re.compile(r"\.txt(\.(gz|bz2|xz|lzma|zst|zip))?$", re.IGNORECASE)
SHOWN = 3  # names of other files, in an error's sentence


def text_files(folder: Path) -> list[Path]:
    """The files in a directory whose names end in .txt or .txt.gz and so on, sorted by path.

    Names that begin with a dot are left out, as the shell leaves them out, and files that are
    empty. Links to directories are followed, each directory is read once. Raises `InputError` for
    a directory or file that cannot be read, a link to nothing, and where no text is found.
    """
    files = _files_below(folder, set())
    texts = sorted(path for path in files if TEXT.search(path.name))
    full = [path for path in texts if not (path.is_file() and path.stat().st_size == 0)]
    for path in {*full, *(path for path in files if not path.exists())}:  # links to nothing too
        check_file(path)
    if texts and not full:
        raise InputError(
            f"all .txt files in the directory {named(folder)} are empty; give one with text in it"
        )
    if not texts:
        names = [named(path.relative_to(folder)) for path in sorted(files)]
        others = ", ".join(names[:SHOWN]) + (" and others" if len(names) > SHOWN else "")
        raise InputError(
            f"the directory {named(folder)} has no .txt file in it"
            + (f", but {others}, which can be given by name" if names else "; give one that has")
        )
    return full


def _files_below(folder: Path, seen: set[tuple[int, int]]) -> list[Path]:
    with naming(folder):
        here = folder.stat()
        if (here.st_dev, here.st_ino) in seen:  # by two links, or in a circle
            return []
        seen.add((here.st_dev, here.st_ino))
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
        below = sorted(Path(entry.path) for entry in visible if entry.is_dir())
        files = [Path(entry.path) for entry in visible if not entry.is_dir()]
    return files + [file for inner in below for file in _files_below(inner, seen)]
