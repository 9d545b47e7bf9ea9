"""When training ends, and the learning rate where that end is moved.

A schedule is a function of how much of the training is done, so that another length means another
rate for every step. A rate that jumped there would undo what was learned: it goes there from where
it stood, in a straight line. So it does where the schedule itself is another, but for a lower rate.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrnn.learning.optimizers import Schedule

SHARE = 0.02  # of the new length, which the line takes; as the warm-up of a schedule


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


class Turn(NamedTuple):
    """Where a rate left the schedule of one length for that of another.

    Attributes:
      since: the fraction of the new length that was done then.
      rate: what the learning rate was.
    """

    since: float
    rate: float

    @property
    def until(self) -> float:
        """The fraction at which the rate is the new schedule's."""
        return min(1.0, self.since + SHARE)


def turned(schedule: Schedule, turn: Turn | None) -> Schedule:
    """The schedule, but for a straight line that leads to it."""
    if turn is None:
        return schedule
    end = float(schedule(turn.until))
    width = max(turn.until - turn.since, 1e-9)
    return lambda progress: jnp.where(
        progress < turn.until,
        turn.rate + (end - turn.rate) * (progress - turn.since) / width,
        schedule(progress),
    )


def turn_towards(
    schedule: Schedule, since: float, rate: float, *, at_once: bool = False
) -> Turn | None:
    """The turn from a rate to a schedule; None where the schedule has that rate there.

    Args:
      schedule: the new one.
      since: the fraction of the training that is done.
      rate: what the learning rate was.
      at_once: whether a lower rate needs no turn: it is a schedule that someone asked for, perhaps
        because the rate is too high.
    """
    goal = np.float32(schedule(np.float32(since)))
    if goal == np.float32(rate) or (at_once and goal < np.float32(rate)):
        return None
    return Turn(since, rate)
