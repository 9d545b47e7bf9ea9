"""Why do gradients vanish or explode, and in which recurrent networks?

The gradient of the loss at one step with respect to a hidden layer's output k steps earlier says
how much the network could learn of a past so old; it has vanished where its norm stays below 1% of
what it is at k = 0. It is followed in networks of two hidden layers, before and after they learn
Shakespeare. Explosions are provoked by plain SGD, with and without clipping.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from absl import flags
from jaxtyping import Array, Float, Integer

from experiments.command_line.launch import launch
from experiments.laboratory.plots import COLORS, figures
from experiments.laboratory.replicas import (
    CUT,
    RATES,
    over_replicas,
    train_replicas,
    tune,
)
from experiments.laboratory.statistics import finite, listed, mean_of, shown, told_apart
from experiments.laboratory.study import Results, Study, define_flags, open_study, seeds_of
from experiments.laboratory.tables import Table
from jaxrnn import InputError, Network, Params, initial_state, stacked, unroll
from jaxrnn.core.engine.probes import output_gradients
from jaxrnn.learning.loss import cross_entropy
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.text import EncodedText, encode_corpus, open_corpus
from jaxrnn.text.problem import text_problem

BATCH, CHUNK = 16, 64
THRESHOLD = -2  # of what the gradient is at k = 0, as a power of ten
TINIEST = -40  # what underflows
LAYERS = ("hidden1", "hidden2")
WHEN = ("before", "after")
CLIP_NORM, WINDOW = 1.0, 20  # of SGD; steps between two looks at its gradients
# Cells with their recurrent matrices; the size of both hidden layers; steps, steps of tuning, where
# it looks first and how often it may move on; how far back gradients are followed, how many steps
# the network reads before that, and in how many places; characters of validation text; and what SGD
# trains, at which rates, for how many steps.
FULL = {
    "compared": ["tanh gaussian", "tanh orthogonal", "relu identity", "relu orthogonal",
                 "lstm orthogonal", "gru orthogonal", "rg_lru"],
    "hidden": 128, "steps": 1000, "tuning_steps": 150, "rates": list(RATES), "moves": 2,
    "reach": 200, "warmup": 100, "places": 64, "valid": 20_000,
    "sgd": "relu orthogonal", "sgd_rates": [0.03, 0.1, 0.3, 1.0, 3.0], "sgd_steps": 300,
}  # fmt: skip
QUICK = {
    "compared": ["tanh gaussian", "tanh orthogonal"],
    "hidden": 8, "steps": 20, "tuning_steps": 10, "rates": [2e-3, 8e-3], "moves": 0,
    "reach": 12, "warmup": 4, "places": 4, "valid": 1000,
    "sgd": "tanh orthogonal", "sgd_rates": [1.0], "sgd_steps": 40,
}  # fmt: skip

define_flags("vanishing", seeds=3)


def main() -> int:
    quick, seeds = flags.FLAGS.quick, seeds_of("vanishing")
    sizes = QUICK if quick else FULL
    settings = {"corpus": flags.FLAGS.corpus, "seeds": list(seeds), **sizes}
    text = encode_corpus(open_corpus(flags.FLAGS.corpus))
    valid = text.valid[: sizes["valid"]]
    problem = text_problem(text.train, valid, batch=BATCH, chunk=CHUNK, cut=CUT)
    with open_study("vanishing", settings, len(sizes["compared"]) + 2) as study:
        rows = [follow(study, text, problem, name, sizes, seeds) for name in sizes["compared"]]
        sgd = [
            row
            for clip in (None, CLIP_NORM)
            for row in explode(study, text, problem, clip, sizes, seeds)
        ]
        return study.conclude({"rows": rows, "sgd": sgd}, table=table, answer=answer, draw=draw)


def follow(
    study: Study,
    text: EncodedText,
    problem: Problem,
    name: str,
    sizes: dict[str, Any],
    seeds: tuple[int, ...],
) -> dict[str, Any]:
    """Trains a network, and follows its gradients back before and after."""
    network, recipe = contender(name, text, sizes)
    inputs, targets = passages(text.valid, sizes)

    def trial() -> dict[str, Any]:
        rate, tried = tune(
            network, recipe, problem, steps=sizes["tuning_steps"], rates=sizes["rates"],
            moves=sizes["moves"],
        )  # fmt: skip
        followed = over_replicas(
            lambda params: gradients_back(network, params, inputs, targets, sizes["warmup"])
        )
        norms = {}

        def watch(steps: int, params: Params) -> None:
            norms[WHEN[steps > 0]] = {
                layer: listed(relative_norms(gradients), 4)
                for layer, gradients in followed(params).items()
            }

        curves, _ = train_replicas(
            network, recipe, problem, seeds, [rate] * len(seeds), steps=sizes["steps"],
            evaluations=1, after=watch,
        )  # fmt: skip
        return {
            "rate": rate,
            "tried": {f"{curve.rate:g}": curve.valid[-1] for curve in tried},
            "curves": [curve._asdict() for curve in curves],
            "norms": norms,
        }

    record = study.trial(name, trial)
    ks = [k for k in range(sizes["reach"] + 1) if k <= 20 or k % 5 == 0]  # enough to draw
    return {
        "name": name,
        "rate": record["rate"],
        "bits": [curve["valid"][-1] for curve in record["curves"]],
        "ks": ks,
        "layers": {
            layer: {
                when: {
                    "reach": [reach(norms) for norms in record["norms"][when][layer]],
                    "norms": listed(np.mean(_numbers(record["norms"][when][layer]), axis=0)[ks], 3),
                }
                for when in WHEN
            }
            for layer in LAYERS
        },
    }


def explode(
    study: Study,
    text: EncodedText,
    problem: Problem,
    clip: float | None,
    sizes: dict[str, Any],
    seeds: tuple[int, ...],
) -> list[dict[str, Any]]:
    """Trains by SGD at several rates, with or without clipping."""
    network, recipe = contender(sizes["sgd"], text, sizes)
    recipe = replace(recipe, optimizer="sgd", schedule="constant", clip_norm=clip)
    rates = [rate for rate in sizes["sgd_rates"] for _ in seeds]

    def trial() -> dict[str, Any]:
        curves, _ = train_replicas(
            network, recipe, problem, list(seeds) * len(sizes["sgd_rates"]), rates,
            steps=sizes["sgd_steps"], evaluations=sizes["sgd_steps"] // WINDOW,
        )  # fmt: skip
        return {"curves": [curve._asdict() for curve in curves]}

    record = study.trial("sgd, unclipped" if clip is None else "sgd, clipped", trial)
    guessing = math.log2(text.vocabulary.size)  # bits where all characters are equally likely
    rows = []
    for rate in sizes["sgd_rates"]:
        curves = [curve for curve in record["curves"] if curve["rate"] == rate]
        ends = [curve["valid"][-1] for curve in curves]
        bits = [None if bit is None or bit > guessing else bit for bit in ends]
        rows.append({
            "clipped": clip is not None,
            "rate": rate,
            "bits": bits,
            "diverged": bits.count(None),
            "skipped": round(sum(c["skipped"] for c in curves) / sizes["sgd_steps"] / len(bits), 4),
            "steps": curves[0]["steps"],
            "norms": [norm and float(f"{norm:.3g}") for norm in curves[0]["norms"]],
        })  # fmt: skip
    return rows


def contender(name: str, text: EncodedText, sizes: dict[str, Any]) -> tuple[Network, Recipe]:
    cell, _, initializer = name.partition(" ")
    symbols = text.vocabulary.size
    network = stacked(symbols, [sizes["hidden"]] * len(LAYERS), symbols, cell)
    return network, Recipe(recurrent_initializer=initializer or None)


def passages(
    valid: Integer[np.ndarray, " length"], sizes: dict[str, Any]
) -> tuple[Integer[Array, "time places"], Integer[Array, " places"]]:
    """Passages spread over the validation text, and the character that follows each."""
    length = sizes["warmup"] + sizes["reach"] + 1
    if len(valid) <= length:
        raise InputError(
            f"the validation text has {len(valid)} characters, but gradients are followed through "
            f"{length}; give a longer text"
        )
    starts = np.linspace(0, len(valid) - length - 1, sizes["places"]).astype(int)
    cut = np.asarray(valid)[starts + np.arange(length + 1)[:, None]].astype(np.int32)
    return jnp.asarray(cut[:-1]), jnp.asarray(cut[-1])


def gradients_back(
    network: Network,
    params: Params,
    inputs: Integer[Array, "time places"],
    targets: Integer[Array, " places"],
    warmup: int,
) -> dict[str, Float[Array, "ks places _size"]]:
    """Of the loss of predicting the targets, with respect to hidden layers' outputs k steps ago."""
    state = initial_state(network, len(targets))
    _, state = unroll(network, params, state, inputs[:warmup])

    def loss(outputs: Float[Array, "time places symbols"]) -> Float[Array, ""]:
        return cross_entropy(outputs[-1:], targets[None]).sum()  # places do not hear each other

    gradients = output_gradients(network, params, state, inputs[warmup:], loss)
    return {layer: gradients[layer][::-1] for layer in LAYERS}


def relative_norms(
    gradients: Float[Array, "replicas ks places size"],
) -> Float[np.ndarray, "replicas ks"]:
    """Norms, means over places, as parts of what they are at k = 0: their logarithms to base 10.

    NaN where there is no gradient at k = 0, as in a layer that has died, or it is not finite.
    """
    # In float64: squares underflow long before the gradients do.
    norms = np.linalg.norm(np.asarray(gradients, np.float64), axis=-1).mean(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(np.clip(norms / norms[:, :1], 10.0**TINIEST, 10.0**-TINIEST))


def reach(norms: Sequence[float | None]) -> int | None:
    """The largest k at which what `relative_norms` says is above the threshold; None: nowhere."""
    above = np.flatnonzero(_numbers(norms) > THRESHOLD)
    return int(above[-1]) if len(above) else None


def table(results: Results) -> Table:
    made = Table(
        "The most steps back at which over 1% of the gradient is left: mean over seeds (95% "
        "interval), before and after training",
        ["cell, recurrent matrix", *(f"{layer}, {when}" for layer in LAYERS for when in WHEN),
         "learning rate", "bits per character"],
    )  # fmt: skip
    for row in results["summary"]["rows"]:
        reaches = [row["layers"][layer][when]["reach"] for layer in LAYERS for when in WHEN]
        made.rows.append([
            row["name"], *(_steps(reach, results) for reach in reaches), f"{row['rate']:g}",
            shown(row["bits"]),
        ])  # fmt: skip
    for clipped in (False, True):
        own = [row for row in results["summary"]["sgd"] if row["clipped"] == clipped]
        rates = ", ".join(f"{row['rate']:g}" for row in own)
        diverged = ", ".join(str(row["diverged"]) for row in own)
        ended = (finite(row["bits"]) for row in own)
        bits = ", ".join(f"{mean_of(bits):.3f}" if bits else "-" for bits in ended)
        made.notes.append(
            f"By plain SGD, {'clipped' if clipped else 'not clipped'}, at rates of {rates}: "
            f"{diverged} of {len(own[0]['bits'])} runs of {results['settings']['sgd']} diverge; "
            f"the others reach {bits} bits."
        )
    return made


def answer(results: Results) -> str:
    rows, (_, upper) = results["summary"]["rows"], LAYERS
    said, changed = [], {"lengthens": [], "shortens": []}
    for when in WHEN:
        reaches, _ = told_apart({row["name"]: row["layers"][upper][when]["reach"] for row in rows})
        if reaches:
            ranked = sorted(reaches, key=lambda name: np.mean(reaches[name]))
            said.append(
                f"{when} training after {_steps(reaches[ranked[0]], results)} steps in "
                f"{ranked[0]} and {_steps(reaches[ranked[-1]], results)} in {ranked[-1]}"
            )
    for row in rows:
        before, after = (_numbers(row["layers"][upper][w]["reach"]) for w in WHEN)
        pairs = finite((after - before).tolist())  # of the same seeds
        if not pairs:
            continue
        change = mean_of(pairs)
        if change.low > 0 or change.high < 0:
            changed["lengthens" if change.low > 0 else "shortens"].append(row["name"])
    moves = " and ".join(f"{what} the reach in {', '.join(n)}" for what, n in changed.items() if n)
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
            logs = _numbers(row["layers"][LAYERS[1]][when]["norms"])
            axes.plot(row["ks"], 10.0**logs, color=color, label=row["name"])
        axes.axhline(10.0**THRESHOLD, color="black", lw=1, ls=":", label="1%")
        axes.set(yscale="log", ylim=(1e-8, 30), xlabel="steps back, k",
                 ylabel="gradient norm relative to k = 0",
                 title=f"upper hidden layer, {when} training")  # fmt: skip
    followed[0].legend(frameon=False)
    rates = results["settings"]["sgd_rates"]
    for row in results["summary"]["sgd"]:
        norms.plot(
            row["steps"], _numbers(row["norms"]), "-" if row["clipped"] else "x:", ms=4,
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
    return shown(reaches, ".0f", "had no gradient")


def _numbers(values: Any) -> np.ndarray:
    """NaN, which compares as false and is not drawn, for None."""
    return np.array(values, float)


if __name__ == "__main__":
    launch(main, __doc__ or "")
