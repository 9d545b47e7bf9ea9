import numpy as np

from experiments.laboratory.divergence import finite
from jaxrnn.text.settings import PRESETS
from tests.experiments.launching import EXPERIMENTS

quality = EXPERIMENTS["quality"].module


def test_each_rung_is_judged_and_the_last_one_in_every_mode(study):
    workdir, results = study
    first, last = results["summary"]["rows"]
    assert [len(row["bits"]) for row in (first, last)] == [2, 1]
    assert not first["modes"]
    assert list(last["modes"]) == list(quality.MODES)
    # All of a split is judged, whether in lanes or from its beginning to its end.
    np.testing.assert_allclose(last["modes"]["static"], last["bits"][0], atol=1e-3)
    # A network that has hardly learned anything is better off with counts.
    assert last["modes"]["static with counts"] < last["bits"][0]
    assert last["parameters"] > first["parameters"]
    samples = (workdir / "samples.md").read_text(encoding="utf-8")
    assert samples.count("\n## ") == 2


def test_rungs_differ_from_presets_in_what_these_have():
    for preset, but in quality.FULL["rungs"].values():
        leaves = {key: tuple(x) if isinstance(x, list) else x for key, x in but.items()}
        assert (PRESETS[preset].but(**leaves) == PRESETS[preset]) == (not but)


def test_the_answer_names_what_each_rung_gains():
    rows = [
        {"name": name, "bits": bits, "modes": modes}
        for name, bits, modes in (
            ("seed", [2.5, 2.3], {}), ("best", [2.0], {"static": 2.0, "dynamic": 1.8})
        )
    ]  # fmt: skip
    said = quality.answer({"summary": {"rows": rows, "counts": [4.0, 2.1, 2.2]}})
    assert "seed 2.400; best 2.000 (-0.400)" in said
    assert "Counting 1 characters back needs 2.100" in said
    assert "dynamic 1.800" in said
    rows[0]["bits"] = [None]
    assert not finite(rows[0]["bits"])
    assert "seed diverged" in quality.answer({"summary": {"rows": rows, "counts": [4.0]}})
