"""Every example runs, and what it claims of itself holds: each compares its numbers itself."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "experiments" / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs(name):
    importlib.import_module(f"experiments.examples.{name}").main()
