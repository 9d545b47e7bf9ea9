import hashlib
import json

import numpy as np
import pytest

from jaxrnn.text.encoded import read_encoded, write_encoded
from jaxrnn.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary("\nab")


@pytest.fixture
def folder(tmp_path):
    write_encoded(
        tmp_path,
        "key",
        ["ab\na", "", "b?\nbb"],
        vocabulary=VOCABULARY,
        length=9,
        sha256="0" * 64,
        boundaries=(5, 7),
    )
    return tmp_path


def test_what_is_written_is_read_back(folder):
    encoded = read_encoded(folder, "key")
    assert encoded is not None
    assert encoded.tokens.tolist() == [2, 3, 1, 2, 3, 0, 1, 3, 3]
    assert (encoded.vocabulary, encoded.sha256, encoded.length) == (VOCABULARY, "0" * 64, 9)
    assert encoded.tokens.dtype == np.uint8
    assert sorted(path.name for path in folder.iterdir()) == ["key.json", "key.npy"]


def test_splits_are_contiguous_and_cover_the_text(folder):
    encoded = read_encoded(folder, "key")
    assert encoded is not None
    splits = (encoded.train, encoded.valid, encoded.test)
    assert [split.tolist() for split in splits] == [[2, 3, 1, 2, 3], [0, 1], [3, 3]]


def test_tokens_are_a_read_only_view_of_the_file(folder):
    encoded = read_encoded(folder, "key")
    assert encoded is not None
    assert isinstance(encoded.tokens.base, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        encoded.train[0] = 1


def test_a_preview_shows_the_first_lines(folder):
    encoded = read_encoded(folder, "key")
    assert encoded is not None
    assert encoded.preview(1) == "ab"
    assert encoded.preview(2) == "ab\nab\ufffd"
    assert encoded.preview(10) == "ab\nab\ufffd\nbb"


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("key.npy", lambda data: data[:-1]),
        ("key.npy", lambda data: data + b"x"),
        ("key.npy", lambda data: b""),
        ("key.npy", lambda data: data[:-1] + b"\1"),
        ("key.npy", lambda data: b"not an array"),
        ("key.npy", lambda data: data.replace(b"|u1", b"|i1")),
        ("key.json", lambda data: data[:-1]),
        ("key.json", lambda data: b""),
        ("key.json", lambda data: b"[]"),
        ("key.json", lambda data: data.replace(b'"length": 9', b'"length": 8')),
        ("key.json", lambda data: data.replace(b'"sha256"', b'"sha1"')),
        ("key.json", lambda data: data.replace(rb'"symbols": "\nab"', b'"symbols": "ba"')),
        ("key.json", lambda data: data.replace(rb'"symbols": "\nab"', rb'"symbols": "\nac"')),
        ("key.json", lambda data: data.replace(b'"train_end": 5', b'"train_end": 6')),
    ],
)
def test_a_damaged_entry_is_as_good_as_none(folder, file, spoil):
    data = (folder / file).read_bytes()
    assert spoil(data) != data
    (folder / file).write_bytes(spoil(data))
    assert read_encoded(folder, "key") is None


def test_another_entry_by_this_name_is_none(folder):
    for file in ("key.npy", "key.json"):
        (folder / file).rename(folder / file.replace("key", "other"))
    assert read_encoded(folder, "other") is None


@pytest.mark.parametrize("file", ["key.npy", "key.json"])
def test_half_an_entry_is_none(folder, file):
    (folder / file).unlink()
    assert read_encoded(folder, "key") is None


def test_nothing_is_ever_unpickled(folder):
    np.save(folder / "key.npy", np.array([{}] * 9, dtype=object), allow_pickle=True)
    facts = json.loads((folder / "key.json").read_text())["facts"]
    facts["tokens_sha256"] = hashlib.sha256((folder / "key.npy").read_bytes()).hexdigest()
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    (folder / "key.json").write_text(json.dumps({"sha256": digest, "facts": facts}))
    assert read_encoded(folder, "key") is None


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path):
    def blocks():
        yield "ab"
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_encoded(
            tmp_path,
            "key",
            blocks(),
            vocabulary=VOCABULARY,
            length=9,
            sha256="",
            boundaries=(5, 7),
        )
    assert list(tmp_path.iterdir()) == []
