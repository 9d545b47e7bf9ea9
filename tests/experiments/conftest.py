"""A text, and a run that was trained on it."""

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.launching import EXPERIMENTS, Outcome, launched, read

WORDS = "the sun and moon rose over quiet hills while rivers ran to sea"
TINY = (
    "--hidden=8", "--batch=4", "--chunk=8", "--steps=300", "--evaluate_every=100",
    "--checkpoint_every=50", "--ngrams=0", "--optimizer=adam",
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
def play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of some 120,000 characters, laid out like a play."""
    choose = random.Random(1).choice
    words = WORDS.split()

    def speech(i: int) -> str:
        lines = [" ".join(choose(words) for _ in range(6)).capitalize() for _ in range(3)]
        return "\n".join([f"{choose(('MOON', 'Second Hill'))}:", *lines]) + (
            "\n\n[Exit the sun]" if i % 3 == 0 else ""
        )

    path = tmp_path_factory.mktemp("play") / "play.txt"
    path.write_text("\n\n".join(speech(i) for i in range(1000)) + "\n", encoding="utf-8")
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


@pytest.fixture(scope="module")
def study(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, play: Path
) -> tuple[Path, dict[str, Any]]:
    """The work directory and results of a quick study, that after which the test's file is named.

    It ends well, leaves what every study leaves, and started again computes nothing.
    """
    name = request.path.stem.removeprefix("test_")
    workdir = tmp_path_factory.mktemp("runs") / name
    command = [name, "--quick", f"--workdir={workdir}"]
    command += [f"--corpus={play}"] if EXPERIMENTS[name].study.corpus else []
    outcome = launched(*command)
    assert outcome.code == 0, outcome
    results = read((workdir / "results.json").read_text(encoding="utf-8"))
    assert results["answer"] in outcome.out
    assert (workdir / "picture.png").read_bytes().startswith(b"\x89PNG")
    trials = (workdir / "trials.jsonl").read_bytes()
    assert launched(*command).code == 0
    assert (workdir / "trials.jsonl").read_bytes() == trials
    return workdir, results
