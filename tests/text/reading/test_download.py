import dataclasses
import hashlib
import http.server
import socket
import threading
import time
from pathlib import Path

import pytest

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading import download
from jaxrnn.text.reading.corpora import open_corpus

TEXT = b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 100


class Mirror:
    """A server on the loopback interface that plays a script: one answer per request."""

    def __init__(self, *answers):
        self.answers = list(answers)
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.path = self.path
                answer = mirror.answers.pop(0)
                if answer is None:
                    self.send_error(404)
                    return
                promised, body = answer
                self.send_response(200)
                self.send_header("Content-Length", str(promised))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/files"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def mirror(monkeypatch):
    """Starts a `Mirror` for tiny_shakespeare, which shall have the SHA-256 of `TEXT`."""
    tiny = download.DOWNLOADS["tiny_shakespeare"]
    small = dataclasses.replace(tiny, sha256=hashlib.sha256(TEXT).hexdigest())
    monkeypatch.setitem(download.DOWNLOADS, "tiny_shakespeare", small)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # pooch waits between its trials
    started = []

    def start(*answers):
        started.append(Mirror(*answers))
        monkeypatch.setenv("JAXRNN_MIRROR", started[-1].url)
        return started[-1]

    yield start
    for one in started:
        one.server.shutdown()
        one.server.server_close()


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


WHOLE = (len(TEXT), TEXT)
CUT = (len(TEXT), TEXT[: len(TEXT) // 2])
WRONG = (5, b"wrong")


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(mirror, cache):
    server = mirror(WHOLE)
    for _ in range(2):
        assert download.fetch("tiny_shakespeare").read_bytes() == TEXT
    assert server.path == "/files/input.txt"
    assert files_in(cache) == ["input.txt"]


def test_a_download_is_a_corpus_like_any_other(mirror):
    mirror(WHOLE)
    assert "".join(open_corpus(["tiny_shakespeare"]).text_blocks()) == TEXT.decode()


def test_a_download_cut_off_half_way_is_tried_again(mirror, cache):
    server = mirror(CUT, WHOLE)
    assert download.fetch("tiny_shakespeare").read_bytes() == TEXT
    assert server.answers == []
    assert files_in(cache) == ["input.txt"]


def test_a_download_always_cut_off_leaves_no_partial_file(mirror, cache):
    mirror(CUT, CUT, CUT)
    with pytest.raises(InputError, match=r"tiny_shakespeare could not be fetched from http://127"):
        download.fetch("tiny_shakespeare")
    assert files_in(cache) == []


def test_a_file_with_another_hash_is_refused_and_not_kept(mirror, cache):
    mirror(WRONG, WRONG, WRONG)
    with pytest.raises(InputError, match="its SHA-256 is not"):
        download.fetch("tiny_shakespeare")
    assert files_in(cache) == []


def test_a_spoilt_file_in_the_cache_is_fetched_again(mirror):
    mirror(WHOLE, WHOLE)
    path = download.fetch("tiny_shakespeare")
    path.write_bytes(b"spoilt")
    assert download.fetch("tiny_shakespeare").read_bytes() == TEXT


def test_a_refusing_server_is_named_with_its_answer(mirror):
    mirror(None, None, None)
    with pytest.raises(InputError, match="the server answered 404"):
        download.fetch("tiny_shakespeare")


def test_without_a_network_the_error_says_where_to_put_the_file(mirror, monkeypatch, cache):
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("JAXRNN_MIRROR", f"http://127.0.0.1:{taken.getsockname()[1]}/")
        with pytest.raises(InputError, match=r"check the network, or put the file at .*input\.txt"):
            download.fetch("tiny_shakespeare")
    assert files_in(cache) == []


def test_a_cache_that_cannot_be_written_is_named(mirror, monkeypatch, tmp_path):
    mirror()
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("JAXRNN_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="set JAXRNN_CACHE"):
        download.fetch("tiny_shakespeare")


def test_the_cache_is_the_users_own_folder_unless_the_environment_names_another(monkeypatch):
    monkeypatch.setenv("JAXRNN_CACHE", "~/elsewhere")
    assert download.cache_folder() == Path.home() / "elsewhere"
    monkeypatch.delenv("JAXRNN_CACHE")
    assert download.cache_folder().name == "jaxrnn"
