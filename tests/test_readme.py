"""What the README shows must work as it stands there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", python_blocks())
def test_python_in_the_readme_runs(code):
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_the_readme_shows_python():
    assert python_blocks()


def test_files_that_the_readme_links_to_exist():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def imports(path: Path) -> Iterator[str]:
    """The files and packages of jaxrnn that a module imports, for types alone excepted."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxrnn"):
            for name in node.names:
                place = Path(*f"{node.module}.{name.name}".split("."))
                module = place if (ROOT / place.with_suffix(".py")).exists() else place.parent
                yield module.as_posix()


def test_imports_point_downwards_in_the_map_of_the_code():
    links = [
        re.findall(r"\]\((jaxrnn/[^)]+)\)", line)
        for line in README.splitlines()
        if line.startswith("| [")
    ]
    rows = {link.removesuffix(".py"): row for row, found in enumerate(links) for link in found}

    def row_of(module: str) -> int:
        package = "/".join(module.split("/")[:2])
        return rows[package]

    modules = [path for path in (ROOT / "jaxrnn").rglob("*.py") if path.name != "__init__.py"]
    for path in modules:
        module = path.relative_to(ROOT).with_suffix("").as_posix()
        for imported in imports(path):
            inside = module.split("/")[1] == imported.split("/")[1] and imported.count("/") > 1
            assert inside or imported == "jaxrnn" or row_of(imported) > row_of(module), (
                f"{module} imports {imported}"
            )


@pytest.mark.parametrize("document", ["README.md", "BUILD.md", "experiments/README.md"])
def test_flags_in_the_documents_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    programs = [*(ROOT / "experiments").rglob("*.py"), ROOT / "jaxrnn" / "runs" / "study.py"]
    scripts = "".join(path.read_text(encoding="utf-8") for path in programs)
    others = {"requirement", "upgrade", "quiet", "help"}  # of pip and absl
    others |= {"cov", "numprocesses", "dist"}  # of pytest
    others |= {"nodes", "ntasks", "gpus", "zone", "worker", "command"}  # of Slurm and Google Cloud
    others |= {"xla_force_host_platform_device_count"}
    # Not the dashes of a sample's prose, which follow a word or its punctuation.
    for flag in set(re.findall(r"(?:^|[\s`\"(|,;=])--([a-z_]+)", text)) - others:
        assert f'"{flag}"' in scripts, f"--{flag} of {document} is no flag of any experiment"
