"""Timing in turns: in every round each contender gives one figure.

One after the other they would meet different machines: clocks and neighbours change within seconds.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

FEWEST_ROUNDS, MOST_SECONDS = 5, 60.0

Timer = Callable[[float], float]  # at least so many seconds of runs -> seconds each


class Contender(ABC):
    """Something that can be run again and again, and timed."""

    pace: float | None = None  # seconds that one run took, last time

    @abstractmethod
    def run(self, count: int) -> None:
        """Runs so many times, and returns when all is computed."""

    def seconds_each(self, at_least: float) -> float:
        """Seconds that one run takes, from as many as fill the time asked for."""
        if self.pace is None or self.pace < at_least:
            self.run(1)  # wakes threads and caches up, and compiles the first time
        count = 1 if self.pace is None else max(1, round(at_least / self.pace))
        while True:
            began = time.perf_counter()
            self.run(count)
            seconds = time.perf_counter() - began
            if self.pace is not None or seconds >= at_least / 2:
                self.pace = seconds / count
                return self.pace
            count *= 2  # the first time: until it is known how many it takes


def take_turns(timers: Mapping[str, Timer], rounds: int, seconds: float) -> dict[str, np.ndarray]:
    """What each timer finds in each round; the first round's figures are thrown away.

    Ends earlier where that takes more than a minute, but not before the fifth round.
    """
    figures: list[dict[str, float]] = []
    began = time.monotonic()
    for i in range(rounds + 1):
        if i > FEWEST_ROUNDS and time.monotonic() - began > MOST_SECONDS:
            break
        figure = {name: timer(seconds) for name, timer in timers.items()}
        figures += [figure] * (i > 0)
    return {name: np.array([figure[name] for figure in figures]) for name in timers}


class Spread(NamedTuple):
    """The median of several rounds, and their 10% and 90% quantiles."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: np.ndarray | Sequence[float]) -> "Spread":
        low, median, high = np.quantile(values, (0.1, 0.5, 0.9))
        return Spread(float(median), float(low), float(high))
