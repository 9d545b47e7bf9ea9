"""A corpus as one array of symbol numbers, made once, kept on disk and mapped into memory.

The corpus is streamed twice: the first time to learn its length and which symbols the training
part has, the second time to write. Where rare ones are left out it is streamed once more in
between, to count: only then is it known where the training part ends. No step holds more than a
block of it, whatever its size.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import Int64

from jaxrnn.core.errors import InputError
from jaxrnn.text.encoded import EncodedText, Rare, read_encoded, write_encoded
from jaxrnn.text.reading.corpora import Corpus
from jaxrnn.text.reading.download import cache_folder
from jaxrnn.text.vocabulary import Level, Vocabulary, codes, lower

FORMAT = 3  # to be raised when the same options come to mean other tokens or other files
CODE_POINTS = 0x110000
NEVER = np.iinfo(np.int64).max


def encode_corpus(
    corpus: Corpus,
    *,
    split: Sequence[float] = (0.9, 0.05, 0.05),
    level: Level = "character",
    lowercase: bool = False,
    collapse_whitespace: bool = False,
    vocabulary: Vocabulary | None = None,
    extend: bool = False,
    minimum_count: int = 1,
    cache_dir: Path | None = None,
) -> EncodedText:
    """The corpus in numbers, from the cache if it has been encoded in this way before.

    `split` gives the fractions for training, validation and test. The vocabulary is what occurs in
    the training split, but for characters that occur there fewer than `minimum_count` times. If one
    is given instead (to evaluate a model on another text), it decides the level and the
    normalisation, and the three options here are not looked at; with `extend` (to train a model
    further) the training split's symbols are added to it in the same way. `cache_dir` defaults to
    `encodings` in the cache folder.

    Raises `InputError` for a split or level that is none, a corpus that is empty or cannot be read
    as text, a `minimum_count` of bytes or one that leaves nothing, and a cache folder that cannot
    be written. Several processes may call this at the same time.
    """
    _check_split(split)
    if level not in get_args(Level):
        raise InputError(f"there is no level {level!r}; give one of {', '.join(get_args(Level))}")
    if vocabulary is None:  # so far with its options only
        options = Vocabulary("" if level == "character" else b"", lowercase, collapse_whitespace)
    else:
        options = vocabulary
    if minimum_count > 1 and options.level == "byte":
        raise InputError("a minimum_count is one of characters; leave it out for bytes")
    grows = vocabulary is None or extend
    folder = cache_dir or cache_folder() / "encodings"
    rule = options.to_dict() | {"minimum_count": minimum_count if grows else None}
    key = _key(corpus, folder, split, rule)
    cached = read_encoded(folder, key)
    if cached is not None:
        return cached

    scan = _scan(normalised_blocks(corpus, options))
    if scan.length == 0:
        raise InputError(f"the corpus {corpus.description} has no text in it; give one that has")
    train_end, valid_end = _boundaries(scan.length, split)
    if train_end == 0:
        raise InputError(
            f"the corpus {corpus.description} is too short to split: of its {scan.length} symbols"
            f" a fraction of {split[0]} for training is none; give more text or a larger fraction"
        )
    rare = Rare()
    vocabulary = options
    if grows:
        found = np.flatnonzero(scan.first < train_end)
        if minimum_count > 1:
            counts = _counts(normalised_blocks(corpus, options), train_end)
            found, rare = _without_rare(found, counts, minimum_count, options)
        vocabulary = options.extended(_joined(found, options))
    try:
        encoded = write_encoded(
            folder,
            key,
            normalised_blocks(corpus, options),
            vocabulary=vocabulary,
            length=scan.length,
            sha256=scan.sha256,
            boundaries=(train_end, valid_end),
            rare=rare,
        )
    except OSError as error:
        raise InputError(
            f"the cache folder {folder} cannot be written ({error.strerror});"
            " set JAXRNN_CACHE to one that can, with room for the corpus"
        ) from error
    if encoded is None or encoded.length != scan.length or _key(corpus, folder, split, rule) != key:
        raise InputError(
            f"the corpus {corpus.description} changed while it was being read; try again"
        )
    return encoded


def divided(text: EncodedText, split: Sequence[float]) -> EncodedText:
    """The same text in splits of other fractions."""
    _check_split(split)
    train_end, valid_end = _boundaries(text.length, split)
    return replace(text, train_end=train_end, valid_end=valid_end)


@dataclass(frozen=True, eq=False)
class _Scan:
    """What the first reading finds; `first` is where each code first appears, or `NEVER`."""

    length: int
    sha256: str
    first: Int64[np.ndarray, " codes"]


def _scan(blocks: Iterator[str | bytes]) -> _Scan:
    first = np.full(CODE_POINTS, NEVER)
    sha256 = hashlib.sha256()
    length = 0
    for block in blocks:
        sha256.update(block if isinstance(block, bytes) else block.encode("utf-8", "surrogatepass"))
        found = codes(block)
        # Sorting a block takes thirty times as long as seeing that it brings nothing new.
        (new,) = np.nonzero(first[found] == NEVER)
        symbols, places = np.unique(found[new], return_index=True)
        first[symbols] = length + new[places]
        length += len(found)
    return _Scan(length, sha256.hexdigest(), first)


def _counts(blocks: Iterator[str | bytes], end: int) -> Int64[np.ndarray, " codes"]:
    """How often each code occurs before a place in the text."""
    counts = np.zeros(CODE_POINTS, np.int64)
    for block in blocks:
        found = codes(block)[:end]
        counts += np.bincount(found, minlength=CODE_POINTS)
        end -= len(found)
        if not end:
            break
    return counts


def _without_rare(
    found: Int64[np.ndarray, " found"],
    counts: Int64[np.ndarray, " codes"],
    minimum_count: int,
    known: Vocabulary,
) -> tuple[Int64[np.ndarray, " kept"], Rare]:
    """Which codes remain, and what is left out: what is rare, unless it is known already."""
    is_rare = (counts[found] < minimum_count) & ~np.isin(found, codes(known.symbols))
    if is_rare.all() and not known.symbols:
        most = found[counts[found].argmax()]
        raise InputError(
            f"no character occurs {minimum_count:,} times in the training split; {chr(most)!r} is "
            f"the most frequent, with {counts[most]:,}, so give a minimum_count of at most that"
        )
    left_out = found[is_rare]
    return found[~is_rare], Rare("".join(map(chr, left_out)), int(counts[left_out].sum()))


def _joined(found: Int64[np.ndarray, " found"], options: Vocabulary) -> str | bytes:
    return bytes(found.tolist()) if options.level == "byte" else "".join(map(chr, found))


def normalised_blocks(corpus: Corpus, options: Vocabulary) -> Iterator[str | bytes]:
    """The corpus, normalised; the same text however it is cut into blocks."""
    if options.level == "byte":
        yield from corpus.byte_blocks()
        return
    in_space = False
    for block in corpus.text_blocks():
        if options.lowercase:
            block = lower(block)
        if options.collapse_whitespace:
            block = re.sub(r"\s+", " ", block)
            if in_space and block.startswith(" "):  # the same white space, cut in two
                block = block[1:]
            in_space = block.endswith(" ") if block else in_space
        yield block


def _check_split(split: Sequence[float]) -> None:
    if (
        len(split) != 3
        or not all(0 <= fraction <= 1 for fraction in split)
        or abs(sum(split) - 1) > 1e-6
        or split[0] == 0
    ):
        raise InputError(
            f"the split {tuple(split)} cannot be used: give three fractions from 0 to 1 that add up"
            " to 1, for training (above 0), validation and test"
        )


def _boundaries(length: int, split: Sequence[float]) -> tuple[int, int]:
    total = sum(split)  # 1, but for rounding, which must not leave a symbol to an empty split
    return round(length * split[0] / total), round(length * (split[0] + split[1]) / total)


def _key(corpus: Corpus, folder: Path, split: Sequence[float], rule: Mapping[str, Any]) -> str:
    facts = [FORMAT, corpus.fingerprint(folder), list(split), rule]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
