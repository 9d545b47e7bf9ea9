"""Which cell can remember for how long, and how soon does it learn to?

The classic tasks that need a long memory, each as published: adding, copying, temporal order, and
recall of the first symbol. A problem counts as solved once the loss on held-out sequences is below
0.06 of the baseline's, the best answer without memory; for adding that is a squared error of 0.01.
Cells with a recurrent matrix get one layer, as published; the loop-free ones, whose gates do not
see the past, get two, about as many parameters as one layer of GRU. Learning rates are tuned at
each task's shortest length, and kept for the longer ones.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from experiments.command_line.launch import launch
from experiments.laboratory.memory_problems import (
    SIZES,
    adding,
    copying,
    first_symbol,
    temporal_order,
)
from experiments.laboratory.plots import figure
from experiments.laboratory.replicas import train_replicas, tune
from experiments.laboratory.statistics import finite
from experiments.laboratory.study import Results, Study, define_flags, open_study, seeds_of
from experiments.laboratory.tables import Table
from jaxrnn import CELLS, Network, stacked
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe

# IRNN: ReLU with the identity as its recurrent matrix (Le, Jaitly and Hinton 2015).
CELL_OF = {"tanh": "tanh", "IRNN": "relu"} | {n: n for n in ("lstm", "gru", "min_gru", "rg_lru")}
SOLVED = 0.06  # of the baseline's loss
EXPLODED = 10  # times the baseline's loss: not worth a figure
# Units of a layer; sequences of a step; steps at most, and of tuning; where tuning looks first, and
# how often it may move on; evaluations; sequences held out; each task's lengths.
FULL = {
    "size": 64, "batch": 16, "steps": 1000, "tuning_steps": 400, "rates": [1e-3, 3e-3, 1e-2],
    "moves": 1, "evaluations": 20, "held_out": 256,
    "lengths": {"adding": [100, 200, 400], "copying": [50, 100, 200], "temporal order": [100],
                "first symbol": [50, 100, 200]},
}  # fmt: skip
QUICK = {
    "size": 8, "batch": 8, "steps": 40, "tuning_steps": 10, "rates": [3e-3, 1e-2],
    "moves": 0, "evaluations": 2, "held_out": 16, "lengths": {"first symbol": [2]},
}  # fmt: skip
QUICK_CELLS = ("IRNN", "min_gru")

define_flags("memory", seeds=3, corpus=False)


class Setting(NamedTuple):
    cell: str
    task: str
    length: int

    @property
    def name(self) -> str:
        return f"{self.cell} {self.task} {self.length}"


def main() -> int:
    sizes = QUICK if flags.FLAGS.quick else FULL
    cells = QUICK_CELLS if flags.FLAGS.quick else tuple(CELL_OF)
    seeds = seeds_of("memory")
    settings = {"seeds": list(seeds), "cells": list(cells), **sizes}
    trials = len(cells) * sum(map(len, sizes["lengths"].values()))
    with open_study("memory", settings, trials) as study:
        rows = [
            row
            for cell, name in itertools.product(cells, sizes["lengths"])
            for row in compare(study, cell, name, sizes, seeds)
        ]
        return study.conclude({"rows": rows}, table=table, answer=answer, draw=draw)


def compare(
    study: Study, cell: str, name: str, sizes: dict[str, Any], seeds: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Trains a cell on all lengths of a task, at the learning rate that suits the shortest."""
    network, recipe = contender(cell, name, sizes["size"])
    rate, rows = None, []
    for length in sizes["lengths"][name]:
        problem = make_problem(name, length, batch=sizes["batch"], held_out=sizes["held_out"])
        assert problem.baseline is not None
        solved = SOLVED * problem.baseline

        def trial(rate=rate, problem=problem, solved=solved) -> dict[str, Any]:
            if rate is None:
                rate, _ = tune(
                    network, recipe, problem, steps=sizes["tuning_steps"], rates=sizes["rates"],
                    moves=sizes["moves"],
                )  # fmt: skip
            curves, _ = train_replicas(
                network, recipe, problem, seeds, [rate] * len(seeds), steps=sizes["steps"],
                evaluations=sizes["evaluations"], solved=solved,
            )  # fmt: skip
            return {"rate": rate, "curves": [curve._asdict() for curve in curves]}

        setting = Setting(cell, name, length)
        record = study.trial(setting.name, trial)
        rate = record["rate"]
        rows.append({
            **setting._asdict(),
            "rate": round(rate, 6),
            "baseline": round(problem.baseline, 4),
            "losses": [c["valid"][-1] for c in record["curves"]],
            "solved_after": [
                solved_after(c["steps"], c["valid"], solved) for c in record["curves"]
            ],
        })  # fmt: skip
    return rows


def make_problem(name: str, length: int, **sizes: int) -> Problem:
    if name == "temporal order":  # it has but one published length
        return temporal_order(**sizes)
    return {"adding": adding, "copying": copying, "first symbol": first_symbol}[name](
        length, **sizes
    )


def contender(cell: str, name: str, size: int) -> tuple[Network, Recipe]:
    """Adam at a constant rate, so that a run that stops early does not depend on the limit."""
    kind, (features, outputs) = CELL_OF[cell], SIZES[name]
    # The IRNN's other matrices are drawn as everybody's: with Adam, the paper's deviation of 0.001
    # leaves it at the baseline of adding 100 for 1,500 steps.
    hidden = [size] * (2 if CELLS[kind].terms else 1)
    initializer = "identity" if cell == "IRNN" else None
    return (
        stacked(features, hidden, outputs, kind),
        Recipe(schedule="constant", recurrent_initializer=initializer),
    )


def solved_after(steps: list[int], losses: list[float | None], below: float) -> int | None:
    """The first number of steps after which the loss is below the limit; None if it never is."""
    reached = (step for step, loss in zip(steps, losses, strict=True)
               if loss is not None and loss < below)  # fmt: skip
    return next(reached, None)


def median_steps(row: dict[str, Any]) -> float:
    """Over seeds, a run that never solved it counting as infinitely long."""
    return float(np.median([np.inf if n is None else n for n in row["solved_after"]]))


def share(row: dict[str, Any]) -> float:
    """The median final loss as a share of the baseline's."""
    return float(np.median([np.inf if x is None else x for x in row["losses"]])) / row["baseline"]


def table(results: Results) -> Table:
    settings = results["settings"]
    shown = Table(
        f"Median steps until solved, of {settings['steps']:,} (runs that solved it; final loss)",
        ["task", "length", "baseline", *settings["cells"]],
        notes=["Losses are squared errors for adding, else nats per judged step; all are medians "
               "over seeds, and '-' says that half of the runs or more did not solve it."],
    )  # fmt: skip
    for task, length in _problems(settings):
        rows = _of(results, task, length)
        shown.rows.append([task, str(length), f"{rows[0]['baseline']:.3f}", *map(_shown, rows)])
    return shown


def answer(results: Results) -> str:
    settings, rows = results["settings"], results["summary"]["rows"]
    solved = {
        cell: sum(_always(row) for row in rows if row["cell"] == cell) for cell in settings["cells"]
    }
    ranked = sorted(solved, key=lambda cell: -solved[cell])
    longest = []
    for task, lengths in settings["lengths"].items():
        found = f"no length of {task}"
        for length in lengths:
            able = [row for row in _of(results, task, length) if _always(row)]
            if able:
                able.sort(key=median_steps)
                cells = ", ".join(f"{row['cell']} {median_steps(row):,.0f}" for row in able)
                found = f"{task} {length} ({cells})"
        longest.append(found)
    return (
        f"Problems solved from every seed within {settings['steps']:,} steps, of "
        f"{len(rows) // len(solved)}: {', '.join(f'{cell} {solved[cell]}' for cell in ranked)}. "
        "The longest that some cell always solves, with the median number of steps it needs: "
        f"{'; '.join(longest)}."
    )


def draw(results: Results) -> Any:
    from matplotlib.colors import LogNorm

    settings = results["settings"]
    cells, steps, problems = settings["cells"], settings["steps"], _problems(settings)
    rows = [[find(results, cell, *problem) for problem in problems] for cell in cells]
    medians = np.array([[median_steps(row) for row in line] for line in rows])
    picture, axes = figure(3.4 + 0.8 * len(problems), 2.2 + 0.5 * len(cells))
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#e4e4e4")
    soonest = steps / settings["evaluations"]
    norm = LogNorm(soonest, steps)
    image = axes.imshow(np.ma.masked_invalid(medians), norm=norm, cmap="YlGn_r", aspect="auto")
    for i, j in np.ndindex(medians.shape):
        dark = np.isfinite(medians[i, j]) and norm(medians[i, j]) < 0.4
        axes.text(j, i, _note(rows[i][j]), ha="center", va="center", fontsize=9,
                  color="white" if dark else "black")  # fmt: skip
    axes.set_xticks(range(len(problems)), [str(length) for _, length in problems])
    axes.set_yticks(range(len(cells)), cells)
    axes.tick_params(length=0)
    axes.set_xlabel("length in time steps (copying: the delay)\n"
                    "grey: not solved; its loss, in % of the baseline's")  # fmt: skip
    start = 0
    for task, lengths in settings["lengths"].items():
        axes.text(start + (len(lengths) - 1) / 2, -0.6, task.replace(" ", "\n"), ha="center",
                  va="bottom")  # fmt: skip
        start += len(lengths)
        axes.axvline(start - 0.5, color="white", lw=5)
    bar = picture.colorbar(image, label="median training steps until solved")
    bar.minorticks_off()
    ticks = [soonest * k for k in (1, 2, 5, 10, 20) if soonest * k <= steps]
    bar.set_ticks(ticks, labels=[f"{tick:,.0f}" for tick in ticks])
    return picture


def find(results: Results, cell: str, task: str, length: int) -> dict[str, Any]:
    """The row of a setting."""
    return next(
        row for row in results["summary"]["rows"]
        if (row["cell"], row["task"], row["length"]) == (cell, task, length)
    )  # fmt: skip


def _of(results: Results, task: str, length: int) -> list[dict[str, Any]]:
    return [find(results, cell, task, length) for cell in results["settings"]["cells"]]


def _problems(settings: dict[str, Any]) -> list[tuple[str, int]]:
    return [(task, length) for task, lengths in settings["lengths"].items() for length in lengths]


def _count(row: dict[str, Any]) -> int:
    """How many runs solved it."""
    return sum(steps is not None for steps in row["solved_after"])


def _always(row: dict[str, Any]) -> bool:
    return _count(row) == len(row["solved_after"])


def _shown(row: dict[str, Any]) -> str:
    steps, loss = median_steps(row), share(row) * row["baseline"]
    median = f"{steps:,.0f}" if np.isfinite(steps) else "-"
    ending = "exploded" if share(row) > EXPLODED else f"{loss:.4f}"
    lost = len(row["losses"]) - len(finite(row["losses"]))
    if lost and ending != "exploded":
        ending += f", {lost} exploded"
    return f"{median} ({_count(row)}/{len(row['solved_after'])}; {ending})"


def _note(row: dict[str, Any]) -> str:
    """What the picture says of a setting: steps or loss, and how many runs where they differ."""
    steps, count = median_steps(row), _count(row)
    ending = "exploded" if share(row) > EXPLODED else f"{share(row):.0%}"
    note = f"{steps:.0f}" if np.isfinite(steps) else ending
    return note if count == 0 or _always(row) else f"{note}\n{count} of {len(row['solved_after'])}"


if __name__ == "__main__":
    launch(main, __doc__ or "")
