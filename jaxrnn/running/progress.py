"""How far a run has come, what it has measured so far, and how fast it goes."""

import math
import time
from dataclasses import dataclass

import numpy as np

from jaxrnn.learning.loss import Measure
from jaxrnn.running.learner import Counted
from jaxrnn.running.processes import agreed_time
from jaxrnn.running.stopping import Stopping, Turn

MOST_SKIPPED_IN_A_ROW = 100  # steps

Record = dict[str, int | float | None]  # a line of metrics.jsonl


@dataclass
class Progress:
    """Where a run is; kept in its checkpoints beside the training state."""

    step: int = 0
    seconds: float = 0.0  # of training, compilation and evaluations included
    skipped: int = 0  # steps that would have left behind what is not finite
    skipped_in_a_row: int = 0
    restarted: int = 0  # lanes that skipped steps made start anew
    evaluated: int = 0  # the step of the last evaluation
    figure: float | None = None  # what that found; None where it was not finite
    best: float | None = None  # the best such figure; None while none was finite
    best_step: int | None = None  # the step that it is of
    stale: int = 0  # evaluations since the best one
    losses: float = 0.0  # of the steps since the last record, added up
    counted: int = 0  # how many they are
    rate: float = 0.0  # the last step's learning rate
    length: str = ""  # of the training, as planned
    rates: str = ""  # likewise, its schedule
    turned_since: float = 0.0  # the `Turn` after a change of these, if there was one
    turned_rate: float | None = None

    @property
    def turn(self) -> Turn | None:
        return None if self.turned_rate is None else Turn(self.turned_since, self.turned_rate)

    def reason_to_stop(self, stopping: Stopping) -> str | None:
        if self.skipped_in_a_row >= MOST_SKIPPED_IN_A_ROW:
            return "not finite"
        if stopping.fraction(self.step, self.seconds) >= 1:
            return "minutes" if stopping.steps is None else "steps"
        if stopping.patience and self.stale >= stopping.patience:
            return "patience"
        return None

    def note_evaluation(self, figure: float, judged: Measure) -> bool:
        """Counts an evaluation; whether it is the best so far, as what is not finite never is."""
        self.evaluated, self.figure = self.step, figure if math.isfinite(figure) else None
        is_best = judged.cost(self.figure) < judged.cost(self.best)
        if is_best:
            self.best, self.best_step = self.figure, self.step
        self.stale = 0 if is_best else self.stale + 1
        return is_best

    @property
    def is_sound(self) -> bool:
        """Whether the state is one to go on from, as far as one can tell.

        Parameters may be finite, but so large that nothing finite comes of them.
        """
        if self.step and self.evaluated == self.step:
            return self.figure is not None
        return not self.skipped_in_a_row


class Clock:
    """Keeps a progress's time, and the loss and speed since the last record."""

    def __init__(self, counted: Counted, stopping: Stopping, progress: Progress) -> None:
        self.counted, self.stopping, self.progress = counted, stopping, progress
        self.began = time.monotonic() - progress.seconds
        self.first = self.fraction, progress.seconds
        self.since = progress.step, progress.seconds

    @property
    def fraction(self) -> float:
        """How much of the training is done."""
        return self.stopping.fraction(self.progress.step, self.progress.seconds)

    def tick(self, losses: np.ndarray, finite: np.ndarray) -> None:
        """Takes note of steps."""
        seconds = time.monotonic() - self.began
        # Counted minutes decide what is trained; else each process may go by its own clock.
        self.progress.seconds = seconds if self.stopping.steps else agreed_time(seconds)
        for loss in losses[finite].tolist():  # one by one: a resumed run adds up in this order too
            self.progress.losses += loss
            self.progress.counted += 1

    def leave_out(self) -> None:
        """Does not let the speed suffer from what was done since the last tick."""
        step, seconds = self.since
        self.since = step, seconds + time.monotonic() - self.began - self.progress.seconds

    @property
    def seconds_left(self) -> float:
        first, start = self.first
        spent = self.progress.seconds - start
        return spent * (1 - self.fraction) / max(self.fraction - first, 1e-9)

    @property
    def facts(self) -> str:
        """Loss and speed, in words."""
        unit, name = self.counted.loss.unit, self.counted.name
        return f"{self._loss():.3f} {unit}, {self._speed():,.0f} {name}s/s"

    def record(self) -> Record:
        """One line for metrics.jsonl; what follows is counted anew."""
        record = {
            **_position(self.progress, self.counted),
            "seconds": round(self.progress.seconds, 3),
            _key("train", self.counted.loss.unit): self._loss() if self.progress.counted else None,
            _key(f"{self.counted.name}s per second"): round(self._speed(), 1),
            "learning_rate": self.progress.rate,
            "skipped": self.progress.skipped,
            "restarted": self.progress.restarted,
        }
        self.progress.losses, self.progress.counted = 0.0, 0
        self.since = self.progress.step, self.progress.seconds
        return record

    def _loss(self) -> float:
        losses, count = self.progress.losses, self.progress.counted
        return self.counted.loss.factor * losses / count if count else float("nan")

    def _speed(self) -> float:
        step, seconds = self.since
        counted = (self.progress.step - step) * self.counted.per_step
        return counted / max(self.progress.seconds - seconds, 1e-9)


def evaluation_record(progress: Progress, counted: Counted) -> Record:
    """One line for metrics.jsonl, on the last evaluation."""
    return {**_position(progress, counted), _key("valid", counted.judged.unit): progress.figure}


def _position(progress: Progress, counted: Counted) -> Record:
    return {"step": progress.step, _key(f"{counted.name}s"): progress.step * counted.per_step}


def _key(*words: str) -> str:
    """The name of a record's field."""
    return "_".join(words).replace(" ", "_")
