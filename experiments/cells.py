"""Which cell is best for its size and for its training time, and do skip and feedback connections
help it?

Elman (tanh), LSTM and GRU layers and three cells without a loop learn Shakespeare in networks of
equally many parameters, one to three layers deep. They are compared after equally many characters;
with two layers also after equal time, each with steps as many as fit it; and tanh, LSTM and GRU
with two layers also with skip connections and with feedback. Each has a learning rate of its own.
"""

import itertools
from collections.abc import Callable
from typing import Any

from experiments.laboratory import statistics as stats
from experiments.laboratory.plots import COLORS, draw_figures, draw_intervals, figures
from experiments.laboratory.replicas import RATES, SLACK
from experiments.laboratory.sizing import evenly, nearest
from experiments.laboratory.study import Bench, Column, Results, Study, Table, conduct
from experiments.laboratory.timing import milliseconds_per_step
from jaxrnn import Network, stacked
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.training import STEPS_PER_CALL

WIRINGS = ("plain", "skip", "feedback")
BATCH, CHUNK = 32, 32
RECIPE = Recipe()
FULL = {
    "cells": ["tanh", "lstm", "gru", "min_gru", "min_lstm", "rg_lru"],
    "rewired": ["tanh", "lstm", "gru"],  # also with other connections
    "layers": [1, 2, 3],
    "depth": 2,  # layers of the networks that are rewired, and of those that train for equal time
    "parameters": 80_000,
    "steps": 1000, "evaluations": 5,
    "rates": list(RATES), "tuning_steps": 200, "moves": 2,
    "valid": 100_000,  # characters
    "rounds": 20,  # of timing
}  # fmt: skip
QUICK = {
    "cells": ["tanh", "min_gru"], "rewired": ["tanh"], "layers": [1], "depth": 1,
    "parameters": 3000, "steps": 40, "evaluations": 1, "rates": [1e-2, 3e-2], "tuning_steps": 20,
    "moves": 0, "valid": 2000, "rounds": 3,
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, bench.text()
    problem = bench.reading(text, batch=BATCH, chunk=CHUNK)
    settings = [(cell, n, "plain") for cell in sizes["cells"] for n in sizes["layers"]]
    timed = [setting for setting in settings if setting[1] == sizes["depth"]]
    settings += [(cell, sizes["depth"], w) for cell in sizes["rewired"] for w in WIRINGS[1:]]
    networks = {
        setting: network_of(*setting, text.vocabulary.size, sizes["parameters"])
        for setting in settings
    }
    bench.begin(1 + len(networks) + len(timed))
    times = bench.trial("time per step", lambda: {
        "milliseconds": milliseconds_per_step(
            [networks[setting] for setting in timed], RECIPE, problem, bench.seeds,
            rounds=sizes["rounds"],
        )
    })["milliseconds"]  # fmt: skip
    rows = {}
    for (cell, layers, wiring), network in networks.items():
        name = f"{cell}, {_layers(layers)}, {wiring}"
        runs = bench.train(name, network, RECIPE, problem, slack=SLACK)
        rows[cell, layers, wiring] = {
            "cell": cell, "layers": layers, "wiring": wiring,
            "hidden": [layer.size for layer in network.layers[:-1]],
            "parameters": network.parameter_count, "rate": runs.rate, "bits": runs.figures,
        }  # fmt: skip
    equal_time = []
    for setting, time in zip(timed, times, strict=True):
        # A schedule falls with the number of steps: so this is a training of its own, not a longer
        # look at the same one. Its learning rate is the one that was best before.
        steps = steps_in(sizes["steps"] * max(times), time, STEPS_PER_CALL * sizes["evaluations"])
        cell, rate, bits = (rows[setting][name] for name in ("cell", "rate", "bits"))
        if steps != sizes["steps"]:
            name = f"{cell}, equal time"
            again = bench.train(name, networks[setting], RECIPE, problem, rate=rate, steps=steps)
            bits = again.figures
        row = {"cell": cell, "milliseconds": round(time, 3), "steps": steps, "bits": bits}
        equal_time.append(row)
    read, rows = sizes["steps"] * BATCH * CHUNK, list(rows.values())
    return {"characters": read, "rows": rows, "equal_time": equal_time}


def network_of(cell: str, layers: int, wiring: str, symbols: int, parameters: int) -> Network:
    """A network of the setting, whose layers are as large as so many parameters allow."""
    return nearest(
        lambda units: stacked(
            symbols, evenly(units, layers), symbols, cell,
            skip=wiring == "skip", feedback=wiring == "feedback",
        ),
        parameters, least=layers,
    )  # fmt: skip


def steps_in(budget: float, time: float, multiple: int) -> int:
    """How many steps, a multiple of so many, fit a budget best, both in ms."""
    return max(1, round(budget / time / multiple)) * multiple


def table(results: Results) -> Table:
    depth, summary = results["settings"]["depth"], results["summary"]
    timed = {(row["cell"], depth, "plain"): row for row in summary["equal_time"]}
    rows = [
        {**row, "again": timed.get((row["cell"], row["layers"], row["wiring"]))}
        for row in summary["rows"]
    ]

    def again(say: Callable[[dict[str, Any]], str]) -> Column:
        return lambda row: say(row["again"]) if row["again"] else "-"

    return Table.of(
        "Validation bits per character: mean over seeds (95% interval)",
        rows,
        {
            "cell": "{cell}", "connections": "{wiring}",
            "hidden units": lambda row: " + ".join(map(str, row["hidden"])),
            "parameters": "{parameters:,}", "learning rate": "{rate:g}",
            _read(results): lambda row: stats.shown(row["bits"]),
            "ms per step": again("{milliseconds:.2f}".format_map),
            "steps": again("{steps}".format_map),
            "equal time": again(lambda row: stats.shown(row["bits"])),
        },
        ["Steps: as many as fit the time of the slowest cell."],
    )  # fmt: skip


def answer(results: Results) -> str:
    summary, sizes = results["summary"], results["settings"]
    plain, rewired = {}, {}
    for row in summary["rows"]:
        if row["wiring"] == "plain":
            plain[f"{row['cell']} with {_layers(row['layers'])}"] = row["bits"]
        else:
            rewired[f"{row['cell']} with {row['wiring']} connections"] = row["bits"]
    timed = {row["cell"]: row["bits"] for row in summary["equal_time"]}
    slowest = max(summary["equal_time"], key=lambda row: row["milliseconds"])["cell"]
    sentences = [
        f"With {sizes['parameters']:,} parameters and after {_read(results)} "
        f"{stats.verdict(plain)} Where all train as long as {slowest} does for that, with "
        f"{_layers(sizes['depth'])}, {stats.verdict(timed)}"
    ]
    for wiring in WIRINGS[1:]:
        own = {cell: gain for (cell, name), gain in changes(results).items() if name == wiring}
        parts = [f"{cell} by {gain:+.3f}" for cell, gain in own.items() if gain.is_told]
        rest = [cell for cell, gain in own.items() if not gain.is_told]
        parts += [f"{stats.listing(rest)} by nothing that can be told"] if rest else []
        if parts:
            kind = f"{wiring.capitalize()} connections"
            sentences.append(f"{kind} change the bits of {', '.join(parts)}.")
    return " ".join([*sentences, stats.told_apart(rewired)[1]]).rstrip()


def changes(results: Results) -> dict[tuple[str, str], stats.Interval]:
    """Bits with a wiring less bits without, by cell and wiring; all intervals hold together."""
    sizes = results["settings"]
    bits = {
        (row["cell"], row["wiring"]): row["bits"]
        for row in results["summary"]["rows"]
        if row["layers"] == sizes["depth"] and None not in row["bits"]
    }
    pairs = [
        (cell, wiring) for cell, wiring in itertools.product(sizes["rewired"], WIRINGS[1:])
        if {(cell, wiring), (cell, "plain")} <= bits.keys()
    ]  # fmt: skip
    return {
        (cell, wiring): stats.difference(bits[cell, wiring], bits[cell, "plain"], len(pairs))
        for cell, wiring in pairs
    }


def draw(results: Results) -> Any:
    summary, sizes = results["summary"], results["settings"]
    cells, rewired, depth = sizes["cells"], sizes["rewired"], _layers(sizes["depth"])
    picture, (depths, time, wiring) = figures(16, 4.4, 3)

    def add(axes: Any, rows: list[dict[str, Any]], shift: float, color: str, label: str) -> None:
        places = [cells.index(row["cell"]) + shift for row in rows]
        draw_figures(axes, places, [row["bits"] for row in rows], color=color, label=label)

    plain = {
        layers: [
            row for row in summary["rows"]
            if (row["layers"], row["wiring"]) == (layers, "plain")
        ]
        for layers in sizes["layers"]
    }  # fmt: skip
    for i, (layers, rows) in enumerate(plain.items()):
        add(depths, rows, 0.2 * (i - (len(plain) - 1) / 2), COLORS[i], _layers(layers))
    add(time, plain[sizes["depth"]], -0.1, COLORS[1], f"after {_read(results)}")
    add(time, summary["equal_time"], 0.1, COLORS[0], "after equal time")
    gains = changes(results)
    for name, shift, color in (("skip", -0.1, COLORS[2]), ("feedback", 0.1, COLORS[3])):
        own = {cell: gain for (cell, other), gain in gains.items() if other == name}
        places = [rewired.index(cell) + shift for cell in own]
        draw_intervals(wiring, places, list(own.values()), color=color, label=name)
    wiring.axhline(0, color="black", linewidth=0.8)
    timed = [f"{row['cell']}\n{row['milliseconds']:.1f} ms" for row in summary["equal_time"]]
    for axes, ticks, title, label in (
        (depths, cells, f"after {_read(results)}", "validation bits per character"),
        (time, timed, f"{depth}; time of a step below", "validation bits per character"),
        (wiring, rewired, f"{depth}: other connections", "bits per character, change"),
    ):
        axes.set_xticks(range(len(ticks)), ticks, fontsize=9)
        axes.set(title=title, ylabel=label, xlim=(-0.5, len(ticks) - 0.5))
        axes.legend(frameon=False)
    return picture


def _read(results: Results) -> str:
    return f"{results['summary']['characters'] / 1e6:.2g} M characters"


def _layers(number: int) -> str:
    return f"{number} layer{'s' * (number > 1)}"


STUDY = Study("cells", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=3)

if __name__ == "__main__":
    conduct(STUDY)
