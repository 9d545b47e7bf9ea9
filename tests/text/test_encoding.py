import hashlib
import inspect
import math
import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.core.errors import InputError
from jaxrnn.text.encoding import encode_corpus
from jaxrnn.text.reading.corpora import Corpus, open_corpus
from jaxrnn.text.vocabulary import Vocabulary
from tests.networks import examples

# I with a dot becomes two characters, the sigma has two small forms, \x85 is white space.
ODD = "aB \t\n\u0130\u03a3\x85\u2003\U0001f600"
OPTIONS = {"lowercase": st.booleans(), "collapse_whitespace": st.booleans()}


@dataclass(frozen=True)
class Cut(Corpus):
    """A corpus of given blocks."""

    blocks: tuple[str, ...] = ()

    def text_blocks(self) -> Iterator[str]:
        yield from self.blocks

    def byte_blocks(self) -> Iterator[bytes]:
        yield from (block.encode() for block in self.blocks)

    def fingerprint(self, folder: Path | None = None) -> str:
        return repr(self.blocks)


def cut(*blocks: str) -> Cut:
    return Cut("cut", (), blocks)


def normalised(text: str, lowercase: bool, collapse_whitespace: bool) -> str:
    """What normalising a whole text at once gives, by other means than the code's."""
    if lowercase:
        text = "".join(character.lower() for character in text)
    if collapse_whitespace:
        words = text.split()
        head = " " if text[:1].isspace() else ""
        tail = " " if words and text[-1:].isspace() else ""
        text = head + " ".join(words) + tail
    return text


@given(
    # I with a dot becomes two characters, the sigma has two small forms, \x85 is white space.
    blocks=st.lists(
        st.text(st.sampled_from("aB \t\n\u0130\u03a3\x85\u2003\U0001f600")), min_size=1
    ),
    **OPTIONS,
)
def test_a_text_is_encoded_the_same_however_it_is_cut_into_blocks(
    tmp_path_factory, blocks, lowercase, collapse_whitespace
):
    whole = normalised("".join(blocks), lowercase, collapse_whitespace)
    split = (0.5, 0.2, 0.3)
    train_end, valid_end = round(len(whole) * 0.5), round(len(whole) * 0.7)
    options = {"lowercase": lowercase, "collapse_whitespace": collapse_whitespace}
    folder = tmp_path_factory.mktemp("encodings")
    if train_end == 0:
        with pytest.raises(InputError, match="the corpus cut"):
            encode_corpus(cut(*blocks), split=split, cache_dir=folder, **options)
        return
    encoded = encode_corpus(cut(*blocks), split=split, cache_dir=folder, **options)
    symbols = sorted(set(whole[:train_end]))
    assert encoded.vocabulary == Vocabulary("".join(symbols), **options)
    assert encoded.sha256 == hashlib.sha256(whole.encode()).hexdigest()
    expected = [symbols.index(c) + 1 if c in symbols else 0 for c in whole]
    assert encoded.tokens.tolist() == expected
    assert (len(encoded.train), len(encoded.valid)) == (train_end, valid_end - train_end)


def test_the_vocabulary_has_the_training_splits_symbols_only(corpus_of):
    encoded = encode_corpus(corpus_of("abcabcabXY"), split=(0.8, 0.1, 0.1))
    assert encoded.vocabulary.symbols == "abc"
    assert [split.tolist() for split in (encoded.valid, encoded.test)] == [[0], [0]]


@given(
    blocks=st.lists(st.text(st.sampled_from("aaaabbbccd\n")), min_size=1),
    minimum_count=st.integers(1, 4),
    known=st.sampled_from([None, "", "dx"]),
)
@examples(40)
def test_characters_too_rare_in_the_training_split_are_unknown_unless_a_model_knows_them(
    tmp_path_factory, blocks, minimum_count, known
):
    whole, folder = "".join(blocks), tmp_path_factory.mktemp("encodings")
    train = whole[: round(len(whole) * 0.7)]
    options = {
        "split": (0.7, 0.1, 0.2), "minimum_count": minimum_count, "cache_dir": folder,
        "vocabulary": None if known is None else Vocabulary(known), "extend": True,
    }  # fmt: skip
    often = {c for c in train if train.count(c) >= minimum_count}
    symbols = "".join(sorted(often | set(known or "")))
    if not train or not symbols:
        with pytest.raises(InputError, match=r"the corpus cut|'.*' is the most frequent, with"):
            encode_corpus(cut(*blocks), **options)
        return
    for _ in range(2):  # the second time from the cache
        encoded = encode_corpus(cut(*blocks), **options)
        assert encoded.vocabulary.symbols == symbols
        assert encoded.tokens.tolist() == [symbols.find(c) + 1 for c in whole]
        assert set(encoded.rare.symbols) == set(train) - set(symbols)
        assert encoded.rare.count == sum(c not in symbols for c in train)


def test_a_minimum_count_of_bytes_is_refused(corpus_of):
    with pytest.raises(InputError, match="minimum_count is one of characters"):
        encode_corpus(corpus_of("abc"), level="byte", minimum_count=2)


def test_bytes_are_encoded_as_they_are(corpus_of):
    data = bytes(range(256)) * 2 + b"\r\n"
    encoded = encode_corpus(corpus_of(data), level="byte", split=(1.0, 0.0, 0.0))
    assert encoded.vocabulary == Vocabulary(bytes(range(256)))
    assert encoded.tokens.tolist() == [byte + 1 for byte in data]
    assert encoded.tokens.dtype == np.uint16
    assert encoded.sha256 == hashlib.sha256(data).hexdigest()
    few = encode_corpus(corpus_of(b"ba" * 40), level="byte")
    assert few.vocabulary == Vocabulary(b"ab")


def test_many_symbols_need_wider_integers(corpus_of):
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    encoded = encode_corpus(corpus_of(text), split=(1.0, 0.0, 0.0))
    assert encoded.tokens.dtype == np.uint16
    assert encoded.vocabulary.decode(encoded.tokens) == text


def test_a_given_vocabulary_decides_level_and_normalisation(corpus_of):
    corpus = corpus_of("The  CAT sat")
    vocabulary = Vocabulary(" aceht", lowercase=True, collapse_whitespace=True)
    encoded = encode_corpus(corpus, vocabulary=vocabulary, level="byte")
    assert encoded.vocabulary == vocabulary
    assert vocabulary.decode(encoded.tokens) == "the cat \ufffdat"


@given(
    length=st.integers(1, 400),
    split=st.sampled_from([(1.0, 0.0, 0.0), (0.9, 0.1, 0.0), (0.9, 0.0, 0.1), (0.9, 0.05, 0.05)]),
    off=st.sampled_from([0.0, 9e-7, -9e-7]),
)
def test_splits_have_the_sizes_asked_for_and_empty_ones_are_empty(
    tmp_path_factory, length, split, off
):
    split = (min(split[0] + off, 1.0), *split[1:])
    encoded = encode_corpus(
        cut("x" * length), split=split, cache_dir=tmp_path_factory.mktemp("encodings")
    )
    sizes = [len(encoded.train), len(encoded.valid), len(encoded.test)]
    assert sum(sizes) == length
    for size, fraction in zip(sizes, split, strict=True):
        assert abs(size - fraction * length) <= 1.001
        assert fraction > 0 or size == 0


@pytest.mark.parametrize(
    "split",
    [
        (0.9, 0.05, 0.06),
        (0.9, 0.1),
        (0.0, 0.5, 0.5),
        (1.1, -0.1, 0.0),
        (math.nan, 0.5, 0.5),
        (0.25,) * 4,
    ],
)
def test_fractions_that_are_no_split_are_refused(corpus_of, split):
    with pytest.raises(InputError, match=r"the split \(.*\) cannot be used"):
        encode_corpus(corpus_of("abc"), split=split)


def test_a_corpus_without_text_is_refused(tmp_path):
    path = tmp_path / "dump.xml"
    path.write_text("<mediawiki></mediawiki>")
    with pytest.raises(InputError, match=r"dump\.xml has no text in it"):
        encode_corpus(open_corpus([str(path)]))


def test_a_corpus_too_short_for_a_training_split_is_refused(corpus_of):
    with pytest.raises(InputError, match=r"of its 1 symbols a fraction of 0\.2 for training"):
        encode_corpus(corpus_of("x"), split=(0.2, 0.4, 0.4))


def test_an_encoding_is_made_once_and_again_when_file_or_options_change(
    corpus_of, cache, monkeypatch
):
    readings = []
    blocks = Corpus.text_blocks

    def counted(self):
        readings.append(self.description)
        return blocks(self)

    monkeypatch.setattr(Corpus, "text_blocks", counted)

    def readings_of(corpus, **options):
        readings.clear()
        encoded = encode_corpus(corpus, **options)
        return encoded, len(readings)

    first, count = readings_of(corpus_of("abab"))
    assert count == 2
    again, count = readings_of(open_corpus([first_path(cache)]))
    assert count == 0
    assert again.tokens.tolist() == first.tokens.tolist()
    for options in (
        {"lowercase": True},
        {"split": (0.5, 0.25, 0.25)},
        {"vocabulary": Vocabulary("a")},
        {"vocabulary": Vocabulary("a"), "extend": True},
        {"minimum_count": 2, "split": (1.0, 0.0, 0.0)},
    ):
        readings_needed = 3 if "minimum_count" in options else 2
        assert readings_of(open_corpus([first_path(cache)]), **options)[1] == readings_needed
    changed, count = readings_of(corpus_of("babab"))
    assert count == 2
    assert changed.length == 5


def first_path(cache) -> str:
    return str(cache.parent / "corpus.txt")


def test_a_damaged_entry_is_made_again(corpus_of, cache):
    corpus = corpus_of("abcabc")
    expected = encode_corpus(corpus).tokens.tolist()
    (path,) = (cache / "encodings").glob("*.npy")
    os.truncate(path, path.stat().st_size - 1)
    assert encode_corpus(corpus).tokens.tolist() == expected


@pytest.mark.parametrize("reading", [1, 2])
def test_another_process_may_make_the_same_encoding_at_the_same_time(
    corpus_of, cache, monkeypatch, reading
):
    corpus = corpus_of("abcabc")
    blocks = Corpus.text_blocks
    readings = iter([1, 2])
    others = []

    def interrupted(self):
        yield "abc"
        if next(readings) == reading:
            with monkeypatch.context() as other:
                other.setattr(Corpus, "text_blocks", blocks)
                others.append(encode_corpus(corpus).tokens.tolist())
        yield "abc"

    monkeypatch.setattr(Corpus, "text_blocks", interrupted)
    assert encode_corpus(corpus).tokens.tolist() == [1, 2, 3, 1, 2, 3]
    assert others == [[1, 2, 3, 1, 2, 3]]
    assert sorted(path.suffix for path in (cache / "encodings").iterdir()) == [".json", ".npy"]


@pytest.mark.parametrize("later", ["abcabcmore", "cbacba"])
def test_a_file_that_changes_between_the_readings_is_noticed(corpus_of, monkeypatch, later):
    corpus = corpus_of("abcabc")
    path = corpus.sources[0].path
    os.utime(path, ns=(1, 1))
    blocks = Corpus.text_blocks

    def changing(self):
        yield from blocks(self)
        path.write_text(later)

    monkeypatch.setattr(Corpus, "text_blocks", changing)
    with pytest.raises(InputError, match="changed while it was being read"):
        encode_corpus(corpus)


def test_a_cache_that_cannot_be_written_is_named(corpus_of, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cache folder .*file.* cannot be written .*JAXRNN_CACHE"):
        encode_corpus(corpus_of("abc"), cache_dir=tmp_path / "file" / "folder")


def test_memory_does_not_grow_with_the_text(corpus_of):
    def peak(length: int) -> int:
        corpus = corpus_of("0123456789abcdef" * (length // 16))
        tracemalloc.start()
        encode_corpus(corpus)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(2**24) < peak(2**22) + 2**20


def test_a_level_that_is_none_is_refused(corpus_of):
    with pytest.raises(InputError, match="no level 'word'; give one of character, byte"):
        inspect.unwrap(encode_corpus)(corpus_of("abc"), level="word")
