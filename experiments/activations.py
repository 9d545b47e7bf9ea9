"""Which activation function is best in a plain character-level RNN, and does the answer depend on
how the recurrent matrices are drawn?

Elman networks of two hidden layers learn Shakespeare: logistic, tanh, ReLU, leaky ReLU and ELU,
from Gaussian, orthogonal and identity recurrent matrices. All see equally many characters, each at
a learning rate of its own. Short runs find rates that may be too high for long ones, so the smaller
networks are trained at half of it too, and at a quarter where runs diverge; the best counts.
"""

import itertools
from typing import Any

import numpy as np

from experiments.laboratory.divergence import finite
from experiments.laboratory.plots import COLORS, figures, label_learning
from experiments.laboratory.statistics import counted, listing, shown, verdict
from experiments.laboratory.study import Bench, Results, Runs, Study, Table, conduct, find
from jaxrnn import stacked
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe

BATCH, CHUNK = 32, 16
FULL = {
    "activations": ["logistic", "tanh", "relu", "leaky_relu", "elu"],
    "initializers": ["gaussian", "orthogonal", "identity"],  # of recurrent matrices
    "hidden": [128, 256],  # units of each of both layers
    "steps": 3000, "evaluations": 10, "tuning_steps": 400, "moves": 2,
    "halvings": [2, 0],  # of the learning rate, by size
    "valid": 100_000,  # characters
}  # fmt: skip
QUICK = {
    "activations": ["tanh", "relu"], "initializers": ["orthogonal"], "hidden": [8], "steps": 40,
    "evaluations": 1, "rates": [1e-2, 3e-2], "tuning_steps": 20, "moves": 0, "halvings": [1],
    "valid": 2000,
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, bench.text()
    problem = bench.reading(text, batch=BATCH, chunk=CHUNK)
    compared = (sizes[name] for name in ("activations", "initializers", "hidden"))
    settings = list(itertools.product(*compared))
    bench.begin(len(settings))
    rows = [compare(bench, problem, text.vocabulary.size, *setting) for setting in settings]
    return {"rows": rows, "unigram_bits": problem.baseline}


def compare(
    bench: Bench, problem: Problem, symbols: int, activation: str, initializer: str, size: int
) -> dict[str, Any]:
    """Trains a setting at the learning rate that tuning finds, and at lower ones."""
    sizes, name = bench.settings, f"{activation} {initializer} 2x{size}"
    network = stacked(symbols, [size] * 2, symbols, activation)
    recipe = Recipe(recurrent_initializer=initializer)
    tuned = bench.train(name, network, recipe, problem)
    attempts = [tuned]
    for halving in range(1, 1 + sizes["halvings"][sizes["hidden"].index(size)]):
        if halving == 1 or None in attempts[-1].figures:
            again, rate = f"{name}, rate / {2**halving}", tuned.rate / 2**halving
            attempts.append(bench.train(again, network, recipe, problem, rate=rate))
    best = min(attempts, key=_badness)
    return {
        "activation": activation, "initializer": initializer, "size": size,
        "rate": best.rate, "tuned_rate": tuned.rate, "bits": finite(best.figures),
        "diverged": tuned.figures.count(None) / len(bench.seeds),
        "lost": best.figures.count(None),  # at the best rate too
        "characters": [step * BATCH * CHUNK for step in tuned.steps], "curve": best.mean_curve,
    }  # fmt: skip


def _badness(runs: Runs) -> tuple[int, float]:
    """How many runs diverged; if equally many, what the others ended at."""
    ended = finite(runs.figures)
    return runs.figures.count(None), float(np.mean(ended)) if ended else np.inf


def bits_of(row: dict[str, Any]) -> list[float | None]:
    """Of all runs; None: it diverged."""
    return [*row["bits"], *[None] * row["lost"]]


def table(results: Results) -> Table:
    sizes = results["settings"]
    settings = [
        [find(results, activation=name, initializer=matrix, size=n) for n in sizes["hidden"]]
        for name in sizes["activations"]
        for matrix in sizes["initializers"]
    ]
    return Table.of(
        "Validation bits per character: mean over seeds (95% interval)",
        settings,
        {
            "activation": lambda rows: rows[0]["activation"],
            "recurrent matrix": lambda rows: rows[0]["initializer"],
            **{
                f"2x{size}": lambda rows, i=i: shown(bits_of(rows[i]))
                for i, size in enumerate(sizes["hidden"])
            },
            "learning rates": lambda rows: ", ".join(f"{row['rate']:g}" for row in rows),
            "diverged": lambda rows: ", ".join(f"{row['diverged']:.0%}" for row in rows),
        },
        notes=["Diverged: the share of runs that did so at the learning rate found by tuning."],
    )


def answer(results: Results) -> str:
    sentences = []
    for size in results["settings"]["hidden"]:
        losses = {
            f"{row['activation']} from {row['initializer']} matrices": bits_of(row)
            for row in results["summary"]["rows"] if row["size"] == size
        }  # fmt: skip
        sentences.append(f"With 2x{size} units {verdict(losses)}")
    diverging = sorted({
        row["activation"] for row in results["summary"]["rows"]
        if row["diverged"] and row["initializer"] != "identity"
    })  # fmt: skip
    if diverging:
        sentences.append(
            "At the learning rates that short runs find best, some runs of "
            f"{listing(diverging)} diverge even without identity matrices."
        )
    return " ".join(sentences)


def draw(results: Results) -> Any:
    sizes = results["settings"]
    initializers, hidden = sizes["initializers"], sizes["hidden"]
    lowest = min((x for row in results["summary"]["rows"] for x in row["curve"]), default=0.0)
    panels = list(itertools.product(hidden, initializers))
    picture, all_axes = figures(
        4.6 * len(initializers), 3.8 * len(hidden), len(panels), rows=len(hidden)
    )
    for axes, (size, initializer) in zip(all_axes, panels, strict=True):
        for activation, color in zip(sizes["activations"], COLORS, strict=False):
            row = find(results, activation=activation, initializer=initializer, size=size)
            label = counted(activation, bits_of(row))
            characters = row["characters"][: len(row["curve"])]
            axes.plot(characters, row["curve"], color=color, label=label)
        highest = min(lowest + 1.5, results["summary"]["unigram_bits"])
        label_learning(axes, f"2x{size}, {initializer}", (lowest - 0.05, highest))
        axes.legend(frameon=False)
    return picture


STUDY = Study("activations", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=5)

if __name__ == "__main__":
    conduct(STUDY)
