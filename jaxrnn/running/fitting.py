"""The training loop: evaluation, checkpoints, early stopping, interruption and resumption."""

import dataclasses
import math
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh

from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.core.parameters import Params
from jaxrnn.learning import parallel
from jaxrnn.learning.batch import Batch, stack
from jaxrnn.learning.loss import bits_per_character
from jaxrnn.learning.optimizers import Schedule
from jaxrnn.learning.training import STEPS_PER_CALL, TrainingState, TrainingSteps
from jaxrnn.running.extension import Turn, turn_towards, turned
from jaxrnn.running.processes import agreed_time, any_of, from_writer, is_writer
from jaxrnn.running.signals import caught_signals
from jaxrnn.running.surroundings import surroundings
from jaxrnn.running.workdir import WorkDirectory
from jaxrnn.storage.checkpoints import Checkpoints, Restored

LOG_EVERY = 100  # steps
MOST_SKIPPED_IN_A_ROW = 100  # steps


@runtime_checkable
class Display(Protocol):
    """Where a run is shown while it trains."""

    unit: str  # what bits are counted per

    def update(
        self,
        step: int,
        fraction: float,
        bits_per_character: float,
        characters_per_second: float,
        seconds_left: float,
    ) -> None:
        """Shows where training is; `fraction` of it is done."""

    def say(self, text: str = "") -> None:
        """Shows text as it is."""


class Task(NamedTuple):
    """What is trained on, and how it is judged."""

    chunk: Callable[[int], Any]  # of a step's number alone; this process's lanes
    characters_per_step: int
    evaluate: Callable[[Params], float]  # validation loss in bits per character
    sample: Callable[[Params], str]  # a short text, to watch the model learn


class Stopping(NamedTuple):
    """When training ends: after so many steps or, if they are None, so many minutes.

    Both count over all sessions of a resumed run. `patience` ends it earlier, after that many
    evaluations in a row without a new best; 0 never does.
    """

    steps: int | None
    minutes: float | None = None
    patience: int = 0

    def fraction(self, step: int, seconds: float) -> float:
        """How much of the training is done."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.minutes is not None
        return min(1.0, seconds / (60 * self.minutes))

    @property
    def length(self) -> str:
        """How long the training is, in words."""
        return f"{self.minutes} minutes" if self.steps is None else f"{self.steps:,} steps"

    def moment(self, fraction: float) -> str:
        """When that much of the training is done, in words."""
        if self.steps is not None:
            return f"step {math.ceil(fraction * self.steps):,}"
        assert self.minutes is not None
        return f"minute {fraction * self.minutes:.1f}"


@dataclasses.dataclass
class Progress:
    """Where a run is; kept in its checkpoints beside the training state."""

    step: int = 0
    seconds: float = 0.0  # of training, compilation and evaluations included
    skipped: int = 0  # steps that would have left behind what is not finite
    skipped_in_a_row: int = 0
    restarted: int = 0  # lanes that skipped steps made start anew
    evaluated: int = 0  # the step of the last evaluation
    best: float | None = None  # validation bits per character; None while none was finite
    stale: int = 0  # evaluations since the best one
    nats: float = 0.0  # the losses since the last record, added up
    counted: int = 0  # how many they are
    rate: float = 0.0  # the last step's learning rate
    length: str = ""  # of the training, as planned
    turned_since: float = 0.0  # the `Turn` after a change of that, if there was one
    turned_rate: float | None = None

    def reason_to_stop(self, stopping: Stopping) -> str | None:
        if self.skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
            return "not finite"
        if stopping.fraction(self.step, self.seconds) >= 1:
            return "minutes" if stopping.steps is None else "steps"
        if stopping.patience and self.stale >= stopping.patience:
            return "patience"
        return None

    @property
    def turn(self) -> Turn | None:
        return None if self.turned_rate is None else Turn(self.turned_since, self.turned_rate)


def fit(
    task: Task,
    training_steps: TrainingSteps,
    state: TrainingState,
    schedule: Schedule,
    stopping: Stopping,
    *,
    mesh: Mesh,
    seed: int,
    evaluate_every: int,
    checkpoint_every: int,
    workdir: WorkDirectory,
    display: Display,
) -> tuple[Progress, str]:
    """Trains on from the work directory's last checkpoint, or from `state`, until told to stop.

    Whatever a step does is a function of the seed and the step's number, so that a resumed run
    equals one that was never interrupted, to the bit, unless `stopping` counts minutes. What it
    depends on besides, `surroundings`, is noted in the work directory, and a change of it is said.
    Where `stopping` has another length than so far, the rate turns (`jaxrnn.running.extension`).

    All processes of a run (see `jaxrnn.running.processes`) call this and take the same decisions.

    Returns:
      How far it came, and why it stopped: "steps", "minutes", "patience", "not finite", "SIGINT" or
      "SIGTERM". The last state and the best are in the checkpoints.
    """
    checkpoints = Checkpoints(workdir.path)
    state, progress = _resume(checkpoints, state, workdir, display)
    if not progress.reason_to_stop(stopping):
        _take_up(progress, stopping, schedule, mesh, workdir, display)
    state = parallel.place(parallel.shardings(mesh), state)
    prepare = _preparer(task, stopping, turned(schedule, progress.turn), seed, mesh)
    clock = _Clock(task, stopping, progress)
    with caught_signals() as caught:
        prepared = prepare(progress)
        while not (reason := _first(caught) or progress.reason_to_stop(stopping)):
            before = progress.step
            chunks, keys, rates = prepared
            state, report = training_steps(state, chunks, keys, rates)
            progress.step, progress.rate = progress.step + len(rates), float(np.asarray(rates)[-1])
            prepared = prepare(progress)  # while the device computes
            _count_skipped(progress, np.asarray(report.finite))
            progress.restarted += int(np.sum(report.restarted))
            clock.tick(np.asarray(report.losses), np.asarray(report.finite))
            clock.show(display)
            if _passed(LOG_EVERY, before, progress.step):
                workdir.log(clock.record())
            if _passed(evaluate_every, before, progress.step):
                _evaluate(task, state, progress, checkpoints, mesh, workdir, display)
                clock.leave_out()
            elif _passed(checkpoint_every, before, progress.step):
                _save(checkpoints, state, progress, mesh)
                clock.leave_out()
        if reason in ("SIGINT", "SIGTERM"):
            _save(checkpoints, state, progress, mesh)
        elif reason != "not finite" and progress.evaluated < progress.step:
            _evaluate(task, state, progress, checkpoints, mesh, workdir, display)
    return progress, reason


def _resume(
    checkpoints: Checkpoints, state: TrainingState, workdir: WorkDirectory, display: Display
) -> tuple[TrainingState, Progress]:
    restored = _restored(checkpoints, state)
    if restored is None:
        workdir.forget_after(-1)
        return state, Progress()
    for skipped in restored.skipped:
        display.say(f"Checkpoint {skipped}; going on from the one before it.")
    progress = _progress(restored, workdir, display)
    workdir.forget_after(progress.step)
    display.say(f"Going on from step {progress.step:,}.")
    return restored.state, progress


def _restored(checkpoints: Checkpoints, state: TrainingState) -> Restored | None:
    """The writer's last checkpoint, in every process; None if there is none."""
    found = checkpoints.restore(state) if is_writer() and checkpoints.steps() else None
    if jax.process_count() == 1:
        return found
    told = from_writer(lambda: found and (found.step, found.metrics, found.skipped))
    if told is None:
        return None
    step, metrics, skipped = told
    state = parallel.from_first(found.state if found else state)
    return Restored(step, state, metrics, tuple(skipped))


def _progress(restored: Restored, workdir: WorkDirectory, display: Display) -> Progress:
    """The progress in a checkpoint, which an older or a newer jaxrnn may have written."""
    kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(Progress)}
    found: dict[str, Any] = {"step": restored.step} | restored.metrics
    known = {}
    for name in found.keys() & kinds.keys():
        value, kind = found[name], kinds[name]
        known[name] = value if isinstance(value, kind) or type(value) is not int else float(value)
        if not isinstance(known[name], kind):
            raise InputError(
                f"the checkpoint of step {restored.step} in {workdir.path} has {value!r} for "
                f"'{name}', where {getattr(kind, '__name__', kind)} is expected; delete it to go "
                "on from the one before it"
            )
    unknown = found.keys() - kinds.keys()
    if unknown:
        display.say(
            f"This jaxrnn does not know what the checkpoint says of {', '.join(sorted(unknown))}, "
            "and goes on without it."
        )
    return Progress(**known)


def _take_up(
    progress: Progress,
    stopping: Stopping,
    schedule: Schedule,
    mesh: Mesh,
    workdir: WorkDirectory,
    display: Display,
) -> None:
    """Notes what is going to train, and for how long, and says what of it is new."""
    now = surroundings(mesh.size)
    changed = from_writer(lambda: workdir.note_surroundings(progress.step, now))
    if changed:
        display.say(changed)
    before, progress.length = progress.length, stopping.length
    if before in ("", stopping.length):
        return
    since = stopping.fraction(progress.step, progress.seconds)
    turn = turn_towards(schedule, since, progress.rate)
    progress.turned_since, progress.turned_rate = turn or (0.0, None)
    if turn is not None:
        goal = float(schedule(turn.until))
        display.say(
            f"The learning rate, {turn.rate:.2g} at step {progress.step:,} of a training of "
            f"{before}, {'rises' if goal > turn.rate else 'falls'} to {goal:.2g} by "
            f"{stopping.moment(turn.until)}, as the schedule over {stopping.length} has it; a run "
            "begun with that length would differ."
        )


def _preparer(
    task: Task, stopping: Stopping, schedule: Schedule, seed: int, mesh: Mesh
) -> Callable[[Progress], tuple[Batch, jax.Array, jax.Array]]:
    """A function of progress that makes what the next call of `training_steps` needs."""
    key = derive(jax.random.key(seed), "dropout")

    @partial(jax.jit, out_shardings=parallel.everywhere(mesh))
    def keys_and_rates(steps: jax.Array, fractions: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, steps)
        return keys, jax.vmap(schedule)(fractions)

    def prepare(progress: Progress) -> tuple[Batch, jax.Array, jax.Array]:
        # Calls end at multiples of STEPS_PER_CALL, so that a resumed run makes the same calls.
        count = STEPS_PER_CALL - progress.step % STEPS_PER_CALL
        if stopping.steps is not None and progress.step < stopping.steps:
            count = min(count, stopping.steps - progress.step)
        steps = range(progress.step, progress.step + count)
        fractions = [stopping.fraction(step, progress.seconds) for step in steps]
        chunks = [task.chunk(step) for step in steps]
        stacked = parallel.feed(mesh, stack(chunks))
        return stacked, *keys_and_rates(np.array(steps), np.array(fractions, np.float32))

    return prepare


def _evaluate(
    task: Task,
    state: TrainingState,
    progress: Progress,
    checkpoints: Checkpoints,
    mesh: Mesh,
    workdir: WorkDirectory,
    display: Display,
) -> None:
    params = parallel.local(state.params)
    loss = from_writer(lambda: task.evaluate(params))
    loss = loss if math.isfinite(loss) else math.inf  # NaN compares as no worse than any
    figure = loss if math.isfinite(loss) else None
    if progress.best is None:  # something has to be the best one; a finite one takes its place
        is_best = not progress.evaluated or figure is not None
    else:
        is_best = loss < progress.best
    progress.best = figure if is_best else progress.best
    progress.stale = 0 if is_best else progress.stale + 1
    progress.evaluated = progress.step
    characters = progress.step * task.characters_per_step
    workdir.log(
        {"step": progress.step, "characters": characters, "valid_bits_per_character": figure}
    )
    display.say(
        f"\nstep {progress.step:,}: {loss:.4f} bits per {display.unit} on the validation split"
        + (" (the best so far)" if is_best else "")
    )
    if is_writer():
        display.say(task.sample(params))
    _save(checkpoints, state, progress, mesh, best=is_best)


def _save(
    checkpoints: Checkpoints,
    state: TrainingState,
    progress: Progress,
    mesh: Mesh,
    best: bool = False,
) -> None:
    state, metrics = parallel.whole(mesh, state), dataclasses.asdict(progress)
    from_writer(lambda: checkpoints.save(progress.step, state, metrics=metrics, best=best))


def _count_skipped(progress: Progress, finite: np.ndarray) -> None:
    for is_finite in finite:
        progress.skipped += not is_finite
        progress.skipped_in_a_row = 0 if is_finite else progress.skipped_in_a_row + 1


def _passed(every: int, before: int, now: int) -> bool:
    """Whether a multiple of `every` was reached."""
    return now // every > before // every


class _Clock:
    """Keeps a progress's time, and the loss and speed since the last record."""

    def __init__(self, task: Task, stopping: Stopping, progress: Progress) -> None:
        self.task, self.stopping, self.progress = task, stopping, progress
        self.began = time.monotonic() - progress.seconds
        self.first = self._fraction(), progress.seconds
        self.since = progress.step, progress.seconds

    def tick(self, losses: np.ndarray, finite: np.ndarray) -> None:
        seconds = time.monotonic() - self.began
        # Counted minutes decide what is trained; else each process may go by its own clock.
        self.progress.seconds = seconds if self.stopping.steps else agreed_time(seconds)
        for loss in losses[finite].tolist():  # one by one: a resumed run adds up in this order too
            self.progress.nats += loss
            self.progress.counted += 1

    def leave_out(self) -> None:
        """Does not let the speed suffer from what was done since the last tick."""
        step, seconds = self.since
        self.since = step, seconds + time.monotonic() - self.began - self.progress.seconds

    def show(self, display: Display) -> None:
        fraction, (first, start) = self._fraction(), self.first
        spent = self.progress.seconds - start
        left = spent * (1 - fraction) / max(fraction - first, 1e-9)
        display.update(self.progress.step, fraction, self._loss(), self._speed(), left)

    def record(self) -> dict[str, int | float | None]:
        """One line for metrics.jsonl; what follows is counted anew."""
        record = {
            "step": self.progress.step,
            "characters": self.progress.step * self.task.characters_per_step,
            "seconds": round(self.progress.seconds, 3),
            "train_bits_per_character": self._loss() if self.progress.counted else None,
            "characters_per_second": round(self._speed(), 1),
            "learning_rate": self.progress.rate,
            "skipped": self.progress.skipped,
            "restarted": self.progress.restarted,
        }
        self.progress.nats, self.progress.counted = 0.0, 0
        self.since = self.progress.step, self.progress.seconds
        return record

    def _fraction(self) -> float:
        return self.stopping.fraction(self.progress.step, self.progress.seconds)

    def _loss(self) -> float:
        nats, counted = self.progress.nats, self.progress.counted
        return bits_per_character(nats / counted) if counted else float("nan")

    def _speed(self) -> float:
        step, seconds = self.since
        steps = self.progress.step - step
        return steps * self.task.characters_per_step / max(self.progress.seconds - seconds, 1e-9)


def _first(caught: list[str]) -> str | None:
    """The signal that was caught first, in whichever process."""
    number = any_of(signal.Signals[caught[0]] if caught else 0)
    return signal.Signals(number).name if number else None
