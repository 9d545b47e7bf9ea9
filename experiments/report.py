"""Puts what the studies found into experiments/README.md.

In the README of this folder every study has a section with a line `<!-- NAME -->`; what stands from
there to `<!-- end -->` is written anew from results/NAME: the answer, the picture, the table and
the command. These in turn are made anew by the study, of what its results.json holds. With --runs
the results are first taken over from there.
"""

import importlib
import json
import re
from pathlib import Path

from absl import flags

from experiments.laboratory.study import Results, Study, publish
from jaxrnn.command_line.launch import group, launch
from jaxrnn.core.errors import InputError
from jaxrnn.storage.files import replace, user_path

FOLDER = Path(__file__).parent
RUNS = flags.DEFINE_string(
    "runs", None, "A folder of work directories, each called as its study, such as runs."
)
group("The report", RUNS)


def main() -> int:
    if RUNS.value is not None:
        take_over(user_path(RUNS.value))
    for folder in sorted((FOLDER / "results").iterdir()):
        publish(study(folder.name), results_in(folder), folder)
    readme = FOLDER / "README.md"
    replace(readme, rendered(readme.read_text(encoding="utf-8")).encode())
    return 0


def take_over(runs: Path) -> None:
    """Copies the results of the studies that are finished."""
    finished = [path.parent for path in sorted(runs.glob("*/results.json"))]
    if not finished:
        raise InputError(f"no folder in {runs} holds a results.json; give the one that --workdir"
                         " of the studies lies in")  # fmt: skip
    for workdir in finished:
        results = results_in(workdir)
        folder = FOLDER / "results" / results["experiment"]
        folder.mkdir(parents=True, exist_ok=True)
        replace(folder / "results.json", (workdir / "results.json").read_bytes())
        print(f"{results['experiment']}: {results['answer']}")


def study(name: str) -> Study:
    return importlib.import_module(f"experiments.{name}").STUDY


def results_in(folder: Path) -> Results:
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


def rendered(readme: str) -> str:
    """The README with what its studies found."""
    return re.sub(
        r"<!-- (\w+) -->\n.*?<!-- end -->",
        lambda match: f"<!-- {match[1]} -->\n{section(match[1])}\n<!-- end -->",
        readme,
        flags=re.DOTALL,
    )


def section(name: str) -> str:
    """What one study found, in Markdown."""
    folder = FOLDER / "results" / name
    if not (folder / "results.json").exists():
        return "Not answered yet."
    results = results_in(folder)
    table = (folder / "table.md").read_text(encoding="utf-8").strip()
    minutes = results["seconds"] / 60
    return (
        f"**{results['answer']}**\n\n"
        f"![{name}](results/{name}/picture.png)\n\n"
        f"{table}\n\n"
        f"`python -m experiments.{name}` ({minutes:.0f} minutes of processor time)"
    )


if __name__ == "__main__":
    launch(main, __doc__ or "")
