"""What is installed, and what is said where it is not."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from jaxrnn.core.errors import MissingLibrary, installed
from tests.test_house import ROOMS, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
IMPORTED_AS = {"absl-py": "absl", "orbax-checkpoint": "orbax"}
CORE = {"jax", "jaxtyping", "numpy", "optax"}  # what a lean installation has


def libraries(requirements: list[str]) -> set[str]:
    names = [re.split(r"[\[<>=]", requirement)[0] for requirement in requirements]
    return {IMPORTED_AS.get(name, name) for name in names}


def imported(node: ast.AST, is_guarded: bool = False) -> Iterator[tuple[str, bool]]:
    """The libraries that a module imports, and whether `with installed():` stands around it."""
    if isinstance(node, ast.With):
        calls = [ast.unparse(item.context_expr) for item in node.items]
        is_guarded = is_guarded or "installed()" in calls
    names = [node.module] if isinstance(node, ast.ImportFrom) else []
    names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
    yield from ((str(name).split(".")[0], is_guarded) for name in names)
    for child in ast.iter_child_nodes(node):
        yield from imported(child, is_guarded)


@pytest.mark.parametrize("room", [r for r in ROOMS if r.startswith("jaxrnn/") and "line" not in r])
def test_what_a_lean_installation_lacks_is_imported_with_a_sentence(room):
    there = {*sys.stdlib_module_names, "jaxrnn", *CORE}
    for path in (ROOT / room).glob("*.py"):
        for library, is_guarded in imported(ast.parse(path.read_text(encoding="utf-8"))):
            assert library in there or is_guarded, f"{path} imports {library}"


def test_every_library_is_declared_once_and_all_that_is_installed_needs_no_extra():
    declared = [*PROJECT["dependencies"], *(d for extra in EXTRAS.values() for d in extra)]
    assert len(libraries(declared)) == len(declared)
    for room, needed in ROOMS.items():
        always = libraries(PROJECT["dependencies"] if room.startswith("jaxrnn") else declared)
        assert needed <= always, room


def test_a_library_that_is_not_installed_is_named_with_what_installs_it():
    with pytest.raises(MissingLibrary, match=r"no_such_library is not .*pip install"), installed():
        import no_such_library  # noqa: F401  # pyright: ignore[reportMissingImports]


@pytest.mark.parametrize("command", [["experiments.char_lm"], ["jaxrnn", "train"]], ids=" ".join)
def test_a_program_without_its_libraries_says_so_in_one_sentence(command):
    told = subprocess.run(
        [sys.executable, "-S", "-m", *command], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert told.returncode == 2
    assert re.fullmatch(r"the library \w+ is not installed; .*requirements\.txt .*\n", told.stderr)
