"""Why do gradients vanish or explode, and in which recurrent networks?

The gradient of the loss at one step with respect to a hidden layer's output k steps earlier says
how much the network could learn of a past so old; it has vanished where its norm stays below 1% of
what it is at k = 0. It is followed in networks of two hidden layers, before and after they learn
Shakespeare. Explosions are provoked by plain SGD, with and without clipping.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Array, Integer

from experiments.laboratory.bench import Bench
from experiments.laboratory.divergence import finite
from experiments.laboratory.gradients import (
    THRESHOLD,
    gradients_back,
    passages,
    reach,
    relative_norms,
)
from experiments.laboratory.plots import COLORS, figures
from experiments.laboratory.replicas import RATES, over_replicas
from experiments.laboratory.statistics import (
    counted,
    difference,
    listed,
    mean_of,
    numbers,
    shown,
    told_apart,
)
from experiments.laboratory.study import Results, Study, conduct
from experiments.laboratory.tables import Table
from jaxrnn import Network, Params, stacked
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.text import EncodedText

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
    problem = bench.reading(text, batch=BATCH, chunk=CHUNK)
    followed = passages(text.valid, sizes)
    provoked = [(clip, rate) for clip in (None, CLIP_NORM) for rate in sizes["sgd_rates"]]
    bench.begin(len(sizes["compared"]) + len(provoked))
    rows = [follow(bench, text, problem, name, *followed) for name in sizes["compared"]]
    sgd = [explode(bench, text, problem, clip, rate) for clip, rate in provoked]
    return {"rows": rows, "sgd": sgd}


def follow(
    bench: Bench,
    text: EncodedText,
    problem: Problem,
    name: str,
    inputs: Integer[Array, "time places"],
    targets: Integer[Array, " places"],
) -> dict[str, Any]:
    """Trains a network, and follows its gradients back before and after."""
    sizes, (network, recipe) = bench.settings, contender(name, text, bench.settings["hidden"])
    gradients = over_replicas(
        lambda params: gradients_back(network, params, inputs, targets, bench.settings["warmup"])
    )

    def norms(params: Params) -> dict[str, Any]:
        return {layer: listed(relative_norms(own), 4) for layer, own in gradients(params).items()}

    before = {}
    runs = bench.train(
        name, network, recipe, problem,
        after=lambda step, params: before.update(norms(params) if step == 0 else {}),
        also=lambda params: {"before": before, "after": norms(params)},
    )  # fmt: skip
    ks = [k for k in range(sizes["reach"] + 1) if k <= 20 or k % 5 == 0]  # enough to draw
    # Of a run that diverged nothing is left to follow.
    lost = [figure is None for figure in runs.figures]

    def seen(layer: str, when: str) -> dict[str, Any]:
        followed = numbers(runs.record[when][layer])
        followed[np.array(lost) & (when == "after")] = np.nan
        kept = followed[~np.isnan(followed).all(axis=1)]
        mean = np.mean(kept, axis=0)[ks] if len(kept) else np.full(len(ks), np.nan)
        return {"reach": [reach(own) for own in followed], "norms": listed(mean, 3)}

    layers = {layer: {when: seen(layer, when) for when in WHEN} for layer in LAYERS}
    return {"name": name, "rate": runs.rate, "bits": runs.figures, "ks": ks, "layers": layers}


def explode(
    bench: Bench, text: EncodedText, problem: Problem, clip: float | None, rate: float
) -> dict[str, Any]:
    """Trains by SGD at one rate, with or without clipping."""
    sizes = bench.settings
    network, recipe = contender(sizes["sgd"], text, sizes["hidden"])
    recipe = replace(recipe, optimizer="sgd", schedule="constant", clip_norm=clip)
    runs = bench.train(
        f"sgd at {rate:g}, {'unclipped' if clip is None else 'clipped'}", network, recipe, problem,
        rate=rate, steps=sizes["sgd_steps"], evaluations=sizes["sgd_steps"] // WINDOW,
    )  # fmt: skip
    return {
        "clipped": clip is not None,
        "rate": rate,
        "bits": runs.figures,
        "diverged": runs.figures.count(None),
        "steps": runs.steps,
        "norms": [norm and float(f"{norm:.3g}") for norm in runs.record["curves"][0]["norms"]],
    }


def contender(name: str, text: EncodedText, size: int) -> tuple[Network, Recipe]:
    cell, _, initializer = name.partition(" ")
    symbols = text.vocabulary.size
    network = stacked(symbols, [size] * len(LAYERS), symbols, cell)
    return network, Recipe(recurrent_initializer=initializer or None)


def table(results: Results) -> Table:
    notes = []
    for clipped in (False, True):
        own = [row for row in results["summary"]["sgd"] if row["clipped"] == clipped]
        rates = ", ".join(f"{row['rate']:g}" for row in own)
        diverged = ", ".join(str(row["diverged"]) for row in own)
        ended = (finite(row["bits"]) for row in own)
        bits = ", ".join(f"{mean_of(bits):.3f}" if bits else "-" for bits in ended)
        notes.append(
            f"By plain SGD, {'clipped' if clipped else 'not clipped'}, at rates of {rates}: "
            f"{diverged} of {len(own[0]['bits'])} runs of {results['settings']['sgd']} diverge; "
            f"the others reach {bits} bits."
        )
    return Table.of(
        "The most steps back at which over 1% of the gradient is left: mean over seeds (95% "
        "interval), before and after training",
        results["summary"]["rows"],
        {
            "cell, recurrent matrix": lambda row: row["name"],
            **{
                f"{layer}, {when}": lambda row, layer=layer, when=when: _steps(
                    row["layers"][layer][when]["reach"], results
                )
                for layer, when in itertools.product(LAYERS, WHEN)
            },
            "learning rate": lambda row: f"{row['rate']:g}",
            "bits per character": lambda row: shown(row["bits"]),
        },
        notes,
    )


def answer(results: Results) -> str:
    rows, (_, upper) = results["summary"]["rows"], LAYERS
    reaches = {
        when: {row["name"]: row["layers"][upper][when]["reach"] for row in rows} for when in WHEN
    }
    said = []
    for when in WHEN:
        whole, _ = told_apart(reaches[when])
        if whole:
            ranked = sorted(whole, key=lambda name: np.mean(whole[name]))
            said.append(
                f"{when} training after {_steps(whole[ranked[0]], results)} steps in "
                f"{ranked[0]} and {_steps(whole[ranked[-1]], results)} in {ranked[-1]}"
            )
    changes = {
        name: difference(after, reaches["before"][name])
        for name, after in reaches["after"].items()
        if finite((numbers(after) - numbers(reaches["before"][name])).tolist())
    }
    moved = {
        "lengthens": [name for name, change in changes.items() if change.low > 0],
        "shortens": [name for name, change in changes.items() if change.high < 0],
    }
    moves = " and ".join(f"{what} the reach in {', '.join(n)}" for what, n in moved.items() if n)
    sgd, rates = results["summary"]["sgd"], results["settings"]["sgd_rates"]
    diverged = [sum(row["diverged"] for row in sgd if row["clipped"] == c) for c in (False, True)]
    runs = len(rates) * len(results["settings"]["seeds"])
    where = ", ".join(said) or "nowhere that we can tell: it is zero or not finite in some runs"
    _, lost = told_apart({row["name"]: row["bits"] for row in rows}, "By Adam runs diverged")
    return (
        "The gradient at the upper hidden layer falls below 1% of what it is at k = 0 "
        f"{where}. Training {moves or 'changes no reach that we can tell'}. By plain SGD "
        f"({results['settings']['sgd']}, rates up to {max(rates):g}) {diverged[0]} of {runs} runs "
        f"diverge without clipping, {diverged[1]} with it. {lost}"
    ).rstrip()


def draw(results: Results) -> Any:
    picture, (*followed, norms) = figures(15, 4.4, 3)
    for axes, when in zip(followed, WHEN, strict=True):
        for row, color in zip(results["summary"]["rows"], COLORS, strict=False):
            logs = numbers(row["layers"][LAYERS[1]][when]["norms"])
            label = counted(row["name"], row["bits"])
            axes.plot(row["ks"], 10.0**logs, color=color, label=label)
        axes.axhline(10.0**THRESHOLD, color="black", lw=1, ls=":", label="1%")
        axes.set(yscale="log", ylim=(1e-8, 30), xlabel="steps back, k",
                 ylabel="gradient norm relative to k = 0",
                 title=f"upper hidden layer, {when} training")  # fmt: skip
    followed[0].legend(frameon=False)
    rates = results["settings"]["sgd_rates"]
    for row in results["summary"]["sgd"]:
        norms.plot(
            row["steps"], numbers(row["norms"]), "-" if row["clipped"] else "x:", ms=4,
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
    if set(reaches) == {most}:
        return f"{most}+"
    return shown(reaches, ".0f", "without")


STUDY = Study(
    "vanishing", __doc__, seeds=3, full=FULL, quick=QUICK, trials=trials, table=table,
    answer=answer, draw=draw,
)  # fmt: skip

if __name__ == "__main__":
    conduct(STUDY)
