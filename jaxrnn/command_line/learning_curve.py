"""The picture that a run leaves behind."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxrnn.storage.files import replace

TRAINING, VALIDATION = "#9db4c8", "#b4442a"
MOST_POINTS = 150  # of the training loss: single chunks say little


def draw_learning_curve(
    metrics: Sequence[dict[str, Any]], path: Path, level: str = "character"
) -> None:
    """Bits per character against characters trained on: training text, and validation text.

    Of a text whose symbols are called otherwise, per what they are called.
    """
    # Imported late: it takes as long as the rest of jaxrnn, and a run draws once.
    from matplotlib.figure import Figure

    picture = Figure(figsize=(7, 4.2), layout="constrained")
    axes = picture.add_subplot(axisbelow=True)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    trained = _smooth(_points(metrics, level, "train"))
    valid = _points(metrics, level, "valid")
    if trained:
        axes.plot(*zip(*trained, strict=True), color=TRAINING, label="training")
    if valid:
        axes.plot(*zip(*valid, strict=True), "o-", ms=4, color=VALIDATION, label="validation")
        best = min(valid, key=lambda point: point[1])
        axes.annotate(
            f"{best[1]:.3f}", best, xytext=(0, 9), textcoords="offset points", ha="center",
            color=VALIDATION,
        )  # fmt: skip
    bits = [y for _, y in (*trained, *valid)]
    if bits:
        low, high = min(bits) - 0.1, min(max(bits), min(bits) + 2.5) + 0.1
        if low < high:  # 1e20 bits, after which a tenth does not count, are as they may be
            axes.set_ylim(low, high)
        axes.legend(frameon=False)
    axes.set(xlabel=f"millions of {level}s trained on", ylabel=f"bits per {level}")
    drawn = io.BytesIO()
    picture.savefig(drawn, dpi=120, format="png")
    replace(path, drawn.getvalue())


def _points(metrics: Sequence[dict[str, Any]], level: str, split: str) -> list[tuple[float, float]]:
    """Millions of characters and bits per character, where they were measured and finite."""
    bits = f"{split}_bits_per_{level}"
    points = ((m.get(f"{level}s"), m.get(bits)) for m in metrics)
    return [
        (x / 1e6, y)
        for x, y in points
        if isinstance(x, int | float) and isinstance(y, int | float)  # some lines say other things
    ]


def _smooth(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of neighbours, so that at most `MOST_POINTS` are left."""
    width = max(1, -(-len(points) // MOST_POINTS))
    groups = [points[i : i + width] for i in range(0, len(points), width)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]
