"""Makes reference.md and map.md from the source: signatures as written, and docstrings.

A package is told by its door's `__all__`, a module by its functions and classes. Nothing is
imported but the standard library, so that this runs without jaxrnn's own needs.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
# What a program of one's own may want to call, from the networks to what is built on them.
TOLD = (
    "jaxrnn", "jaxrnn.core.engine.probes", "jaxrnn.learning",
    "jaxrnn.learning.training", "jaxrnn.learning.optimizers", "jaxrnn.learning.parallel",
    "jaxrnn.running", "jaxrnn.running.fitting", "jaxrnn.running.learner", "jaxrnn.running.stopping",
    "jaxrnn.running.directory", "jaxrnn.running.devices", "jaxrnn.running.workdir",
    "jaxrnn.storage.checkpoints", "jaxrnn.storage.export", "jaxrnn.text", "jaxrnn.text.problem",
    "jaxrnn.text.language_model", "jaxrnn.text.judging", "jaxrnn.text.adapting",
    "jaxrnn.text.sampling", "jaxrnn.acting", "jaxrnn.acting.ppo", "jaxrnn.acting.rollout",
    "jaxrnn.acting.finite", "jaxrnn.pomdp",
)  # fmt: skip
DOORS = {"jaxrnn": "jaxrnn.api"}  # where the names of a package stand, if not in its __init__
REFERENCE = """# Reference

What a program of one's own may call, with signatures and docstrings: made from the source by
`make reference`, and not to be edited. Shapes such as `Float[Array, "time batch size"]` are
[jaxtyping](https://docs.kidger.site/jaxtyping/)'s.
"""

# From the top down.
ROOMS = (
    "experiments", "experiments/examples", "experiments/benchmark", "experiments/benchmark/peers",
    "experiments/laboratory", "experiments/laboratory/tasks", "jaxrnn/command_line",
    "jaxrnn/text", "jaxrnn/text/reading", "jaxrnn/acting", "jaxrnn/running", "jaxrnn/learning",
    "jaxrnn/storage", "jaxrnn/pomdp", "jaxrnn/core/weights", "jaxrnn/core/engine", "jaxrnn/core",
)  # fmt: skip
MAP = """# Map of the code

Imports point downwards on this page only, from a room to itself and to those below it;
[tests/test_house.py](../tests/test_house.py) holds them to it, and says which libraries each room
may use. `jaxrnn` is installed, `experiments` is not. Of each file stands here how it begins: made
from the source by `make reference`, and not to be edited. The door
[jaxrnn/api.py](../jaxrnn/api.py) says what `import jaxrnn` gives names to.
"""


def pages() -> dict[str, str]:
    """File name -> its text."""
    return {"reference.md": reference(), "map.md": map_of_the_code()}


def reference() -> str:
    """What there is to call."""
    told: set[tuple[str, str]] = set()
    chapters = [chapter for name in TOLD for chapter in _chapter(Module(name), told)]
    return "\n".join([REFERENCE, *chapters]).rstrip() + "\n"


def map_of_the_code() -> str:
    """Every room and file, in a sentence each."""
    return "\n".join([MAP, *(_room(ROOT / room) for room in ROOMS)]).rstrip() + "\n"


def _room(folder: Path) -> str:
    name = folder.relative_to(ROOT).as_posix()
    rows = [
        f"| [{path.name.replace('_', chr(92) + '_')}](../{name}/{path.name}) | {told} |"
        for path in sorted(folder.glob("*.py"))
        if path.name != "__init__.py" and (told := _begins(path))
    ]
    table = "\n".join(["| file | what it holds |", "| --- | --- |", *rows]) if rows else ""
    return _section(f"## {name}", _begins(folder / "__init__.py"), table)


def _begins(path: Path) -> str:
    """The first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.?]) ", paragraph)[0].replace("|", "\\|")


def _chapter(module: "Module", told: set[tuple[str, str]]) -> Iterator[str]:
    yield _section(f"## {module.name}", _text(module.tree))
    for name in module.public():
        home = module.home(name)
        if (home.name, name) not in told:
            told.add((home.name, name))
            yield _section(f"### {name}", *home.describe(name))


class Module:
    """One file, as its syntax tree and its lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        path = ROOT / DOORS.get(name, name).replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        source = path.read_text(encoding="utf-8")
        self.tree = ast.parse(source)
        self.lines = source.splitlines()
        self.defined = {name: node for node in self.tree.body for name in _names(node)}

    def public(self) -> list[str]:
        """What the module exports, or else the functions and classes that it defines."""
        exported = self.defined.get("__all__")
        if isinstance(exported, ast.Assign):
            return ast.literal_eval(exported.value)
        kinds = (ast.FunctionDef, ast.ClassDef)
        found = (name for name, node in self.defined.items() if isinstance(node, kinds))
        return [name for name in found if not name.startswith("_")]

    def home(self, name: str) -> "Module":
        """Where something is defined that has a name here."""
        node = self.defined[name]
        return Module(str(node.module)).home(name) if isinstance(node, ast.ImportFrom) else self

    def describe(self, name: str) -> list[str]:
        """The signature of what is defined here under a name, and its text."""
        node = self.defined[name]
        if isinstance(node, ast.FunctionDef):
            return [_code(self._signature(node)), _text(node)]
        if isinstance(node, ast.ClassDef):
            return self._class(node)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            return [_code(self._value(node)), self._comment_above(node)]
        raise LookupError(f"{self.name}.{name} is neither function, class nor value")

    def _class(self, node: ast.ClassDef) -> list[str]:
        public = [part for part in node.body if all(_is_public(name) for name in _names(part))]
        methods = [part for part in public if isinstance(part, ast.FunctionDef)]
        fields = [part for part in public if isinstance(part, ast.Assign | ast.AnnAssign)]
        parts = [
            self._signature(node),
            *("\n".join(self.lines[field.lineno - 1 : field.end_lineno]) for field in fields),
            *(f"{self._signature(method)} ..." for method in methods),
        ]
        texts = [f"`{node.name}.{m.name}`: {_text(m)}" for m in methods if _text(m)]
        return [_code("\n".join(parts)), _text(node), *texts]

    def _signature(self, node: ast.FunctionDef | ast.ClassDef) -> str:
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        return "\n".join(self.lines[first - 1 : node.body[0].lineno - 1]).rstrip()

    def _value(self, node: ast.Assign | ast.AnnAssign) -> str:
        if node.lineno == node.end_lineno:
            return self.lines[node.lineno - 1]
        return self.lines[node.lineno - 1].rstrip("({[ ") + " ..."

    def _comment_above(self, node: ast.stmt) -> str:
        first = node.lineno - 1
        while self.lines[first - 1].startswith("# "):
            first -= 1
        return "\n".join(line[2:] for line in self.lines[first : node.lineno - 1])


def _section(*parts: str) -> str:
    return "\n\n".join(filter(None, parts)) + "\n"


def _code(source: str) -> str:
    return f"```py\n{source}\n```"


def _names(node: ast.stmt) -> list[str]:
    """What a statement gives names to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    if isinstance(node, ast.AnnAssign):
        return [ast.unparse(node.target)]
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets]
    return []


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in ("__init__", "__call__")


def _text(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    """A docstring as Markdown: what it says of each argument and error becomes a list."""
    lines, indent = [], ""
    for line in (ast.get_docstring(node) or "").splitlines():
        depth = len(line) - len(line.lstrip())
        if re.fullmatch(r"(Args|Returns|Raises|Yields|Attributes):", line):
            lines += [f"**{line[:-1]}**", ""]
            indent = None
            continue
        if indent is None:
            indent = line[:depth]  # of the entries of this section
        if indent and line and depth < len(indent):
            indent = ""
        if indent and depth == len(indent):
            line = re.sub(r"^\s*([\w*, `.|]+): ", r"- `\1`: ", line)
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8")
