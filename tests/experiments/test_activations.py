import numpy as np

from experiments.laboratory import bench
from experiments.laboratory.replicas import Curve
from tests.experiments.launching import EXPERIMENTS, launched, read

activations = EXPERIMENTS["activations"].module


def test_every_setting_is_compared_and_the_answer_names_the_best(study):
    workdir, results = study
    rows = results["summary"]["rows"]
    assert [row["activation"] for row in rows] == activations.QUICK["activations"]
    assert all(len(row["bits"]) == 2 for row in rows)
    best = min(rows, key=lambda row: np.mean(row["bits"]))
    assert f"{best['activation']} from {best['initializer']} matrices needs" in results["answer"]
    assert (workdir / "table.md").read_text(encoding="utf-8").count("\n") == len(rows) + 4


def test_the_rate_counts_at_which_the_fewest_runs_diverge_and_then_the_best(
    monkeypatch, tmp_path, play
):
    """Figures are set by hand: at 1.0 one of three runs diverges, at 0.5 and below none does."""
    asked = []

    def train_replicas(network, recipe, problem, seeds, rates, **options):
        asked.append(rates[0])
        return [
            Curve(s, r, [10], [9.0 if r * s > 1 else 2 + s / 2 - r], [2.0], 0, [1.0], baseline=4.0)
            for s, r in zip(seeds, rates, strict=True)
        ], {}

    monkeypatch.setattr(bench, "train_replicas", train_replicas)
    monkeypatch.setattr(bench, "tune", lambda *args, **options: (1.0, []))
    monkeypatch.setitem(activations.QUICK, "activations", ["tanh"])
    monkeypatch.setitem(activations.QUICK, "halvings", [2])
    workdir = tmp_path / "study"
    flags = "--quick", "--seeds=3", f"--workdir={workdir}", f"--corpus={play}"
    assert launched("activations", *flags).code == 0
    assert asked == [1.0, 0.5]
    (row,) = read((workdir / "results.json").read_text(encoding="utf-8"))["summary"]["rows"]
    assert (row["tuned_rate"], row["rate"], row["lost"]) == (1.0, 0.5, 0)
    assert row["bits"] == [1.5, 2.0, 2.5]
    assert row["diverged"] == 1 / 3


def test_runs_that_diverged_have_no_part_in_the_answer_but_a_name(study):
    _, results = study
    first, second = results["summary"]["rows"]
    lost = {**first, "bits": [0.1], "lost": 1}
    made_up = {**results, "summary": {**results["summary"], "rows": [lost, second]}}
    answer = activations.answer(made_up)
    assert f"{second['activation']} from {second['initializer']} matrices needs" in answer
    assert f"Left out, since runs diverged: {lost['activation']} from" in answer
    assert "0.100, 1 of 2 diverged" in activations.table(made_up).markdown()
