"""What several seeds say: intervals, and whether one setting is better than the others.

All intervals are two-sided, from Student's t distribution, at a level of 95%. A run that diverged
has no figure: None, as JSON has no word for what is not finite. Means are of the others, and no
setting with such a run is compared: what is left of it is not a fair sample.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

LEVEL = 0.95

Figures = Sequence[float | int | None]  # of several seeds; None: that run diverged


class Interval(NamedTuple):
    """A mean, and the bounds of its confidence interval; NaN where one value says nothing of it."""

    mean: float
    low: float
    high: float

    def __format__(self, form: str) -> str:
        """As in `2.341 (2.330 to 2.352)`."""
        form = form or ".3f"
        if np.isnan(self.low):
            return f"{self.mean:{form}}"
        return f"{self.mean:{form}} ({self.low:{form}} to {self.high:{form}})"


def finite(values: Figures) -> list[float]:
    """The figures of the runs that did not diverge."""
    return [float(value) for value in values if value is not None and np.isfinite(value)]


def listed(values: Any, digits: int = 5) -> Any:
    """An array as nested lists for JSON: rounded, and None where it is not finite."""
    if np.ndim(values):
        return [listed(value, digits) for value in values]
    return round(float(values), digits) if np.isfinite(values) else None


def shown(values: Figures, form: str = ".3f", otherwise: str = "diverged") -> str:
    """For a table: the mean of the runs that did not diverge, and how many did."""
    ended = finite(values)
    mean = f"{mean_of(ended):{form}}" if ended else "-"
    lost = len(values) - len(ended)
    return f"{mean}, {lost} of {len(values)} {otherwise}" if lost else mean


def told_apart(
    losses: Mapping[str, Figures], what: str = "Left out, since runs diverged"
) -> tuple[dict[str, list[float]], str]:
    """The settings without a run that diverged, and a sentence on the others, if there are any."""
    whole = {name: finite(own) for name, own in losses.items() if len(finite(own)) == len(own)}
    others = [
        f"{name} ({len(own) - len(finite(own))} of {len(own)})"
        for name, own in losses.items() if name not in whole
    ]  # fmt: skip
    return whole, f"{what}: {', '.join(others)}." if others else ""


def mean_of(values: Sequence[float]) -> Interval:
    """The mean over seeds."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = scipy.stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * scipy.stats.sem(values)
    return Interval(mean, float(mean - half), float(mean + half))


def difference(a: Sequence[float], b: Sequence[float], comparisons: int = 1) -> Interval:
    """The mean of `a` less that of `b`, whose variances may differ (Welch 1947).

    With `comparisons` above 1 the interval is as much wider as it must be for so many of them to
    hold together (Bonferroni).
    """
    mean = float(np.mean(a) - np.mean(b))
    if min(len(a), len(b)) < 2:
        return Interval(mean, float("nan"), float("nan"))
    test = scipy.stats.ttest_ind(a, b, equal_var=False)
    bounds = test.confidence_interval(1 - (1 - LEVEL) / comparisons)
    return Interval(mean, float(bounds.low), float(bounds.high))


def best_of(losses: Mapping[str, Figures]) -> tuple[str, list[str]]:
    """The setting of the lowest mean loss, and those that cannot be told from it.

    Of those without a run that diverged; there must be one. A setting can be told from the best
    where the interval of their difference, corrected for the number of settings, leaves out 0. With
    one seed nothing can.
    """
    losses, _ = told_apart(losses)
    best = min(losses, key=lambda name: float(np.mean(losses[name])))
    others = [name for name in losses if name != best]
    equals = [
        name for name in others
        if not difference(losses[name], losses[best], len(others)).low > 0
    ]  # fmt: skip
    return best, equals


def verdict(losses: Mapping[str, Figures], unit: str = "bits per character") -> str:
    """What `best_of` says, as the end of a sentence, and one on what diverged."""
    whole, lost = told_apart(losses)
    if not whole:
        return "some runs of every setting diverged."
    return f"{_comparison(whole, unit)} {lost}".rstrip()


def _comparison(losses: Mapping[str, Sequence[float]], unit: str) -> str:
    best, equals = best_of(losses)
    lowest = f"{best} needs the fewest {unit} ({np.mean(losses[best]):.3f})"
    if equals:
        names = (
            ", ".join(equals) if len(equals) <= 4 else f"{len(equals)} of {len(losses) - 1} others"
        )
        return f"{lowest}, but {names} cannot be told from it."
    others = [name for name in losses if name != best]
    if not others:
        return f"{lowest}."
    runner = min(others, key=lambda name: float(np.mean(losses[name])))
    gap = difference(losses[runner], losses[best], len(others))
    return f"{lowest}; the next, {runner}, needs {gap:.3f} more."
