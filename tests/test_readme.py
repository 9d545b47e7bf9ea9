"""What the pages show must work as it stands there."""

import re
from pathlib import Path

import pytest

from experiments.laboratory.agents import AgentSettings
from experiments.laboratory.tasks.catalogue import NAMES
from jaxrnn.core import cells
from jaxrnn.storage.fields import leaves
from jaxrnn.text.settings import Settings

ROOT = Path(__file__).parent.parent
MADE = ("docs/reference.md", "docs/map.md")  # from the source, which other tests look after
WRITTEN = sorted(
    {"README.md", "BUILD.md", "CHANGELOG.md", "experiments/README.md"}
    | {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")} - {*MADE}
)
PAGES = {page: (ROOT / page).read_text(encoding="utf-8") for page in (*WRITTEN, *MADE)}
BLOCKS = [
    pytest.param(page, code, id=f"{page}-{i}")
    for page in WRITTEN
    for i, code in enumerate(re.findall(r"```python\n(.*?)```", PAGES[page], flags=re.DOTALL))
]
HISTORY = "CHANGELOG.md"  # names flags that are gone


@pytest.mark.parametrize(("page", "code"), BLOCKS)
def test_python_on_a_page_runs(page, code, monkeypatch):
    monkeypatch.setattr(cells, "CELLS", cells.CELLS.copy())  # a page may register one
    exec(compile(code, page, "exec"), {"__name__": "page"})


def test_the_readme_shows_python():
    assert any(block.values[0] == "README.md" for block in BLOCKS)


def test_the_readme_names_every_example():
    examples = (ROOT / "experiments" / "examples").glob("[!_]*.py")
    paths = [path.relative_to(ROOT).as_posix() for path in examples]
    assert [path for path in paths if f"]({path})" not in PAGES["README.md"]] == []


def headings(page: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.*)$", PAGES[page], flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_exists(page):
    for link in re.findall(r"\]\(([^):]+)\)", PAGES[page]):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in headings(target.resolve().relative_to(ROOT).as_posix()), link


@pytest.mark.parametrize("page", [page for page in WRITTEN if page != HISTORY])
def test_flags_on_a_page_exist(page):
    folders = "experiments", "jaxrnn/command_line"
    programs = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    scripts = "".join(path.read_text(encoding="utf-8") for path in programs)
    others = {"requirement", "upgrade", "quiet", "help", "editable", "flagfile"}  # of pip and absl
    others |= {"cov", "numprocesses", "dist"}  # of pytest
    others |= {"nodes", "ntasks", "gpus", "zone", "worker", "command"}  # of Slurm and Google Cloud
    others |= {"xla_force_host_platform_device_count"}
    every = (*leaves(Settings), *leaves(AgentSettings))
    others |= {f"{no}{leaf.flag}" for leaf in every for no in ("", "no")}
    # Not the dashes of a sample's prose, which follow a word or its punctuation.
    found = re.findall(r"(?:^|[\s`\"(|,;=])--([a-z_\d]+)", PAGES[page])
    for flag in set(found) - others:
        assert f'"{flag}"' in scripts, f"--{flag} of {page} is no flag of any experiment"


def test_every_task_is_told():
    page = PAGES["docs/agents.md"]
    told = {name.partition("_")[0] if name.startswith("repeat") else name for name in NAMES}
    assert [name for name in told if f"`{name}" not in page] == []


def test_every_setting_of_a_run_is_told():
    page = PAGES["docs/training.md"]
    assert [leaf.flag for leaf in leaves(Settings) if f"`--{leaf.flag}`" not in page] == []
