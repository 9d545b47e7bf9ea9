"""A cache folder of its own for every test, and corpora made of strings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jaxrnn.text.reading.corpora import Corpus, open_corpus


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("JAXRNN_CACHE", str(folder))
    return folder


@pytest.fixture
def corpus_of(tmp_path: Path) -> Callable[[str | bytes], Corpus]:
    def make(text: str | bytes) -> Corpus:
        path = tmp_path / "corpus.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return open_corpus([str(path)])

    return make
