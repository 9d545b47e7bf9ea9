"""What experiments/README.md says is what results.json of each study holds."""

import json
import re
from pathlib import Path

import pytest

from tests.experiments.launching import EXPERIMENTS, ROOT, assert_refused, launched

FOLDER = ROOT / "experiments"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
STUDIES = sorted(path.parent.name for path in (FOLDER / "results").glob("*/results.json"))
SECTION = r"<!-- (\w+) -->\n(.*?)<!-- end -->"


def results_of(name: str) -> dict:
    path = FOLDER / "results" / name / "results.json"
    return json.loads(path.read_text(encoding="utf-8"))


def numbers_in(record) -> list[float]:
    """All numbers of a JSON value, those in its texts too."""
    if isinstance(record, dict):
        return [n for value in record.values() for n in numbers_in(value)]
    if isinstance(record, list):
        return [n for value in record for n in numbers_in(value)]
    if isinstance(record, str):
        return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", record.replace(",", ""))]
    return [] if record is None or isinstance(record, bool) else [float(record)]


def test_every_study_has_a_section_and_every_section_a_study():
    assert sorted(name for name, _ in re.findall(SECTION, README, re.DOTALL)) == STUDIES


@pytest.mark.parametrize("name", STUDIES)
def test_the_section_is_what_the_study_makes_of_its_results(name):
    results, module = results_of(name), EXPERIMENTS[name].module
    sections = dict(re.findall(SECTION, README, re.DOTALL))
    assert module.answer(results) in sections[name]
    assert module.table(results).markdown() in sections[name]
    assert module.draw(results).axes


@pytest.mark.parametrize("name", STUDIES)
def test_figures_in_the_prose_are_those_of_the_results(name):
    before, after = re.split(rf"<!-- {name} -->.*?<!-- end -->", README, flags=re.DOTALL)
    prose = before.rpartition("\n## ")[2] + after.partition("\n## ")[0]
    known = numbers_in(results_of(name))
    for quoted in re.findall(r"\d+\.\d+", prose):
        decimals = len(quoted.partition(".")[2])
        assert float(quoted) in {round(number, decimals) for number in known}, quoted


def test_pictures_are_small():
    for name in STUDIES:
        assert (FOLDER / "results" / name / "picture.png").stat().st_size < 400_000


def test_the_report_stands_as_it_was_written():
    assert EXPERIMENTS["report"].module.rendered(README) == README


def test_results_are_taken_over_from_where_there_are_some(tmp_path: Path):
    assert_refused(launched("report", f"--runs={tmp_path}"), "results.json", str(tmp_path))
