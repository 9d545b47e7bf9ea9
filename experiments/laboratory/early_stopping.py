"""What several runs come to at their end, and where one would have stopped them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.laboratory.divergence import Figures, finite, has_diverged
from experiments.laboratory.statistics import listed, numbers


def figures_of(
    choosing: Sequence[Figures],
    reported: Sequence[Figures],
    training: Sequence[Figures],
    baseline: float,
) -> dict[str, Any]:
    """Bits per character at the end and where one would stop early, and the mean curves.

    None where the run had diverged by then; where to stop, if nothing was finite. Only the text
    that was learned tells that: on others a network that learns by heart may get as bad.

    Args:
      choosing: each seed's curve on the text where it is lowest when one should stop.
      reported: the same on the text that the figures are of.
      training: the same on text that was learned.
      baseline: of that text.
    """
    stops = [list(curve).index(min(finite(curve))) if finite(curve) else None for curve in choosing]
    ends = [len(curve) - 1 for curve in choosing]

    def at(curves: Sequence[Figures], places: Sequence[int | None]) -> list[float | None]:
        return [
            None if i is None or has_diverged(learned[: i + 1], baseline) else curve[i]
            for i, curve, learned in zip(places, curves, training, strict=True)
        ]

    def mean(curves: Sequence[Figures]) -> list[float | None]:
        kept = [c for c, end in zip(curves, at(training, ends), strict=True) if end is not None]
        return listed(np.mean(numbers(kept), axis=0), 4) if kept else []

    return {
        "stops": stops,
        "stopped": at(reported, stops),
        "final": at(reported, ends),
        "stopped_training": at(training, stops),
        "final_training": at(training, ends),
        "curve": mean(reported),
        "training_curve": mean(training),
    }
