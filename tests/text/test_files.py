import bz2
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.core.errors import InputError
from jaxrnn.text.files import byte_blocks, check_file, open_bytes, regroup, text_blocks


def zipped(data: bytes, *names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("inside.txt",):
            archive.writestr(name, data)
    return file.getvalue()


PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zip": zipped}


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", PACK)
def test_compressed_files_give_what_was_put_in(tmp_path, suffix):
    data = bytes(range(256)) * 50
    path = write(tmp_path / f"text{suffix}", PACK[suffix](data))
    blocks = list(byte_blocks(path, 1000))
    assert b"".join(blocks) == data
    assert max(map(len, blocks)) <= 1000


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: b"no" + data])
def test_damaged_archives_are_named(tmp_path, suffix, spoil):
    data = PACK[suffix](os.urandom(5000))
    if suffix == ".zip" and spoil(data)[:2] == b"no":
        data = data.replace(b"PK\x05\x06", b"PK\x00\x00")  # a prefix alone is allowed in a zip
    path = write(tmp_path / f"text{suffix}", spoil(data))
    with pytest.raises(InputError, match=rf"text\{suffix} is damaged"):
        list(byte_blocks(path))


def test_an_archive_of_several_files_is_refused(tmp_path):
    path = write(tmp_path / "two.zip", zipped(b"x", "a.txt", "b.txt"))
    with pytest.raises(InputError, match="holds 2 files where one was expected"):
        list(byte_blocks(path))


@given(
    text=st.text(st.sampled_from("a\r\né\u20ac\U0001f600")),
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-32-be"]),
    block=st.integers(1, 9),
)
def test_text_comes_out_the_same_in_blocks_of_any_size(tmp_path_factory, text, encoding, block):
    path = tmp_path_factory.mktemp("files") / "text"
    path.write_bytes(text.encode(encoding))
    with path.open(encoding=encoding) as file:
        assert "".join(text_blocks(path, encoding, block)) == file.read()


@pytest.mark.parametrize("block", [3, 4, 1000])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, block):
    path = write(tmp_path / "marked", b"\xef\xbb\xbfab\xef\xbb\xbfc")
    assert "".join(text_blocks(path, "UTF8", block)) == "ab\ufeffc"


@pytest.mark.parametrize("block", [3, 4, 5, 1000])
@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"abcdef\xffgh", 6),
        (b"abcd\xc3", 4),
        ("€uro".encode() + b"\xe2\x82x", 6),
        (b"\xef\xbb\xbfab\xff", 5),
    ],
)
def test_bytes_that_are_not_text_are_named_with_their_offset(tmp_path, block, data, offset):
    path = write(tmp_path / "broken.txt", data)
    with pytest.raises(InputError, match=rf"broken\.txt is not utf-8 text: .* at byte {offset};"):
        list(text_blocks(path, "utf-8", block))


@given(pieces=st.lists(st.text(max_size=5)), block=st.integers(1, 12))
def test_regrouping_keeps_the_text_and_fills_every_block_but_the_last(pieces, block):
    blocks = list(regroup(pieces, block))
    assert "".join(blocks) == "".join(pieces)
    assert all(len(text) >= block for text in blocks[:-1])


def test_files_that_cannot_be_read_are_refused_at_the_door(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="there is no file"):
        check_file(tmp_path / "missing")
    with pytest.raises(InputError, match="neither a file nor a directory"):
        check_file(Path(os.devnull))
    with pytest.raises(InputError, match="is empty"):
        check_file(write(tmp_path / "empty", b""))
    path = write(tmp_path / "secret", b"x")
    check_file(path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as root, chmod does not deny
    with pytest.raises(InputError, match="secret cannot be read"):
        check_file(path)


def test_a_file_that_fails_while_it_is_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone cannot be read: No such file"):
        list(byte_blocks(tmp_path / "gone"))
    path = write(tmp_path / "file", b"x")
    with (
        pytest.raises(InputError, match="file cannot be read: Input/output error"),
        open_bytes(path),
    ):
        raise OSError(5, "Input/output error")
