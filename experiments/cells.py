"""Which cell is best for its size and for its training time, and do skip and feedback connections
help it?

Elman (tanh), LSTM and GRU layers and three cells without a loop learn Shakespeare in networks of
equally many parameters, one to three layers deep. They are compared after equally many characters;
with two layers also after equal time, each with steps as many as fit it; and tanh, LSTM and GRU
with two layers also with skip connections and with feedback. Each has a learning rate of its own.
"""

import itertools
from typing import Any, NamedTuple

from experiments.laboratory.bench import Bench
from experiments.laboratory.plots import COLORS, draw_figures, draw_intervals, figures
from experiments.laboratory.replicas import RATES, SLACK
from experiments.laboratory.sizing import evenly, nearest
from experiments.laboratory.statistics import (
    Interval,
    difference,
    listing,
    shown,
    told_apart,
    verdict,
)
from experiments.laboratory.study import Results, Study, conduct
from experiments.laboratory.tables import Table
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


class Setting(NamedTuple):
    cell: str
    layers: int
    wiring: str = "plain"

    @property
    def name(self) -> str:
        return f"{self.cell}, {_layers(self.layers)}, {self.wiring}"


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, bench.text()
    problem = bench.reading(text, batch=BATCH, chunk=CHUNK)
    plain = [Setting(*pair) for pair in itertools.product(sizes["cells"], sizes["layers"])]
    rewired = [
        Setting(cell, sizes["depth"], wiring)
        for cell, wiring in itertools.product(sizes["rewired"], WIRINGS[1:])
    ]
    networks = {
        setting: network_of(setting, text.vocabulary.size, sizes["parameters"])
        for setting in plain + rewired
    }
    timed = [setting for setting in plain if setting.layers == sizes["depth"]]
    bench.begin(1 + len(networks) + len(timed))
    times = bench.trial("time per step", lambda: {
        "milliseconds": milliseconds_per_step(
            [networks[setting] for setting in timed], RECIPE, problem, bench.seeds,
            rounds=sizes["rounds"],
        )
    })["milliseconds"]  # fmt: skip
    rows = {}
    for setting, network in networks.items():
        runs = bench.train(setting.name, network, RECIPE, problem, slack=SLACK)
        rows[setting] = {
            **setting._asdict(), "hidden": [layer.size for layer in network.layers[:-1]],
            "parameters": network.parameter_count, "rate": runs.rate, "bits": runs.figures,
        }  # fmt: skip
    equal_time = []
    for setting, time in zip(timed, times, strict=True):
        # A schedule falls with the number of steps: so this is a training of its own, not a longer
        # look at the same one. Its learning rate is the one that was best before.
        steps = steps_in(sizes["steps"] * max(times), time, STEPS_PER_CALL * sizes["evaluations"])
        if steps == sizes["steps"]:
            bits = rows[setting]["bits"]
        else:
            bits = bench.train(
                f"{setting.cell}, equal time", networks[setting], RECIPE, problem,
                rate=rows[setting]["rate"], steps=steps,
            ).figures  # fmt: skip
        equal_time.append({
            "cell": setting.cell, "milliseconds": round(time, 3), "steps": steps, "bits": bits,
        })  # fmt: skip
    characters = sizes["steps"] * BATCH * CHUNK
    return {"characters": characters, "rows": list(rows.values()), "equal_time": equal_time}


def network_of(setting: Setting, symbols: int, parameters: int) -> Network:
    """A network of the setting, whose layers are as large as so many parameters allow."""
    wiring = {} if setting.wiring == "plain" else {setting.wiring: True}
    return nearest(
        lambda units: stacked(
            symbols, evenly(units, setting.layers), symbols, setting.cell, **wiring
        ),
        parameters, least=setting.layers,
    )  # fmt: skip


def steps_in(budget: float, time: float, multiple: int) -> int:
    """How many steps, a multiple of so many, fit a budget best, both in ms."""
    return max(1, round(budget / time / multiple)) * multiple


def table(results: Results) -> Table:
    timed = {
        (row["cell"], results["settings"]["depth"], "plain"): row
        for row in results["summary"]["equal_time"]
    }

    def again(row: dict[str, Any]) -> dict[str, Any] | None:
        return timed.get((row["cell"], row["layers"], row["wiring"]))

    return Table.of(
        "Validation bits per character: mean over seeds (95% interval)",
        results["summary"]["rows"],
        {
            "cell": lambda row: row["cell"],
            "connections": lambda row: row["wiring"],
            "hidden units": lambda row: " + ".join(map(str, row["hidden"])),
            "parameters": lambda row: f"{row['parameters']:,}",
            "learning rate": lambda row: f"{row['rate']:g}",
            _read(results): lambda row: shown(row["bits"]),
            "ms per step": lambda row: f"{r['milliseconds']:.2f}" if (r := again(row)) else "-",
            "steps": lambda row: r["steps"] if (r := again(row)) else "-",
            "equal time": lambda row: shown(r["bits"]) if (r := again(row)) else "-",
        },
        notes=["Steps: as many as fit the time of the slowest cell."],
    )


def answer(results: Results) -> str:
    summary, sizes = results["summary"], results["settings"]
    timed = {row["cell"]: row["bits"] for row in summary["equal_time"]}
    slowest = max(summary["equal_time"], key=lambda row: row["milliseconds"])["cell"]
    plain, rewired = (
        {
            f"{row['cell']} with {_layers(row['layers'])}"
            if row["wiring"] == "plain"
            else f"{row['cell']} with {row['wiring']} connections": row["bits"]
            for row in summary["rows"] if (row["wiring"] == "plain") == is_plain
        }
        for is_plain in (True, False)
    )  # fmt: skip
    sentences = [
        f"With {sizes['parameters']:,} parameters and after {_read(results)} {verdict(plain)}",
        f"Where all train as long as {slowest} does for that, with {_layers(sizes['depth'])}, "
        f"{verdict(timed)}",
    ]
    gains = changes(results)
    for wiring in WIRINGS[1:]:
        own = {cell: gain for (cell, name), gain in gains.items() if name == wiring}
        parts = [f"{cell} by {gain:+.3f}" for cell, gain in own.items() if gain.is_told]
        rest = [cell for cell, gain in own.items() if not gain.is_told]
        parts += [f"{listing(rest)} by nothing that can be told"] if rest else []
        if parts:
            sentences.append(
                f"{wiring.capitalize()} connections change the bits of {', '.join(parts)}."
            )
    return " ".join([*sentences, told_apart(rewired)[1]]).rstrip()


def changes(results: Results) -> dict[tuple[str, str], Interval]:
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
        (cell, wiring): difference(bits[cell, wiring], bits[cell, "plain"], len(pairs))
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


STUDY = Study(
    "cells", __doc__, seeds=3, full=FULL, quick=QUICK, trials=trials, table=table, answer=answer,
    draw=draw,
)  # fmt: skip

if __name__ == "__main__":
    conduct(STUDY)
