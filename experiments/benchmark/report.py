"""What a benchmark leaves: benchmark.json, and how figures are written in its tables."""

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from jaxrnn.running.surroundings import processor
from jaxrnn.storage.files import replace, to_json

PACKAGES = ("jax", "jaxlib", "optax", "numpy", "torch", "flax", "dm-haiku")


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
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def write(record: Mapping[str, Any], folder: Path) -> None:
    text = to_json(record, indent=2, ensure_ascii=False) + "\n"
    replace(folder / "benchmark.json", text.encode())
