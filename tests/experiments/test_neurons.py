"""neurons: what it writes, of networks of its own and of a model that is given."""

from experiments.laboratory.features import FEATURES
from tests.experiments.launching import EXPERIMENTS, assert_refused, launched, read

neurons = EXPERIMENTS["neurons"].module


def test_units_are_found_for_every_feature_and_shown_on_a_page(study):
    workdir, results = study
    summary = results["summary"]
    assert len(summary["bits"]) == 2
    assert {row["feature"] for row in summary["rows"]} <= set(FEATURES)
    for row in summary["rows"]:
        assert len(row["trained"]) == len(row["untrained"]) == 2
        assert row["correlation"] in row["trained"]
        assert max(map(abs, row["trained"] + row["untrained"])) <= 1
        assert len(row["shown"].split()) == len(summary["passage"])
    assert (workdir / "table.md").read_text().count("\n| ") == len(summary["rows"])
    page = (workdir / "neurons.html").read_text(encoding="utf-8")
    assert page.count("<pre>") == len(summary["rows"])


def test_a_model_of_char_lm_is_taken_instead(run, corpus, tmp_path):
    workdir = tmp_path / "neurons"
    outcome = launched("neurons", "--quick", f"--run={run}", f"--corpus={corpus}", "--seeds=2",
                       f"--workdir={workdir}")  # fmt: skip
    assert outcome.code == 0, outcome
    summary = read((workdir / "results.json").read_text(encoding="utf-8"))["summary"]
    assert all(len(row["trained"]) == 1 for row in summary["rows"])
    assert "cannot be told" in outcome.out  # from one run


def test_a_text_without_any_of_the_features_is_refused(tmp_path):
    text = tmp_path / "dots.txt"
    text.write_text("." * 5000)
    outcome = launched("neurons", "--quick", f"--corpus={text}", f"--workdir={tmp_path / 'run'}")
    assert_refused(outcome, "nothing")
    assert not (tmp_path / "run").exists()


def test_a_network_that_diverged_is_left_out_and_named(study):
    _, results = study
    summary = results["summary"]
    names = [row["feature"] for row in summary["rows"]]
    kept, other = (
        [{"name": f"unit {i}", "searched": 0.1 + i, "judged": 0.1 + i, "shown": "0 0"}] * len(names)
        for i in range(2)
    )
    rows = neurons.rows_of(names, [kept, None], [other, other])
    assert {row["unit"] for row in rows} == {"unit 0"}
    assert [row["trained"] for row in rows] == [[0.1, None]] * len(names)
    lost = {**results, "summary": {**summary, "rows": rows, "bits": [2.0, None]}}
    assert neurons.answer(lost).endswith("Left out, since runs diverged: lstm (1 of 2).")
    assert "0.10, 1 of 2 diverged" in neurons.table(lost).markdown()
    nothing = {**results, "summary": {**summary, "rows": [], "bits": [None, None]}}
    assert neurons.answer(nothing).startswith("No network ended well. Left out")
    assert neurons.draw(nothing).axes
