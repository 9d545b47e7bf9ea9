"""optimisers: which learning rates are good enough, its verdicts, and what it writes."""

import numpy as np
import pytest

from experiments.laboratory.statistics import difference
from tests.experiments.launching import EXPERIMENTS

optimisers = EXPERIMENTS["optimisers"].module


def test_every_optimiser_runs_with_and_without_clipping(study):
    workdir, results = study
    rows = results["summary"]["rows"]
    assert [row["name"] for row in rows] == ["sgd", "sgd with clipping"]
    for row in rows:
        rates, bits = zip(*row["tried"], strict=True)
        assert row["rate"] == rates[int(np.argmin(bits))]
        assert row["curve"][-1] == pytest.approx(np.mean(row["bits"]), abs=1e-4)
        assert max(row["bits"]) < np.log2(79) + 0.1  # no worse than knowing nothing
    assert (workdir / "table.md").read_text(encoding="utf-8").count("| sgd") == 2


def test_clipping_helps_or_harms_only_where_seeds_agree():
    near, far = [2.0, 2.01, 1.99], [2.51, 2.50, 2.49]
    losses = {
        "sgd": far, "sgd with clipping": near, "adam": near, "adam with clipping": far,
        "rmsprop": [2.0, 2.5, 3.0], "rmsprop with clipping": near,
    }  # fmt: skip
    (verdict,) = optimisers._on_clipping(losses)
    assert verdict == (
        f"Clipping the gradient's norm helps sgd by {difference(far, near, 3):.3f} bits; it harms "
        f"adam by {difference(far, near, 3):.3f} bits; it makes no difference that can be told to "
        "the rest."
    )
    same = dict.fromkeys(losses, near)
    assert "no difference that can be told, for any" in optimisers._on_clipping(same)[0]


def test_what_diverged_has_no_place_in_the_answer():
    def row(name: str, bits: list[float | None]) -> dict:
        tried = [(1.0, 3.0), (2.0, 3.5)]
        return {"name": name, "bits": bits, "tried": tried}

    rows = [row("sgd", [2.0, None]), row("adam", [2.5, 2.4]), row("adamw", [2.6, 2.7])]
    answer = optimisers.answer({"summary": {"rows": rows}})
    assert "adam needs the fewest bits per character (2.450)" in answer
    assert "Left out, since runs diverged: sgd (1 of 2)." in answer
    assert "Clipping" not in answer
    nothing = {"summary": {"rows": rows[:1]}}
    assert "no setting can be compared" in optimisers.answer(nothing)


def test_a_study_all_of_whose_runs_diverged_has_a_table_and_a_picture():
    rows = [
        {
            "name": name, "optimizer": "sgd", "clipped": clipped, "rate": 1.0,
            "tried": [[1.0, None], [2.0, None]], "bits": [None, None], "characters": [1, 2],
            "curve": [],
        }
        for name, clipped in (("sgd", False), ("sgd with clipping", True))
    ]  # fmt: skip
    results = {"summary": {"rows": rows}, "settings": {"optimizers": ["sgd"]}}
    assert optimisers.table(results).markdown().count("2 of 2 diverged") == 2
    assert optimisers.draw(results).axes
