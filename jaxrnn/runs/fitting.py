"""The training loop: evaluation, checkpoints, early stopping, interruption and resumption."""

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jaxrnn import parallel
from jaxrnn.checkpoints import Checkpoints
from jaxrnn.loss import bits_per_character
from jaxrnn.optimizers import Schedule
from jaxrnn.parameters import Params
from jaxrnn.runs.processes import agreed_time, any_of, from_writer, is_writer
from jaxrnn.runs.progress import ProgressDisplay
from jaxrnn.runs.workdir import WorkDirectory
from jaxrnn.text import Batch
from jaxrnn.training import STEPS_PER_CALL, Chunks, TrainingState, TrainingSteps

LOG_EVERY = 100  # steps
MOST_SKIPPED_IN_A_ROW = 100  # steps


class Task(NamedTuple):
    """What is trained on, and how it is judged."""

    chunk: Callable[[int], Batch]  # of a step's number alone; this process's lanes
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


@dataclasses.dataclass
class Progress:
    """Where a run is; kept in its checkpoints beside the training state."""

    step: int = 0
    seconds: float = 0.0  # of training, compilation and evaluations included
    skipped: int = 0  # steps whose loss or gradient was not finite
    skipped_in_a_row: int = 0
    evaluated: int = 0  # the step of the last evaluation
    best: float | None = None  # validation bits per character
    stale: int = 0  # evaluations since the best one

    def reason_to_stop(self, stopping: Stopping) -> str | None:
        if self.skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
            return "not finite"
        if stopping.fraction(self.step, self.seconds) >= 1:
            return "minutes" if stopping.steps is None else "steps"
        if stopping.patience and self.stale >= stopping.patience:
            return "patience"
        return None


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
    display: ProgressDisplay,
) -> tuple[Progress, str]:
    """Trains on from the work directory's last checkpoint, or from `state`, until told to stop.

    Whatever a step does is a function of the seed and the step's number, so that a resumed run
    equals one that was never interrupted, to the bit, unless `stopping` counts minutes.

    All processes of a run (see `jaxrnn.runs.processes`) call this and take the same decisions.

    Returns:
      How far it came, and why it stopped: "steps", "minutes", "patience", "not finite", "SIGINT" or
      "SIGTERM". The last state and the best are in the checkpoints.
    """
    checkpoints = Checkpoints(workdir.path)
    state, progress = _resume(checkpoints, state, workdir, display)
    state = parallel.place(mesh, state)
    prepare = _preparer(task, stopping, schedule, seed, mesh)
    clock = _Clock(task, stopping, progress)
    with _signals() as caught:
        prepared = prepare(progress)
        while not (reason := _first(caught) or progress.reason_to_stop(stopping)):
            before = progress.step
            chunks, rates, keys = prepared
            state, report = training_steps(state, chunks, rates, keys)
            progress.step += len(rates)
            prepared = prepare(progress)  # while the device computes
            _count_skipped(progress, np.asarray(report.finite))
            clock.tick(np.asarray(report.losses), np.asarray(report.finite))
            clock.show(display)
            if _passed(LOG_EVERY, before, progress.step):
                workdir.log(clock.record(float(rates[-1])))
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
    checkpoints: Checkpoints, state: TrainingState, workdir: WorkDirectory, display: ProgressDisplay
) -> tuple[TrainingState, Progress]:
    restored = from_writer(lambda: checkpoints.restore(state) if checkpoints.steps() else None)
    if restored is None:
        workdir.forget_after(-1)
        return state, Progress()
    for skipped in restored.skipped:
        display.say(f"Checkpoint {skipped}; going on from the one before it.")
    progress = Progress(**restored.metrics)
    workdir.forget_after(progress.step)
    display.say(f"Going on from step {progress.step:,}.")
    return restored.state, progress


def _preparer(
    task: Task, stopping: Stopping, schedule: Schedule, seed: int, mesh: Mesh
) -> Callable[[Progress], tuple[Chunks, jax.Array, jax.Array]]:
    """A function of progress that makes what the next call of `training_steps` needs."""
    key = jax.random.key(seed)

    @partial(jax.jit, out_shardings=parallel.everywhere(mesh))
    def rates_and_keys(fractions: jax.Array, steps: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, steps)
        return jax.vmap(schedule)(fractions), keys

    def prepare(progress: Progress) -> tuple[Chunks, jax.Array, jax.Array]:
        # Calls end at multiples of STEPS_PER_CALL, so that a resumed run makes the same calls.
        count = STEPS_PER_CALL - progress.step % STEPS_PER_CALL
        if stopping.steps is not None and progress.step < stopping.steps:
            count = min(count, stopping.steps - progress.step)
        steps = range(progress.step, progress.step + count)
        fractions = [stopping.fraction(step, progress.seconds) for step in steps]
        chunks = [task.chunk(step) for step in steps]
        stacked = parallel.feed(mesh, (np.stack(arrays) for arrays in zip(*chunks, strict=True)))
        return stacked, *rates_and_keys(np.array(fractions, np.float32), np.array(steps))

    return prepare


def _evaluate(
    task: Task,
    state: TrainingState,
    progress: Progress,
    checkpoints: Checkpoints,
    mesh: Mesh,
    workdir: WorkDirectory,
    display: ProgressDisplay,
) -> None:
    params = parallel.local(state.params)
    loss = from_writer(lambda: task.evaluate(params))
    loss = loss if math.isfinite(loss) else math.inf  # NaN compares as no worse than any
    is_best = progress.best is None or loss < progress.best
    progress.best = loss if is_best else progress.best
    progress.stale = 0 if is_best else progress.stale + 1
    progress.evaluated = progress.step
    characters = progress.step * task.characters_per_step
    figure = loss if math.isfinite(loss) else None
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
        self.losses: list[float] = []
        self.since = progress.step, progress.seconds

    def tick(self, losses: np.ndarray, finite: np.ndarray) -> None:
        seconds = time.monotonic() - self.began
        # Counted minutes decide what is trained; else each process may go by its own clock.
        self.progress.seconds = seconds if self.stopping.steps else agreed_time(seconds)
        self.losses += losses[finite].tolist()

    def leave_out(self) -> None:
        """Does not let the speed suffer from what was done since the last tick."""
        step, seconds = self.since
        self.since = step, seconds + time.monotonic() - self.began - self.progress.seconds

    def show(self, display: ProgressDisplay) -> None:
        fraction, (first, start) = self._fraction(), self.first
        spent = self.progress.seconds - start
        left = spent * (1 - fraction) / max(fraction - first, 1e-9)
        display.update(self.progress.step, fraction, self._loss(), self._speed(), left)

    def record(self, learning_rate: float) -> dict[str, int | float | None]:
        """One line for metrics.jsonl; what follows is counted anew."""
        record = {
            "step": self.progress.step,
            "characters": self.progress.step * self.task.characters_per_step,
            "seconds": round(self.progress.seconds, 3),
            "train_bits_per_character": self._loss() if self.losses else None,
            "characters_per_second": round(self._speed(), 1),
            "learning_rate": learning_rate,
            "skipped": self.progress.skipped,
        }
        self.losses, self.since = [], (self.progress.step, self.progress.seconds)
        return record

    def _fraction(self) -> float:
        return self.stopping.fraction(self.progress.step, self.progress.seconds)

    def _loss(self) -> float:
        return bits_per_character(float(np.mean(self.losses))) if self.losses else float("nan")

    def _speed(self) -> float:
        step, seconds = self.since
        steps = self.progress.step - step
        return steps * self.task.characters_per_step / max(self.progress.seconds - seconds, 1e-9)


def _first(caught: list[str]) -> str | None:
    """The signal that was caught first, in whichever process."""
    number = any_of(signal.Signals[caught[0]] if caught else 0)
    return signal.Signals(number).name if number else None


@contextmanager
def _signals() -> Iterator[list[str]]:
    """Collects the names of Ctrl-C and SIGTERM; a second one of them acts at once."""
    caught: list[str] = []
    handlers = {}

    def catch(number: int, _: object) -> None:
        caught.append(signal.Signals(number).name)
        for one, handler in handlers.items():
            signal.signal(one, handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        handlers[number] = signal.signal(number, catch)
    try:
        yield caught
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
