"""The rooms of the code: which imports which, and what each needs of other libraries."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# From the ground up: a room imports itself and those before it. Beside each, what it needs of
# others.
ROOMS = {
    "jaxrnn/core": {"jax", "jaxtyping", "numpy"},
    "jaxrnn/core/engine": {"jax", "jaxtyping", "numpy"},
    "jaxrnn/core/weights": {"jax", "numpy"},
    "jaxrnn/pomdp": {"jax", "jaxtyping", "numpy", "optax"},
    "jaxrnn/storage": {"absl", "jax", "jaxtyping", "numpy", "orbax", "safetensors"},
    "jaxrnn/text/reading": {"mwparserfromhell", "pooch", "requests"},
    "jaxrnn/learning": {"jax", "jaxtyping", "numpy", "optax"},
    "jaxrnn/running": {"filelock", "jax", "jaxtyping", "numpy", "optax"},
    "jaxrnn/acting": {"jax", "jaxtyping", "numpy", "optax"},
    "jaxrnn/text": {"jax", "jaxtyping", "numpy", "optax"},
    "jaxrnn/command_line": {"absl", "jax", "jaxtyping", "matplotlib", "numpy", "rich"},
    "experiments/laboratory": {
        "absl", "jax", "jaxtyping", "matplotlib", "numpy", "optax", "rich", "scipy",
    },
}  # fmt: skip


def room_of(module: str) -> str | None:
    """The innermost room that a path lies in."""
    return max((room for room in ROOMS if module.startswith(f"{room}/")), key=len, default=None)


def modules(room: str) -> list[Path]:
    paths = (ROOT / room).rglob("*.py")
    return [path for path in paths if room_of(path.relative_to(ROOT).as_posix()) == room]


def imported(path: Path) -> Iterator[str]:
    """What a module imports, as a path of this repository or as a library's name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}".replace(".", "/") for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name.replace(".", "/") for name in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_room_above_it(room):
    below = list(ROOMS)[: list(ROOMS).index(room) + 1]
    assert modules(room)
    for path in modules(room):
        for name in imported(path):
            top = name.split("/")[0]
            if top in ("jaxrnn", "experiments") and name.count("/") > 1:
                assert room_of(f"{name}/") in below, f"{path} imports {name}"
            elif top == "experiments":
                pytest.fail(f"{path} imports {name}, a program")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_needs_no_library_but_its_own(room):
    for path in modules(room):
        for name in imported(path):
            top = name.split("/")[0]
            known = {*sys.stdlib_module_names, *ROOMS[room], "jaxrnn", "experiments"}
            assert top in known, f"{path} imports {name}"


def test_no_two_modules_import_each_other():
    graph: dict[str, set[str]] = {}
    for path in (path for room in ROOMS for path in modules(room)):
        module = path.relative_to(ROOT).with_suffix("").as_posix()
        places = {p for name in imported(path) for p in (name, name.rsplit("/", 1)[0])}
        graph[module] = {p for p in places if (ROOT / p).with_suffix(".py").exists()}
    finished: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"a circle: {' -> '.join((*way, module))}"
        if module not in finished:
            for other in graph.get(module, ()):
                visit(other, (*way, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


def test_the_core_is_imported_without_what_only_runs_need():
    heavy = ["absl", "orbax", "safetensors", "rich", "matplotlib", "scipy", "optax"]
    code = f"import sys; from jaxrnn import unroll; print([m for m in {heavy} if m in sys.modules])"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert told.stdout.strip() == "[]"
