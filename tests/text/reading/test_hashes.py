import hashlib
import os
import shutil
import time

import pytest

from jaxrnn.text.encoding import encode_corpus
from jaxrnn.text.reading import hashes
from jaxrnn.text.reading.corpora import open_corpus
from jaxrnn.text.reading.hashes import content_hashes


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def readings(monkeypatch) -> list[str]:
    """The names of the files that are hashed."""
    read = []
    hashed = hashes._hashed
    monkeypatch.setattr(hashes, "_hashed", lambda path: read.append(path.name) or hashed(path))
    return read


@pytest.fixture
def old(monkeypatch) -> None:
    """Files are taken to be older than any tick of the disk's clock."""
    monkeypatch.setattr(hashes, "TICK", -(10**12))


def test_an_old_file_is_read_once_and_a_new_one_again(tmp_path, readings, monkeypatch):
    path = tmp_path / "text"
    path.write_bytes(b"abc")
    for _ in range(2):
        assert content_hashes([path], tmp_path / "memory") == [sha256(b"abc")]
    assert len(readings) == 2
    later = time.time_ns() + 3 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: later)
    for _ in range(3):
        assert content_hashes([path], tmp_path / "memory") == [sha256(b"abc")]
    assert len(readings) == 3


def test_of_several_files_only_those_that_changed_are_read_again(tmp_path, readings, old):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text(path.name)
    content_hashes(paths, tmp_path / "memory")
    paths[1].write_text("B")
    readings.clear()
    assert content_hashes(paths, tmp_path / "memory") == [sha256(t) for t in (b"a", b"B", b"c")]
    assert readings == ["b"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": ["x"]}', "\\ud800"])
def test_a_damaged_memory_is_none(tmp_path, old, content):
    path = tmp_path / "text"
    path.write_bytes(b"abc")
    content_hashes([path], tmp_path / "memory")
    (memory,) = (tmp_path / "memory").iterdir()
    memory.write_text(content)
    assert content_hashes([path], tmp_path / "memory") == [sha256(b"abc")]
    assert memory.read_text() != content


def test_a_memory_that_cannot_be_written_is_done_without(tmp_path, old):
    path = tmp_path / "text"
    path.write_bytes(b"abc")
    assert content_hashes([path], path / "memory") == [sha256(b"abc")]


def in_place(path, other):
    path.write_bytes(other.read_bytes())


def copied(path, other):
    shutil.copy2(other, path)


def moved(path, other):
    other.replace(path)


def linked(path, other):
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize("replace", [in_place, copied, moved, linked])
@pytest.mark.parametrize("young", [True, False])
def test_a_replaced_file_of_the_same_size_and_time_is_never_taken_for_its_old_self(
    tmp_path, monkeypatch, replace, young
):
    if not young:
        monkeypatch.setattr(hashes, "TICK", -(10**12))
    folder = tmp_path / "folder"
    folder.mkdir()
    path, other = folder / "a.txt", tmp_path / "other"
    path.write_text("old text")
    other.write_text("new text")
    times = path.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))

    def read(name) -> str:
        encoded = encode_corpus(open_corpus([str(name)]), split=(1.0, 0.0, 0.0))
        return encoded.vocabulary.decode(encoded.tokens)

    assert read(path) == read(folder) == "old text"
    replace(path, other)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns
    assert read(path) == read(folder) == "new text"


def test_a_change_within_one_tick_of_the_clock_is_seen(tmp_path, monkeypatch):
    path = tmp_path / "text"
    path.write_bytes(b"old")
    facts = hashes._facts(path.stat())
    monkeypatch.setattr(hashes, "_facts", lambda stat: facts)  # a clock that stands still
    assert content_hashes([path], tmp_path / "memory") == [sha256(b"old")]
    path.write_bytes(b"new")
    assert content_hashes([path], tmp_path / "memory") == [sha256(b"new")]
