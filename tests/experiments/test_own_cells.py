"""Cells of a user's own in the programs: a module registers them, a flag names the module."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import CELLS
from jaxrnn.text.language_model import load_language_model
from jaxrnn.text.own_cells import load_cells
from tests.experiments.launching import assert_refused, launched, network_of, settings_of

LEAKY = """
import jax.numpy as jnp
from jaxrnn import Cell, register

def leaky(sums, carry):
    (drive,), (trace,) = sums, carry
    trace = {rate} * trace + 0.1 * drive
    return jnp.tanh(trace), (trace,)

register(Cell("leaky", leaky, carries=1))
"""

ONE = jnp.ones((1, 1))


@pytest.fixture(autouse=True)
def process(monkeypatch, tmp_path) -> Iterator[None]:
    """As a process of its own: it starts where the modules are, and ends with all that it knew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    cells = dict(CELLS)
    yield
    forget(cells)
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


def forget(cells: dict) -> None:
    CELLS.clear()
    CELLS.update(cells)


def written(name: str, code: str) -> str:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(code)
    return name


def test_a_run_with_cells_of_one_s_own_does_all_that_others_do(command, corpus, tmp_path):
    built_in = dict(CELLS)
    path = written("mine/leaky_cells.py", LEAKY.format(rate=0.9))
    run, flags = tmp_path / "run", (*command, "--cell=leaky", "--steps=20")
    outcome = launched("char_lm", *flags, f"--cells={path}", f"--workdir={run}")
    assert outcome.code == 0, outcome.err
    assert "leaky" in outcome.out
    assert settings_of(run).network.cells == (str(tmp_path / path),)
    assert network_of(run).layers[0].cell.name == "leaky"

    forget(built_in)  # another process, which imports nothing by itself
    for program in (["sample", "--length=9"], ["evaluate"], ["char_lm"]):
        refused = launched(*program, f"--workdir={run}")
        assert_refused(refused, f"unknown cell 'leaky'; give --cells={tmp_path / path}", str(run))
    assert "leaky" not in CELLS

    shutil.move(path, "moved.py")
    outcome = launched("evaluate", f"--workdir={run}", "--cells=moved.py")
    assert (outcome.code, outcome.err) == (0, "")
    exported = launched("sample", f"--workdir={run}", "--cells=moved", "--export=exported")
    assert exported.code == 0
    network = load_language_model(run).network
    assert network == load_language_model(Path("exported")).network

    forget(built_in)
    assert_refused(launched("sample", "--workdir=exported"), "unknown cell 'leaky'", "--cells=MODU")
    more = launched("char_lm", "--cells=moved.py", f"--workdir={run}", "--steps=30")
    assert more.code == 0, more.err  # the same cells from another place
    assert "Going on from step 20" in more.out
    assert settings_of(run).network.cells == (str(tmp_path / "moved.py"),)


def test_modules_are_found_by_name_and_may_import_each_other():
    written("slow.py", LEAKY.format(rate=0.9).replace('"leaky"', '"slow"'))
    written("fast.py", "import slow\n" + LEAKY.format(rate=0.1).replace('"leaky"', '"fast"'))
    load_cells(["fast", "slow"])
    (one, _), (other, _) = (CELLS[name].run((ONE,), (ONE,)) for name in ("slow", "fast"))
    np.testing.assert_allclose(np.arctanh([one[0, 0], other[0, 0]]), [1.0, 0.2], rtol=1e-5)


BUILT_IN = "from jaxrnn import Cell, CELLS, register\nregister(Cell('tanh', CELLS['relu'].apply))"
REFUSED = {
    "no module": ("absent", None, "there is no module 'absent'"),
    "no part of a module": ("json.absent", None, "there is no module 'json.absent'"),
    "no name": (",", None, "--cells=, has an empty entry"),
    "no file": ("absent.py", None, "there is no file"),
    "a folder": ("folder.py", "", "there is no file"),
    "nothing registered": ("mine", "x = 1\n", "registers no cell; let it call"),
    "of the standard library": ("json", None, "--cells=json registers no cell"),
    "a module of jaxrnn's": ("jaxrnn.core.cells", None, "registers no cell"),
    "no Python": ("mine.py", "a cell\n", "cannot be imported (SyntaxError: "),
    "not text": ("mine.py", "\0", "cannot be imported ("),
    "an error": ("mine", "1 / 0\n", "cannot be imported (ZeroDivisionError: division by zero)"),
    "an import": ("mine", "import absent\n", "(ModuleNotFoundError: No module named 'absent')"),
    "an end": ("mine", "raise SystemExit(0)\n", "cannot be imported (SystemExit: 0)"),
    "a built-in's name": ("mine", BUILT_IN, "jaxrnn has a cell called 'tanh'; choose another"),
    "no cell": (
        "mine",
        "from jaxrnn import Cell\nCell('bad', None)",
        "apply of cell 'bad' is None",
    ),
    "two lines": ("mine", "raise ValueError('one\\ntwo')\n", "(ValueError: one two)"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("given", "code", "named"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("program", ["char_lm", "sample", "evaluate"])
def test_a_module_that_brings_no_cell_is_refused(program, given, code, named, command, tmp_path):
    if given == "folder.py":
        Path(given).mkdir()
    elif code is not None:
        written(given if given.endswith(".py") else f"{given}.py", code)
    flags = command if program == "char_lm" else ()
    outcome = launched(program, *flags, f"--cells={given}", f"--workdir={tmp_path / 'run'}")
    assert_refused(outcome, named, "--cells=", given.strip(","))
    assert not (tmp_path / "run").exists()


def test_a_cell_that_nothing_registered_is_refused_with_what_to_do(command, tmp_path):
    outcome = launched("char_lm", *command, "--cell=leaky", f"--workdir={tmp_path / 'run'}")
    assert_refused(outcome, "unknown cell 'leaky'; the cells are logistic", "--cells=MODULE")
