"""Which activation function is best in a plain character-level RNN, and does the answer depend on
how the recurrent matrices are drawn?

Elman networks of two hidden layers learn Shakespeare: logistic, tanh, ReLU, leaky ReLU and ELU,
from Gaussian, orthogonal and identity recurrent matrices. All see equally many characters, each at
a learning rate of its own. Short runs find rates that may be too high for long ones, so the smaller
networks are trained at half of it too, and at a quarter where runs diverge; the best counts.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from experiments.command_line.launch import launch
from experiments.laboratory.plots import COLORS, figures, millions
from experiments.laboratory.replicas import CUT, train_replicas, tune
from experiments.laboratory.statistics import mean_of, verdict
from experiments.laboratory.study import Results, Study, define_flags, open_study, seeds_of
from experiments.laboratory.tables import Table
from jaxrnn import stacked
from jaxrnn.learning.recipe import Recipe
from jaxrnn.text import EncodedText, encode_corpus, open_corpus
from jaxrnn.text.problem import text_problem

BATCH, CHUNK = 32, 16
# Activation functions; how recurrent matrices are drawn; sizes of hidden layers; steps; steps of
# tuning, and how often it may move on; how often the rate is halved, by size; characters of the
# validation text.
FULL = {
    "activations": ["logistic", "tanh", "relu", "leaky_relu", "elu"],
    "initializers": ["gaussian", "orthogonal", "identity"], "hidden": [128, 256], "steps": 3000,
    "tuning_steps": 400, "moves": 2, "halvings": [2, 0], "valid": 100_000,
}  # fmt: skip
QUICK = {
    "activations": ["tanh", "relu"],
    "initializers": ["orthogonal"], "hidden": [16], "steps": 60, "tuning_steps": 10, "moves": 0,
    "halvings": [1], "valid": 2000,
}  # fmt: skip

define_flags("activations", seeds=5)


class Setting(NamedTuple):
    activation: str
    initializer: str
    size: int  # of each of the two hidden layers

    @property
    def name(self) -> str:
        return f"{self.activation} {self.initializer} 2x{self.size}"


def main() -> int:
    quick, seeds = flags.FLAGS.quick, seeds_of("activations")
    sizes: dict[str, Any] = QUICK if quick else FULL
    settings = {"corpus": flags.FLAGS.corpus, "seeds": list(seeds), **sizes}
    text = encode_corpus(open_corpus(flags.FLAGS.corpus))
    compared = [
        Setting(activation, initializer, size)
        for activation in sizes["activations"]
        for initializer in sizes["initializers"]
        for size in sizes["hidden"]
    ]
    with open_study("activations", settings, len(compared)) as study:
        unigram = unigram_bits(text, sizes["valid"])
        rows = [compare(study, text, setting, sizes, seeds, unigram) for setting in compared]
        summary = {"rows": rows, "unigram_bits": round(unigram, 4)}
        return study.conclude(summary, table=table, answer=answer, draw=draw)


def compare(
    study: Study,
    text: EncodedText,
    setting: Setting,
    sizes: dict[str, Any],
    seeds: tuple[int, ...],
    unigram: float,
) -> dict[str, Any]:
    """Trains a setting at its best learning rate from several seeds."""
    symbols = text.vocabulary.size
    network = stacked(symbols, [setting.size] * 2, symbols, setting.activation)
    recipe = Recipe(recurrent_initializer=setting.initializer)
    valid = text.valid[: sizes["valid"]]
    problem = text_problem(text.train, valid, batch=BATCH, chunk=CHUNK, cut=CUT)

    def train(rate: float) -> dict[str, Any]:
        rates = [rate] * len(seeds)
        curves, _ = train_replicas(network, recipe, problem, seeds, rates, steps=sizes["steps"])
        return {"curves": [curve._asdict() for curve in curves]}

    def trial() -> dict[str, Any]:
        rate, tried = tune(
            network, recipe, problem, steps=sizes["tuning_steps"], moves=sizes["moves"]
        )
        return {
            "rate": rate,
            "tried": {f"{curve.rate:g}": curve.valid[-1] for curve in tried},
            **train(rate),
        }

    record = study.trial(setting.name, trial)
    attempts = {record["rate"]: Attempt(record["curves"], unigram)}
    for halving in range(1, 1 + sizes["halvings"][sizes["hidden"].index(setting.size)]):
        rate, last = record["rate"] / 2**halving, list(attempts.values())[-1]
        if halving == 1 or last.diverged:
            again = study.trial(
                f"{setting.name}, rate / {2**halving}", lambda rate=rate: train(rate)
            )
            attempts[rate] = Attempt(again["curves"], unigram)
    rate = min(attempts, key=lambda rate: (attempts[rate].diverged, attempts[rate].mean))
    ended = attempts[rate].ended
    return {
        **setting._asdict(),
        "rate": rate,
        "tuned_rate": record["rate"],
        "bits": [curve["valid"][-1] for curve in ended],
        "diverged": attempts[record["rate"]].diverged / len(seeds),
        "lost": attempts[rate].diverged,  # at the best rate too
        "characters": [step * BATCH * CHUNK for step in record["curves"][0]["steps"]],
        "curve": np.round(np.mean([c["valid"] for c in ended], axis=0), 4).tolist()
        if ended
        else [],
    }


class Attempt:
    """The runs of all seeds at one learning rate."""

    def __init__(self, curves: list[dict[str, Any]], unigram: float) -> None:
        self.ended = [curve for curve in curves if not has_diverged(curve, unigram)]
        self.diverged = len(curves) - len(self.ended)

    @property
    def mean(self) -> float:
        """Bits per character at the end."""
        return (
            float(np.mean([curve["valid"][-1] for curve in self.ended])) if self.ended else np.inf
        )


def has_diverged(curve: dict[str, Any], unigram: float) -> bool:
    """Whether some loss or gradient was not finite, or the frequencies of characters do as well."""
    return curve["skipped"] > 0 or None in curve["valid"] or curve["valid"][-1] > unigram


def unigram_bits(text: EncodedText, length: int) -> float:
    """Bits per character of a model that knows only how frequent each character is."""
    counts = np.bincount(text.train, minlength=text.vocabulary.size) + 1
    return float(-np.log2(counts / counts.sum())[np.asarray(text.valid[:length])].mean())


def table(results: Results) -> Table:
    shown = Table(
        "Validation bits per character: mean over seeds (95% interval)",
        ["activation", "recurrent matrix", *(f"2x{n}" for n in results["settings"]["hidden"]),
         "learning rates", "diverged"],
    )  # fmt: skip
    sizes = results["settings"]
    compared = itertools.product(sizes["activations"], sizes["initializers"])
    for activation, initializer in compared:
        rows = [
            row for row in results["summary"]["rows"]
            if (row["activation"], row["initializer"]) == (activation, initializer)
        ]  # fmt: skip
        shown.rows.append([
            activation, initializer, *(_shown(row) for row in rows),
            ", ".join(f"{row['rate']:g}" for row in rows),
            ", ".join(f"{row['diverged']:.0%}" for row in rows),
        ])  # fmt: skip
    shown.notes.append(
        "Diverged: the share of runs that did so at the learning rate found by tuning. ! marks "
        "settings some of whose runs diverged at the best rate too: they have no interval and "
        "take no part in the answer."
    )
    return shown


def answer(results: Results) -> str:
    sentences = []
    rows = [row for row in results["summary"]["rows"] if not row["lost"]]
    for size in results["settings"]["hidden"]:
        losses = {
            f"{row['activation']} from {row['initializer']} matrices": row["bits"]
            for row in rows if row["size"] == size
        }  # fmt: skip
        if losses:
            sentences.append(f"With 2x{size} units {verdict(losses)}")
    diverging = sorted({
        row["activation"] for row in results["summary"]["rows"]
        if row["diverged"] and row["initializer"] != "identity"
    })  # fmt: skip
    if diverging:
        sentences.append(
            "At the learning rates that short runs find best, some runs of "
            f"{' and '.join(diverging)} diverge even without identity matrices."
        )
    return " ".join(sentences) or "All settings diverged."


def draw(results: Results) -> Any:
    initializers, hidden = (results["settings"][name] for name in ("initializers", "hidden"))
    compared = list(itertools.product(hidden, initializers))
    curves = [row["curve"] for row in results["summary"]["rows"] if row["curve"]]
    lowest = min((min(curve) for curve in curves), default=0.0)
    picture, panels = figures(
        4.6 * len(initializers), 3.8 * len(hidden), len(compared), rows=len(hidden)
    )
    for axes, (size, initializer) in zip(panels, compared, strict=True):
        for activation, color in zip(results["settings"]["activations"], COLORS, strict=False):
            (row,) = (
                row for row in results["summary"]["rows"]
                if (row["activation"], row["initializer"], row["size"])
                == (activation, initializer, size)
            )  # fmt: skip
            if row["curve"]:
                axes.plot(row["characters"], row["curve"], color=color, label=activation)
        axes.set(title=f"2x{size}, {initializer}", xlabel="characters trained on",
                 ylabel="validation bits per character")  # fmt: skip
        axes.xaxis.set_major_formatter(millions)
        axes.set_ylim(lowest - 0.05, min(lowest + 1.5, results["summary"]["unigram_bits"]))
        if axes.lines:
            axes.legend(frameon=False)
    return picture


def _shown(row: dict[str, Any]) -> str:
    if row["lost"]:
        return f"{np.mean(row['bits']):.3f} !" if row["bits"] else "- !"
    return f"{mean_of(row['bits']):.3f}"


if __name__ == "__main__":
    launch(main, __doc__ or "")
