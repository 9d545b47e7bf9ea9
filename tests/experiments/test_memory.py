"""memory: what it evaluates, when it calls a problem solved, and what it writes."""

import jax
import numpy as np
import pytest

from jaxrnn.core.engine.components import run_order
from tests.experiments.launching import EXPERIMENTS

memory = EXPERIMENTS["memory"].module


def test_every_cell_meets_every_problem(study):
    workdir, results = study
    rows = results["summary"]["rows"]
    assert {row["cell"] for row in rows} == set(memory.QUICK["cells"])
    for row in rows:
        assert len(row["losses"]) == len(row["solved_after"]) == 2
        assert row["rate"] in memory.QUICK["rates"]
    assert "first symbol" in (workdir / "table.md").read_text(encoding="utf-8")


def test_an_irnn_is_evaluated_by_the_squared_error_of_its_last_answer():
    network, recipe = memory.contender("IRNN", "adding", 5)
    params = recipe.start(network, 2, jax.random.key(0)).params
    problem = memory.PROBLEMS["adding"](6, batch=2, held_out=8)
    ((inputs, targets, *_),) = problem.held_out()
    exact = jax.tree.map(lambda array: np.asarray(array, np.float64), params)
    hidden, output = exact["hidden1"], exact["output"]
    state = np.zeros((8, 5))
    for features in inputs.astype(np.float64):
        state = np.maximum(features @ hidden["input@0"] + hidden["bias"] + state, 0)
    answers = state @ output["hidden1@0"] + output["bias"]
    expected = np.mean((answers[:, 0] - targets[-1]) ** 2)
    assert float(problem.evaluate(network, params)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("cell", "layers", "in_loops"), [("gru", 1, 1), ("min_gru", 2, 0)])
def test_cells_without_a_loop_get_two_layers(cell, layers, in_loops):
    network, _ = memory.contender(cell, "adding", 8)
    assert len(network.layers) == layers + 1
    stepped = [part for part in run_order(network) if part.is_stepped and not part.is_linear]
    assert len(stepped) == in_loops


def test_a_problem_is_solved_when_the_loss_is_first_below_the_limit_whatever_comes_then():
    steps, loses = [10, 20, 30, 40], [0.5, None, 0.1, 0.2]
    assert memory.judged(steps, [0.5, None, 0.09, 0.2], 0.1) == (30, [0.5, None, 0.09])
    assert memory.judged(steps, loses, 0.1) == (None, loses)


def results_of(solved: dict[tuple[str, str, int], list[int | None]]) -> dict:
    rows = [
        {
            "cell": cell, "task": task, "length": length, "rate": 0.01, "baseline": 0.5,
            "losses": [0.45 if n is None else 0.01 for n in after], "solved_after": after,
        }
        for (cell, task, length), after in solved.items()
    ]  # fmt: skip
    lengths: dict[str, list[int]] = {}
    for _, task, length in solved:
        if length not in lengths.setdefault(task, []):
            lengths[task].append(length)
    settings = {"seeds": [0, 1, 2], "cells": sorted({cell for cell, *_ in solved}),
                "lengths": lengths, "steps": 2000, "evaluations": 20}  # fmt: skip
    return {"settings": settings, "summary": {"rows": rows}}


def test_the_answer_names_the_longest_problems_that_all_seeds_solve():
    results = results_of({
        ("gru", "adding", 100): [300, 400, 500], ("gru", "adding", 200): [1500, 1100, 1200],
        ("lstm", "adding", 100): [300, 200, 200], ("lstm", "adding", 200): [900, None, 800],
        ("gru", "copying", 50): [None] * 3, ("lstm", "copying", 50): [None, 700, 700],
    })  # fmt: skip
    assert memory.answer(results) == (
        "Problems solved from every seed within 2,000 steps, of 3: gru 2, lstm 1. "
        "The longest that some cell always solves, with the median number of steps it needs: "
        "adding 200 (gru 1,200); no length of copying."
    )
    cells = {(row[0], row[1]): row[3:] for row in memory.table(results).rows}
    assert cells["adding", "200"] == ["1,200 (3/3; 0.0100)", "900 (2/3; 0.0100)"]
    assert cells["copying", "50"] == ["- (0/3; 0.4500)", "700 (2/3; 0.0100)"]
    drawn = {text.get_text() for text in memory.draw(results).axes[0].texts}
    assert {"1200", "900\n2 of 3", "90%", "700\n2 of 3", "adding", "copying"} <= drawn


def test_who_fails_has_not_diverged_and_who_diverged_is_counted_apart():
    results = results_of({("gru", "adding", 100): [None, None, 200]})
    (row,) = results["summary"]["rows"]
    assert memory.table(results).rows[0][-1] == "- (1/3; 0.4500)"
    assert "diverged" not in memory.answer(results)
    row["losses"][0] = 0.7  # of a baseline of 0.5
    assert memory.table(results).rows[0][-1] == "- (1/3; 0.2300, 1 diverged)"
    assert memory.answer(results).endswith("Runs diverged: gru at adding 100 (1 of 3).")
    assert "46%\n1 of 3\n1 diverged" in [t.get_text() for t in memory.draw(results).axes[0].texts]
    row["solved_after"][0] = 300  # what it does once it has solved the problem does not count
    assert "diverged" not in memory.answer(results)
