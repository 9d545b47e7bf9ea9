"""What several seeds say: intervals, and whether one setting is better than the others.

All intervals are two-sided, from Student's t distribution, at a level of 95%. Settings are compared
in pairs: runs of one seed have the same data and the same start, whatever else differs. A run that
diverged has no figure (`divergence`): means are of the others, and no setting with such a run is
compared, since what is left of it is not a fair sample.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from experiments.laboratory.divergence import Figures, finite

LEVEL = 0.95


class Interval(NamedTuple):
    """A mean, and the bounds of its confidence interval; NaN where one value says nothing of it."""

    mean: float
    low: float
    high: float

    @property
    def is_told(self) -> bool:
        """Whether it leaves out 0."""
        return self.low > 0 or self.high < 0

    def __neg__(self) -> "Interval":
        return Interval(-self.mean, -self.high, -self.low)

    def __format__(self, form: str) -> str:
        """As in `2.341 (2.330 to 2.352)`."""
        form = form or ".3f"
        if np.isnan(self.low):
            return f"{self.mean:{form}}"
        return f"{self.mean:{form}} ({self.low:{form}} to {self.high:{form}})"


def mean_of(values: Sequence[float], comparisons: int = 1) -> Interval:
    """The mean over seeds.

    With `comparisons` above 1 the interval is as much wider as it must be for so many of them to
    hold together (Bonferroni).
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, float("nan"), float("nan"))
    quantile = scipy.stats.t.ppf(1 - (1 - LEVEL) / comparisons / 2, len(values) - 1)
    half = quantile * scipy.stats.sem(values)
    return Interval(mean, float(mean - half), float(mean + half))


def difference(a: Figures, b: Figures, comparisons: int = 1) -> Interval:
    """The mean of `a` less `b`, seed by seed, of the seeds of which both have a figure.

    Args:
      a: of each seed; some seed must have a figure in both.
      b: of the same seeds.
      comparisons: as for `mean_of`.
    """
    return mean_of(finite((numbers(a) - numbers(b)).tolist()), comparisons)


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


def best_of(losses: Mapping[str, Figures]) -> tuple[str, list[str]]:
    """The setting of the lowest mean loss, and those that cannot be told from it.

    Of those without a run that diverged; there must be one. A setting can be told from the best
    where the interval of their difference, corrected for the number of settings, leaves out 0. With
    one seed nothing can.
    """
    losses, _ = told_apart(losses)
    best, *others = sorted(losses, key=lambda name: float(np.mean(losses[name])))
    equals = [
        name for name in losses
        if name in others and not difference(losses[name], losses[best], len(others)).low > 0
    ]  # fmt: skip
    return best, equals


def verdict(losses: Mapping[str, Figures], unit: str = "bits per character") -> str:
    """What `best_of` says, as the end of a sentence, and one on what diverged."""
    whole, lost = told_apart(losses)
    if not whole:
        return f"no setting can be compared. {lost}"
    return f"{_comparison(whole, unit)} {lost}".rstrip()


def _comparison(losses: Mapping[str, Sequence[float]], unit: str) -> str:
    best, equals = best_of(losses)
    lowest = f"{best} needs the fewest {unit} ({np.mean(losses[best]):.3f})"
    others = sorted((float(np.mean(own)), name) for name, own in losses.items() if name != best)
    if equals:
        few = len(equals) <= 4
        names = listing(equals) if few else f"{len(equals)} of {len(others)} others"
        return f"{lowest}, but {names} cannot be told from it."
    if not others:
        return f"{lowest}."
    _, runner = others[0]
    gap = difference(losses[runner], losses[best], len(others))
    return f"{lowest}; the next, {runner}, needs {gap:.3f} more."


def shown(values: Figures, form: str = ".3f", otherwise: str = "diverged") -> str:
    """For a table: the mean of the runs that did not diverge, and how many did."""
    ended = finite(values)
    return counted(f"{mean_of(ended):{form}}" if ended else "-", values, otherwise)


def counted(text: str, values: Figures, otherwise: str = "diverged") -> str:
    """The text, and how many of the runs diverged, if any did."""
    lost = len(values) - len(finite(values))
    return f"{text}, {lost} of {len(values)} {otherwise}" if lost else text


def listing(names: Sequence[str]) -> str:
    """As in `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def listed(values: Any, digits: int = 5) -> Any:
    """An array as nested lists for JSON: rounded, and None where it is not finite."""
    if np.ndim(values):
        return [listed(value, digits) for value in values]
    return round(float(values), digits) if np.isfinite(values) else None


def numbers(values: Any) -> np.ndarray:
    """What `listed` made: NaN, which compares as false and is not drawn, for None."""
    return np.array(values, float)
