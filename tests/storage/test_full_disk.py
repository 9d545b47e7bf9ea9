"""A disk that takes no more: the file is named, and nothing is left half-written."""

import errno
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jaxrnn.storage.checkpoints import Checkpoints
from jaxrnn.storage.export import save_model
from jaxrnn.storage.files import append_record, replace

LARGE = np.random.default_rng(0).normal(size=(100, 100))


@pytest.fixture
def full():
    """Lets no file grow beyond so many bytes, as `ulimit -f` does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def model(path: Path) -> None:
    params = {"output": {"bias": LARGE}}
    save_model(path, params=params, network={}, vocabulary={}, facts={})


def checkpoint(path: Path) -> None:
    Checkpoints(path).save(7, {"w": LARGE}, metrics={})


WRITERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda path: replace(path / "note", bytes(30_000)), "note"),
    "a record": (lambda path: append_record(path / "lines", {"a": "x" * 30_000}), "lines"),
    "an export": (lambda path: model(path / "new" / "export"), "new/export/model.safetensors"),
    "a checkpoint": (checkpoint, "checkpoints/last/000001-step-7"),
}


@pytest.mark.parametrize("limit", [50, 1000, 20_000])  # of which tensorstore and Orbax tell apart
@pytest.mark.parametrize(("write", "name"), WRITERS.values(), ids=WRITERS)
def test_what_cannot_be_written_is_named_and_gone(write, name, limit, full, tmp_path):
    full(limit)
    with pytest.raises(OSError, match="File too large") as refused:
        write(tmp_path)
    assert refused.value.errno == errno.EFBIG
    assert refused.value.filename == str(tmp_path / name)
    left = {path.name for path in tmp_path.rglob("*")} - {"checkpoints", "last"}
    assert left <= {"lines"}
