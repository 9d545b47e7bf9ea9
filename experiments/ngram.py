"""Does a recurrent network know more than a feed-forward one that sees the last n characters, or
than a table of counts?

Feed-forward networks hear the last n characters over delayed connections from the input. They
learn Shakespeare beside recurrent networks (tanh, GRU) of equally many parameters, from equally
many characters, each at a learning rate of its own. Strings of up to n + 1 characters are counted,
and smoothed by Kneser-Ney, in the very text that the networks read, and in all there is.
"""

from typing import Any

import numpy as np
from jaxtyping import Integer

from experiments.laboratory import statistics as stats
from experiments.laboratory.divergence import finite
from experiments.laboratory.plots import COLORS, draw_figures, figure
from experiments.laboratory.replicas import RATES, SLACK
from experiments.laboratory.sizing import nearest
from experiments.laboratory.study import Bench, Results, Study, Table, conduct
from jaxrnn import Connection, Layer, Network, stacked
from jaxrnn.learning.recipe import Recipe
from jaxrnn.text import contiguous_lanes
from jaxrnn.text.counts import counted

BATCH, CHUNK = 32, 32
FULL = {
    "seen": [1, 2, 3, 4, 6, 8, 12, 16],  # characters, by feed-forward networks
    "cells": ["tanh", "gru"],  # of recurrent ones
    "parameters": 80_000,
    "steps": 1000, "evaluations": 5,
    "rates": list(RATES), "tuning_steps": 200, "moves": 2,
    "train": None, "valid": 100_000,  # characters; None: all
    "longest": 16,  # characters that a count looks back
}  # fmt: skip
QUICK = {
    "seen": [2], "cells": ["tanh"], "parameters": 3000, "steps": 40, "evaluations": 1,
    "rates": [1e-2, 3e-2], "tuning_steps": 20, "moves": 0, "train": 50_000, "valid": 2000,
    "longest": 4,
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, bench.text()
    symbols, train = text.vocabulary.size, text.train[: sizes["train"]]
    problem = bench.reading(text, batch=BATCH, chunk=CHUNK)
    makers = {f"sees {n}": lambda units, n=n: delayed_inputs(symbols, n, units)
              for n in sizes["seen"]}  # fmt: skip
    makers |= {cell: lambda units, cell=cell: stacked(symbols, [units], symbols, cell)
               for cell in sizes["cells"]}  # fmt: skip
    bench.begin(len(makers) + 2)
    rows = []
    for name, make in makers.items():
        network = nearest(make, sizes["parameters"])
        runs = bench.train(name, network, Recipe(), problem, slack=SLACK)
        row = {"name": name, "hidden": network.layers[0].size, "rate": runs.rate}
        rows.append({**row, "parameters": network.parameter_count, "bits": runs.figures})

    def count(read: np.ndarray) -> list[float]:
        valid, longest = text.valid[: sizes["valid"]], sizes["longest"]
        (found,) = counted(read, [valid], symbols=symbols, longest=longest)
        # Of all symbols but the first, no network's target.
        return stats.listed(-np.log2(found.probabilities[:, 1:]).mean(axis=1), 4)

    same = bench.trial("counts, same text", lambda: {
        "bits": [count(text_read(train, seed, sizes["steps"])) for seed in bench.seeds]
    })  # fmt: skip
    whole = bench.trial("counts, whole text", lambda: {"bits": count(train)})
    return {
        "characters": sizes["steps"] * BATCH * CHUNK, "whole": len(train), "networks": rows,
        "counts": same["bits"], "whole_counts": whole["bits"],
    }  # fmt: skip


def delayed_inputs(symbols: int, seen: int, units: int) -> Network:
    """A feed-forward network that sees the last so many symbols: one hidden layer of tanh."""
    layers = [Layer("hidden", units, "tanh"), Layer("output", symbols, "linear")]
    window = [Connection("input", "hidden", delay=delay) for delay in range(seen)]
    return Network(symbols, layers, [*window, Connection("hidden", "output")])


def text_read(
    train: Integer[np.ndarray, " length"], seed: int, steps: int
) -> Integer[np.ndarray, " read"]:
    """What a network of this seed reads in so many steps, lane after lane."""
    chunks = [
        contiguous_lanes(train, batch=BATCH, chunk=CHUNK, seed=seed, step=step).inputs
        for step in range(steps)
    ]
    return np.concatenate(chunks).T.ravel()


def table(results: Results) -> Table:
    summary, sizes = results["summary"], results["settings"]
    rows = {row["name"]: row for row in summary["networks"]}
    # Of each line what is looked back, the network and the counts that do so, if there are any.
    lines = [
        (str(n), rows.get(f"sees {n}"), [bits[n] for bits in summary["counts"]],
         f"{summary['whole_counts'][n]:.3f}")
        for n in range(sizes["longest"] + 1)
    ]  # fmt: skip
    lines += [(f"all ({cell})", rows[cell], [], "-") for cell in sizes["cells"]]
    read = f"{summary['characters'] / 1e6:.2g} M"
    return Table.of(
        "Validation bits per character: mean over seeds (95% interval)",
        lines,
        {
            "characters seen": lambda line: line[0],
            "hidden units": lambda line: line[1]["hidden"] if line[1] else "-",
            "learning rate": lambda line: f"{line[1]['rate']:g}" if line[1] else "-",
            f"network, {read}": lambda line: stats.shown(line[1]["bits"]) if line[1] else "-",
            f"counts, {read}": lambda line: stats.shown(line[2]) if line[2] else "-",
            f"counts, {summary['whole'] / 1e6:.2g} M": lambda line: line[3],
        },
        notes=[f"Networks have about {sizes['parameters']:,} parameters."],
    )


def answer(results: Results) -> str:
    summary = results["summary"]
    bits, lost = stats.told_apart({row["name"]: row["bits"] for row in summary["networks"]})
    feedforward = {
        f"the one that {name} back": found
        for name, found in bits.items() if name.startswith("sees")
    }  # fmt: skip
    if not feedforward:
        return f"No feed-forward network can be compared. {lost}"
    read = f"{summary['characters'] / 1e6:.2g} M characters"
    sentences = [f"Of feed-forward networks that read {read}, {stats.verdict(feedforward)}"]
    best = feedforward[stats.best_of(feedforward)[0]]
    counted = np.transpose(summary["counts"]).tolist()  # [looked back][seed]
    n = int(np.argmin(np.mean(counted, axis=1)))
    recurrent = {name: found for name, found in bits.items() if not name.startswith("sees")}
    rivals = [
        (f"a recurrent {cell} network", found, len(recurrent)) for cell, found in recurrent.items()
    ]
    rivals += [(f"counting {n} back in the same text", counted[n], len(counted))]
    compared = []
    for name, found, choices in rivals:
        # The best were picked: so the intervals are to hold for all pairs of a kind that there are.
        gap = stats.difference(found, best, len(feedforward) * choices)
        if gap.is_told:
            more = "more" if gap.mean > 0 else "fewer"
            compared.append(f"{name} needs {abs(gap.mean):.3f} bits {more}")
        else:
            compared.append(f"{name} ({np.mean(found):.3f}) cannot be told from it")
    whole, lowest = summary["whole_counts"], min(map(np.mean, bits.values()))
    sentences += [
        f"In comparison {'; '.join(compared)}.",
        f"Counting all {summary['whole'] / 1e6:.2g} M characters, {int(np.argmin(whole))} back, "
        f"reaches {min(whole):.3f}; the best network here {lowest:.3f}.",
        lost,
    ]
    return " ".join(sentences).rstrip()


def draw(results: Results) -> Any:
    summary, settings = results["summary"], results["settings"]
    picture, axes = figure(8, 4.8)
    rows = {row["name"]: row["bits"] for row in summary["networks"]}
    read = f"{summary['characters'] / 1e6:.2g} M characters"
    for cell, color in zip(settings["cells"], COLORS[4:], strict=False):
        if ended := finite(rows[cell]):
            found, label = (
                stats.mean_of(ended),
                stats.counted(f"recurrent {cell}, {read}", rows[cell]),
            )
            axes.axhline(found.mean, color=color, label=label)
            if np.isfinite(found.low):
                axes.axhspan(found.low, found.high, color=color, alpha=0.2, linewidth=0)
    draw_figures(
        axes, settings["seen"], [rows[f"sees {n}"] for n in settings["seen"]], color=COLORS[0],
        label=f"feed-forward, {read}",
    )  # fmt: skip
    backward = range(1, settings["longest"] + 1)
    for found, color, label in (
        (np.mean(summary["counts"], axis=0), COLORS[3], f"counts, {read}"),
        (summary["whole_counts"], COLORS[2], f"counts, {summary['whole'] / 1e6:.2g} M characters"),
    ):
        axes.plot(backward, found[1:], ".-", color=color, label=label)
    axes.set(
        xlabel="characters looked back", ylabel="validation bits per character", xticks=backward
    )
    axes.legend(frameon=False)
    return picture


STUDY = Study("ngram", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=5)

if __name__ == "__main__":
    conduct(STUDY)
