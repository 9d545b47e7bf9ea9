"""Does a recurrent network know more than a feed-forward one that sees the last n characters, or
than a table of counts?

Feed-forward networks hear the last n characters over delayed connections from the input. They
learn Shakespeare beside recurrent networks (tanh, GRU) of equally many parameters, from equally
many characters, each at a learning rate of its own. Strings of up to n + 1 characters are counted,
and smoothed by Kneser-Ney, in the very text that the networks read, and in all there is.
"""

from typing import Any

import numpy as np
from absl import flags
from jaxtyping import Integer

from experiments.command_line.launch import launch
from experiments.laboratory.counts import probabilities
from experiments.laboratory.plots import COLORS, draw_intervals, figure
from experiments.laboratory.replicas import (
    CUT,
    RATES,
    SLACK,
    train_replicas,
    tune,
)
from experiments.laboratory.sizing import nearest
from experiments.laboratory.statistics import best_of, difference, mean_of, shown, told_apart
from experiments.laboratory.study import Results, Study, define_flags, open_study, seeds_of
from experiments.laboratory.tables import Table
from jaxrnn import Connection, Layer, Network, stacked
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.text import contiguous_lanes, encode_corpus, open_corpus
from jaxrnn.text.problem import text_problem

BATCH, CHUNK = 32, 32
# What feed-forward networks see, in characters; cells of recurrent ones; parameters; steps;
# learning rates to try first, steps of each, and how often to move on; characters of the training
# text (None: all) and of the validation text; the most characters that a count looks back.
FULL = {
    "seen": [1, 2, 3, 4, 6, 8, 12, 16], "cells": ["tanh", "gru"], "parameters": 80_000,
    "steps": 1000, "rates": list(RATES), "tuning_steps": 200, "moves": 2,
    "train": None, "valid": 100_000, "longest": 16,
}  # fmt: skip
QUICK = {
    "seen": [1, 4], "cells": ["tanh"], "parameters": 3000, "steps": 20, "rates": [4e-3, 8e-3],
    "tuning_steps": 10, "moves": 0, "train": 50_000, "valid": 2000, "longest": 4,
}  # fmt: skip

define_flags("ngram", seeds=5)


def main() -> int:
    quick, seeds = flags.FLAGS.quick, seeds_of("ngram")
    sizes = QUICK if quick else FULL
    settings = {"corpus": flags.FLAGS.corpus, "seeds": list(seeds), **sizes}
    text = encode_corpus(open_corpus(flags.FLAGS.corpus))
    train, valid = text.train[: sizes["train"]], text.valid[: sizes["valid"]]
    symbols, parameters, steps = text.vocabulary.size, sizes["parameters"], sizes["steps"]
    problem = text_problem(train, valid, batch=BATCH, chunk=CHUNK, cut=CUT)
    networks = {
        f"sees {n}": nearest(lambda units, n=n: delayed_inputs(symbols, n, units), parameters)
        for n in sizes["seen"]
    } | {
        cell: nearest(lambda units, cell=cell: stacked(symbols, [units], symbols, cell), parameters)
        for cell in sizes["cells"]
    }

    def count(texts: list[np.ndarray]) -> dict[str, Any]:
        return {
            "bits": [
                counted_bits(read, valid, symbols=symbols, longest=sizes["longest"])
                for read in texts
            ]
        }

    with open_study("ngram", settings, len(networks) + 2) as study:
        rows = [
            compare(study, problem, name, network, sizes, seeds)
            for name, network in networks.items()
        ]
        same = study.trial(
            "counts, same text", lambda: count([text_read(train, seed, steps) for seed in seeds])
        )
        whole = study.trial("counts, whole text", lambda: count([train]))
        summary = {
            "characters": steps * BATCH * CHUNK, "whole": len(train), "networks": rows,
            "counts": same["bits"], "whole_counts": whole["bits"][0],
        }  # fmt: skip
        return study.conclude(summary, table=table, answer=answer, draw=draw)


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


def counted_bits(
    train: Integer[np.ndarray, " length"],
    valid: Integer[np.ndarray, " valid"],
    *,
    symbols: int,
    longest: int,
) -> list[float]:
    """Bits per character of counts that look back 0 to `longest` characters."""
    found = probabilities(train, valid, symbols=symbols, longest=longest)
    # The first character is no target of the networks either.
    return np.round(-np.log2(found[:, 1:]).mean(axis=1), 4).tolist()


def compare(
    study: Study,
    problem: Problem,
    name: str,
    network: Network,
    sizes: dict[str, Any],
    seeds: tuple[int, ...],
) -> dict[str, Any]:
    """Trains a network at its best learning rate from several seeds."""
    recipe = Recipe()

    def trial() -> dict[str, Any]:
        rate, tried = tune(
            network, recipe, problem, steps=sizes["tuning_steps"], rates=sizes["rates"],
            moves=sizes["moves"], slack=SLACK,
        )  # fmt: skip
        curves, _ = train_replicas(
            network,
            recipe,
            problem,
            seeds,
            [rate] * len(seeds),
            steps=sizes["steps"],
            evaluations=1,
        )
        return {
            "rate": rate,
            "tried": {f"{curve.rate:g}": curve.valid[-1] for curve in tried},
            "bits": [curve.valid[-1] for curve in curves],
        }

    record = study.trial(name, trial)
    return {
        "name": name, "hidden": network.layers[0].size, "parameters": network.parameter_count,
        "rate": record["rate"],
        "bits": [bit if bit is None else round(bit, 4) for bit in record["bits"]],
    }  # fmt: skip


def table(results: Results) -> Table:
    summary = results["summary"]
    read = f"{summary['characters'] / 1e6:.2g} M"
    made = Table(
        "Validation bits per character: mean over seeds (95% interval)",
        ["characters seen", "hidden units", "learning rate", f"network, {read}",
         f"counts, {read}", f"counts, {summary['whole'] / 1e6:.2g} M"],
        notes=[f"Networks have about {results['settings']['parameters']:,} parameters."],
    )  # fmt: skip
    rows = {row["name"]: row for row in summary["networks"]}
    for n in range(results["settings"]["longest"] + 1):
        network = ["-"] * 3
        if row := rows.get(f"sees {n}"):
            network = [str(row["hidden"]), f"{row['rate']:g}", shown(row["bits"])]
        same = mean_of([bits[n] for bits in summary["counts"]])
        made.rows.append([str(n), *network, f"{same:.3f}", f"{summary['whole_counts'][n]:.3f}"])
    for cell in results["settings"]["cells"]:
        row = rows[cell]
        made.rows.append([
            f"all ({cell})", str(row["hidden"]), f"{row['rate']:g}", shown(row["bits"]), "-", "-",
        ])  # fmt: skip
    return made


def answer(results: Results) -> str:
    summary = results["summary"]
    bits, lost = told_apart({row["name"]: row["bits"] for row in summary["networks"]})
    feedforward = {name: found for name, found in bits.items() if name.startswith("sees")}
    if not feedforward:
        return f"No feed-forward network's training ended well. {lost}"
    best, equals = best_of(feedforward)
    others = ", ".join(name.removeprefix("sees ") for name in equals)
    sentences = [
        f"Of feed-forward networks that read {summary['characters'] / 1e6:.2g} M characters, the "
        f"one that {best} back needs the fewest bits per character ({np.mean(bits[best]):.3f})"
        + (f", but {others} back cannot be told from it." if equals else ".")
    ]
    counts = {
        n: [found[n] for found in summary["counts"]]
        for n in range(results["settings"]["longest"] + 1)
    }
    n = min(counts, key=lambda n: np.mean(counts[n]))
    recurrent = {name: found for name, found in bits.items() if name not in feedforward}
    rivals = [
        (f"a recurrent {cell} network", found, len(recurrent)) for cell, found in recurrent.items()
    ]
    rivals += [(f"counting {n} back in the same text", counts[n], len(counts))]
    compared = []
    for name, found, choices in rivals:
        # The best were picked: so the intervals are to hold for all pairs of a kind that there are.
        gap = difference(found, bits[best], len(feedforward) * choices)
        if gap.low > 0 or gap.high < 0:
            more = "more" if gap.low > 0 else "fewer"
            compared.append(f"{name} needs {abs(gap.mean):.3f} bits {more}")
        else:
            compared.append(f"{name} ({np.mean(found):.3f}) cannot be told from it")
    sentences.append(f"In comparison {'; '.join(compared)}.")
    whole = summary["whole_counts"]
    lowest = min(bits, key=lambda name: float(np.mean(bits[name])))
    sentences.append(
        f"Counting all {summary['whole'] / 1e6:.2g} M characters, {int(np.argmin(whole))} back, "
        f"reaches {min(whole):.3f}; the best network here {np.mean(bits[lowest]):.3f}."
    )
    return " ".join([*sentences, lost]).rstrip()


def draw(results: Results) -> Any:
    summary, settings = results["summary"], results["settings"]
    picture, axes = figure(8, 4.8)
    rows, _ = told_apart({row["name"]: row["bits"] for row in summary["networks"]})
    read = f"{summary['characters'] / 1e6:.2g} M characters"
    for cell, color in zip(settings["cells"], COLORS[4:], strict=False):
        if cell in rows:
            found = mean_of(rows[cell])
            axes.axhline(found.mean, color=color, label=f"recurrent {cell}, {read}")
            if np.isfinite(found.low):
                axes.axhspan(found.low, found.high, color=color, alpha=0.2, linewidth=0)
    seen = [n for n in settings["seen"] if f"sees {n}" in rows]
    draw_intervals(
        axes, seen, [mean_of(rows[f"sees {n}"]) for n in seen], color=COLORS[0],
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


if __name__ == "__main__":
    launch(main, __doc__ or "")
