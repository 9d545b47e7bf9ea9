"""The training loop with a task that is quick: a network learns to count."""

import itertools
import json
import os
import re
import signal
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import init, stacked
from jaxrnn.command_line.progress import ProgressDisplay
from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.loss import BITS_PER_CHARACTER
from jaxrnn.learning.optimizers import make_optimizer, make_schedule
from jaxrnn.learning.parallel import data_mesh, shardings
from jaxrnn.learning.training import TrainingState, make_training_steps, start
from jaxrnn.running import fitting
from jaxrnn.running.directory import InDirectory
from jaxrnn.running.fitting import fit
from jaxrnn.running.learner import Counted, Learner
from jaxrnn.running.progress import Progress
from jaxrnn.running.stopping import Stopping
from jaxrnn.running.workdir import WorkDirectory
from jaxrnn.storage import checkpoints
from jaxrnn.storage.checkpoints import Checkpoints

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
    keys: list[jax.Array]  # likewise, a call's at a time
    workdir: WorkDirectory


@pytest.fixture
def fitted(tmp_path: Path):
    def run(stopping: Stopping, *, evaluations=(), finite=lambda step: True, **options) -> Fitted:
        """`evaluations` are what the validation loss is, one after the other; then 1.0."""
        losses = iter(evaluations)
        rates: list[float] = []
        keys: list[jax.Array] = []
        workdir = WorkDirectory(tmp_path)

        def training_steps(state, chunks, some_keys, some_rates):
            first = len(rates)
            rates.extend(np.asarray(some_rates).tolist())
            keys.append(some_keys)
            state, report = TRAINING_STEPS(state, chunks, some_keys, some_rates)
            good = [finite(step) for step in range(first, len(rates))]
            return state, report._replace(finite=jnp.array(good))

        def evaluate(_) -> float:
            loss = next(losses, 1.0)
            if isinstance(loss, int):  # stands for a signal
                os.kill(os.getpid(), loss)
                return 1.0
            return loss

        schedule = make_schedule(options.pop("schedule", "cosine"), 0.1)
        settings = {"evaluate_every": 20, "checkpoint_every": 10, "seed": 0} | options
        learner = Learner(
            new_state, training_steps, chunk, attrgetter("params"), evaluate,
            shardings(data_mesh(2)),
            Counted("character", 10, BITS_PER_CHARACTER, BITS_PER_CHARACTER),
        )  # fmt: skip
        done = fit(
            learner, schedule, stopping, mesh=data_mesh(2), keeper=InDirectory(workdir),
            **{"display": ProgressDisplay()} | settings,
        )  # fmt: skip
        return Fitted(done.progress, done.reason, rates, keys, workdir)

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
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


def test_what_was_measured_does_not_tell_of_an_interruption(fitted, tmp_path):
    """The mean loss of the hundred steps in the midst of which a run was stopped, too."""
    fitted(Stopping(230), evaluations=[1.0, int(signal.SIGTERM)], evaluate_every=30)
    stopped = fitted(Stopping(230), evaluations=[2.0] * 9, evaluate_every=30).workdir.metrics()
    for path in ("checkpoints", "metrics.jsonl"):
        (tmp_path / path).rename(tmp_path / f"stopped-{path}")
    whole = fitted(Stopping(230), evaluations=[1.0, 1.0] + [2.0] * 9, evaluate_every=30)
    clocks = {"seconds", "characters_per_second"}
    stopped, never = (
        [{name: record[name] for name in record.keys() - clocks} for record in records]
        for records in (stopped, whole.workdir.metrics())
    )
    assert [r["step"] for r in never if "train_bits_per_character" in r] == [100, 200]
    assert stopped == never


def test_a_stop_brings_no_evaluation_even_where_the_state_was_just_saved(fitted):
    """It would count for patience, and might be the best one, which nobody else has seen."""

    def stop_in_the_third_call(step: int) -> bool:
        if step == 25:
            signal.raise_signal(signal.SIGTERM)
        return True

    done = fitted(Stopping(75), finite=stop_in_the_third_call)
    assert (done.reason, done.progress.step, done.progress.evaluated) == ("SIGTERM", 30, 20)
    assert [record["step"] for record in done.workdir.metrics()] == [20]
    fitted(Stopping(75))
    assert [record["step"] for record in done.workdir.metrics()] == [20, 40, 60, 75]


def test_keys_of_dropout_are_not_those_that_parameters_are_drawn_with(fitted):
    """`init` splits the seed's key; what `split` gives equals what `fold_in` gives."""
    drawn = np.concatenate([jax.random.key_data(keys) for keys in fitted(Stopping(33)).keys])
    key = jax.random.key(0)
    folded = jax.vmap(lambda number: jax.random.fold_in(key, number))(np.arange(100))
    others = np.concatenate([jax.random.key_data(k) for k in (jax.random.split(key, 100), folded)])
    assert len(set(map(tuple, drawn.tolist()))) == 33
    assert not set(map(tuple, drawn.tolist())) & set(map(tuple, others.tolist()))
    expected = [jax.random.fold_in(derive(key, "dropout"), step) for step in range(33)]
    np.testing.assert_array_equal(drawn, [jax.random.key_data(key) for key in expected])


def test_a_second_signal_acts_at_once(fitted, monkeypatch):
    monkeypatch.setattr(fitting, "_evaluate", lambda *_: [os.kill(os.getpid(), 2)] * 2)
    with pytest.raises(KeyboardInterrupt):
        fitted(Stopping(75), finite=lambda step: step < 19 or os.kill(os.getpid(), 2) or True)


def test_a_hangup_is_no_second_signal_and_is_left_alone_where_it_is_ignored(fitted):
    def stop(number: int):
        return lambda step: step != 30 or os.kill(os.getpid(), number) or True

    done = fitted(Stopping(75), evaluations=[int(signal.SIGHUP)], finite=stop(signal.SIGHUP))
    assert (done.reason, done.progress.step) == ("SIGHUP", 20)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        done = fitted(Stopping(75), evaluations=[int(signal.SIGHUP)])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (done.reason, done.progress.step) == ("steps", 75)


class Failing:
    """A display that looks at what is kept when it is told of an evaluation, and then fails."""

    def __init__(self, path: Path, error: Exception) -> None:
        self.path, self.error = path, error
        self.kept: list[tuple[int, ...]] = []

    def update(self, *_: object) -> None:
        pass

    def say(self, text: str = "") -> None:
        if "validation" in text:
            self.kept.append(Checkpoints(self.path).steps("last"))
            raise self.error


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(32, "Broken pipe"),
        OSError(5, "Input/output error"),
        UnicodeEncodeError("ascii", "é", 0, 1, "no"),
        ValueError("I/O operation on closed file"),
        RuntimeError("a bug of the display's own"),
    ],
)
def test_a_display_that_fails_costs_nothing_and_is_given_up(error, fitted, tmp_path, capsys):
    display = Failing(tmp_path, error)
    done = fitted(Stopping(60), display=display)
    assert (done.reason, done.progress.step) == ("steps", 60)
    assert display.kept == [(10, 20)]  # the state was kept by then
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert str(error) in err


def test_what_a_caller_does_after_an_evaluation_ends_the_training_but_loses_nothing(fitted):
    def fail(step: int, _: object) -> None:
        if step == 40:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fitted(Stopping(60), after=fail)
    assert len(fitted(Stopping(60), after=fail).rates) == 20


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


def expected_rates(turns: list[tuple[int, int]], schedule: str = "cosine") -> list[float]:
    """Of a training of which one planned (from this step on, so many steps in all)."""
    of, rates = make_schedule(schedule, 0.1), []
    for i, (begin, planned) in enumerate(turns):
        end = turns[i + 1][0] if i + 1 < len(turns) else planned
        until = min(begin + 0.02 * planned, planned) if i else 0
        line = [begin, until], [rates[-1] if i else 0, float(of(jnp.float32(until / planned)))]
        rates += [
            np.interp(step, *line) if step < until else float(of(jnp.float32(step / planned)))
            for step in range(begin, end)
        ]
    return rates


@pytest.mark.parametrize(
    ("turns", "verbs"),
    [
        ([(0, 100), (100, 1000)], ["rises"]),  # after its end
        ([(0, 100), (40, 1000)], ["rises"]),  # before it
        ([(0, 1000), (500, 600)], ["falls"]),  # shorter than planned
        ([(0, 100), (100, 500), (500, 800)], ["rises", "rises"]),
        ([(0, 100), (100, 1000), (110, 2000), (120, 300)], ["rises"] * 3),
        ([(0, 100), (100, 101)], []),  # less than the line is long
    ],
)
def test_to_another_length_the_rate_goes_in_a_straight_line(turns, verbs, fitted, capsys):
    rates, ends = [], [begin for begin, _ in turns[1:]]
    for i, (begin, planned) in enumerate(turns):
        stopped = i < len(ends) and ends[i] < planned
        every = ends[i] - begin if stopped else 1000
        assert not stopped or ends[i] % every == 0  # the first multiple
        rates += fitted(
            Stopping(planned), evaluations=[int(signal.SIGTERM)] * stopped, evaluate_every=every,
            checkpoint_every=1000,
        ).rates  # fmt: skip
    said = capsys.readouterr().out
    np.testing.assert_allclose(rates, expected_rates(turns), rtol=1e-4, atol=1e-7)
    found = re.findall(r"The learning rate, \S+ at step .* (rises|falls) to", said)
    assert found == verbs or not verbs
    for (_, before), (step, planned) in itertools.pairwise(turns[:2]):
        assert f"at step {step:,} of a training of {before:,} steps" in said
        assert f"as the schedule over {planned:,} steps has it" in said


@pytest.mark.parametrize("schedule", ["cosine", "exponential"])
def test_a_run_stopped_on_its_way_to_another_length_goes_on_to_the_bit(fitted, tmp_path, schedule):
    def extended(*stops: int):
        rates = fitted(Stopping(100), schedule=schedule, checkpoint_every=50).rates
        for number in stops:
            settings = {"evaluate_every": 10, "schedule": schedule}
            rates += fitted(Stopping(1000), evaluations=[number], **settings).rates
        done = fitted(Stopping(1000), evaluate_every=1000, checkpoint_every=500, schedule=schedule)
        return rates + done.rates, params(done.workdir)

    stopped = extended(int(signal.SIGTERM), int(signal.SIGINT), int(signal.SIGTERM))
    for path in ("checkpoints", "metrics.jsonl"):
        (tmp_path / path).rename(tmp_path / f"stopped-{path}")
    assert extended() == stopped


@pytest.mark.parametrize("again", [Stopping(100), Stopping(100, patience=50)])
def test_a_length_that_stays_leaves_the_rate_alone(again, fitted, capsys):
    first = fitted(Stopping(100), evaluations=[1.0, int(signal.SIGTERM)])
    rates = first.rates + fitted(again).rates
    np.testing.assert_allclose(rates, expected_rates([(0, 100)]), rtol=1e-4, atol=1e-8)
    assert "learning rate" not in capsys.readouterr().out


def test_a_constant_rate_stays_as_it_is_and_nothing_is_said(fitted, capsys):
    rates = fitted(Stopping(50), schedule="constant").rates
    done = fitted(Stopping(90), schedule="constant")
    assert set(rates + done.rates) == {float(np.float32(0.1))}
    assert done.progress.turned_rate is None
    assert "learning rate" not in capsys.readouterr().out


def test_more_minutes_take_the_rate_up_where_it_stood(fitted, capsys):
    first = fitted(Stopping(None, 1.0), evaluations=[int(signal.SIGTERM)])
    second = fitted(Stopping(None, 60.0), evaluations=[int(signal.SIGTERM)])
    assert second.rates[0] == first.rates[-1]
    third = fitted(Stopping(100))
    assert third.rates[0] == second.rates[-1]
    said = capsys.readouterr().out
    assert "of a training of 1.0 minutes," in said
    assert "by minute 1.2, as the schedule over 60.0 minutes has it" in said


def test_of_a_finished_run_nothing_is_said(fitted, capsys):
    fitted(Stopping(50))
    capsys.readouterr()
    done = fitted(Stopping(30))
    assert (done.reason, done.progress.step, done.rates) == ("steps", 50, [])
    assert "learning rate" not in capsys.readouterr().out


def changed_metrics(workdir: WorkDirectory, change) -> None:
    """Changes what the last checkpoint says of the run's progress."""
    checkpoint = max((workdir.path / "checkpoints" / "last").iterdir())
    facts = json.loads((checkpoint / "checkpoint.json").read_text())
    facts["metrics"] = change(facts["metrics"])
    (checkpoint / "checkpoint.json").write_text(json.dumps(facts))
    (checkpoint / "SHA256SUMS").write_text(checkpoints._sums(checkpoint))


def test_a_checkpoint_with_other_fields_is_gone_on_from(fitted, capsys):
    """One that was since taken out is left out; one that is new begins at its default."""
    workdir = fitted(Stopping(40)).workdir
    changed_metrics(workdir, lambda old: {"best": 0.5, "seconds": 9, "stale": 1, "momentum": [1]})
    done = fitted(Stopping(60))
    assert (done.progress.step, done.reason, len(done.rates)) == (60, "steps", 20)
    assert (done.progress.best, done.progress.stale) == (0.5, 2)
    assert done.progress.seconds > 9
    said = capsys.readouterr().out
    assert "does not know what the checkpoint says of momentum, and goes on without it." in said


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("step", "40"),
        ("step", 4.5),
        ("seconds", None),
        ("best", "low"),
        ("length", 3),
        ("rate", []),
    ],
)
def test_a_checkpoint_with_fields_of_another_kind_is_refused(field, value, fitted):
    workdir = fitted(Stopping(40)).workdir
    changed_metrics(workdir, lambda old: old | {field: value})
    with pytest.raises(
        InputError, match=f"{re.escape(repr(value))} for '{field}', where"
    ) as refused:
        fitted(Stopping(60))
    assert str(workdir.path) in str(refused.value)


@pytest.mark.parametrize("ruined", [float("inf"), float("-inf"), float("nan")])
def test_what_is_not_finite_is_never_best_nor_kept_nor_shown_to_anyone(ruined, fitted):
    seen = []
    options = {"after": lambda step, _: seen.append(step), "checkpoint_every": 1000}
    done = fitted(Stopping(20), evaluations=[ruined], **options)
    assert (done.progress.best, done.progress.best_step, done.progress.stale) == (None, None, 1)
    assert not list(done.workdir.path.rglob("checkpoint.json"))
    done = fitted(Stopping(80, patience=3), evaluations=[ruined, 7.0, ruined, 8.0], **options)
    assert (done.progress.best, done.progress.best_step, done.progress.stale) == (7.0, 40, 2)
    assert done.progress.figure == 8.0
    assert seen == [40, 80]
    kept = Checkpoints(done.workdir.path)
    assert (kept.steps("best"), kept.steps("last")) == ((40,), (40, 80))


def test_a_state_after_which_steps_were_skipped_does_not_take_the_place_of_a_good_one(fitted):
    """It is kept as soon as a step is taken again, or found finite by an evaluation."""
    broken = range(25, 58)
    stops = {"evaluations": [1.0, float("nan"), int(signal.SIGTERM)]}
    done = fitted(Stopping(200), finite=lambda step: step not in broken, **stops)
    assert done.progress.step == 60
    assert Checkpoints(done.workdir.path).steps("last") == (20, 60)
    broken = range(5, 1000)
    done = fitted(Stopping(1000), finite=lambda step: step not in broken, evaluations=[np.nan] * 9)
    assert (done.reason, done.progress.step) == ("not finite", 170)
    assert Checkpoints(done.workdir.path).steps("last") == (20, 60)
    assert (done.progress.best, done.progress.best_step) == (1.0, 20)


def test_what_computes_is_noted_and_a_change_of_it_is_said_once(fitted, capsys, monkeypatch):
    fitted(Stopping(20))
    for path, steps in (("0.1", 40), ("0.1", 60), (None, 60)):
        with monkeypatch.context() as patch:
            if path:
                now = fitting.surroundings(1) | {"versions": {"jax": path}}
                patch.setattr(fitting, "surroundings", lambda _, now=now: now)
            done = fitted(Stopping(steps))
    said = capsys.readouterr().out
    assert said.count("Going on with jax 0.1 where so far it was jax") == 1
    assert said.count("Going on with") == 1  # the last time nothing was computed
    config = done.workdir.read_json("config.json")
    assert [entry["from"] for entry in config["surroundings"]] == [0, 20]
    assert config["surroundings"][0]["devices"] == 1
    assert config["surroundings"][0]["versions"]["jax"] == jax.__version__
