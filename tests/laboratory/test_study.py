import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from absl import flags

from experiments.laboratory.bench import Bench
from experiments.laboratory.plots import figure
from experiments.laboratory.study import Study, define_flags, run, settings_of
from experiments.laboratory.tables import Table
from jaxrnn.command_line import launch
from jaxrnn.core.errors import InputError


def table(results: dict[str, Any]) -> Table:
    rows = results["summary"].values()
    columns = {"number": lambda row: row["trial"], "square": lambda row: row["square"]}
    return Table.of("Squares", rows, columns, ["All of them."])


STUDY = Study(
    "squares", "What is a square?", full={"steps": 3}, quick={"steps": 2}, trials=lambda bench: {},
    table=table, answer=lambda results: f"There are {len(results['summary'])}.",
    draw=lambda results: figure(2, 2)[0], pages=lambda results: {"page.html": "<p>Squares</p>"},
    seeds=5, corpus=False, options={"root": "A root."},
)  # fmt: skip


def computed(*numbers: int, steps: int = 3) -> list[int]:
    """Runs a study that squares numbers, and returns those that were not yet known."""
    asked = []

    def square(number: int) -> dict[str, Any]:
        asked.append(number)
        if number < 0:
            raise KeyboardInterrupt
        return {"square": number**2, "worst": float("inf"), "pair": (1, 2)}

    def trials(bench: Bench) -> dict[str, Any]:
        bench.begin(len(numbers))
        return {f"n{n}": bench.trial(f"n{n}", lambda n=n: square(n)) for n in numbers}

    try:
        assert run(replace(STUDY, full={"steps": steps}, trials=trials)) == 0
    except KeyboardInterrupt:
        assert min(numbers) < 0
    return asked


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    """The work directory of a study of whose flags absl knows only during the test."""
    before, titles = set(flags.FLAGS), list(launch._groups)
    define_flags(STUDY)
    flags.FLAGS(["squares", f"--workdir={tmp_path / 'study'}"])
    yield tmp_path / "study"
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
    launch._groups[:] = titles


def test_a_study_leaves_results_a_table_a_picture_and_its_pages(folder, capsys):
    assert computed(2, 3) == [2, 3]
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert [row["square"] for row in results["summary"].values()] == [4, 9]
    assert results["settings"] == {"seeds": [0, 1, 2, 3, 4], "root": None, "steps": 3}
    assert results["answer"] == "There are 2."
    lines = (folder / "table.md").read_text(encoding="utf-8").splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == ["number", "square"]
    assert set(lines[1]) == {"|", "-"}
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == ["n2", "4"]
    assert lines[-1] == "All of them."
    assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "page.html").read_text(encoding="utf-8") == "<p>Squares</p>\n"
    shown = capsys.readouterr().out
    assert "There are 2." in shown
    assert "[2/2] n3" in shown


def test_an_interrupted_study_computes_only_what_is_missing(folder):
    assert computed(2, 3, -1) == [2, 3, -1]
    assert not (folder / "results.json").exists()
    assert computed(2, 3, 4) == [4]


def test_other_settings_are_refused_the_number_of_steps_included():
    computed(2)
    with pytest.raises(InputError, match="steps is 3 there and 4 here"):
        computed(2, steps=4)


def test_what_is_refused_before_it_begins_leaves_no_folder(folder):
    def refuse(bench: Bench) -> dict[str, Any]:
        raise InputError("there is nothing to square; give a number")

    with pytest.raises(InputError):
        run(replace(STUDY, trials=refuse))
    assert not folder.exists()


def test_the_flags_decide_sizes_seeds_and_options():
    assert settings_of(STUDY)["seeds"] == [0, 1, 2, 3, 4]
    flags.FLAGS(["squares", "--quick"])
    assert settings_of(STUDY) == {"seeds": [0, 1], "root": None, "steps": 2}
    flags.FLAGS(["squares", "--quick", "--seeds=3", "--root=2"])
    assert settings_of(STUDY) == {"seeds": [0, 1, 2], "root": "2", "steps": 2}


def test_a_trial_that_a_crash_cut_short_is_computed_again_and_takes_no_other_with_it(folder):
    computed(2, 3)
    path = folder / "trials.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[: -len(content.splitlines()[-1]) // 2])
    assert computed(2, 3, 4) == [3, 4]
    assert computed(2, 3, 4) == []


@pytest.mark.parametrize(
    "line", ["7", "[]", "null", '{"square": 4}', '{"trial": "n2", "square": 1}']
)
def test_a_line_that_is_no_trial_is_left_out(folder, line):
    computed(2)
    path = folder / "trials.jsonl"
    path.write_text(line + "\n" + path.read_text())
    assert computed(2, 3) == [3]


def test_a_trial_is_the_same_when_computed_and_when_read(folder):
    summaries = []
    for _ in range(2):
        computed(2)
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        summaries.append(results["summary"])
    assert summaries[0] == summaries[1]
    assert summaries[0]["n2"]["worst"] is None


def test_trials_computed_by_other_versions_are_said_and_noted(folder, capsys):
    computed(2)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["surroundings"][0]["versions"]["jax"] = "0.1"
    path.write_text(json.dumps(config))
    capsys.readouterr()
    computed(2)
    assert "Going on with" not in capsys.readouterr().out
    computed(2, 3)
    assert "where so far it was jax 0.1:" in " ".join(capsys.readouterr().out.split())
    history = json.loads(path.read_text())["surroundings"]
    assert [entry["from"] for entry in history] == [0, 1]
