"""Which cell can remember for how long, and how soon does it learn to?

The classic problems that need a long memory, each as published: adding, copying, temporal order,
and recall of the first symbol. A problem counts as solved once the loss on held-out sequences is
below 0.06 of the baseline's, the best answer without memory; for adding that is a squared error of
0.01. Cells with a recurrent matrix get one layer, as published; the loop-free ones, whose gates do
not see the past, get two, about as many parameters as one layer of GRU. Learning rates are tuned at
each problem's shortest length, and kept for the longer ones.
"""

import itertools
from typing import Any

import numpy as np

from experiments.laboratory import memory_problems
from experiments.laboratory.divergence import finals, finite
from experiments.laboratory.plots import draw_map, figure
from experiments.laboratory.statistics import told_apart
from experiments.laboratory.study import Bench, Results, Study, Table, conduct, find
from jaxrnn import CELLS, Network, stacked
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe

# IRNN: ReLU with the identity as its recurrent matrix (Le, Jaitly and Hinton 2015).
CELL_OF = {"tanh": "tanh", "IRNN": "relu"} | {n: n for n in ("lstm", "gru", "min_gru", "rg_lru")}
PROBLEMS = {
    "adding": memory_problems.adding,
    "copying": memory_problems.copying,
    # It has but one published length.
    "temporal order": lambda _, **sizes: memory_problems.temporal_order(**sizes),
    "first symbol": memory_problems.first_symbol,
}
SOLVED = 0.06  # of the baseline's loss
FULL = {
    "cells": list(CELL_OF),
    "size": 64,  # units of a layer
    "batch": 16,  # sequences of a step
    "steps": 1000, "evaluations": 20,  # at most
    "rates": [1e-3, 3e-3, 1e-2], "tuning_steps": 400, "moves": 1,
    "held_out": 256,  # sequences
    "lengths": {"adding": [100, 200, 400], "copying": [50, 100, 200], "temporal order": [100],
                "first symbol": [50, 100, 200]},
}  # fmt: skip
QUICK = {
    "cells": ["IRNN", "min_gru"], "size": 8, "batch": 8, "steps": 40, "evaluations": 2,
    "rates": [3e-3, 1e-2], "tuning_steps": 10, "moves": 0, "held_out": 16,
    "lengths": {"first symbol": [2]},
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    cells, lengths = bench.settings["cells"], bench.settings["lengths"]
    bench.begin(len(cells) * sum(map(len, lengths.values())))
    compared = itertools.product(cells, lengths)
    return {"rows": [row for cell, name in compared for row in compare(bench, cell, name)]}


def compare(bench: Bench, cell: str, name: str) -> list[dict[str, Any]]:
    """Trains a cell on all lengths of a problem, at the learning rate that suits the shortest."""
    sizes, rate, rows = bench.settings, None, []
    network, recipe = contender(cell, name, sizes["size"])
    for length in sizes["lengths"][name]:
        problem: Problem = PROBLEMS[name](length, batch=sizes["batch"], held_out=sizes["held_out"])
        assert problem.baseline is not None
        limit = SOLVED * problem.baseline
        trial = f"{cell} {name} {length}"
        runs = bench.train(trial, network, recipe, problem, rate=rate, solved=limit)
        rate = runs.rate
        curves = [judged(c["steps"], c["valid"], limit) for c in runs.record["curves"]]
        rows.append({
            "cell": cell, "task": name, "length": length, "rate": round(rate, 6),
            "baseline": round(problem.baseline, 4),
            "losses": finals((losses for _, losses in curves), problem.baseline),
            "solved_after": [after for after, _ in curves],
        })  # fmt: skip
    return rows


def contender(cell: str, name: str, size: int) -> tuple[Network, Recipe]:
    """Adam at a constant rate, so that a run that stops early does not depend on the limit."""
    kind, (features, outputs) = CELL_OF[cell], memory_problems.SIZES[name]
    # The IRNN's other matrices are drawn as everybody's: with Adam, the paper's deviation of 0.001
    # leaves it at the baseline of adding 100 for 1,500 steps.
    hidden = [size] * (2 if CELLS[kind].terms else 1)
    initializer = "identity" if cell == "IRNN" else None
    recipe = Recipe(schedule="constant", recurrent_initializer=initializer)
    return stacked(features, hidden, outputs, kind), recipe


def judged(
    steps: list[int], losses: list[float | None], limit: float
) -> tuple[int | None, list[float | None]]:
    """After how many steps a run first is below the limit, and its losses until then.

    None if it never is, and all its losses. Training goes on until the other seeds' runs are done:
    what a run does after it solved the problem does not count.
    """
    for i, loss in enumerate(losses):
        if loss is not None and loss < limit:
            return steps[i], losses[: i + 1]
    return None, losses


def ends(row: dict[str, Any]) -> list[float | None]:
    """The loss that each run ended at; None: it diverged, and did not solve the problem before."""
    return [
        loss if after else finals([[loss]], row["baseline"])[0]
        for loss, after in zip(row["losses"], row["solved_after"], strict=True)
    ]


def median_steps(row: dict[str, Any]) -> float:
    """Over seeds, a run that never solved it counting as infinitely long."""
    return float(np.median([np.inf if n is None else n for n in row["solved_after"]]))


def table(results: Results) -> Table:
    settings = results["settings"]
    columns = {
        "problem": lambda rows: rows[0]["task"],
        "length": lambda rows: rows[0]["length"],
        "baseline": lambda rows: f"{rows[0]['baseline']:.3f}",
    }
    for i, cell in enumerate(settings["cells"]):
        columns[cell] = lambda rows, i=i: _shown(rows[i])
    return Table.of(
        f"Median steps until solved, of {settings['steps']:,} (runs that solved it; loss)",
        _problems(results), columns,
        ["Losses are squared errors for adding, else nats per judged step; all are medians over "
         "seeds, and '-' says that half of the runs or more did not solve it. The loss is that of "
         "the runs that did not diverge."],
    )  # fmt: skip


def answer(results: Results) -> str:
    settings, rows = results["settings"], results["summary"]["rows"]
    solved = {
        cell: sum(_always(row) for row in rows if row["cell"] == cell) for cell in settings["cells"]
    }
    ranked = sorted(solved, key=lambda cell: -solved[cell])
    longest = {task: f"no length of {task}" for task in settings["lengths"]}
    for rows_of_one in _problems(results):
        able = sorted(filter(_always, rows_of_one), key=median_steps)
        if able:
            cells = ", ".join(f"{row['cell']} {median_steps(row):,.0f}" for row in able)
            longest[able[0]["task"]] = f"{able[0]['task']} {able[0]['length']} ({cells})"
    _, lost = told_apart(
        {f"{row['cell']} at {row['task']} {row['length']}": ends(row) for row in rows},
        "Runs diverged",
    )
    return (
        f"Problems solved from every seed within {settings['steps']:,} steps, of "
        f"{len(rows) // len(solved)}: {', '.join(f'{cell} {solved[cell]}' for cell in ranked)}. "
        "The longest that some cell always solves, with the median number of steps it needs: "
        f"{'; '.join(longest.values())}. {lost}"
    ).rstrip()


def draw(results: Results) -> Any:
    settings, problems = results["settings"], _problems(results)
    cells, steps = settings["cells"], settings["steps"]
    medians = np.array([[median_steps(row) for row in rows] for rows in problems]).T
    notes = [[_note(rows[i]) for rows in problems] for i in range(len(cells))]
    picture, axes = figure(3.4 + 0.8 * len(problems), 2.2 + 0.5 * len(cells))
    soonest = steps / settings["evaluations"]
    bar = draw_map(axes, medians, notes, lowest=soonest, highest=steps)
    bar.set_label("median training steps until solved")
    ticks = [soonest * k for k in (1, 2, 5, 10, 20) if soonest * k <= steps]
    bar.set_ticks(ticks, labels=[f"{tick:,.0f}" for tick in ticks])
    axes.set_xticks(range(len(problems)), [str(rows[0]["length"]) for rows in problems])
    axes.set_yticks(range(len(cells)), cells)
    axes.set_xlabel("length in time steps (copying: the delay)\n"
                    "grey: not solved; its loss, in % of the baseline's")  # fmt: skip
    start = 0
    for task, lengths in settings["lengths"].items():
        axes.text(start + (len(lengths) - 1) / 2, -0.6, task.replace(" ", "\n"), ha="center",
                  va="bottom")  # fmt: skip
        start += len(lengths)
        axes.axvline(start - 0.5, color="white", lw=5)
    return picture


def _problems(results: Results) -> list[list[dict[str, Any]]]:
    """For each problem the rows of all cells."""
    settings = results["settings"]
    return [
        [find(results, cell=cell, task=task, length=length) for cell in settings["cells"]]
        for task, lengths in settings["lengths"].items()
        for length in lengths
    ]


def _count(row: dict[str, Any]) -> int:
    """How many runs solved it."""
    return sum(steps is not None for steps in row["solved_after"])


def _always(row: dict[str, Any]) -> bool:
    return _count(row) == len(row["solved_after"])


def _shown(row: dict[str, Any]) -> str:
    steps, losses, runs = median_steps(row), finite(ends(row)), len(row["losses"])
    said = [f"{np.median(losses):.4f}"] if losses else []
    said += [f"{runs - len(losses)} diverged"] if len(losses) < runs else []
    median = f"{steps:,.0f}" if np.isfinite(steps) else "-"
    return f"{median} ({_count(row)}/{runs}; {', '.join(said)})"


def _note(row: dict[str, Any]) -> str:
    """What the picture says of a setting: steps or loss, and how many runs where they differ."""
    steps, losses, runs = median_steps(row), finite(ends(row)), len(row["losses"])
    said = [f"{np.median(losses) / row['baseline']:.0%}"] if losses else []
    said = [f"{steps:.0f}"] if np.isfinite(steps) else said
    said += [f"{_count(row)} of {runs}"] if 0 < _count(row) < runs else []
    said += [f"{runs - len(losses)} diverged"] if len(losses) < runs else []
    return "\n".join(said)


STUDY = Study("memory", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=3, corpus=False)

if __name__ == "__main__":
    conduct(STUDY)
