"""The training loop with a task that is quick: a network learns to count."""

import json
import os
import signal
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import init, stacked
from jaxrnn.checkpoints import Checkpoints
from jaxrnn.optimizers import make_optimizer, make_schedule
from jaxrnn.parallel import data_mesh
from jaxrnn.runs import fitting
from jaxrnn.runs.fitting import Progress, Stopping, Task, fit
from jaxrnn.runs.progress import ProgressDisplay
from jaxrnn.runs.workdir import WorkDirectory
from jaxrnn.text import Batch
from jaxrnn.training import TrainingState, make_training_steps, start

NETWORK = stacked(3, [4], 3)
OPTIMIZER = make_optimizer("sgd")
TRAINING_STEPS = make_training_steps(NETWORK, OPTIMIZER)


def new_state() -> TrainingState:
    return start(NETWORK, init(NETWORK, jax.random.key(0)), OPTIMIZER, 2)


def chunk(step: int) -> Batch:
    count = (step + np.arange(6, dtype=np.int32)[:, None] + np.arange(2, dtype=np.int32)) % 3
    return Batch(count[:-1], count[1:], np.zeros((5, 2), np.bool_))


class Fitted(NamedTuple):
    progress: Progress
    reason: str
    rates: list[float]  # of every step that was taken here
    workdir: WorkDirectory


@pytest.fixture
def fitted(tmp_path: Path):
    def run(stopping: Stopping, *, evaluations=(), finite=lambda step: True, **options) -> Fitted:
        """`evaluations` are what the validation loss is, one after the other; then 1.0."""
        losses = iter(evaluations)
        rates: list[float] = []
        workdir = WorkDirectory(tmp_path)

        def training_steps(state, chunks, some_rates, keys):
            first = len(rates)
            rates.extend(np.asarray(some_rates).tolist())
            state, report = TRAINING_STEPS(state, chunks, some_rates, keys)
            good = [finite(step) for step in range(first, len(rates))]
            return state, report._replace(finite=jnp.array(good))

        def evaluate(_) -> float:
            loss = next(losses, 1.0)
            if isinstance(loss, int):  # stands for a signal
                os.kill(os.getpid(), loss)
                return 1.0
            return loss

        settings = {"evaluate_every": 20, "checkpoint_every": 10, "seed": 0} | options
        progress, reason = fit(
            Task(chunk, 10, evaluate, lambda _: "sample"), training_steps, new_state(),
            make_schedule("cosine", 0.1), stopping, mesh=data_mesh(2), workdir=workdir,
            display=ProgressDisplay(), **settings,
        )  # fmt: skip
        return Fitted(progress, reason, rates, workdir)

    return run


def params(workdir: WorkDirectory) -> list[bytes]:
    restored = Checkpoints(workdir.path).restore(new_state())
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(restored.state)]


@pytest.mark.parametrize(
    ("stopping", "progress", "reason"),
    [
        (Stopping(100), Progress(99), None),
        (Stopping(100), Progress(100), "steps"),
        (Stopping(100), Progress(120), "steps"),
        (Stopping(None, 2.0), Progress(10**6, 119.0), None),
        (Stopping(None, 2.0), Progress(1, 120.0), "minutes"),
        (Stopping(100, patience=2), Progress(50, stale=1), None),
        (Stopping(100, patience=2), Progress(50, stale=2), "patience"),
        (Stopping(100), Progress(50, stale=99), None),
        (Stopping(100), Progress(50, skipped=500, skipped_in_a_row=99), None),
        (Stopping(100), Progress(50, skipped_in_a_row=100), "not finite"),
    ],
)
def test_reasons_to_stop(stopping, progress, reason):
    assert progress.reason_to_stop(stopping) == reason


def test_the_fraction_goes_from_0_to_1():
    assert [Stopping(4).fraction(step, 1e9) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert [Stopping(None, 0.5).fraction(9, s) for s in (0.0, 15.0, 30.0, 60.0)] == [0, 0.5, 1, 1]


def test_steps_are_counted_exactly(fitted):
    done = fitted(Stopping(33))
    assert (done.progress.step, done.reason) == (33, "steps")
    assert len(done.rates) == 33
    assert done.progress.evaluated == 33  # not a multiple of evaluate_every
    schedule = make_schedule("cosine", 0.1)
    expected = [float(schedule(jnp.float32(step / 33))) for step in range(33)]
    np.testing.assert_allclose(done.rates, expected, rtol=1e-4, atol=1e-8)


def test_the_last_evaluation_is_not_made_twice(fitted):
    done = fitted(Stopping(40))
    assert [record["step"] for record in done.workdir.metrics()] == [20, 40]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_a_signal_all_goes_on_as_if_there_had_been_none(number, fitted, tmp_path):
    before = signal.getsignal(number)
    first = fitted(Stopping(75), evaluations=[1.0, int(number)])
    assert first.reason == signal.Signals(number).name
    assert signal.getsignal(number) is before
    assert first.progress.step == 40
    second = fitted(Stopping(75))
    assert (second.progress.step, second.reason) == (75, "steps")
    stopped = params(second.workdir)
    logged = [record["step"] for record in second.workdir.metrics()]
    for path in ("checkpoints", "metrics.jsonl"):
        (tmp_path / path).rename(tmp_path / f"stopped-{path}")
    whole = fitted(Stopping(75))
    assert params(whole.workdir) == stopped
    assert first.rates + second.rates == whole.rates
    assert [record["step"] for record in whole.workdir.metrics()] == logged == [20, 40, 60, 75]


def test_a_second_signal_acts_at_once(fitted, monkeypatch):
    monkeypatch.setattr(fitting, "_evaluate", lambda *_: [os.kill(os.getpid(), 2)] * 2)
    with pytest.raises(KeyboardInterrupt):
        fitted(Stopping(75), finite=lambda step: step < 19 or os.kill(os.getpid(), 2) or True)


def test_patience_counts_evaluations_without_a_new_best_one(fitted):
    losses = [3.0, 2.0, 2.5, 1.9, 2.0, 1.9, 1.0]
    done = fitted(Stopping(1000, patience=2), evaluations=losses)
    assert (done.reason, done.progress.step) == ("patience", 120)
    assert (done.progress.best, done.progress.stale) == (1.9, 2)
    assert Checkpoints(done.workdir.path).steps("best") == (80,)
    assert Checkpoints(done.workdir.path).steps("last")[-1] == 120


def test_patience_is_remembered_over_an_interruption(fitted):
    fitted(Stopping(1000, patience=2), evaluations=[1.0, int(signal.SIGTERM)])
    done = fitted(Stopping(1000, patience=2), evaluations=[1.1])
    assert (done.reason, done.progress.step) == ("patience", 60)


def test_an_evaluation_that_is_not_finite_is_worse_than_any_other(fitted):
    losses = [float("nan"), float("inf"), 5.0, float("nan"), 4.0]
    done = fitted(Stopping(100), evaluations=losses)
    assert done.progress.best == 4.0
    assert Checkpoints(done.workdir.path).steps("best") == (100,)
    lines = (done.workdir.path / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    valid = [r["valid_bits_per_character"] for r in found if "valid_bits_per_character" in r]
    assert valid == [None, None, 5.0, None, 4.0]


def test_steps_skipped_in_a_row_end_the_training(fitted):
    done = fitted(Stopping(1000), finite=lambda step: step < 35)
    assert (done.reason, done.progress.step) == ("not finite", 140)
    assert (done.progress.skipped, done.progress.skipped_in_a_row) == (105, 105)
    again = fitted(Stopping(1000))
    assert again.progress.step > 140 or again.reason == "not finite"


def test_steps_skipped_now_and_then_are_only_counted(fitted):
    done = fitted(Stopping(300), finite=lambda step: step % 100 < 10)
    assert done.reason == "steps"
    assert (done.progress.skipped, done.progress.skipped_in_a_row) == (270, 90)


def test_what_is_logged(fitted):
    done = fitted(Stopping(200), finite=lambda step: step < 100)
    first, second = (r for r in done.workdir.metrics() if "train_bits_per_character" in r)
    assert (first["step"], first["characters"], first["skipped"]) == (100, 1000, 0)
    assert first["train_bits_per_character"] > 0
    assert 0 < first["learning_rate"] < 0.1
    assert (second["skipped"], second["train_bits_per_character"]) == (100, None)


def test_minutes_include_those_before_an_interruption(fitted):
    fitted(Stopping(None, 60.0), evaluations=[int(signal.SIGTERM)])
    done = fitted(Stopping(None, 1e-6))
    assert (done.reason, done.progress.step) == ("minutes", 20)
    assert done.progress.seconds > 6e-5


def test_measurements_after_the_checkpoint_are_forgotten(fitted):
    done = fitted(Stopping(40))
    done.workdir.log({"step": 55, "valid_bits_per_character": 0.0})
    again = fitted(Stopping(60))
    assert [record["step"] for record in again.workdir.metrics()] == [20, 40, 60]
