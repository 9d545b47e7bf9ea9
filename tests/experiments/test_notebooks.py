"""Every notebook runs, on a small size, and its two files say the same."""

import re
from collections.abc import Iterator
from pathlib import Path

import jax
import jupytext
import matplotlib
import pytest

from jaxrnn import CELLS
from tests.experiments.launching import ROOT

NOTEBOOKS = sorted((ROOT / "experiments" / "notebooks").glob("*.py"))
# What stands in for the values in the cell tagged "parameters".
SMALL = {
    "tour": "UNITS, STEPS = 16, 20", "own_cell": "UNITS, STEPS = 4, 20",
    "agent": "STEPS, EPISODES = 4096, 16",
}  # fmt: skip

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def process() -> Iterator[None]:
    """Takes back what a notebook changes for the whole process, as its end would."""
    matplotlib.use("Agg")
    cells = dict(CELLS)
    yield
    CELLS.clear()
    CELLS.update(cells)
    jax.config.update("jax_enable_x64", False)
    matplotlib.pyplot.close("all")


def code_of(path: Path) -> str:
    """The code cells, one after the other, at the small size."""
    sources = []
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            sources.append(cell.source)
            if "parameters" in cell.metadata.get("tags", ()):
                sources.append(SMALL[path.stem])
    return "\n\n".join(sources)


@notebooks
def test_a_notebook_runs(path, capsys):
    code = code_of(path)
    assert SMALL.get(path.stem, "") in code
    exec(compile(code, path, "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().err == ""


@notebooks
def test_the_files_of_a_pair_have_the_same_cells(path):
    script, notebook = jupytext.read(path), jupytext.read(path.with_suffix(".ipynb"))
    for one, other in zip(script.cells, notebook.cells, strict=True):
        assert (one.cell_type, one.source) == (other.cell_type, other.source)
        assert one.metadata.get("tags") == other.metadata.get("tags")


@notebooks
def test_a_notebook_shows_what_came_out_and_nothing_of_the_machine(path):
    path = path.with_suffix(".ipynb")
    code = [cell for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert any("image/png" in output.get("data", ()) for output in outputs)
    assert "error" not in {output.output_type for output in outputs}
    assert "stderr" not in {output.get("name") for output in outputs}
    assert not re.search(r"(?<!\w)/(tmp|home|root|work|usr|opt|Users)/", path.read_text("utf-8"))
    assert path.stat().st_size < 300_000
