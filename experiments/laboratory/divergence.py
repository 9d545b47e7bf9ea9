"""When a run has diverged: one rule for all studies.

A run has diverged if the last of its figures

- is not finite, or
- exceeds the best of the run's own by a tenth of the problem's baseline, which knowing nothing of
  the past reaches: its loss blew up, or
- exceeds that baseline, where this or an earlier one exceeded it by as much: it blew up early.

A network that learns nothing has failed, but not diverged. What a run that diverged ended at is
chance: it is counted apart, and enters no mean and no interval; None stands for its figure.
"""

import math
from collections.abc import Iterable, Sequence

Figures = Sequence[float | int | None]  # of several runs, or of one; None: not finite, or diverged

MARGIN = 0.1  # of the baseline


def has_diverged(figures: Figures, baseline: float) -> bool:
    """Of one run.

    Args:
      figures: of its evaluations in their order, the less the better; the last is what counts.
      baseline: what knowing nothing of the past reaches.
    """
    last, margin = figures[-1], MARGIN * abs(baseline)
    if last is None or not math.isfinite(last):
        return True
    known = finite(figures)
    blew_up_early = last > baseline and max(known) > baseline + margin
    return blew_up_early or last > min(known) + margin


def finals(curves: Iterable[Figures], baseline: float) -> list[float | None]:
    """The last figure of each run; None where it diverged."""
    return [None if has_diverged(curve, baseline) else curve[-1] for curve in curves]


def finite(figures: Figures) -> list[float]:
    """The figures of the runs that did not diverge."""
    return [float(x) for x in figures if x is not None and math.isfinite(x)]
