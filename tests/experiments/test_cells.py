from typing import Any

import jax
import numpy as np
import pytest

from experiments.laboratory.statistics import difference
from jaxrnn import init, initial_state, unroll
from tests.experiments.launching import EXPERIMENTS

cells = EXPERIMENTS["cells"].module
SYMBOLS = 79


def made_up(bits: dict[Any, Any]) -> dict[str, Any]:
    """Results of two-layer networks with these bits, by cell and wiring."""
    names = list(dict.fromkeys(cell for cell, _ in bits))
    rows = [
        {"cell": cell, "layers": 2, "wiring": wiring, "hidden": [8, 8], "parameters": 3000,
         "rate": 0.001, "bits": found}
        for (cell, wiring), found in bits.items()
    ]  # fmt: skip
    timed = [
        {"cell": cell, "wiring": "plain", "milliseconds": 2.0 + i, "steps": 30,
         "bits": bits[cell, "plain"]}
        for i, cell in enumerate(names)
    ]  # fmt: skip
    wirings = {name: [] for _, name in bits if name != "plain"}
    for cell, name in bits:
        wirings.get(name, []).append(cell)
    return {
        "settings": {"depth": 2, "layers": [2], "cells": names, "wirings": wirings,
                     "parameters": 3000},
        "summary": {"characters": 20_000, "rows": rows, "equal_time": timed},
    }  # fmt: skip


def test_every_setting_is_compared_and_those_in_time_take_the_time_of_the_slowest(study):
    workdir, results = study
    summary, sizes = results["summary"], cells.QUICK
    wirings = [(row["cell"], row["wiring"]) for row in summary["rows"]]
    assert wirings == [
        *((cell, "plain") for cell in sizes["cells"]), ("tanh", "skip"), ("min_gru", "block")
    ]  # fmt: skip
    timed = [(row["cell"], row["wiring"]) for row in summary["equal_time"]]
    assert timed == [*((cell, "plain") for cell in sizes["cells"]), ("min_gru", "block")]
    assert all(len(row["bits"]) == 2 for row in summary["rows"] + summary["equal_time"])
    slowest = max(row["milliseconds"] for row in summary["equal_time"])
    for row in summary["equal_time"]:
        # Half of the steps between two evaluations is as near as it can come.
        assert row["steps"] == pytest.approx(
            sizes["steps"] * slowest / row["milliseconds"], abs=5.01
        )
    assert (workdir / "table.md").read_text(encoding="utf-8").count("\n") >= len(summary["rows"])


def test_all_networks_have_as_many_parameters_to_one_percent():
    sizes = cells.FULL
    settings = [(cell, n, "plain") for cell in sizes["cells"] for n in sizes["layers"]]
    settings += [(cell, 2, w) for w, names in sizes["wirings"].items() for cell in names]
    for setting in settings:
        network = cells.network_of(*setting, SYMBOLS, sizes["parameters"])
        assert network.parameter_count == pytest.approx(sizes["parameters"], rel=0.01), setting
        hidden = [layer.size for layer in network.layers if layer.name.startswith("hidden")]
        assert len(hidden) == setting[1]
        assert max(hidden) - min(hidden) <= 1


def test_a_block_is_what_its_formulas_say():
    network = cells.in_blocks(SYMBOLS, 5, 1, "min_gru")
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: random.normal(size=x.shape), init(network, jax.random.key(0)))
    text = random.integers(SYMBOLS, size=9)
    found, _ = unroll(network, params, initial_state(network, 1), text[:, None])

    def normal(x):
        return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-5)

    stream = params["embedding"]["input@0"][text] + params["embedding"]["bias"]
    heard = normal(stream) * params["norm1"]["bias"]
    below = np.pad(heard @ params["below1"]["norm1@0"], ((3, 0), (0, 0)))
    short = params["convolution1"]["bias"] + sum(
        below[3 - k : 12 - k] * params["convolution1"][f"below1@{k}"] for k in range(4)
    )
    sums = short @ params["hidden1"]["convolution1@0"] + params["hidden1"]["bias"]
    update, candidate = 1 / (1 + np.exp(-sums[:, :5])), sums[:, 5:]
    outputs = [np.zeros(5)]
    for z, value in zip(update, candidate, strict=True):
        outputs.append((1 - z) * outputs[-1] + z * value)
    both = np.tile(outputs[1:], 2) * params["gated1"]["hidden1@0"] + params["gated1"]["bias"]
    gate, value = np.split(both + heard @ params["gated1"]["norm1@0"], 2, axis=-1)
    gelu = gate / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))
    stream = stream + (gelu * value) @ params["sum1"]["gated1@0"]
    expected = normal(stream) * params["norm"]["bias"] @ params["output"]["norm@0"]
    np.testing.assert_allclose(found[:, 0], expected + params["output"]["bias"], atol=1e-4)


def test_the_answer_tells_help_from_harm_and_from_neither():
    results = made_up({
        ("tanh", "plain"): [2.60, 2.61, 2.62], ("tanh", "skip"): [2.40, 2.41, 2.42],
        ("tanh", "feedback"): [2.90, 2.91, 2.92], ("lstm", "plain"): [2.50, 2.51, 2.52],
        ("lstm", "skip"): [2.50, 2.52, 2.51], ("lstm", "feedback"): [2.49, 2.51, 2.55],
    })  # fmt: skip
    gains = cells.changes(results)
    np.testing.assert_allclose(
        gains["tanh", "skip"], difference([2.40, 2.41, 2.42], [2.60, 2.61, 2.62], 4)
    )
    answer = cells.answer(results)
    assert "lstm with 2 layers needs the fewest" in answer
    assert "tanh by -0.200 (" in answer
    assert "tanh by +0.300 (" in answer
    assert answer.count("lstm by nothing that can be told") == 2


def test_what_did_not_end_well_is_left_out():
    results = made_up({
        ("tanh", "plain"): [2.60, None], ("tanh", "skip"): [2.40, 2.41],
        ("lstm", "plain"): [2.50, 2.51], ("lstm", "skip"): [2.50, 2.52],
    })  # fmt: skip
    answer = cells.answer(results)
    assert "lstm with 2 layers needs the fewest" in answer
    assert "Left out, since runs diverged: tanh with 2 layers (1 of 2)." in answer
    assert "of tanh" not in answer
    assert "2.600, 1 of 2 diverged" in cells.table(results).markdown()
    depths, *_ = cells.draw(results).axes
    assert [text.get_text() for text in depths.texts] == ["1 of 2 diverged"]
