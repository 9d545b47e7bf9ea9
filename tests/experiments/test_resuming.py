"""A run that is stopped, in whatever way and moment, goes on as if it had not been."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from jaxrnn.running import fitting
from jaxrnn.storage.checkpoints import _sums
from tests.experiments.launching import (
    ROOT,
    assert_refused,
    assert_same_state,
    but,
    last_state,
    launched,
    read,
    records,
    result,
    settings_of,
)
from tests.experiments.several import signalled
from tests.xla_flags import with_flags


def stopped_at(moment: str, name: str, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *signalled(moment, name), *flags],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def on_one_core(*flags: str, there: int) -> subprocess.CompletedProcess:
    """Runs char_lm in a process that may use one core, which JAX is told are so many devices."""
    script = """
import os, runpy
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
runpy.run_module("experiments.char_lm", run_name="__main__", alter_sys=True)
"""
    return subprocess.run(
        [sys.executable, "-c", script, *flags], cwd=ROOT, capture_output=True, text=True,
        timeout=120, check=False,
        env=with_flags(f"--xla_force_host_platform_device_count={there}"),
    )  # fmt: skip


def checkpoints(workdir: Path) -> list[str]:
    return sorted(path.name for path in (workdir / "checkpoints" / "last").iterdir())


def newest(workdir: Path, which: str = "last") -> Path:
    return max((workdir / "checkpoints" / which).iterdir())


def damage(checkpoint: Path) -> None:
    """Cuts the largest array file in half."""
    file = max((checkpoint / "arrays").rglob("*"), key=lambda path: path.stat().st_size)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def test_a_run_stopped_five_times_equals_one_that_never_was(command, finished, tmp_path):
    workdir = tmp_path / "run"
    flags = (*command, f"--workdir={workdir}")

    killed = stopped_at("jaxrnn.storage.checkpoints:_flush:5", "SIGKILL", *flags)
    assert killed.returncode == -9, killed.stderr
    assert checkpoints(workdir) == ["000001-step-50.unfinished"]

    killed = stopped_at("jaxrnn.running.workdir:WorkDirectory.log:2", "SIGKILL", *flags)
    assert killed.returncode == -9, killed.stderr
    assert "Going on" not in killed.stdout  # there was no finished checkpoint
    assert checkpoints(workdir) == ["000001-step-50"]
    assert [record["step"] for record in records(workdir)] == [100]

    # After step 100 was saved as the best one, before it was saved as the last one.
    killed = stopped_at("jaxrnn.storage.checkpoints:_delete_old:1", "SIGKILL", *flags)
    assert killed.returncode == -9, killed.stderr
    assert "Going on from step 50." in killed.stdout
    assert checkpoints(workdir) == ["000001-step-50"]
    assert newest(workdir, "best").name.endswith("-step-100")

    stopped = stopped_at("jaxrnn.running.fitting:_count_skipped:7", "SIGTERM", *flags)
    assert stopped.returncode == 143, stopped.stderr
    assert "Stopped at step 120 and saved; the same command goes on." in stopped.stdout
    assert newest(workdir).name.endswith("-step-120")

    stopped = stopped_at("jaxrnn.running.fitting:_count_skipped:10", "SIGINT", *flags)
    assert stopped.returncode == 130, stopped.stderr
    assert "Stopped at step 220 and saved" in stopped.stdout
    assert stopped.stderr == ""

    outcome = launched("char_lm", *flags)
    assert outcome.code == 0, outcome.err
    assert "Going on from step 220." in outcome.out
    assert_same_state(workdir, finished[0])
    ours, theirs = records(workdir), records(finished[0])
    assert [record["step"] for record in ours] == [record["step"] for record in theirs]
    for field in ("valid_bits_per_character", "learning_rate"):
        assert [record.get(field) for record in ours] == [record.get(field) for record in theirs]
    for figure in ("valid_bits_per_character", "test_bits_per_character", "characters_trained"):
        assert result(workdir)[figure] == result(finished[0])[figure]
    assert (workdir / "sample.txt").read_text() == (finished[0] / "sample.txt").read_text()


def test_a_run_killed_before_its_result_was_written_writes_it(command, run, finished):
    (run / "result.json").unlink()
    assert launched("char_lm", *command, f"--workdir={run}").code == 0
    assert result(run) == result(finished[0])
    assert_same_state(run, finished[0])


def test_a_finished_run_says_so_and_trains_no_further(command, run, finished):
    outcome = launched("char_lm", *command, f"--workdir={run}")
    assert outcome.code == 0
    assert "finished; give it more --steps" in outcome.out
    assert_same_state(run, finished[0])
    assert result(run) == result(finished[0])
    assert records(run) == records(finished[0])


def test_what_decides_when_to_stop_look_and_save_may_change(command, run):
    outcome = launched(
        "char_lm", *command, f"--workdir={run}", "--steps=320", "--evaluate_every=5",
        "--checkpoint_every=7", "--patience=50",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert last_state(run)[0] == 320
    assert result(run)["steps"] == 320
    assert [r["step"] for r in records(run) if "valid_bits_per_character" in r][-2:] == [310, 320]


def test_more_steps_say_where_the_learning_rate_goes(command, run, finished):
    outcome = launched(
        "char_lm", *command, f"--workdir={run}", "--steps=1000", "--checkpoint_every=999"
    )
    assert outcome.code == 0, outcome.err
    [said] = [line for line in outcome.out.splitlines() if "The learning rate" in line]
    assert "at step 300 of a training of 300 steps, rises to 0.0063 by step 320, as" in said
    assert "as the schedule over 1,000 steps has it; a run begun with that length would" in said
    rates = {
        record["step"]: record["learning_rate"]
        for record in records(run)
        if "learning_rate" in record
    }
    assert rates[300] < 1e-5
    theirs = {r["step"]: r["learning_rate"] for r in records(finished[0]) if "learning_rate" in r}
    assert {step: rate for step, rate in rates.items() if step <= 300} == theirs


def test_more_epochs_are_another_length_and_as_many_steps_are_not(command, tmp_path):
    flags = (f"--workdir={tmp_path / 'run'}", *(f for f in command if not f.startswith("--steps")))
    assert launched("char_lm", *flags, "--epochs=0.4").code == 0
    outcome = launched("char_lm", *flags, "--epochs=1.5")
    assert "of a training of 31 steps, rises" in outcome.out
    assert "as the schedule over 114 steps has it" in outcome.out


def test_a_run_keeps_its_number_of_devices_unless_told_otherwise_or_there_are_fewer(
    command, tmp_path
):
    workdir, copy = tmp_path / "run", tmp_path / "copy"
    flags = (*command, "--evaluate_every=1000")
    for number, (told, used) in enumerate(
        [("--data_parallel=2", 2), ("", 2), ("--data_parallel=1", 1)], 1
    ):
        here = (f"--workdir={workdir}", f"--steps={10 * number}", *filter(None, [told]))
        outcome = on_one_core(*flags, *here, there=4)
        assert outcome.returncode == 0, outcome.stderr
        assert f"Training on {used} of 4 devices" in outcome.stdout
        said = "Going on with 1 of 4 devices where so far it was 2 of 4 devices:" in outcome.stdout
        assert said == (number == 3)
        if number == 2:
            shutil.copytree(workdir, copy)

    fewer = on_one_core(*flags, f"--workdir={copy}", "--steps=30", there=1)
    assert fewer.returncode == 0, fewer.stderr
    [sentence] = [line for line in fewer.stdout.splitlines() if line.startswith("Going on with")]
    assert sentence == (
        "Going on with 1 device where so far it was 2 of 4 devices: sums differ in the last bits, "
        "so the run is no longer equal, to the bit, to one that was not interrupted."
    )
    config = read((copy / "config.json").read_text())
    assert [(e["from"], e["devices"], e["cores"]) for e in config["surroundings"]] == [
        (0, 2, 1), (20, 1, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--hidden=9", "(--hidden=8 there and --hidden=9 here)"),
        ("--learning_rate=0.1", "--learning_rate=0.008 there and --learning_rate=0.1 here"),
        ("--seed=1", "--seed=0 there and --seed=1 here"),
        ("--dtype=bfloat16", "--dtype=float32 there and --dtype=bfloat16 here"),
        ("--lowercase", "--nolowercase there and --lowercase here"),
        ("--bytes", "--nobytes there and --bytes here"),
    ],
)
def test_another_configuration_is_refused(flag, named, command, finished):
    before = (finished[0] / "config.json").read_text()
    outcome = launched("char_lm", *but(command, f"--workdir={finished[0]}", flag))
    assert_refused(outcome, named, str(finished[0]))
    assert "network is" not in outcome.err  # it only follows from the flag
    assert (finished[0] / "config.json").read_text() == before


def test_a_corpus_that_has_changed_is_refused_and_one_that_moved_is_not(corpus, finished, tmp_path):
    run, moved = tmp_path / "elsewhere" / "run", tmp_path / "moved.txt"
    shutil.copytree(finished[0], run)
    text = corpus.read_text()
    for changed, how in (
        (f"{text}the moon\n", "is 9 characters longer than"),
        (text[:-1], "is 1 character shorter than"),
        (text.replace("moon", "noon"), "has other characters than, though as many as,"),
    ):
        moved.write_text(changed)
        outcome = launched("char_lm", f"--workdir={run}", f"--corpus={moved}")
        assert_refused(outcome, f"the text has changed: {moved} {how} the one that {run} was")
    corpus.rename(tmp_path / "hidden.txt")
    try:
        outcome = launched("char_lm", f"--workdir={run}")
        assert_refused(outcome, f"that {run} was trained on is no longer at {corpus}; give --corpu")
        moved.write_text(text)
        outcome = launched("char_lm", f"--workdir={run}", f"--corpus={moved}")
        assert outcome.code == 0, outcome.err
        assert launched("char_lm", f"--workdir={run}").code == 0  # it remembers
    finally:
        (tmp_path / "hidden.txt").rename(corpus)
    assert settings_of(run).text.corpus == (str(moved),)


def test_a_run_asked_for_a_length_that_it_has_passed_is_left_as_it_was(run):
    files = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    for flag in ("--steps=100", "--epochs=0.5", "--minutes=0.0001"):
        outcome = launched("char_lm", f"--workdir={run}", flag)
        assert outcome.code == 0, outcome.err
        assert f"trained for 300 steps already, as long as {flag} asks" in outcome.out
        assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == files


def test_what_is_overridden_is_so_to_the_bit_after_a_stop(run, tmp_path, monkeypatch):
    other = Path(shutil.copytree(run, tmp_path / "other"))
    flags = ("--steps=330", "--learning_rate=0.002", "--schedule=constant", "--dropout=0.25",
             "--clip_norm=0", "--checkpoint_every=10")  # fmt: skip
    assert_refused(launched("char_lm", f"--workdir={run}", *flags), "give --override to change")
    outcome = launched("char_lm", f"--workdir={run}", *flags, "--override")
    assert outcome.code == 0, outcome.err
    assert "From step 300 on: --learning_rate=0.002, so far --learning_rate=0.008; " in outcome.out
    assert "rises to 0.002 by step 307, as the schedule (constant, at most 0.002)" in outcome.out

    with monkeypatch.context() as patch:
        patch.setattr(
            fitting, "_count_skipped", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
        )  # at the end of the first call
        stopped = launched("char_lm", f"--workdir={other}", *flags, "--override")
    assert stopped.code == 143, stopped.err
    assert launched("char_lm", f"--workdir={other}").code == 0  # the settings are the run's
    assert_same_state(run, other)
    overridden = {
        "learning_rate": [0.008, 0.002], "schedule": ["cosine", "constant"], "dropout": [0.0, 0.25],
        "clip_norm": [1.0, None],
    }  # fmt: skip
    for workdir in (run, other):
        noted = [record for record in records(workdir) if "overridden" in record]
        assert noted == [{"step": 300, "overridden": overridden}]
        config = read((workdir / "config.json").read_text())
        assert config["overrides"] == [{"from": 300, "settings": overridden}]


GARBAGE = {
    "gone": None, "empty": b"", "zeros": b"\0" * 99, "another": b"[]",
    "garbage": b'{"a"\n[3]\n{"step": {}}\n{"step": 9, "train_bits_per_character": []}\n\xff',
    "unfinished": "as after a kill",
}  # fmt: skip


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_no_file_that_can_be_made_anew_stops_a_run(content, run, finished):
    for name in ("metrics.jsonl", "result.json", "sample.txt", "learning_curve.png"):
        (run / name).unlink()
        if isinstance(content, bytes):
            (run / name).write_bytes(content)
        elif content and name != "metrics.jsonl":
            (run / f".{name}.unfinished").write_text(content)
    (run / ".lock").touch()
    shutil.rmtree(run / "checkpoints" / "last")  # the best one is a whole state as well
    outcome = launched("char_lm", f"--workdir={run}")
    assert outcome.code == 0, outcome.err
    assert "Going on from step 300." in outcome.out
    assert result(run)["steps"] == 300
    assert (run / "sample.txt").read_text() == (finished[0] / "sample.txt").read_text()


def test_a_work_directory_in_use_is_refused(command, run):
    with filelock.FileLock(run / ".lock"):
        outcome = launched("char_lm", *command, f"--workdir={run}")
    assert_refused(outcome, "another run is using", str(run))


def test_a_work_directory_that_cannot_be_one_is_refused(command, corpus, tmp_path):
    assert_refused(launched("char_lm", *command, f"--workdir={corpus}"), str(corpus), "is a file")
    below = corpus / "run"
    assert_refused(launched("char_lm", *command, f"--workdir={below}"), str(below), "cannot be")
    (tmp_path / "thesis.tex").touch()
    outcome = launched("char_lm", *command, f"--workdir={tmp_path}")
    assert_refused(outcome, str(tmp_path), "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(command, run, finished):
    broken = newest(run)
    damage(broken)
    outcome = launched("char_lm", *command, f"--workdir={run}")
    assert outcome.code == 0, outcome.err
    assert f"Checkpoint {broken.name}: " in outcome.out
    assert "Going on from step 250." in outcome.out
    assert_same_state(run, finished[0])
    assert [r["step"] for r in records(run)] == [r["step"] for r in records(finished[0])]


def test_without_any_good_checkpoint_nothing_is_trained(command, run):
    for checkpoint in (run / "checkpoints").glob("*/*"):
        damage(checkpoint)
    outcome = launched("char_lm", *command, f"--workdir={run}")
    assert_refused(outcome, "is intact", str(run))
    assert len(records(run)) == 6


def test_checkpoints_of_another_optimizer_are_refused(command, run):
    config = read((run / "config.json").read_text())
    config["settings"]["recipe"]["optimizer"] = "sgd"
    (run / "config.json").write_text(json.dumps(config))
    outcome = launched("char_lm", *command, "--optimizer=sgd", f"--workdir={run}")
    assert_refused(outcome, "another network or optimiser", str(run))


def test_a_checkpoint_with_a_wrong_figure_is_refused_in_a_sentence(command, run):
    facts = read((newest(run) / "checkpoint.json").read_text())
    facts["metrics"]["seconds"] = "long"
    (newest(run) / "checkpoint.json").write_text(json.dumps(facts))
    (newest(run) / "SHA256SUMS").write_text(_sums(newest(run)))
    outcome = launched("char_lm", *command, f"--workdir={run}", "--steps=310")
    assert_refused(outcome, "'long' for 'seconds', where float is expected", str(run))
