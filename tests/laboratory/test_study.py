import json

import pytest
from absl import flags

from experiments.command_line import launch
from experiments.laboratory.plots import figure
from experiments.laboratory.study import define_flags, open_study, seeds_of
from experiments.laboratory.tables import Table
from jaxrnn.core.errors import InputError

NAME = "guessing"


@pytest.fixture(autouse=True)
def own_flags(tmp_path):
    """The flags of a study, of which absl knows only during the test."""
    before, titles = set(flags.FLAGS), list(launch._groups)
    define_flags(NAME, seeds=5)
    flags.FLAGS([NAME, f"--workdir={tmp_path / 'study'}"])
    yield
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
    launch._groups[:] = titles


def table(results):
    rows = [[name, str(square)] for name, square in results["summary"]["squares"].items()]
    return Table("Squares", ["number", "square"], rows, ["All of them."])


def run(numbers, computed, settings=None):
    """A study that squares numbers; `computed` collects those that were not yet known."""

    def square(number):
        computed.append(number)
        if number < 0:
            raise KeyboardInterrupt
        return {"square": number**2}

    with open_study(NAME, settings or {"steps": 3}, len(numbers)) as study:
        squares = {f"n{n}": study.trial(f"n{n}", lambda n=n: square(n))["square"] for n in numbers}
        return study.conclude(
            {"squares": squares}, table=table, draw=lambda results: figure(2, 2)[0],
            answer=lambda results: f"There are {len(results['summary']['squares'])}.",
        )  # fmt: skip


def test_a_study_leaves_results_a_table_and_a_picture(tmp_path, capsys):
    assert run([2, 3], []) == 0
    folder = tmp_path / "study"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["summary"] == {"squares": {"n2": 4, "n3": 9}}
    assert results["settings"] == {"steps": 3}
    assert results["answer"] == "There are 2."
    lines = (folder / "table.md").read_text(encoding="utf-8").splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == ["number", "square"]
    assert set(lines[1]) == {"|", "-"}
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == ["n2", "4"]
    assert lines[-1] == "All of them."
    assert (folder / "picture.png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "There are 2." in shown
    assert "[2/2] n3" in shown


def test_an_interrupted_study_computes_only_what_is_missing():
    computed = []
    with pytest.raises(KeyboardInterrupt):
        run([2, 3, -1], computed)
    assert computed == [2, 3, -1]
    assert run([2, 3, 4], computed) == 0
    assert computed == [2, 3, -1, 4]


def test_a_trial_that_a_crash_cut_short_is_computed_again(tmp_path):
    run([2, 3], [])
    path = tmp_path / "study" / "trials.jsonl"
    path.write_text(path.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    computed = []
    assert run([2, 3], computed) == 0
    assert computed == [3]


def test_other_settings_are_refused_the_number_of_steps_included():
    run([2], [])
    with pytest.raises(InputError, match="steps is 3 there and 4 here"):
        run([2], [], {"steps": 4})


def test_the_seeds_are_those_asked_for_few_when_quick(tmp_path):
    assert seeds_of(NAME) == (0, 1, 2, 3, 4)
    flags.FLAGS([NAME, "--quick"])
    assert seeds_of(NAME) == (0, 1)
    flags.FLAGS([NAME, "--quick", "--seeds=3"])
    assert seeds_of(NAME) == (0, 1, 2)


def test_a_trial_that_a_crash_cut_short_is_computed_again_and_takes_no_other_with_it(tmp_path):
    run([2, 3], [])
    path = tmp_path / "study" / "trials.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[: -len(content.splitlines()[-1]) // 2])
    for numbers, expected in (([2, 3, 4], [3, 4]), ([2, 3, 4], [])):
        computed = []
        run(numbers, computed)
        assert computed == expected


@pytest.mark.parametrize(
    "line", ["7", "[]", "null", '{"square": 4}', '{"trial": "n2", "square": 1}']
)
def test_a_line_that_is_no_trial_is_left_out(tmp_path, line):
    run([2], [])
    path = tmp_path / "study" / "trials.jsonl"
    path.write_text(line + "\n" + path.read_text())
    computed = []
    run([2, 3], computed)
    assert computed == [3]


def test_a_trial_is_the_same_when_computed_and_when_read(tmp_path):
    results = []
    for _ in range(2):
        with open_study(NAME, {}, 1) as study:
            results.append(study.trial("a", lambda: {"worst": float("inf"), "pair": (1, 2)}))
    assert results[0] == results[1]
    assert results[0]["worst"] is None


def test_trials_computed_by_other_versions_are_said_and_noted(tmp_path, capsys):
    run([2], [])
    path = tmp_path / "study" / "config.json"
    config = json.loads(path.read_text())
    config["surroundings"][0]["versions"]["jax"] = "0.1"
    path.write_text(json.dumps(config))
    capsys.readouterr()
    run([2], [])  # computes nothing
    assert "Going on with" not in capsys.readouterr().out
    run([2, 3], [])
    assert "where so far it was jax 0.1:" in " ".join(capsys.readouterr().out.split())
    history = json.loads(path.read_text())["surroundings"]
    assert [entry["from"] for entry in history] == [0, 1]
