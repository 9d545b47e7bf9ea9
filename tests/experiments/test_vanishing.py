"""The quick study, and what it makes of a network whose gradients are known."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import init, stacked
from tests.experiments.launching import EXPERIMENTS, assert_refused, launched
from tests.networks import compiled

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


def test_a_matrix_that_halves_halves_the_gradient_at_each_step():
    network = stacked(3, [4, 4], 3, "linear")
    params = init(network, jax.random.key(0))
    for layer in vanishing.LAYERS:
        params[layer][f"{layer}@1"] = jnp.eye(4) / 2
    inputs, targets = np.random.default_rng(0).integers(3, size=(2, 12, 5))
    gradients = compiled(lambda *arrays: vanishing.gradients_back(network, *arrays, 3))(
        params, jnp.asarray(inputs), jnp.asarray(targets[0])
    )
    ks = np.arange(9)
    upper = vanishing.relative_norms(gradients["hidden2"][None])
    np.testing.assert_allclose(upper, [ks * np.log10(0.5)], atol=1e-4)
    # Of k steps back to the lower layer, any number may lead through the upper one: k + 1 ways.
    lower = vanishing.relative_norms(gradients["hidden1"][None])
    np.testing.assert_allclose(lower, [ks * np.log10(0.5) + np.log10(ks + 1)], atol=1e-4)
    assert vanishing.reach(upper[0]) == 6  # 1 / 64 is above 1%, 1 / 128 is not


def test_a_gradient_may_fall_below_the_threshold_and_rise_again():
    assert vanishing.reach([0, -1, -3, -1.9, -2.1]) == 3


def test_passages_are_spread_over_the_text_and_followed_by_their_targets():
    text = np.arange(100)
    inputs, targets = vanishing.passages(text, {"warmup": 3, "reach": 6, "places": 4})
    assert inputs.shape == (10, 4)
    assert np.asarray(inputs[0]).tolist() == [0, 29, 59, 89]
    np.testing.assert_array_equal(targets, inputs[-1] + 1)


def test_a_layer_without_a_gradient_has_no_reach_and_an_infinite_one_has_one():
    gradients = np.ones((3, 4, 2, 5))
    gradients[0] = 0
    gradients[1, 2:] = np.inf
    norms = vanishing.listed(vanishing.relative_norms(gradients))
    assert norms == [[None] * 4, [0, 0, 40, 40], [0] * 4]
    assert [vanishing.reach(own) for own in norms] == [None, 3, 3]


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
    assert "7, 1 of 2 had no gradient" in text
    assert "2.000, 1 of 2 diverged" in text
    assert "1 of 2 runs of relu diverge; the others reach 3.000 bits" in text
    *_, norms = vanishing.draw(results).axes
    points = norms.lines[0].get_xydata()
    assert np.isnan(points[0][1])
    assert points[1].tolist() == [40, 2]
    assert "nowhere" in vanishing.answer(made_up({"relu": [None, None]}, [2.0, 2.0]))
