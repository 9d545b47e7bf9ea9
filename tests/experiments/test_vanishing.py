"""The quick study, and what it says of runs that died or diverged."""

import numpy as np

from tests.experiments.launching import EXPERIMENTS, assert_refused, launched

vanishing = EXPERIMENTS["vanishing"].module


def test_every_setting_has_norms_and_a_reach_before_and_after_training(study):
    workdir, results = study
    rows, most = results["summary"]["rows"], results["settings"]["reach"]
    assert [row["name"] for row in rows] == vanishing.QUICK["compared"]
    for row in rows:
        for layer in row["layers"].values():
            for figures in layer.values():
                assert figures["norms"][0] == 0  # a logarithm
                assert len(figures["norms"]) == len(row["ks"])
                assert all(0 <= reach <= most for reach in figures["reach"])
    assert [row["clipped"] for row in results["summary"]["sgd"]] == [False, True]
    assert (workdir / "table.md").read_text(encoding="utf-8").count("By plain SGD") == 2


def test_a_text_too_short_to_look_back_in_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be, " * 130, encoding="utf-8")
    flags = f"--corpus={path}", f"--workdir={tmp_path / 'run'}"
    assert_refused(launched("vanishing", *flags), "validation text", "301")


def made_up(reaches: dict[str, list[int | None]], bits: list[float | None]) -> dict:
    layer = {"reach": [], "norms": [0.0, None, -1.0]}
    rows = [
        {
            "name": name, "rate": 0.01, "bits": bits, "ks": [0, 1, 2],
            "layers": {
                of: {when: layer | {"reach": own} for when in vanishing.WHEN}
                for of in vanishing.LAYERS
            },
        }
        for name, own in reaches.items()
    ]  # fmt: skip
    sgd = [
        {"clipped": clipped, "rate": 1.0, "bits": [None, 3.0], "diverged": 1, "steps": [20, 40],
         "norms": [None, 2.0]}
        for clipped in (False, True)
    ]  # fmt: skip
    settings = {"reach": 200, "sgd_rates": [1.0], "sgd": "relu", "seeds": [0, 1]}
    return {"settings": settings, "summary": {"rows": rows, "sgd": sgd}}


def test_runs_that_died_or_diverged_are_told_apart():
    results = made_up({"relu": [None, 7], "tanh": [5, 7]}, [2.0, None])
    answer = vanishing.answer(results)
    assert "after 6 (-7 to 19) steps in tanh" in answer
    assert answer.endswith("By Adam runs diverged: relu (1 of 2), tanh (1 of 2).")
    text = vanishing.table(results).markdown()
    assert "7, 1 of 2 without" in text
    assert "2.000, 1 of 2 diverged" in text
    assert "1 of 2 runs of relu diverge; the others reach 3.000 bits" in text
    *_, norms = vanishing.draw(results).axes
    points = norms.lines[0].get_xydata()
    assert np.isnan(points[0][1])
    assert points[1].tolist() == [40, 2]
    assert "nowhere" in vanishing.answer(made_up({"relu": [None, None]}, [2.0, 2.0]))
