from typing import Any

import numpy as np
import pytest

from experiments.laboratory.statistics import difference
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
        {"cell": cell, "milliseconds": 2.0 + i, "steps": 30, "bits": bits[cell, "plain"]}
        for i, cell in enumerate(names)
    ]
    return {
        "settings": {"depth": 2, "layers": [2], "cells": names, "rewired": names,
                     "parameters": 3000},
        "summary": {"characters": 20_000, "rows": rows, "equal_time": timed},
    }  # fmt: skip


def test_every_setting_is_compared_and_those_in_time_take_the_time_of_the_slowest(study):
    workdir, results = study
    summary, sizes = results["summary"], cells.QUICK
    wirings = [(row["cell"], row["wiring"]) for row in summary["rows"]]
    assert wirings == [
        *((cell, "plain") for cell in sizes["cells"]), ("tanh", "skip"), ("tanh", "feedback")
    ]  # fmt: skip
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
    settings += [(cell, 2, w) for cell in sizes["rewired"] for w in ("skip", "feedback")]
    for setting in settings:
        network = cells.network_of(*setting, SYMBOLS, sizes["parameters"])
        assert network.parameter_count == pytest.approx(sizes["parameters"], rel=0.01), setting
        hidden = [layer.size for layer in network.layers[:-1]]
        assert len(hidden) == setting[1]
        assert max(hidden) - min(hidden) <= 1


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
