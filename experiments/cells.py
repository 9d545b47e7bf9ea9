"""Which cell is best for its size and for its training time, and does it gain by skip or feedback
connections, or by the block that it was published in?

Elman (tanh), LSTM and GRU layers and three cells without a loop learn Shakespeare in networks of
equally many parameters, one to three layers deep. They are compared after equally many characters;
with two layers also after equal time, each with steps as many as fit it. With two layers tanh, LSTM
and GRU are also tried with skip connections and with feedback, and the cells without a loop in
blocks: normalised, behind a short convolution, gated, and added to a stream. Each has a learning
rate of its own.
"""

from collections.abc import Callable
from typing import Any

import jax

from experiments.laboratory import statistics as stats
from experiments.laboratory.plots import COLORS, draw_figures, draw_intervals, figures
from experiments.laboratory.replicas import RATES, SLACK
from experiments.laboratory.sizing import evenly, nearest
from experiments.laboratory.study import Bench, Column, Results, Study, Table, conduct
from experiments.laboratory.timing import milliseconds_per_step
from jaxrnn import Cell, Connection, Layer, Network, stacked
from jaxrnn.core.formulas import Carry, Gates, Output
from jaxrnn.core.layers import DIAGONAL, IDENTITY
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.training import STEPS_PER_CALL

PLAIN, BLOCK = "plain", "block"
BATCH, CHUNK = 32, 32
WIDTH = 4  # of the convolution in a block, in time steps
RECIPE = Recipe()
FULL = {
    "cells": ["tanh", "lstm", "gru", "min_gru", "min_lstm", "rg_lru"],
    "wirings": {  # which cells also have other connections
        "skip": ["tanh", "lstm", "gru"],
        "feedback": ["tanh", "lstm", "gru"],
        "block": ["min_gru", "min_lstm", "rg_lru"],
    },
    "layers": [1, 2, 3],
    "depth": 2,  # layers of the networks that are rewired, and of those that train for equal time
    "parameters": 80_000,
    "steps": 1000, "evaluations": 5,
    "rates": list(RATES), "tuning_steps": 200, "moves": 2,
    "valid": 100_000,  # characters
    "rounds": 20,  # of timing
}  # fmt: skip
QUICK = {
    "cells": ["tanh", "min_gru"], "layers": [1], "depth": 1,
    "wirings": {"skip": ["tanh"], "block": ["min_gru"]}, "parameters": 3000,
    "steps": 40, "evaluations": 1, "rates": [1e-2, 3e-2], "tuning_steps": 20, "moves": 0,
    "valid": 2000, "rounds": 3,
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, bench.text()
    problem = bench.reading(text, batch=BATCH, chunk=CHUNK)
    settings = [(cell, n, PLAIN) for cell in sizes["cells"] for n in sizes["layers"]]
    settings += [(c, sizes["depth"], w) for w, cells in sizes["wirings"].items() for c in cells]
    timed = [x for x in settings if x[1] == sizes["depth"] and x[2] in (PLAIN, BLOCK)]
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
            "hidden": [x.size for x in network.layers if x.name.startswith("hidden")],
            "parameters": network.parameter_count, "rate": runs.rate, "bits": runs.figures,
        }  # fmt: skip
    equal_time = []
    for setting, time in zip(timed, times, strict=True):
        # A schedule falls with the number of steps: so this is a training of its own, not a longer
        # look at the same one. Its learning rate is the one that was best before.
        steps = steps_in(sizes["steps"] * max(times), time, STEPS_PER_CALL * sizes["evaluations"])
        rate, bits = rows[setting]["rate"], rows[setting]["bits"]
        cell, _, wiring = setting
        if steps != sizes["steps"]:
            name = f"{cell}, {wiring}, equal time"
            again = bench.train(name, networks[setting], RECIPE, problem, rate=rate, steps=steps)
            bits = again.figures
        equal_time.append({
            "cell": cell, "wiring": wiring, "milliseconds": round(time, 3), "steps": steps,
            "bits": bits,
        })  # fmt: skip
    read, rows = sizes["steps"] * BATCH * CHUNK, list(rows.values())
    return {"characters": read, "rows": rows, "equal_time": equal_time}


def network_of(cell: str, layers: int, wiring: str, symbols: int, parameters: int) -> Network:
    """A network of the setting, whose layers are as large as so many parameters allow."""
    if wiring == BLOCK:
        return nearest(lambda units: in_blocks(symbols, units, layers, cell), parameters)
    return nearest(
        lambda units: stacked(
            symbols, evenly(units, layers), symbols, cell,
            skip=wiring == "skip", feedback=wiring == "feedback",
        ),
        parameters, least=layers,
    )  # fmt: skip


def in_blocks(symbols: int, units: int, layers: int, cell: str) -> Network:
    """Layers of a cell in the recurrent blocks of De and others 2024, Griffin, figure 2.

    Each adds to a stream, which it hears normalised: a matrix, the convolution (a number for each
    unit and delay), the cell, a product with a gate that hears what the matrix hears, and a matrix
    back into the stream. What the gate multiplies hears the normalised stream too, beside the cell.
    There are no perceptrons between the blocks.
    """
    network = stacked(symbols, [units] * layers, symbols, cell, normalised=True, residual=True)
    parts, connections = list(network.layers), list(network.connections)
    for i in range(1, layers + 1):
        norm, hidden, total = f"norm{i}", f"hidden{i}", f"sum{i}"
        below, heard, gated = f"below{i}", f"convolution{i}", f"gated{i}"
        parts += [
            Layer(below, units, "linear", bias=False),
            Layer(heard, units, "linear"),
            Layer(gated, units, GATED),
        ]
        gone = [Connection(norm, hidden), Connection(hidden, total, kind=IDENTITY)]
        connections = [c for c in connections if c not in gone]
        connections += [
            Connection(norm, below),
            *(Connection(below, heard, delay, DIAGONAL) for delay in range(WIDTH)),
            Connection(heard, hidden),
            Connection(hidden, gated, kind=DIAGONAL),
            Connection(norm, gated),
            Connection(gated, total),
        ]
    return Network(symbols, parts, connections)


def _gated(sums: Gates, carry: Carry) -> Output:
    gate, value = sums
    return jax.nn.gelu(gate) * value, carry


# Shazeer 2020, GLU variants improve transformer, equation 5.
GATED = Cell("geglu", _gated, gates=2)


def steps_in(budget: float, time: float, multiple: int) -> int:
    """How many steps, a multiple of so many, fit a budget best, both in ms."""
    return max(1, round(budget / time / multiple)) * multiple


def table(results: Results) -> Table:
    depth, summary = results["settings"]["depth"], results["summary"]
    timed = {(row["cell"], depth, row["wiring"]): row for row in summary["equal_time"]}
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
        if row["wiring"] == PLAIN:
            plain[f"{row['cell']} with {_layers(row['layers'])}"] = row["bits"]
        else:
            rewired[_named(row)] = row["bits"]
    timed = {_named(row): row["bits"] for row in summary["equal_time"]}
    slowest = _named(max(summary["equal_time"], key=lambda row: row["milliseconds"]))
    sentences = [
        f"With {sizes['parameters']:,} parameters and after {_read(results)} "
        f"{stats.verdict(plain)} Where all train as long as {slowest} does for that, with "
        f"{_layers(sizes['depth'])}, {stats.verdict(timed)}"
    ]
    for wiring in sizes["wirings"]:
        own = {cell: gain for (cell, name), gain in changes(results).items() if name == wiring}
        parts = [f"{cell} by {gain:+.3f}" for cell, gain in own.items() if gain.is_told]
        rest = [cell for cell, gain in own.items() if not gain.is_told]
        parts += [f"{stats.listing(rest)} by nothing that can be told"] if rest else []
        if parts:
            kind = "Blocks" if wiring == BLOCK else f"{wiring.capitalize()} connections"
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
        (cell, wiring) for wiring, cells in sizes["wirings"].items() for cell in cells
        if {(cell, wiring), (cell, PLAIN)} <= bits.keys()
    ]  # fmt: skip
    return {
        (cell, wiring): stats.difference(bits[cell, wiring], bits[cell, PLAIN], len(pairs))
        for cell, wiring in pairs
    }


def draw(results: Results) -> Any:
    summary, sizes = results["summary"], results["settings"]
    cells, depth = sizes["cells"], _layers(sizes["depth"])
    picture, (depths, time, wiring) = figures(18, 4.4, 3)

    names = [_named(row) for row in summary["equal_time"]]  # those of the cells come first

    def add(axes: Any, rows: list[dict[str, Any]], shift: float, color: str, label: str) -> None:
        places = [names.index(_named(row)) + shift for row in rows]
        draw_figures(axes, places, [row["bits"] for row in rows], color=color, label=label)

    plain = {
        layers: [
            row for row in summary["rows"]
            if (row["layers"], row["wiring"]) == (layers, PLAIN)
        ]
        for layers in sizes["layers"]
    }  # fmt: skip
    for i, (layers, rows) in enumerate(plain.items()):
        add(depths, rows, 0.2 * (i - (len(plain) - 1) / 2), COLORS[i], _layers(layers))
    read = [row for row in summary["rows"] if row["layers"] == sizes["depth"]]
    add(
        time,
        [row for row in read if _named(row) in names],
        -0.1,
        COLORS[1],
        f"after {_read(results)}",
    )
    add(time, summary["equal_time"], 0.1, COLORS[0], "after equal time")
    gains = changes(results)
    for i, name in enumerate(sizes["wirings"]):
        own = {cell: gain for (cell, other), gain in gains.items() if other == name}
        places = [cells.index(cell) + 0.1 * (i - 1) for cell in own]
        draw_intervals(wiring, places, list(own.values()), color=COLORS[2 + i], label=name)
    wiring.axhline(0, color="black", linewidth=0.8)
    timed = [
        "\n".join([*_named(row).split(" in "), f"{row['milliseconds']:.1f} ms"])
        for row in summary["equal_time"]
    ]
    for axes, ticks, title, label in (
        (depths, cells, f"after {_read(results)}", "validation bits per character"),
        (time, timed, f"{depth}; time of a step below", "validation bits per character"),
        (wiring, cells, f"{depth}: other connections", "bits per character, change"),
    ):
        axes.set_xticks(range(len(ticks)), ticks, fontsize=8)
        axes.set(title=title, ylabel=label, xlim=(-0.5, len(ticks) - 0.5))
        axes.legend(frameon=False)
    return picture


def _named(row: dict[str, Any]) -> str:
    """A cell and what is unusual about its connections."""
    other = {PLAIN: "", BLOCK: " in blocks"}
    return row["cell"] + other.get(row["wiring"], f" with {row['wiring']} connections")


def _read(results: Results) -> str:
    return f"{results['summary']['characters'] / 1e6:.2g} M characters"


def _layers(number: int) -> str:
    return f"{number} layer{'s' * (number > 1)}"


STUDY = Study("cells", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=3)

if __name__ == "__main__":
    conduct(STUDY)
