"""What is installed, with which extra, and what is said where it is not."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from jaxrnn.core.errors import MissingLibrary, extra
from tests.test_house import ROOMS, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
IMPORTED_AS = {"absl-py": "absl", "orbax-checkpoint": "orbax"}
BROUGHT_ALONG = {"checkpoints": {"absl"}}  # by orbax


def libraries(requirements: list[str]) -> set[str]:
    names = [re.split(r"[\[<>=]", requirement)[0] for requirement in requirements]
    return {IMPORTED_AS.get(name, name) for name in names}


ALWAYS = libraries(PROJECT["dependencies"])


def guarded(node: ast.AST, extras: frozenset[str] = frozenset()) -> Iterator[tuple[str, set[str]]]:
    """The libraries that a module imports, each with the extras whose `with` it stands under."""
    if isinstance(node, ast.With):
        calls = [item.context_expr for item in node.items]
        extras |= {
            ast.literal_eval(call.args[0])
            for call in calls
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "extra"
        }
    names = [node.module] if isinstance(node, ast.ImportFrom) else []
    names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
    yield from ((str(name).split(".")[0], set(extras)) for name in names)
    for child in ast.iter_child_nodes(node):
        yield from guarded(child, extras)


def test_a_module_names_the_extra_of_each_library_that_not_everyone_has():
    ours = {*sys.stdlib_module_names, "jaxrnn"}
    for path in (ROOT / "jaxrnn").rglob("*.py"):
        for library, extras in guarded(ast.parse(path.read_text(encoding="utf-8"))):
            there = set.union(
                ALWAYS | ours, *(libraries(EXTRAS[e]) | BROUGHT_ALONG.get(e, set()) for e in extras)
            )
            assert library in there, f"{path} imports {library}"


def test_every_library_is_declared_once_and_all_is_all_of_them():
    declared = [*PROJECT["dependencies"], *(d for e in EXTRAS if e != "all" for d in EXTRAS[e])]
    assert len(libraries(declared)) == len(declared)
    assert EXTRAS["all"] == [f"jaxrnn[{','.join(extra for extra in EXTRAS if extra != 'all')}]"]
    assert set.union(*ROOMS.values()) <= libraries(declared)


def test_a_library_that_is_not_installed_is_named_with_its_extra():
    with pytest.raises(MissingLibrary, match=r"no_such_library is not .* 'text'"), extra("text"):
        import no_such_library  # noqa: F401  # pyright: ignore[reportMissingImports]


def test_a_program_without_its_libraries_says_so_in_one_sentence():
    told = subprocess.run(
        [sys.executable, "-S", "-m", "experiments.char_lm"], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 2
    assert re.fullmatch(r".* has no library jax; .*requirements\.txt\n", told.stderr)
