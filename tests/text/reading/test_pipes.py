import contextlib
import gzip
import os
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.text.encoding import encode_corpus
from jaxrnn.text.reading.corpora import open_corpus, resolved


def zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def in_utf_16(data: bytes) -> bytes:
    return data.decode().encode("utf-16")


@pytest.fixture
def piped(tmp_path):
    """The name of a pipe through which bytes come, a named one or one of a process's own."""
    threads = []

    def start(data: bytes, is_named: bool = False) -> str:
        reading, writing = os.pipe()
        name = f"/dev/fd/{reading}"
        if is_named:
            name = str(tmp_path / "pipe")
            os.mkfifo(name)

        def write():
            with open(name if is_named else writing, "wb") as file:  # noqa: PTH123
                file.write(data)

        threads.append(threading.Thread(target=write))
        threads[-1].start()
        return name

    yield start
    for thread in threads:
        thread.join()


@pytest.fixture
def as_standard_input(monkeypatch):
    with contextlib.ExitStack() as stack:
        yield lambda name: monkeypatch.setattr(
            sys, "stdin", stack.enter_context(Path(name).open(encoding="utf-8"))
        )


@pytest.mark.parametrize("kind", ["fd", "named", "-"])
@pytest.mark.parametrize("pack", [bytes, zipped, in_utf_16])
def test_a_pipe_is_read_as_a_file_of_its_content_and_found_again(
    piped, as_standard_input, cache, kind, pack
):
    data = "Café\n" * 50_000
    name = piped(pack(data.encode()), is_named=kind == "named")
    if kind == "-":
        as_standard_input(name)
        name = "-"
    (path,) = resolved([name])
    assert Path(path).parent == cache / "piped"
    assert resolved([path]) == (path,)
    assert open_corpus([path]).description == "the text of a pipe"
    text = encode_corpus(open_corpus([path]), split=(1.0, 0.0, 0.0))
    assert text.vocabulary.decode(text.tokens) == data
    assert resolved([piped(pack(data.encode()))]) == (path,)
    assert [entry.name for entry in (cache / "piped").iterdir()] == [Path(path).name]


def test_open_corpus_takes_a_pipe_too(piped):
    corpus = open_corpus([piped(b"abc")])
    assert "".join(corpus.text_blocks()) == "".join(corpus.text_blocks()) == "abc"


def test_a_large_text_is_not_held_in_memory(piped):
    name = piped(bytes(2**26))
    tracemalloc.start()
    (path,) = resolved([name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert Path(path).stat().st_size == 2**26
    assert peak < 2**23


def test_what_brings_no_text_is_refused(piped, as_standard_input, monkeypatch, cache):
    with pytest.raises(InputError, match=r"/dev/fd/\d+ is empty"):
        resolved([piped(b"")])
    for name in ("/dev/null", "/dev/urandom"):
        with pytest.raises(InputError, match=f"{name} is a terminal or another device"):
            resolved([name])
    as_standard_input("/dev/null")
    with pytest.raises(InputError, match="the standard input is a terminal or another device"):
        resolved(["-"])
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="there is no standard input"):
        resolved(["-"])
    assert not any((cache / "piped").iterdir())


def test_a_pipe_can_be_named_once_only(piped, as_standard_input):
    name = piped(b"abc")
    as_standard_input(name)
    for names in (["-", "-"], [name, "-"], [name, name]):
        with pytest.raises(InputError, match="named twice but can be read once only"):
            resolved(names)


def test_a_copy_that_is_gone_is_to_be_piped_in_again(piped):
    (path,) = resolved([piped(b"abc")])
    Path(path).unlink()
    with pytest.raises(InputError, match="is gone; pipe it in again"):
        open_corpus([path])


def test_an_interrupted_copy_leaves_nothing(piped, monkeypatch, cache):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        resolved([piped(b"abc")])
    assert not any((cache / "piped").iterdir())
