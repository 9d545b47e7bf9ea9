"""Which cell is best for its size and for its training time, and do skip and feedback connections
help it?

Elman (tanh), LSTM and GRU layers and three cells without a loop learn Shakespeare in networks of
equally many parameters, one to three layers deep. They are compared after equally many characters;
with two layers also after equal time, each with steps as many as fit it; and tanh, LSTM and GRU
with two layers also with skip connections and with feedback. Each has a learning rate of its own.
"""

import itertools
from typing import Any, NamedTuple

from absl import flags

from experiments.command_line.launch import launch
from experiments.laboratory.plots import COLORS, draw_intervals, figures
from experiments.laboratory.replicas import (
    CUT,
    RATES,
    SLACK,
    train_replicas,
    tune,
)
from experiments.laboratory.sizing import evenly, nearest
from experiments.laboratory.statistics import (
    Interval,
    difference,
    mean_of,
    shown,
    told_apart,
    verdict,
)
from experiments.laboratory.study import Results, Study, define_flags, open_study, seeds_of
from experiments.laboratory.tables import Table
from experiments.laboratory.timing import milliseconds_per_step
from jaxrnn import Network, stacked
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.training import STEPS_PER_CALL
from jaxrnn.text import encode_corpus, open_corpus
from jaxrnn.text.problem import text_problem

WIRINGS = ("plain", "skip", "feedback")
BATCH, CHUNK = 32, 32
# Cells; those that are also wired otherwise; numbers of layers; the one of timed and rewired
# networks; parameters; steps; learning rates to try first, steps of each, and how often to move on;
# characters of the validation text; rounds of timing.
FULL = {
    "cells": ["tanh", "lstm", "gru", "min_gru", "min_lstm", "rg_lru"],
    "rewired": ["tanh", "lstm", "gru"], "layers": [1, 2, 3], "depth": 2, "parameters": 80_000,
    "steps": 1000, "rates": list(RATES), "tuning_steps": 200, "moves": 2, "valid": 100_000,
    "rounds": 20,
}  # fmt: skip
QUICK = {
    "cells": ["tanh", "min_gru"], "rewired": ["tanh"], "layers": [2], "depth": 2,
    "parameters": 3000, "steps": 20, "rates": [4e-3, 8e-3], "tuning_steps": 10, "moves": 0,
    "valid": 2000, "rounds": 3,
}  # fmt: skip

define_flags("cells", seeds=3)


class Setting(NamedTuple):
    cell: str
    layers: int
    wiring: str = "plain"

    @property
    def name(self) -> str:
        return f"{self.cell}, {_layers(self.layers)}, {self.wiring}"


def main() -> int:
    quick, seeds = flags.FLAGS.quick, seeds_of("cells")
    sizes = QUICK if quick else FULL
    settings = {"corpus": flags.FLAGS.corpus, "seeds": list(seeds), **sizes}
    text = encode_corpus(open_corpus(flags.FLAGS.corpus))
    symbols = text.vocabulary.size
    problem = text_problem(
        text.train, text.valid[: sizes["valid"]], batch=BATCH, chunk=CHUNK, cut=CUT
    )  # fmt: skip
    plain = [Setting(*pair) for pair in itertools.product(sizes["cells"], sizes["layers"])]
    rewired = [
        Setting(cell, sizes["depth"], wiring)
        for cell, wiring in itertools.product(sizes["rewired"], WIRINGS[1:])
    ]
    networks = {
        setting: network_of(setting, symbols, sizes["parameters"]) for setting in plain + rewired
    }
    timed = [setting for setting in plain if setting.layers == sizes["depth"]]
    with open_study("cells", settings, 1 + len(networks) + len(timed)) as study:
        times = study.trial("time per step", lambda: {
            "milliseconds": milliseconds_per_step(
                [networks[setting] for setting in timed], Recipe(), problem,
                rounds=sizes["rounds"],
            )
        })["milliseconds"]  # fmt: skip
        rows = [
            compare(study, problem, setting, network, sizes, seeds)
            for setting, network in networks.items()
        ]
        known = dict(zip(networks, rows, strict=True))
        equal_time = [
            retrain(study, problem, networks[setting], known[setting], sizes, seeds, time, times)
            for setting, time in zip(timed, times, strict=True)
        ]
        summary = {
            "characters": sizes["steps"] * BATCH * CHUNK, "rows": rows, "equal_time": equal_time,
        }  # fmt: skip
        return study.conclude(summary, table=table, answer=answer, draw=draw)


def network_of(setting: Setting, symbols: int, parameters: int) -> Network:
    """A network of the setting, whose layers are as large as so many parameters allow."""
    wiring = {} if setting.wiring == "plain" else {setting.wiring: True}
    return nearest(
        lambda units: stacked(
            symbols, evenly(units, setting.layers), symbols, setting.cell, **wiring
        ),
        parameters, least=setting.layers,
    )  # fmt: skip


def compare(
    study: Study,
    problem: Problem,
    setting: Setting,
    network: Network,
    sizes: dict[str, Any],
    seeds: tuple[int, ...],
) -> dict[str, Any]:
    """Trains a setting at its best learning rate from several seeds."""

    def trial() -> dict[str, Any]:
        rate, tried = tune(
            network, Recipe(), problem, steps=sizes["tuning_steps"], rates=sizes["rates"],
            moves=sizes["moves"], slack=SLACK,
        )  # fmt: skip
        bits = final_bits(problem, network, rate, sizes["steps"], seeds)
        return {
            "rate": rate,
            "tried": {f"{curve.rate:g}": curve.valid[-1] for curve in tried},
            "bits": bits,
        }

    record = study.trial(setting.name, trial)
    hidden = [layer.size for layer in network.layers[:-1]]
    return {
        **setting._asdict(), "hidden": hidden, "parameters": network.parameter_count,
        "rate": record["rate"], "bits": record["bits"],
    }  # fmt: skip


def retrain(
    study: Study,
    problem: Problem,
    network: Network,
    known: dict[str, Any],
    sizes: dict[str, Any],
    seeds: tuple[int, ...],
    time: float,
    times: list[float],
) -> dict[str, Any]:
    """Trains a setting anew, for as long as the slowest takes to read what all have read.

    A schedule falls with the number of steps: so this is a training of its own, not a longer look
    at the same one. Its learning rate is the one that was best before.
    """
    steps = steps_in(sizes["steps"] * max(times), time)

    def trial() -> dict[str, Any]:
        if steps == sizes["steps"]:
            return {"bits": known["bits"]}
        return {"bits": final_bits(problem, network, known["rate"], steps, seeds)}

    record = study.trial(f"{known['cell']}, equal time", trial)
    return {
        "cell": known["cell"], "milliseconds": round(time, 3), "steps": steps,
        "bits": record["bits"],
    }  # fmt: skip


def steps_in(budget: float, time: float) -> int:
    """How many steps, in whole calls of the training program, fit a budget best, both in ms."""
    return max(1, round(budget / time / STEPS_PER_CALL)) * STEPS_PER_CALL


def final_bits(
    problem: Problem, network: Network, rate: float, steps: int, seeds: tuple[int, ...]
) -> list[float | None]:
    """Validation bits per character of each seed after training; None where not finite."""
    curves, _ = train_replicas(
        network, Recipe(), problem, seeds, [rate] * len(seeds), steps=steps, evaluations=1
    )
    return [None if v is None else round(v, 4) for v in (curve.valid[-1] for curve in curves)]


def table(results: Results) -> Table:
    summary = results["summary"]
    made = Table(
        "Validation bits per character: mean over seeds (95% interval)",
        ["cell", "connections", "hidden units", "parameters", "learning rate",
         _read(results), "ms per step", "steps", "equal time"],
        notes=["Steps: as many as fit the time of the slowest cell."],
    )  # fmt: skip
    timed = {row["cell"]: row for row in summary["equal_time"]}
    for row in summary["rows"]:
        again = timed.get(row["cell"])
        if again and (row["layers"], row["wiring"]) == (results["settings"]["depth"], "plain"):
            more = [f"{again['milliseconds']:.2f}", str(again["steps"]), shown(again["bits"])]
        else:
            more = ["-"] * 3
        made.rows.append([
            row["cell"], row["wiring"], " + ".join(map(str, row["hidden"])),
            f"{row['parameters']:,}", f"{row['rate']:g}", shown(row["bits"]), *more,
        ])  # fmt: skip
    return made


def answer(results: Results) -> str:
    summary, sizes = results["summary"], results["settings"]
    plain = {
        f"{row['cell']} with {_layers(row['layers'])}": row["bits"]
        for row in summary["rows"] if row["wiring"] == "plain"
    }  # fmt: skip
    timed = {row["cell"]: row["bits"] for row in summary["equal_time"]}
    slowest = max(summary["equal_time"], key=lambda row: row["milliseconds"])["cell"]
    if not told_apart(plain)[0] or not told_apart(timed)[0]:
        return "No training ended well."
    sentences = [
        f"With {sizes['parameters']:,} parameters and after {_read(results)} {verdict(plain)}",
        f"Where all train as long as {slowest} does for that, with {_layers(sizes['depth'])}, "
        f"{verdict(timed)}",
    ]
    gains = changes(results)
    for wiring in WIRINGS[1:]:
        own = {cell: gain for (cell, name), gain in gains.items() if name == wiring}
        told = [cell for cell, gain in own.items() if gain.low > 0 or gain.high < 0]
        parts = [f"{cell} by {own[cell]:+.3f}" for cell in told]
        rest = [cell for cell in own if cell not in told]
        parts += [f"{' and '.join(rest)} by nothing that can be told"] if rest else []
        if parts:
            sentences.append(f"{wiring.capitalize()} connections change the bits of "
                             f"{', '.join(parts)}.")  # fmt: skip
    rewired = {
        f"{row['cell']} with {row['wiring']} connections": row["bits"]
        for row in summary["rows"] if row["wiring"] != "plain"
    }  # fmt: skip
    return " ".join([*sentences, told_apart(rewired)[1]]).rstrip()


def changes(results: Results) -> dict[tuple[str, str], Interval]:
    """Bits with a wiring less bits without, by cell and wiring; all intervals hold together."""
    rows = {
        (row["cell"], row["wiring"]): row["bits"]
        for row in _finite(results["summary"]["rows"])
        if row["layers"] == results["settings"]["depth"]
    }
    pairs = [
        pair for pair in itertools.product(results["settings"]["rewired"], WIRINGS[1:])
        if pair in rows and (pair[0], "plain") in rows
    ]  # fmt: skip
    return {
        (cell, wiring): difference(rows[cell, wiring], rows[cell, "plain"], len(pairs))
        for cell, wiring in pairs
    }


def draw(results: Results) -> Any:
    summary, sizes = results["summary"], results["settings"]
    cells, rewired = sizes["cells"], sizes["rewired"]
    picture, (depths, time, wiring) = figures(16, 4.4, 3)

    def add(axes: Any, rows: list[dict[str, Any]], shift: float, color: str, label: str) -> None:
        rows = _finite(rows)
        places = [cells.index(row["cell"]) + shift for row in rows]
        draw_intervals(
            axes, places, [mean_of(row["bits"]) for row in rows], color=color, label=label
        )

    plain = [row for row in summary["rows"] if row["wiring"] == "plain"]
    for i, layers in enumerate(sizes["layers"]):
        shift = 0.2 * (i - (len(sizes["layers"]) - 1) / 2)
        rows = [row for row in plain if row["layers"] == layers]
        add(depths, rows, shift, COLORS[i], _layers(layers))
    rows = [row for row in plain if row["layers"] == sizes["depth"]]
    add(time, rows, -0.1, COLORS[1], f"after {_read(results)}")
    add(time, summary["equal_time"], 0.1, COLORS[0], "after equal time")
    gains = changes(results)
    for name, shift, color in (("skip", -0.1, COLORS[2]), ("feedback", 0.1, COLORS[3])):
        own = {cell: gain for (cell, other), gain in gains.items() if other == name}
        places = [rewired.index(cell) + shift for cell in own]
        draw_intervals(wiring, places, list(own.values()), color=color, label=name)
    wiring.axhline(0, color="black", linewidth=0.8)
    timed = [f"{row['cell']}\n{row['milliseconds']:.1f} ms" for row in summary["equal_time"]]
    depth = _layers(sizes["depth"])
    for axes, ticks, title, label in (
        (depths, cells, f"after {_read(results)}", "validation bits per character"),
        (time, timed, f"{depth}; time of a step below", "validation bits per character"),
        (wiring, rewired, f"{depth}: other connections", "bits per character, change"),
    ):
        axes.set_xticks(range(len(ticks)), ticks, fontsize=9)
        axes.set(title=title, ylabel=label, xlim=(-0.5, len(ticks) - 0.5))
        means = [y for points, *_ in axes.containers for y in points.get_ydata()]
        margin = 0.1 + 0.1 * (max(means, default=0) - min(means, default=0))
        # A run that ended badly makes an interval so wide that nothing else could be seen.
        axes.set_ylim(min(means, default=0) - margin, max(means, default=0) + margin)
        axes.legend(frameon=False)
    return picture


def _read(results: Results) -> str:
    return f"{results['summary']['characters'] / 1e6:.2g} M characters"


def _layers(number: int) -> str:
    return f"{number} layer{'s' * (number > 1)}"


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if None not in row["bits"]]


if __name__ == "__main__":
    launch(main, __doc__ or "")
