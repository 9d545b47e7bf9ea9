"""Cells of a user's own for the programs: modules that register them, named by a flag.

A work directory keeps the names of these modules, to say them; it never imports one by itself.
"""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from jaxrnn.core import cells
from jaxrnn.core.cells import UnknownCell
from jaxrnn.core.errors import InputError
from jaxrnn.storage.files import user_path

HELP = (
    "Modules of your own that register cells: names, as imported from here, or paths of .py files."
)


def resolved(modules: Sequence[str]) -> tuple[str, ...]:
    """The names as given, the paths from the root, so that they hold wherever one is."""
    return tuple(str(user_path(m).absolute()) if m.endswith(".py") else m for m in modules)


def load_cells(modules: Sequence[str]) -> None:
    """Imports modules, each of which must register a cell.

    Raises:
      InputError: there is no such module, it cannot be imported, or it registers nothing.
    """
    loaded_before = set(sys.modules)
    for given in modules:
        known = dict(cells.CELLS)
        by_another_of_them = given in sys.modules.keys() - loaded_before
        try:
            _import_file(user_path(given)) if given.endswith(".py") else _import(given)
        except InputError as mistake:
            raise InputError(f"--cells={given}: {mistake}") from None
        except (Exception, SystemExit) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"--cells={given} cannot be imported ({reason}); mend it, or leave it out"
            ) from error
        new = [name for name, cell in cells.CELLS.items() if cell is not known.get(name)]
        if not new and not by_another_of_them:
            raise InputError(
                f"--cells={given} registers no cell; let it call jaxrnn.register for each of its"
            )


@contextlib.contextmanager
def naming_the_flag() -> Iterator[None]:
    """Says which flag brings a cell that is unknown."""
    try:
        yield
    except UnknownCell as mistake:
        raise InputError(f"{mistake} by a module that --cells=MODULE names") from None


@contextlib.contextmanager
def asking_for(path: Path, modules: Sequence[str] = ()) -> Iterator[None]:
    """Says which modules the model at a path needs, where one of its cells is unknown."""
    try:
        yield
    except UnknownCell as mistake:
        raise InputError(
            f"the model in {path} has an {str(mistake).partition(';')[0]}; "
            f"give --cells={','.join(modules) or 'MODULE'}, "
            + ("which registered it for the run" if modules else "one that registers it")
        ) from None


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # one that the module needs
        raise InputError(
            f"there is no module '{error.name}' here or on PYTHONPATH; check the name, or give the "
            "path of a .py file"
        ) from None


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"there is no file {path}; check the path")
    name = f"cells_of_{path.stem}"  # so that no other module is hidden behind it
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
