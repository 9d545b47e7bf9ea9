"""What a benchmark leaves: tables on the terminal, benchmark.json, pictures."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import rich.box
import rich.console
import rich.table

PACKAGES = ("jax", "jaxlib", "optax", "numpy", "torch", "flax", "dm-haiku")
COLORS = ("#b4442a", "#9db4c8", "#5c8a64", "#d9b44a", "#7d6b91", "#999999", "#4a6a8a")


@dataclass
class Table:
    """Cells as text, numbers to the right; notes below it."""

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self, console: rich.console.Console) -> None:
        table = rich.table.Table(title=self.title, title_justify="left", box=rich.box.SIMPLE_HEAD)
        for i, column in enumerate(self.columns):
            numeric = all(row[i][:1] in "0123456789" for row in self.rows)
            table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        for note in self.notes:
            console.print(note, highlight=False)


def make_console() -> rich.console.Console:
    """For the terminal; where output goes elsewhere, as wide as a table needs."""
    console = rich.console.Console(highlight=False)
    return console if console.is_terminal else rich.console.Console(highlight=False, width=160)


def spread(figures: Mapping[str, float], form: str = ",.2f") -> str:
    """The median, with the 10% and 90% quantiles."""
    low, median, high = (f"{figures[name]:{form}}" for name in ("low", "median", "high"))
    return f"{median} ({low}-{high})"


def machine() -> dict[str, Any]:
    """What computed."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def write(record: Mapping[str, Any], folder: Path) -> None:
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    (folder / "benchmark.json").write_text(text, encoding="utf-8")


def figure(width: float, height: float) -> tuple[Any, Any]:
    """A picture and its axes."""
    picture, (axes,) = figures(width, height, 1)
    return picture, axes


def figures(width: float, height: float, panels: int) -> tuple[Any, list[Any]]:
    """A picture and the axes of its panels, side by side, in the style of the learning curves."""
    from matplotlib.figure import Figure  # late: it takes a second, and may not be needed

    picture = Figure(figsize=(width, height), layout="constrained")
    rows = [picture.add_subplot(1, panels, i + 1) for i in range(panels)]
    for axes in rows:
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return picture, rows


def save(picture: Any, path: Path) -> None:
    picture.savefig(path, dpi=120)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
