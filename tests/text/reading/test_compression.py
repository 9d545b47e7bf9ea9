import bz2
import gzip
import io
import lzma
import os
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading.compression import open_bytes

zstd = pytest.importorskip("backports.zstd")
DATA = bytes(range(256)) * 50


def zipped(data: bytes, *names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("inside.txt",):
            archive.writestr(name, data)
    return file.getvalue()


def tarred(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("inside.txt")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def old_lzma(data: bytes) -> bytes:
    return lzma.compress(data, lzma.FORMAT_ALONE)


STREAMS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd.compress}
PACK = STREAMS | {"zip": zipped, "lzma": old_lzma}


@pytest.fixture
def unpacked(tmp_path):
    def read(data: bytes, name: str = "text", block: int = 1000) -> bytes:
        path = tmp_path / name
        path.write_bytes(data)
        with open_bytes(path) as stream:
            blocks = list(stream.blocks(block))
        assert all(len(each) == block for each in blocks[:-1])
        return b"".join(blocks)

    return read


@pytest.mark.parametrize("name", ["text", "text.gz", "text.txt"])
@pytest.mark.parametrize("form", PACK)
def test_what_a_file_is_its_content_says_and_not_its_name(unpacked, form, name):
    assert unpacked(PACK[form](DATA), name) == DATA
    assert unpacked(DATA, name) == DATA


@pytest.mark.parametrize("form", STREAMS)
def test_streams_that_follow_one_another_are_read_as_one(unpacked, form):
    pack = STREAMS[form]
    assert unpacked(pack(b"") + pack(b"one\n") + pack(b"two\n")) == b"one\ntwo\n"
    assert unpacked(pack(pack(pack(b"thrice")))) == b"thrice"
    assert unpacked(pack(b"padded") + bytes(8)) == b"padded"
    assert unpacked(lzma.compress(gzip.compress(b"in two ways"))) == b"in two ways"


def test_frames_to_be_skipped_are_skipped(unpacked):
    frame = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"
    assert unpacked(frame + zstd.compress(b"text") + frame) == b"text"


@pytest.mark.parametrize("form", PACK)
@pytest.mark.parametrize("end", [0.1, 0.5, 0.999])
def test_what_was_cut_short_is_named_as_damaged(unpacked, form, end):
    data = PACK[form](os.urandom(5000))
    with pytest.raises(InputError, match=r"text is damaged: it begins as a compressed file does"):
        unpacked(data[: int(len(data) * end)])


@pytest.mark.parametrize("form", STREAMS)
def test_what_follows_a_compressed_text_is_not_dropped_in_silence(unpacked, form):
    with pytest.raises(InputError, match=r"text is damaged"):
        unpacked(STREAMS[form](b"compressed\n") + b"and a line that was appended\n")


@pytest.mark.parametrize(
    "text", [b"BZh", b"BZh9 is how bzip2 begins", b"PK\n", b"\x1f\x8b", b"7z", b"]\0\0\0b\0\0\0",
             b"(\xb5/", b"Rar! it said", b"\xfd7zXZ", b"LZIP\n", b"Q*M\x17"],
)  # fmt: skip
def test_a_text_that_only_begins_like_a_compressed_file_is_a_text(unpacked, text):
    assert unpacked(text) == text


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (zipped(b"x", "a.txt", "b.txt"), "holds 2 files where one was expected"),
        (zipped(b"x", "folder/"), "holds 0 files where one was expected"),
        (zipped(b"x", "[Content_Types].xml", "word/document.xml"), "is a document"),
        (zipped(b"x", "mimetype", "content.xml"), "is a document"),
        (gzip.compress(zipped(b"x")), "zip archive within another compression"),
        (zipped(b"x").replace(b"\0\0\x08\0", b"\1\0\x08\0"), "is encrypted"),
        (tarred(b"x"), "is a tar archive"),
        (lzma.compress(tarred(b"x")), "is a tar archive"),
        (b"7z\xbc\xaf\x27\x1c\0\4", r"is a 7-Zip archive; unpack it \(7z x FILE\)"),
        (bz2.compress(b"Rar!\x1a\x07\x01\0"), "is a RAR archive"),
        (b"\x04\x22\x4d\x18\x64", "is an LZ4 file"),
        (b"\x1f\x9d\x90", "is a file of the program compress"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x"))))), "4 time"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",  # archives hold the time of day
)
def test_what_cannot_be_one_text_is_refused_with_how_to_unpack_it(unpacked, data, told):
    with pytest.raises(InputError, match=rf"text {told}|text is.* {told}"):
        unpacked(data)


def test_what_finder_adds_to_an_archive_is_no_second_file(unpacked):
    assert unpacked(zipped(b"x", "text.txt", "__MACOSX/._text.txt")) == b"x"


@pytest.mark.parametrize("form", STREAMS)
def test_memory_does_not_grow_with_what_is_unpacked(tmp_path, form):
    (path := Path(tmp_path, "zeros")).write_bytes(STREAMS[form](bytes(2**26)))
    tracemalloc.start()
    with open_bytes(path) as stream:
        assert sum(map(len, stream.blocks())) == 2**26
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24
