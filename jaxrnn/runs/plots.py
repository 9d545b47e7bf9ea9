"""Pictures of a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def draw_learning_curve(metrics: Sequence[dict[str, Any]], path: Path) -> None:
    """Bits per character against characters trained on: training text, and validation text."""
    # Imported late: it takes as long as the rest of jaxrnn, and a run draws once.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    trained = _smooth([(m["characters"], m["train_bits_per_character"]) for m in metrics
                       if m.get("train_bits_per_character") is not None])  # fmt: skip
    valid = [(m["characters"], m["valid_bits_per_character"]) for m in metrics
             if m.get("valid_bits_per_character") is not None]  # fmt: skip
    if trained:
        axes.plot(*zip(*trained, strict=True), color="#9db4c8", label="training")
    if valid:
        axes.plot(*zip(*valid, strict=True), "o-", ms=4, color="#b4442a", label="validation")
        best = min(valid, key=lambda point: point[1])
        axes.annotate(
            f"{best[1]:.3f}", best, xytext=(0, 9), textcoords="offset points", ha="center",
            color="#b4442a",
        )  # fmt: skip
    points = [y for _, y in (*trained, *valid)]
    if points:
        axes.set_ylim(min(points) - 0.1, min(max(points), min(points) + 2.5) + 0.1)
        axes.legend(frameon=False)
    axes.set(xlabel="characters trained on", ylabel="bits per character")
    axes.xaxis.set_major_formatter(_millions)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    temporary = path.with_name(f".{path.name}.unfinished")
    figure.savefig(temporary, dpi=120, format="png")
    temporary.replace(path)


def _smooth(points: list[tuple[int, float]], most: int = 150) -> list[tuple[int, float]]:
    """Means of neighbours, so that at most `most` are left: single chunks say little."""
    width = max(1, -(-len(points) // most))
    groups = [points[i : i + width] for i in range(0, len(points), width)]
    return [(group[-1][0], sum(y for _, y in group) / len(group)) for group in groups]


def _millions(value: float, _: object) -> str:
    return f"{value / 1e6:g} M" if value >= 1e5 else f"{value:g}"
