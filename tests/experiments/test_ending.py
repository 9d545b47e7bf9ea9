"""Whatever ends one of two processes that train together ends the other one, and soon."""

import os
import signal
import time
from pathlib import Path

import pytest

from jaxrnn.running.peers import FAREWELL
from jaxrnn.running.signals import GRACE
from tests.experiments.several import CHAR_LM, Ended, acting, ended, signalled, two_of

SLACK = 4.0  # seconds, on a busy machine
IN_THE_LOOP = "jaxrnn.running.fitting:_count_skipped:4"
AT_LOG = "jaxrnn.running.workdir:WorkDirectory.log:1"
AT_A_CHUNK = "jaxrnn.text.batches:contiguous_lanes:45"
DISK_IS_FULL = "open('/dev/full', 'w').write('record' * 10_000)"


@pytest.fixture(scope="module")
def flags(corpus: Path) -> tuple[str, ...]:
    return (
        f"--corpus={corpus}", "--hidden=8", "--ngrams=0", "--optimizer=adam", "--batch=4",
        "--chunk=8", "--steps=100000",
        "--evaluate_every=200", "--checkpoint_every=50",
    )  # fmt: skip


def run(failing: int, moment: str, what: str, *flags: str) -> tuple[Ended, Ended]:
    """The process that does something at a moment, and the other one."""
    commands = [CHAR_LM, CHAR_LM]
    commands[failing] = acting(moment, what)
    outcomes = ended(two_of(commands[0], commands[1], *flags, devices=1))
    assert abs(outcomes[0].at - outcomes[1].at) < FAREWELL + SLACK
    return outcomes[failing], outcomes[1 - failing]


@pytest.mark.parametrize(
    ("failing", "moment", "what", "code", "is_bug", "said"),
    [
        (0, AT_LOG, DISK_IS_FULL, 2, False, "No space left on device"),
        (1, AT_A_CHUNK, "raise ArithmeticError", 1, True, "ArithmeticError"),
    ],
)
def test_what_fails_in_one_process_ends_both_and_is_said_once(
    failing, moment, what, code, is_bug, said, flags, tmp_path
):
    failed, other = run(failing, moment, what, *flags, f"--workdir={tmp_path / 'run'}")
    assert (failed.code, other.code) == (code, code)
    assert other.err == ""
    assert said in failed.err
    assert failed.err.count("Traceback") == is_bug
    assert is_bug or failed.err.count("\n") == 1


def test_the_writer_says_that_another_process_was_killed(flags, tmp_path):
    killed, writer = run(
        1, IN_THE_LOOP, "os.kill(os.getpid(), signal.SIGKILL)", *flags,
        f"--workdir={tmp_path / 'run'}",
    )  # fmt: skip
    assert killed.code == -signal.SIGKILL
    assert writer.code == 1
    assert "another process was lost" in writer.err
    assert writer.err.count("\n") == 1


def test_nobody_outlives_a_writer_that_was_killed(flags, tmp_path):
    killed, other = run(
        0, IN_THE_LOOP, "os.kill(os.getpid(), signal.SIGKILL)", *flags,
        f"--workdir={tmp_path / 'run'}",
    )  # fmt: skip
    assert killed.code == -signal.SIGKILL
    assert other.code != 0


def test_ctrl_c_before_the_training_ends_both_and_is_said_once(flags, tmp_path):
    moment, what = "jaxrnn.text.encoding:encode_corpus:1", "os.kill(os.getpid(), signal.SIGINT)"
    stopped, other = run(0, moment, what, *flags, f"--workdir={tmp_path / 'run'}")
    assert (stopped.code, other.code) == (130, 130)
    assert (stopped.err.count(": stopped\n"), other.err) == (1, "")


def test_a_second_ctrl_c_acts_at_once_where_another_process_is_stuck(flags, tmp_path):
    stuck = 1
    commands = [CHAR_LM, CHAR_LM]
    commands[stuck] = signalled(IN_THE_LOOP, "SIGSTOP")
    started = two_of(*commands, *flags, f"--workdir={tmp_path / 'run'}", devices=1)
    other = started[1 - stuck]
    try:
        os.waitid(os.P_PID, started[stuck].pid, os.WSTOPPED)
        time.sleep(0.5)
        other.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert other.poll() is None  # it would save, if only the other one did its part
        other.send_signal(signal.SIGINT)
        other.wait(GRACE + FAREWELL + SLACK)
        assert other.returncode == 130
    finally:
        started[stuck].send_signal(signal.SIGCONT)
        outcomes = ended(started)
    assert outcomes[stuck].code != 0
    assert outcomes[1 - stuck].err.count(": stopped\n") == 1
