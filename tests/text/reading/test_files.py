import os
from pathlib import Path

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading.compression import open_bytes
from jaxrnn.text.reading.files import check_file, named, workshop


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_stream_is_looked_at_without_being_read(tmp_path):
    with open_bytes(write(tmp_path / "file", b"abcdefg")) as stream:
        assert (stream.head(3), stream.head(2), stream.read(4)) == (b"abc", b"ab", b"abcd")
        assert (stream.head(9), stream.read(9), stream.read(9)) == (b"efg", b"efg", b"")


def test_files_that_cannot_be_read_are_refused_at_the_door(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="there is no file"):
        check_file(tmp_path / "missing")
    with pytest.raises(InputError, match="neither a file nor a directory"):
        check_file(Path(os.devnull))
    with pytest.raises(InputError, match="is empty"):
        check_file(write(tmp_path / "empty", b""))
    for target in ("nowhere", "link"):  # the second leads to itself
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(target)
        with pytest.raises(InputError, match=f"link is a link to {target}, which is not there"):
            check_file(tmp_path / "link")
    path = write(tmp_path / "secret", b"x")
    check_file(path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as root, chmod does not deny
    with pytest.raises(InputError, match="secret cannot be read"):
        check_file(path)


def test_a_file_that_fails_while_it_is_read_is_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"gone cannot be read: No such file"):
        list(opened_blocks(tmp_path / "gone"))
    path = write(tmp_path / "file", b"x")
    with open_bytes(path) as stream:
        monkeypatch.setattr(stream, "_file", Broken())
        with pytest.raises(InputError, match="file cannot be read: Input/output error"):
            stream.read(600)


class Broken:
    def read(self, size: int) -> bytes:
        raise OSError(5, "Input/output error")


def opened_blocks(path: Path):
    with open_bytes(path) as stream:
        yield from stream.blocks()


@pytest.mark.parametrize(
    ("path", "name"),
    [("a b.txt", "a b.txt"), ("é", "é"), ("a ", "'a '"), ("a\nb", r"'a\nb'"), ("", "''"),
     (os.fsdecode(b"\xff"), r"'\udcff'")],
)  # fmt: skip
def test_a_path_that_would_be_misread_is_shown_in_quotes(path, name):
    assert named(path) == name


def test_what_a_killed_process_left_goes_after_a_week(tmp_path):
    for name in ("writing-old", "writing-new", "kept"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").touch()
        if name != "writing-new":
            os.utime(tmp_path / name, (1, 1))
    with workshop(tmp_path) as inner:
        (inner / "part").touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "writing-new"]
