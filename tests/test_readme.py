"""What the README shows must work as it stands there."""

import re
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


@pytest.mark.parametrize("document", ["README.md", "BUILD.md", "experiments/README.md"])
def test_flags_in_the_documents_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    programs = (ROOT / "experiments").rglob("*.py")
    scripts = "".join(path.read_text(encoding="utf-8") for path in programs)
    others = {"requirement", "upgrade", "quiet", "help"}  # of pip and absl
    others |= {"cov", "numprocesses", "dist"}  # of pytest
    others |= {"nodes", "ntasks", "gpus", "zone", "worker", "command"}  # of Slurm and Google Cloud
    others |= {"xla_force_host_platform_device_count"}
    # Not the dashes of a sample's prose, which follow a word or its punctuation.
    for flag in set(re.findall(r"(?:^|[\s`\"(|,;=])--([a-z_]+)", text)) - others:
        assert f'"{flag}"' in scripts, f"--{flag} of {document} is no flag of any experiment"
