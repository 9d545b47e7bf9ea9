"""Two processes of two devices each train as one process with one device does."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.experiments.launching import (
    ROOT,
    assert_refused,
    last_state,
    launched,
    records,
    result,
)
from tests.experiments.several import CHAR_LM, Ended, ended, on_devices, signalled, two_of

FLAGS = (
    "--hidden=8", "--ngrams=0", "--optimizer=adam", "--batch=8", "--chunk=8",
    "--dropout=0.3", "--schedule=constant",
    "--evaluate_every=30", "--checkpoint_every=10",
)  # fmt: skip
ALL = "--steps=60"
TWO_CORES = """
import runpy
from jaxrnn.running import devices
devices.cores = lambda: 2
runpy.run_module("experiments.char_lm", run_name="__main__", alter_sys=True)
"""

ONE_CORE = """
import os, runpy
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
runpy.run_module("experiments.char_lm", run_name="__main__", alter_sys=True)
"""


class Run(NamedTuple):
    workdir: Path
    outcomes: list[Ended]


def two_processes(*flags: str, second: tuple[str, ...] = CHAR_LM) -> list[Ended]:
    """Runs char_lm in two processes of two devices each; the second one by a command of its own."""
    return ended(two_of(CHAR_LM, second, *flags))


@pytest.fixture(scope="module")
def flags(corpus: Path) -> tuple[str, ...]:
    return (f"--corpus={corpus}", *FLAGS)


@pytest.fixture(scope="module")
def half(flags, tmp_path_factory) -> Path:
    """What one device has learnt after half of the steps; do not change it."""
    workdir = tmp_path_factory.mktemp("half") / "run"
    assert launched("char_lm", *flags, "--steps=30", f"--workdir={workdir}").code == 0
    return workdir


@pytest.fixture(scope="module")
def whole(flags, half, tmp_path_factory) -> Path:
    """And after all of them; do not change it."""
    workdir = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(half, workdir)
    assert launched("char_lm", *flags, ALL, f"--workdir={workdir}").code == 0
    return workdir


@pytest.fixture(scope="module")
def stopped(flags, tmp_path_factory) -> Run:
    """Two processes, of which the second one is told to stop at half of the steps."""
    workdir = tmp_path_factory.mktemp("stopped") / "run"
    told = signalled("jaxrnn.running.fitting:_count_skipped:3", "SIGTERM")
    return Run(workdir, two_processes(*flags, ALL, f"--workdir={workdir}", second=told))


def assert_same_run(one: Path, other: Path) -> None:
    """The same step, and the same numbers within what the order of sums in float32 does."""
    (step, arrays), (other_step, other_arrays) = last_state(one), last_state(other)
    assert step == other_step
    for array, other_array in zip(arrays, other_arrays, strict=True):
        np.testing.assert_allclose(array, other_array, rtol=1e-3, atol=1e-5)


def validation_losses(workdir: Path) -> list[float]:
    return [
        r["valid_bits_per_character"]
        for r in records(workdir)
        if "valid_bits_per_character" in r
    ]  # fmt: skip


def test_four_devices_train_as_one_does(flags, whole, tmp_path):
    four = on_devices(
        4, "-m", "experiments.char_lm", *flags, ALL, f"--workdir={tmp_path / 'run'}"
    )  # fmt: skip
    out, err = four.communicate(timeout=120)
    assert four.returncode == 0, err
    assert "Training on 4 of 4 devices." in out
    assert_same_run(tmp_path / "run", whole)
    assert validation_losses(tmp_path / "run") == pytest.approx(validation_losses(whole), rel=1e-4)


def test_two_cores_of_a_cpu_train_as_one_device_does(corpus, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    flags = (f"--corpus={corpus}", "--hidden=64", "--batch=32", "--chunk=8", "--steps=20")
    done = subprocess.run(
        [sys.executable, "-c", TWO_CORES, *flags, f"--workdir={two}"],
        cwd=ROOT, text=True, capture_output=True, timeout=120, check=False,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Training on 2 of 2 devices." in done.stdout
    alone = launched("char_lm", *flags, "--data_parallel=1", f"--workdir={one}")
    assert alone.code == 0, alone.err
    assert_same_run(one, two)


def test_two_processes_train_as_one_device_does_and_a_signal_to_either_stops_both(stopped, half):
    assert [outcome.code for outcome in stopped.outcomes] == [128 + signal.SIGTERM] * 2
    writer, other = stopped.outcomes
    assert "Training on 4 of 4 devices in 2 processes." in writer.out
    assert "Stopped at step 30 and saved; the same command goes on." in writer.out
    assert (other.out, other.err) == ("", "")
    assert_same_run(stopped.workdir, half)


def test_a_run_of_two_processes_goes_on_in_one(flags, stopped, whole, tmp_path):
    workdir = Path(shutil.copytree(stopped.workdir, tmp_path / "run"))
    outcome = launched("char_lm", *flags, ALL, f"--workdir={workdir}")
    assert outcome.code == 0, outcome.err
    assert "Going on from step 30." in outcome.out
    assert_same_run(workdir, whole)


def test_a_run_of_one_process_goes_on_in_two(flags, half, whole, tmp_path):
    workdir = Path(shutil.copytree(half, tmp_path / "run"))
    writer, other = two_processes(*flags, ALL, f"--workdir={workdir}")
    assert (writer.code, other.code) == (0, 0), writer.err + other.err
    assert "Going on from step 30." in writer.out
    assert (other.out, other.err) == ("", "")
    assert_same_run(workdir, whole)
    assert validation_losses(workdir) == pytest.approx(validation_losses(whole), rel=1e-4)
    for split in ("valid", "test"):
        figure = f"{split}_bits_per_character"
        assert result(workdir)[figure] == pytest.approx(result(whole)[figure], rel=1e-4)


def test_a_run_of_two_processes_may_start_from_a_model_too(flags, half, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    start = (*flags, f"--init_from={half}", "--steps=10")
    assert launched("char_lm", *start, f"--workdir={one}").code == 0
    writer, other = two_processes(*start, f"--workdir={two}")
    assert (writer.code, other.code) == (0, 0), writer.err + other.err
    assert "before training: " in writer.out
    assert_same_run(one, two)


def test_processes_that_do_not_agree_are_refused_by_the_one_that_differs(flags, tmp_path):
    workdir = tmp_path / "run"
    second = (*CHAR_LM, "--seed=1", "--data_parallel=1")
    writer, other = two_processes(*flags, f"--workdir={workdir}", second=second)
    assert (writer.code, writer.err) == (2, "")
    assert_refused(
        other, "process 1 trains something else", "seed is 1 there and 0 in process 0",
        "data_parallel is 2 there and 4 in process 0",
    )  # fmt: skip
    assert not workdir.exists()


def test_processes_with_unequal_numbers_of_cores_take_equally_many(corpus, tmp_path):
    large_enough = ("--hidden=64", "--batch=64", "--chunk=8", "--steps=20")
    flags = (f"--corpus={corpus}", *large_enough, f"--workdir={tmp_path / 'run'}")
    writer, other = ended(two_of(CHAR_LM, ("-c", ONE_CORE), *flags, devices=None))
    assert (writer.code, other.code) == (0, 0), writer.err + other.err
    assert "Training on 2 of 2 devices in 2 processes." in writer.out
    assert (other.out, other.err) == ("", "")


@pytest.mark.parametrize(
    ("mistake", "named"),
    [
        ("--data_parallel=99", "99 devices were asked for where there are"),
        ("--processes=2", "--coordinator, --processes and --process_id go together"),
    ],
)
def test_mistakes_are_refused(mistake, named, flags, tmp_path):
    outcome = launched("char_lm", *flags, f"--workdir={tmp_path / 'run'}", mistake)
    assert_refused(outcome, named)
    assert not (tmp_path / "run").exists()


def test_a_launcher_whose_processes_cannot_meet_is_told_of(flags, tmp_path, monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    outcome = launched("char_lm", *flags, f"--workdir={tmp_path / 'run'}")
    assert_refused(outcome, "the processes cannot meet", "--coordinator=HOST:PORT")
    alone = launched("char_lm", *flags, "--steps=1", "--processes=1", f"--workdir={tmp_path / 'a'}")
    assert alone.code == 0, alone.err
