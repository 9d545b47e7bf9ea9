"""A text, a run that was trained on it, and caches that make the next run start sooner."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from tests.experiments.launching import Outcome, launched

WORDS = ["the", "sun", "and", "moon", "rose", "over", "quiet", "hills", "while", "rivers", "ran", "to", "sea"]
TINY = (
    "--hidden=8", "--batch=4", "--chunk=8", "--steps=300", "--evaluate_every=100",
    "--checkpoint_every=50",
)  # fmt: skip
JAX_OPTIONS = {
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
    "jax_disable_most_optimizations": True,
}


@pytest.fixture(scope="package", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Encoded texts and compiled programs, for this process and those that it starts."""
    folder = tmp_path_factory.mktemp("caches")
    options = JAX_OPTIONS | {"jax_compilation_cache_dir": str(folder / "programs")}
    before = {name: getattr(jax.config, name) for name in options}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXRNN_CACHE", str(folder / "texts"))
        for name, value in options.items():
            patch.setenv(name.upper(), str(value))
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(scope="package")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of some 2,700 characters."""
    choose = random.Random(0).choice
    lines = [" ".join(choose(WORDS) for _ in range(7)) for _ in range(80)]
    path = tmp_path_factory.mktemp("corpus") / "hills.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="package")
def command(corpus: Path) -> tuple[str, ...]:
    """Flags of a tiny run, but for --workdir."""
    return (f"--corpus={corpus}", *TINY)


@pytest.fixture(scope="package")
def finished(
    command: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome]:
    """The work directory of a run that was never interrupted, and what it said. Not to be changed."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    return workdir, launched("char_lm", *command, f"--workdir={workdir}")


@pytest.fixture
def run(finished: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))
