"""How well can a recurrent network that two CPU cores train predict Shakespeare, and what does each
ingredient bring?

From the plain network that this project grew from to the best of today, one ingredient a rung; all
on the same text, each judged on the whole validation split, every character of it once. Beside them
stand tables of counts, smoothed by Kneser-Ney, and what the best model comes to when it is mixed
with these or learns from what it reads: modes of which each has a column of its own.
"""

import dataclasses
import signal
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from experiments.laboratory import statistics as stats
from experiments.laboratory.divergence import finite
from experiments.laboratory.plots import COLORS, draw_figures, figure
from experiments.laboratory.study import Bench, Results, Study, Table, conduct
from jaxrnn.running.directory import InDirectory
from jaxrnn.running.opening import open_workdir
from jaxrnn.running.signals import STOPPING
from jaxrnn.running.training import train
from jaxrnn.text import EncodedText
from jaxrnn.text.adapting import Adaptation
from jaxrnn.text.counts import counted
from jaxrnn.text.from_settings import make_network, make_problem, make_stopping
from jaxrnn.text.judging import Judge
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.sampling import Choice
from jaxrnn.text.saved_run import consequences
from jaxrnn.text.settings import PRESETS

# What is taken away from the default, and given back one by one.
PLAIN = {
    "hidden": [256], "batch": 32, "chunk": 32, "steps": 8500, "optimizer": "adam", "ngrams": [],
    "ngram_dropout": 0.0,
}  # fmt: skip
FULL = {
    # A preset, and settings in which a rung differs from it.
    "rungs": {
        "the seed's ELU network": ["seed", {}],
        "a GRU, its state carried on": ["quick", PLAIN],
        # Without n-grams a rate of 8e-3 makes Adam's runs unsteady.
        "longer chunks, more lanes": ["quick", {"optimizer": "adam", "learning_rate": 4e-3,
                                                "ngrams": [], "ngram_dropout": 0.0}],
        "n-grams": ["quick", {"optimizer": "adam"}],
        "Muon: the default": ["quick", {}],
        "two layers, more readings: best": ["best", {}],
    },
    "once": ["two layers, more readings: best"],  # from the first seed alone
    "longest": 12,  # characters that counts look back
    "prime": "ROMEO:\n", "length": 300,
}  # fmt: skip
QUICK = {
    "rungs": {
        "a small GRU": ["quick", {"hidden": [16], "steps": 20, "ngrams": [],
                                  "ngram_dropout": 0.0}],
        "n-grams": ["quick", {"hidden": [16], "steps": 20, "ngram_rows": 256, "ngram_size": 8}],
    },
    "once": ["n-grams"], "longest": 3, "prime": "A", "length": 20, "train": 60_000, "valid": 2000,
}  # fmt: skip
MODES = {
    "static": (False, None), "static with counts": (True, None),
    "dynamic": (False, Adaptation()), "dynamic with counts": (True, Adaptation()),
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, cut(bench)
    runs = {name: bench.seeds[: 1 if name in sizes["once"] else None] for name in sizes["rungs"]}
    bench.begin(1 + sum(map(len, runs.values())))
    counts = bench.trial("counts", lambda: count(text, sizes["longest"]))
    rows, last = [], list(sizes["rungs"])[-1]
    for name in sizes["rungs"]:
        found = []
        for seed in runs[name]:
            modes = list(MODES) if name == last and seed == runs[name][0] else []
            job = partial(climb, bench, name, seed, text, modes)
            found.append(bench.trial(f"{name}, seed {seed}", job))
        rows.append({
            "name": name, "bits": [run["bits"] for run in found],
            "training": min(run["training"] for run in found),
            **{key: found[0][key] for key in ("parameters", "characters", "sample", "modes")},
        })  # fmt: skip
    return {"counts": counts["bits"], "counting": counts["training"], "rows": rows}


def cut(bench: Bench) -> EncodedText:
    """The text, or so much of its training and validation splits as the settings say."""
    text, sizes = bench.text(), bench.settings
    if "train" not in sizes:
        return text
    train, valid = text.train[: sizes["train"]], text.valid[: sizes["valid"]]
    end = len(train) + len(valid)
    return dataclasses.replace(
        text, tokens=np.concatenate([train, valid]), train_end=len(train), valid_end=end
    )


def count(text: EncodedText, longest: int) -> dict[str, Any]:
    began = time.monotonic()
    (found,) = counted(text.train, [text.valid], symbols=text.vocabulary.size, longest=longest)
    bits = -np.log2(found.probabilities[:, 1:]).mean(axis=1)
    return {"bits": bits.round(4).tolist(), "training": time.monotonic() - began}


def climb(
    bench: Bench, name: str, seed: int, text: EncodedText, modes: Sequence[str]
) -> dict[str, Any]:
    """Trains by a preset but for some settings; what the best state comes to, and writes.

    The run has a work directory of its own, as char_lm makes it, from which it goes on.
    """
    sizes = bench.settings
    preset, but = sizes["rungs"][name]
    leaves = {key: tuple(x) if isinstance(x, list) else x for key, x in but.items()}
    settings = PRESETS[preset].but(seed=seed, corpus=tuple(sizes["corpus"]), **leaves)
    network = make_network(settings.network, text.vocabulary)
    folder = bench.workdir.path / "runs" / f"{list(sizes['rungs']).index(name)}-{seed}"
    began = time.monotonic()
    with open_workdir(folder, consequences(network, text), settings) as workdir:
        fitted = train(
            network, make_problem(settings.text, text), settings.recipe, seed=seed,
            **make_stopping(settings, text)._asdict(),
            evaluate_every=settings.length.evaluate_every,
            checkpoint_every=settings.length.checkpoint_every, workdir=InDirectory(workdir),
        )  # fmt: skip
    before = max(0.0, fitted.progress.seconds - (time.monotonic() - began))
    if fitted.reason in STOPPING:  # it is saved, and now the signal stops the study
        signal.raise_signal(signal.Signals[fitted.reason])
    model = LanguageModel(network, fitted.best, text.vocabulary)
    (written,) = model.texts(
        sizes["length"], prime=sizes["prime"], choice=Choice(temperature=0.7), seed=seed
    )
    judged = {}
    for mode in modes:
        counts, adaptation = MODES[mode]
        judge = Judge([model], text, adaptation, counts)
        (tally,) = judge.of_splits([text.valid])
        judged[mode] = tally.bits
    return {
        "bits": fitted.progress.best,
        "parameters": network.parameter_count,
        "characters": fitted.progress.step * settings.text.batch * settings.text.chunk,
        "training": fitted.progress.seconds, "sample": written, "modes": judged,
        "seconds_before": before,
    }  # fmt: skip


def table(results: Results) -> Table:
    summary = results["summary"]
    order, bits = lowest(summary["counts"])
    lines = [
        {"name": f"counts of {order} characters back", "bits": [bits], "parameters": None,
         "characters": None, "training": summary["counting"], "modes": {}},
        *summary["rows"],
    ]  # fmt: skip

    def mode(name: str) -> Any:
        return lambda row: f"{row['modes'][name]:.3f}" if name in row["modes"] else "-"

    def whole(name: str) -> Any:
        return lambda row: f"{row[name]:,}" if row[name] else "-"

    return Table.of(
        "Validation bits per character, of the whole split: mean over seeds (95% interval)",
        lines,
        {
            "model": "{name}",
            "parameters": whole("parameters"),
            "characters read": whole("characters"),
            "seconds": lambda row: f"{row['training']:,.0f}",
            "static": lambda row: stats.shown(row["bits"]),
            **{name: mode(name) for name in list(MODES)[1:]},
        },
        notes=[f"A rung adds to the one before it. {', '.join(results['settings']['once'])}: from "
               "one seed. Seconds are those of the fastest seed. Rows of n-grams are parameters, "
               "of which a step touches few."],
    )  # fmt: skip


def lowest(bits: list[float]) -> tuple[int, float]:
    """How far back the best counts look, and what they need."""
    return int(np.argmin(bits)), min(bits)


def answer(results: Results) -> str:
    summary = results["summary"]
    order, counts = lowest(summary["counts"])
    steps, before = [], None
    for row in summary["rows"]:
        bits = finite(row["bits"])
        if not bits:
            return f"No figure: {row['name']} diverged."
        mean = float(np.mean(bits))
        change = "" if before is None else f" ({mean - before:+.3f})"
        steps.append(f"{row['name']} {mean:.3f}{change}")
        before = mean
    modes = summary["rows"][-1]["modes"]
    others = "; ".join(f"{name} {bits:.3f}" for name, bits in list(modes.items())[1:])
    return (
        f"In bits per character: {'; '.join(steps)}. Counting {order} characters back needs "
        f"{counts:.3f}. The last model, {others}."
    )


def draw(results: Results) -> Any:
    summary = results["summary"]
    picture, axes = figure(8.5, 5)
    order, counts = lowest(summary["counts"])
    axes.axhline(counts, color=COLORS[2], ls="--", label=f"counts of {order} characters back")
    for i, row in enumerate(summary["rows"]):
        color = COLORS[i % len(COLORS)]
        draw_figures(axes, [row["training"]], [row["bits"]], color=color, label=row["name"])
    for name, marker in zip(list(MODES)[1:], "^vD", strict=True):
        row = summary["rows"][-1]
        if name in row["modes"]:
            axes.plot(row["training"], row["modes"][name], marker, color="black", label=name)
    axes.set(xscale="log", xlabel="seconds of training", ylabel="validation bits per character")
    axes.legend(frameon=False, fontsize="small")
    return picture


def pages(results: Results) -> dict[str, str]:
    """What each rung writes after the same prime text."""
    said = [
        f"## {row['name']}, {np.mean(finite(row['bits']) or [np.nan]):.3f} bits\n\n"
        + "\n".join(f"    {line}".rstrip() for line in row["sample"].splitlines())
        for row in results["summary"]["rows"]
    ]
    return {"samples.md": "# What each rung writes, at temperature 0.7\n\n" + "\n\n".join(said)}


STUDY = Study("quality", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=3, pages=pages)

if __name__ == "__main__":
    conduct(STUDY)
