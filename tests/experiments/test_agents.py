"""The study of agents' memories: what it compares, and what it says of it."""

import numpy as np
import pytest

from experiments.laboratory.tasks.catalogue import task
from tests.experiments.launching import EXPERIMENTS

agents = EXPERIMENTS["agents"].module


def test_every_memory_meets_the_tasks_it_is_for(study):
    workdir, results = study
    rows = results["summary"]["rows"]
    assert [(row["task"], row["memory"]) for row in rows] == [
        ("tmaze 1", "none"), ("repeat previous 3 1", "none"), ("repeat previous 3 1", "delay 3"),
    ]  # fmt: skip
    assert [row["rollout"] for row in results["summary"]["rollouts"]] == agents.QUICK["rollouts"]
    for row in (*rows, *results["summary"]["rollouts"]):
        assert len(row["ends"]) == len(row["solved_after"]) == 2
        assert row["steps"][0] == 0
    assert "delay 3" in (workdir / "table.md").read_text(encoding="utf-8")


def test_a_run_has_solved_its_task_when_an_evaluation_first_finds_enough():
    assert agents.first_at([0, 10, 20, 30], [1.0, 3.9, 3.7, 4.0], 3.8) == 10
    assert agents.first_at([0, 10], [1.0, 2.0], 3.8) is None
    row = {"solved_after": [10, None, 30]}
    assert agents.median_steps(row) == 30
    assert agents.median_steps({"solved_after": [10, None, None]}) == np.inf


@pytest.mark.parametrize("memory", agents.FULL["memories"])
def test_contenders_remember_as_they_are_called(memory):
    chosen = task("repeat_previous_easy")
    one = {"task": "repeat_previous_easy", "length": None, "steps": 1, "entropy": 0.01}
    _, network = agents.contender(one, chosen, memory, 6)
    delays = {c.delay for c in network.connections}
    loops = {c.source == c.target for c in network.connections if c.delay}
    expected = {
        "none": {0}, "last 4": {0, 1, 2, 3, 4}, "delay 3": {3}, "min_gru": {0}, "rg_lru": {0}
    }  # fmt: skip
    assert delays == expected.get(memory, {0, 1})
    assert loops <= ({True} if expected.get(memory) is None else {False})


def test_agents_answer_and_picture_are_made_of_the_results(study):
    _, results = study
    made = {**results, "summary": {**results["summary"]}}
    rows = [dict(row) for row in results["summary"]["rows"]]
    rows[2] |= {"solved_after": [100, 300], "ends": [0.98, 0.99]}
    made["summary"]["rows"] = rows
    answer = agents.answer(made)
    assert "repeat previous 3 1 is solved from every seed by delay 3 (200) steps" in answer
    assert "tmaze 1 is solved from every seed by none;" in answer
    assert len(agents.draw(made).axes) == 3
