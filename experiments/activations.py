"""Which activation function is best in a plain character-level RNN, and does the answer depend on
how the recurrent matrices are drawn?

Elman networks of two hidden layers learn Shakespeare: logistic, tanh, ReLU, leaky ReLU and ELU,
from Gaussian, orthogonal and identity recurrent matrices. All see equally many characters, each at
a learning rate of its own.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from jaxrnn import stacked
from jaxrnn.runs.launch import launch
from jaxrnn.runs.plots import COLORS, figures, millions
from jaxrnn.runs.replicas import Recipe, character_problem, train_replicas, tune
from jaxrnn.runs.statistics import best_of, difference, mean_of
from jaxrnn.runs.study import Results, Study, define_flags, open_study, seeds_of
from jaxrnn.runs.tables import Table
from jaxrnn.text import EncodedText, encode_corpus, open_corpus

ACTIVATIONS = ("logistic", "tanh", "relu", "leaky_relu", "elu")
BATCH, CHUNK = 32, 16
# How recurrent matrices are drawn; sizes of hidden layers; steps; steps of tuning, and how often
# it may move on; characters of the validation text.
FULL = {
    "initializers": ["gaussian", "orthogonal", "identity"], "hidden": [128, 256], "steps": 3000,
    "tuning_steps": 400, "moves": 2, "valid": 100_000,
}  # fmt: skip
QUICK = {
    "initializers": ["identity"], "hidden": [8], "steps": 20, "tuning_steps": 10, "moves": 0,
    "valid": 2000,
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
        for activation in ACTIVATIONS
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
    recipe = Recipe(network, recurrent_initializer=setting.initializer)
    valid = text.valid[: sizes["valid"]]
    problem = character_problem(text.train, valid, batch=BATCH, chunk=CHUNK)

    def trial() -> dict[str, Any]:
        rate, tried = tune(recipe, problem, steps=sizes["tuning_steps"], moves=sizes["moves"])
        curves, _ = train_replicas(
            recipe, problem, seeds, [rate] * len(seeds), steps=sizes["steps"]
        )
        return {
            "rate": rate,
            "tried": {f"{curve.rate:g}": curve.valid[-1] for curve in tried},
            "curves": [curve._asdict() for curve in curves],
        }

    record = study.trial(setting.name, trial)
    curves = record["curves"]
    bits = [curve["valid"][-1] for curve in curves]
    # A run has diverged that ends no better than the frequencies of characters alone.
    diverged = [bit is None or bit > unigram for bit in bits]
    return {
        **setting._asdict(),
        "rate": record["rate"],
        "bits": bits,
        "diverged": sum(diverged) / len(diverged),
        "characters": [step * BATCH * CHUNK for step in curves[0]["steps"]],
        "curve": np.round(
            np.mean([[np.nan if v is None else v for v in c["valid"]] for c in curves], axis=0), 4
        ).tolist(),
    }


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
    compared = itertools.product(ACTIVATIONS, results["settings"]["initializers"])
    for activation, initializer in compared:
        rows = [
            row for row in results["summary"]["rows"]
            if (row["activation"], row["initializer"]) == (activation, initializer)
        ]  # fmt: skip
        shown.rows.append([
            activation, initializer, *(_shown(row["bits"]) for row in rows),
            ", ".join(f"{row['rate']:g}" for row in rows),
            f"{np.mean([row['diverged'] for row in rows]):.0%}",
        ])  # fmt: skip
    return shown


def answer(results: Results) -> str:
    sentences = []
    for size in results["settings"]["hidden"]:
        best = {}  # of each activation, its best initialiser
        for row in results["summary"]["rows"]:
            if row["size"] == size and None not in row["bits"]:
                known = best.get(row["activation"])
                if known is None or np.mean(row["bits"]) < np.mean(known["bits"]):
                    best[row["activation"]] = row
        losses = {name: row["bits"] for name, row in best.items()}
        winner, equals = best_of(losses)
        how = f"{winner} ({best[winner]['initializer']}, {np.mean(losses[winner]):.3f} bits)"
        if equals:
            sentences.append(f"With 2x{size} units {how} is lowest, but {', '.join(equals)} cannot "
                             "be told from it.")  # fmt: skip
        else:
            runner = min((n for n in losses if n != winner), key=lambda n: np.mean(losses[n]))
            gap = difference(losses[runner], losses[winner], len(losses) - 1)
            sentences.append(
                f"With 2x{size} units {how} wins: the next, {runner}, needs {gap:.3f} bits more."
            )
    return " ".join(sentences)


def draw(results: Results) -> Any:
    initializers, hidden = (results["settings"][name] for name in ("initializers", "hidden"))
    compared = list(itertools.product(hidden, initializers))
    picture, panels = figures(
        4.6 * len(initializers), 3.8 * len(hidden), len(compared), rows=len(hidden)
    )
    for axes, (size, initializer) in zip(panels, compared, strict=True):
        for activation, color in zip(ACTIVATIONS, COLORS, strict=False):
            (row,) = (
                row for row in results["summary"]["rows"]
                if (row["activation"], row["initializer"], row["size"])
                == (activation, initializer, size)
            )  # fmt: skip
            axes.plot(row["characters"], row["curve"], "-", color=color, label=activation)
        axes.set(title=f"2x{size}, {initializer}", xlabel="characters trained on",
                 ylabel="validation bits per character")  # fmt: skip
        axes.xaxis.set_major_formatter(millions)
        axes.set_ylim(top=results["summary"]["unigram_bits"])
        axes.legend(frameon=False)
    return picture


def _shown(bits: list[float | None]) -> str:
    finite = [bit for bit in bits if bit is not None]
    return f"{mean_of(finite):.3f}" if finite else "-"


if __name__ == "__main__":
    launch(main, __doc__ or "")
