"""Resuming to the bit, of the program that users run: the default network, fully optimised.

All other tests have the compiler do little, and train tiny networks on one device.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.experiments.launching import (
    ROOT,
    assert_same_state,
    read,
    records,
    result,
)
from tests.experiments.several import signalled

# While the device computes. Other moments: test_resuming.py.
KILL = "jaxrnn.learning.parallel:feed:5"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a user has: nothing that tells JAX what to do, and two devices."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    known.pop("XLA_FLAGS", None)
    if len(os.sched_getaffinity(0)) == 1:  # else two cores are taken, by default
        known["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    return known | {"JAXRNN_CACHE": str(tmp_path_factory.mktemp("cache"))}


def trained(
    workdir: Path, corpus: Path, environment: dict[str, str], *program: str
) -> subprocess.CompletedProcess:
    flags = (
        f"--workdir={workdir}", f"--corpus={corpus}", "--steps=120", "--evaluate_every=40",
        "--checkpoint_every=20", "--dropout=0.1", "--batch=32", "--chunk=16", "--ngram_rows=1024",
    )  # fmt: skip
    return subprocess.run(
        [sys.executable, *(program or ("-m", "experiments.char_lm")), *flags],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, env=environment,
    )  # fmt: skip


def test_the_default_network_killed_in_mid_step_equals_one_that_never_was(
    corpus, environment, tmp_path
):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    # It compiles everything itself; the one that is killed finds programs in the cache.
    never = trained(whole, corpus, environment)
    assert never.returncode == 0, never.stderr
    assert "Training on 2 of 2 devices." in never.stdout
    done = trained(killed, corpus, environment, *signalled(KILL, "SIGKILL"))
    assert done.returncode == -9, (done.stdout, done.stderr)
    last = trained(killed, corpus, environment)
    assert last.returncode == 0, last.stderr
    assert "Going on from step" in last.stdout
    assert "Going on with" not in last.stdout

    assert_same_state(killed, whole)
    assert_same_state(killed, whole, which="best")
    clocks = {"seconds", "characters_per_second"}
    ours, theirs = (
        [{name: record[name] for name in record.keys() - clocks} for record in records(workdir)]
        for workdir in (killed, whole)
    )
    assert ours == theirs
    assert len(ours) == 4  # one of the loss, three of evaluations
    ours, theirs = (
        {name: figure for name, figure in result(workdir).items() if name not in clocks}
        for workdir in (killed, whole)
    )
    assert ours == theirs
    assert (killed / "sample.txt").read_bytes() == (whole / "sample.txt").read_bytes()
    config = read((killed / "config.json").read_text())
    assert [entry["devices"] for entry in config["surroundings"]] == [2]
