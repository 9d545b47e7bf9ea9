"""A text, and a run that was trained on it."""

import random
import shutil
from pathlib import Path

import pytest

from tests.experiments.launching import Outcome, launched

WORDS = "the sun and moon rose over quiet hills while rivers ran to sea"
TINY = (
    "--hidden=8", "--batch=4", "--chunk=8", "--steps=300", "--evaluate_every=100",
    "--checkpoint_every=50",
)  # fmt: skip


@pytest.fixture(scope="package")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of some 2,700 characters."""
    choose = random.Random(0).choice
    words = WORDS.split()
    lines = [" ".join(choose(words) for _ in range(7)) for _ in range(80)]
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
    """The work directory of a run that nothing interrupted, and what it said; do not change it."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    return workdir, launched("char_lm", *command, f"--workdir={workdir}")


@pytest.fixture
def run(finished: tuple[Path, Outcome], tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))
