"""Why do gradients vanish or explode, and in which recurrent networks?

The gradient of the loss at one step with respect to a hidden layer's output k steps earlier says
how much the network could learn of a past so old; it has vanished where its norm stays below 1% of
what it is at k = 0. It is followed in networks of two hidden layers, before and after they learn
Shakespeare. Explosions are provoked by plain SGD, with and without clipping.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Array

from experiments.laboratory import gradients
from experiments.laboratory import statistics as stats
from experiments.laboratory.divergence import finite
from experiments.laboratory.plots import COLORS, figures
from experiments.laboratory.replicas import RATES
from experiments.laboratory.study import Bench, Results, Study, Table, conduct
from jaxrnn import Network, Params, stacked
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.replicas import over_replicas

BATCH, CHUNK = 16, 64
LAYERS = ("hidden1", "hidden2")
WHEN = ("before", "after")
CLIP_NORM, WINDOW = 1.0, 20  # of SGD; steps between two looks at its gradients
FULL = {
    "compared": ["tanh gaussian", "tanh orthogonal", "relu identity", "relu orthogonal",
                 "lstm orthogonal", "gru orthogonal", "rg_lru"],  # cells, recurrent matrices
    "hidden": 128,  # units of each of both layers
    "steps": 1000, "evaluations": 5, "rates": list(RATES), "tuning_steps": 150, "moves": 2,
    "reach": 200,  # how far back gradients are followed,
    "warmup": 100,  # how many steps the network reads before that,
    "places": 64,  # and in how many places
    "valid": 20_000,  # characters
    "sgd": "relu orthogonal", "sgd_rates": [0.03, 0.1, 0.3, 1.0, 3.0], "sgd_steps": 300,
}  # fmt: skip
QUICK = {
    "compared": ["tanh orthogonal"], "hidden": 8, "steps": 40, "evaluations": 1,
    "rates": [1e-2, 3e-2], "tuning_steps": 20, "moves": 0, "reach": 12, "warmup": 4, "places": 4,
    "valid": 1000, "sgd": "tanh orthogonal", "sgd_rates": [1.0], "sgd_steps": 20,
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, bench.text()
    problem, symbols = bench.reading(text, batch=BATCH, chunk=CHUNK), text.vocabulary.size
    passages = gradients.passages(text.valid, sizes)
    provoked = [(clip, rate) for clip in (None, CLIP_NORM) for rate in sizes["sgd_rates"]]
    bench.begin(len(sizes["compared"]) + len(provoked))
    rows = [follow(bench, problem, name, symbols, passages) for name in sizes["compared"]]
    network, recipe = contender(sizes["sgd"], symbols, sizes["hidden"])
    sgd = []
    for clip, rate in provoked:
        runs = bench.train(
            f"sgd at {rate:g}, {'unclipped' if clip is None else 'clipped'}", network,
            replace(recipe, optimizer="sgd", schedule="constant", clip_norm=clip), problem,
            rate=rate, steps=sizes["sgd_steps"], evaluations=sizes["sgd_steps"] // WINDOW,
        )  # fmt: skip
        norms = runs.record["curves"][0]["norms"]
        sgd.append({
            "clipped": clip is not None, "rate": rate, "bits": runs.figures, "steps": runs.steps,
            "diverged": runs.figures.count(None),
            "norms": [norm and float(f"{norm:.3g}") for norm in norms],
        })  # fmt: skip
    return {"rows": rows, "sgd": sgd}


def contender(name: str, symbols: int, size: int) -> tuple[Network, Recipe]:
    cell, _, initializer = name.partition(" ")
    network = stacked(symbols, [size] * len(LAYERS), symbols, cell)
    return network, Recipe(recurrent_initializer=initializer or None)


def follow(
    bench: Bench, problem: Problem, name: str, symbols: int, passages: tuple[Array, Array]
) -> dict[str, Any]:
    """Trains a network, and follows its gradients back before and after."""
    sizes, before = bench.settings, {}
    network, recipe = contender(name, symbols, sizes["hidden"])
    back = over_replicas(
        lambda params: gradients.gradients_back(network, params, *passages, sizes["warmup"])
    )

    def norms(params: Params) -> dict[str, Any]:
        found = back(params)
        return {name: stats.listed(gradients.relative_norms(found[name]), 4) for name in LAYERS}

    runs = bench.train(
        name, network, recipe, problem,
        after=lambda step, params: before.update(norms(params) if step == 0 else {}),
        also=lambda params: {"before": before, "after": norms(params)},
    )  # fmt: skip
    ks = [k for k in range(sizes["reach"] + 1) if k <= 20 or k % 5 == 0]  # enough to draw

    def seen(layer: str, when: str) -> dict[str, Any]:
        found = stats.numbers(runs.record[when][layer])
        if when == "after":  # of a run that diverged nothing is left to follow
            found[[figure is None for figure in runs.figures]] = np.nan
        kept = found[~np.isnan(found).all(axis=1)]
        mean = np.mean(kept, axis=0)[ks] if len(kept) else np.full(len(ks), np.nan)
        return {"reach": list(map(gradients.reach, found)), "norms": stats.listed(mean, 3)}

    layers = {layer: {when: seen(layer, when) for when in WHEN} for layer in LAYERS}
    return {"name": name, "rate": runs.rate, "bits": runs.figures, "ks": ks, "layers": layers}


def table(results: Results) -> Table:
    notes = []
    for clipped in (False, True):
        own = [row for row in results["summary"]["sgd"] if row["clipped"] == clipped]
        rates = ", ".join(f"{row['rate']:g}" for row in own)
        diverged = ", ".join(str(row["diverged"]) for row in own)
        ended = (finite(row["bits"]) for row in own)
        bits = ", ".join(f"{stats.mean_of(bits):.3f}" if bits else "-" for bits in ended)
        notes.append(
            f"By plain SGD, {'clipped' if clipped else 'not clipped'}, at rates of {rates}: "
            f"{diverged} of {len(own[0]['bits'])} runs of {results['settings']['sgd']} diverge; "
            f"the others reach {bits} bits."
        )
    reaches = {
        f"{layer}, {when}": lambda row, layer=layer, when=when: _steps(
            row["layers"][layer][when]["reach"], results
        )
        for layer in LAYERS
        for when in WHEN
    }
    bits = {"bits per character": lambda row: stats.shown(row["bits"])}
    return Table.of(
        "The most steps back at which over 1% of the gradient is left: mean over seeds (95% "
        "interval), before and after training",
        results["summary"]["rows"],
        {"cell, recurrent matrix": "{name}", **reaches, "learning rate": "{rate:g}", **bits},
        notes,
    )  # fmt: skip


def answer(results: Results) -> str:
    rows, upper = results["summary"]["rows"], LAYERS[-1]
    before, after = (
        {row["name"]: row["layers"][upper][when]["reach"] for row in rows} for when in WHEN
    )
    said, moved = [], {"lengthens": [], "shortens": []}
    for when, reaches in zip(WHEN, (before, after), strict=True):
        if whole := stats.told_apart(reaches)[0]:
            ranked = sorted(whole, key=lambda name: np.mean(whole[name]))
            least, most = ranked[0], ranked[-1]
            said.append(f"{when} training after {_steps(whole[least], results)} steps in {least} "
                        f"and {_steps(whole[most], results)} in {most}")  # fmt: skip
    known = [stats.told_apart(reaches)[0] for reaches in (before, after)]
    compared = [name for name in before if all(name in whole for whole in known)]
    for name in compared:
        change = stats.difference(after[name], before[name], len(compared))
        if change.is_told:
            moved["lengthens" if change.low > 0 else "shortens"].append(name)
    moves = " and ".join(f"{what} the reach in {', '.join(n)}" for what, n in moved.items() if n)
    sgd, rates = results["summary"]["sgd"], results["settings"]["sgd_rates"]
    diverged = [sum(row["diverged"] for row in sgd if row["clipped"] == c) for c in (False, True)]
    runs = len(rates) * len(results["settings"]["seeds"])
    where = ", ".join(said) or "nowhere that we can tell: it is zero or not finite in some runs"
    bits = {row["name"]: row["bits"] for row in rows}
    return (
        "The gradient at the upper hidden layer falls below 1% of what it is at k = 0 "
        f"{where}. Training {moves or 'changes no reach that we can tell'}. By plain SGD "
        f"({results['settings']['sgd']}, rates up to {max(rates):g}) {diverged[0]} of {runs} runs "
        f"diverge without clipping, {diverged[1]} with it. "
        + stats.told_apart(bits, "By Adam runs diverged")[1]
    ).rstrip()


def draw(results: Results) -> Any:
    picture, (*followed, norms) = figures(15, 4.4, 3)
    for axes, when in zip(followed, WHEN, strict=True):
        for row, color in zip(results["summary"]["rows"], COLORS, strict=False):
            logs = stats.numbers(row["layers"][LAYERS[1]][when]["norms"])
            label = stats.counted(row["name"], row["bits"])
            axes.plot(row["ks"], 10.0**logs, color=color, label=label)
        axes.axhline(10.0**gradients.THRESHOLD, color="black", lw=1, ls=":", label="1%")
        axes.set(yscale="log", ylim=(1e-8, 30), xlabel="steps back, k",
                 ylabel="gradient norm relative to k = 0",
                 title=f"upper hidden layer, {when} training")  # fmt: skip
    followed[0].legend(frameon=False)
    rates = results["settings"]["sgd_rates"]
    for row in results["summary"]["sgd"]:
        norms.plot(
            row["steps"], stats.numbers(row["norms"]), "-" if row["clipped"] else "x:", ms=4,
            color=COLORS[rates.index(row["rate"]) % len(COLORS)],
            label=f"rate {row['rate']:g}" if row["clipped"] else None,
        )  # fmt: skip
    norms.set(yscale="log", xlabel="steps of SGD (solid: clipped, dotted: not)",
              ylabel=f"highest finite gradient norm of {WINDOW} steps",
              title=results["settings"]["sgd"])  # fmt: skip
    norms.legend(frameon=False)
    return picture


def _steps(reaches: Sequence[float | int | None], results: Results) -> str:
    """Where gradients were not followed any further, all that is known is a bound."""
    most = results["settings"]["reach"]
    return f"{most}+" if set(reaches) == {most} else stats.shown(reaches, ".0f", "without")


STUDY = Study("vanishing", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=3)

if __name__ == "__main__":
    conduct(STUDY)
