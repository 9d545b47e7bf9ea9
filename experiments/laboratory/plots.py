"""Pictures of studies and benchmarks, in one style."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.laboratory.divergence import Figures, finite
from experiments.laboratory.statistics import mean_of
from jaxrnn.storage.files import replace

COLORS = ("#b4442a", "#9db4c8", "#5c8a64", "#d9b44a", "#7d6b91", "#999999", "#4a6a8a")


def figure(width: float | int, height: float | int) -> tuple[Any, Any]:
    """A picture and its axes; sizes are in inches."""
    picture, (axes,) = figures(width, height, 1)
    return picture, axes


def figures(
    width: float | int, height: float | int, panels: int, rows: int = 1
) -> tuple[Any, list[Any]]:
    """A picture and the axes of its panels, in `rows` rows from the upper left."""
    # Imported late: it takes as long as the rest of jaxrnn, and a run draws once.
    from matplotlib.figure import Figure

    picture = Figure(figsize=(width, height), layout="constrained")
    columns = -(-panels // rows)
    all_axes = [picture.add_subplot(rows, columns, i + 1) for i in range(panels)]
    for axes in all_axes:
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return picture, all_axes


def draw_intervals(
    axes: Any,
    places: Sequence[int | float],
    intervals: Sequence[tuple[float, float, float]],
    *,
    color: str,
    label: str,
) -> None:
    """Means as points with their bounds, one at each place; intervals as from `mean_of`."""
    bounds = [
        [mean - low for mean, low, _ in intervals], [high - mean for mean, _, high in intervals]
    ]  # fmt: skip
    axes.errorbar(
        places, [mean for mean, _, _ in intervals], bounds, fmt="o", ms=5, capsize=3, color=color,
        label=label,
    )  # fmt: skip


def draw_figures(
    axes: Any, places: Sequence[int | float], figures: Sequence[Figures], *, color: str, label: str
) -> None:
    """The mean and interval of each setting's runs; above it how many diverged, if any did."""
    ended = {place: finite(own) for place, own in zip(places, figures, strict=True)}
    means = {place: mean_of(own) for place, own in ended.items() if own}
    draw_intervals(axes, list(means), list(means.values()), color=color, label=label)
    for (place, own), every in zip(ended.items(), figures, strict=True):
        if lost := len(every) - len(own):
            axes.text(
                place, 0.98, f"{lost} of {len(every)} diverged", rotation=90, ha="center", va="top",
                fontsize=7, color=color, transform=axes.get_xaxis_transform(),
            )  # fmt: skip


def draw_spread(
    axes: Any, x: str, y: str, rows: Sequence[Mapping[str, Any]], *, color: str, label: str
) -> None:
    """Medians as a line, and 10% and 90% quantiles as a band: fields x and y of the rows."""
    places = [row[x] for row in rows]
    low, median, high = ([row[y][part] for row in rows] for part in ("low", "median", "high"))
    axes.plot(places, median, "o-", ms=4, color=color, label=label)
    axes.fill_between(places, low, high, color=color, alpha=0.2, lw=0)


def draw_map(
    axes: Any,
    values: Float[np.ndarray, "rows columns"],
    notes: Sequence[Sequence[str]],
    *,
    lowest: float,
    highest: float,
) -> Any:
    """Numbers as colours, on a scale of logarithms, each with a note; returns the scale's bar.

    What is not finite is grey.
    """
    from matplotlib.colors import LogNorm

    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#e4e4e4")
    axes.tick_params(length=0)
    norm = LogNorm(lowest, highest)
    image = axes.imshow(np.ma.masked_invalid(values), norm=norm, cmap="YlGn_r", aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        dark = np.isfinite(value) and norm(value) < 0.4
        axes.text(j, i, notes[i][j], ha="center", va="center", fontsize=9,
                  color="white" if dark else "black")  # fmt: skip
    bar = axes.figure.colorbar(image)
    bar.minorticks_off()
    return bar


def label_learning(axes: Any, title: str, ylim: tuple[float, float]) -> None:
    """Says what axes show on which bits per character fall as a text is read."""
    axes.set(title=title, xlabel="characters trained on", ylim=ylim,
             ylabel="validation bits per character")  # fmt: skip
    axes.xaxis.set_major_formatter(millions)


def save(picture: Any, path: Path) -> None:
    """Replaces the file at once."""
    drawn = io.BytesIO()
    picture.savefig(drawn, dpi=120, format="png")
    replace(path, drawn.getvalue())


def millions(value: float, _: object) -> str:
    """For an axis of characters."""
    return f"{value / 1e6:g} M" if value >= 1e5 else f"{value:g}"
