"""What does a chunk cost, and what does it buy?

A longer chunk lets deltas go back further, and takes more time and memory for each update. Timed is
one gradient of a recurrent network, against one of a feed-forward network with layers of the same
sizes. Then networks learn Shakespeare from chunks of several lengths, with the state carried from
chunk to chunk or reset at each, and are made to forget all they have read every k characters. The
number of characters to an update is the same for all, the longer their chunks the fewer their
lanes: so all make as many updates from as many characters.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer

from experiments.laboratory import statistics as stats
from experiments.laboratory.divergence import Figures, finite
from experiments.laboratory.forgetting import bits, passages, resets_every, scored_after
from experiments.laboratory.plots import COLORS, draw_spread, figures
from experiments.laboratory.replicas import RATES, SLACK
from experiments.laboratory.sizing import feedforward
from experiments.laboratory.study import Bench, Column, Results, Study, Table, conduct
from experiments.laboratory.timing import compare_gradients, time_gradients
from jaxrnn import stacked
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.replicas import over_replicas
from jaxrnn.text import EncodedText
from jaxrnn.text.problem import text_problem

MODES = ("carried", "reset")
FULL = {
    "timed": {"tanh": [128, 128], "gru": [128]},  # hidden layers; the first network also learns
    "time_chunks": [2**i for i in range(11)],
    "asked": 16,  # the chunk that is asked about
    "rounds": 9, "seconds": 0.15,  # of each figure in a round
    "chunks": [1, 4, 16, 64],  # to learn from
    "characters": 512,  # of an update
    "steps": 1000, "evaluations": 5, "rates": list(RATES), "tuning_steps": 200, "moves": 2,
    "forget": [2**i for i in range(9)],  # how often
    "lanes": 32,  # of validation text,
    "scored": 768,  # characters of each, after as many as the rarest forgetting asks for
}  # fmt: skip
QUICK = {
    "timed": {"tanh": [8]}, "time_chunks": [1, 4], "asked": 4, "rounds": 3, "seconds": 0.005,
    "chunks": [4], "characters": 64, "steps": 40, "evaluations": 1, "rates": [1e-2, 3e-2],
    "tuning_steps": 20, "moves": 0, "forget": [1, 4, 8], "lanes": 4, "scored": 16,
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, bench.text()
    lanes, symbols = passages(text.valid, sizes), text.vocabulary.size
    compared = [(chunk, mode) for chunk in sizes["chunks"] for mode in MODES]
    bench.begin(len(compared) + len(sizes["timed"]))
    learning = [learn(bench, text, lanes, chunk, mode) for chunk, mode in compared]
    timing = []
    for cell, hidden in sizes["timed"].items():  # last, so that the machine may be busy until then
        networks = stacked(symbols, hidden, symbols, cell), feedforward(symbols, hidden)
        timed = bench.trial(f"timing {cell}", lambda networks=networks: time_gradients(
            *networks, sizes["time_chunks"], rounds=sizes["rounds"], seconds=sizes["seconds"]
        ))  # fmt: skip
        rows = compare_gradients(timed, sizes["time_chunks"])
        timing.append({"name": f"{cell} {', '.join(map(str, hidden))}", "rows": rows})
    return {"learning": learning, "timing": timing}


def learn(
    bench: Bench,
    text: EncodedText,
    lanes: Integer[Array, "time_and_1 lanes"],
    chunk: int,
    mode: str,
) -> dict[str, Any]:
    """Trains networks with one chunk, and has them forget."""
    sizes, symbols = bench.settings, text.vocabulary.size
    cell, hidden = next(iter(sizes["timed"].items()))
    network, warmup = stacked(symbols, hidden, symbols, cell), max(sizes["forget"])
    # As in training: a network that never had a past would be at a loss with one.
    resets = resets_every(len(lanes) - 1, chunk if mode == "reset" else None)
    problem = replace(
        text_problem(
            text.train, text.valid, batch=sizes["characters"] // chunk, chunk=chunk,
            carried=mode == "carried",
        ),
        held_out=lambda: [scored_after(warmup, lanes, resets)],
    )  # fmt: skip
    often = jnp.stack([resets_every(len(lanes) - 1, k) for k in (*sizes["forget"], None)])
    forgetful = over_replicas(lambda params: jax.lax.map(
        lambda resets: bits(network, params, lanes, resets, warmup), often
    ))  # fmt: skip
    runs = bench.train(
        f"chunk {chunk}, {mode}", network, Recipe(), problem, slack=SLACK,
        also=lambda params: {"forgetful": stats.listed(np.transpose(forgetful(params)), 4)},
    )  # fmt: skip
    *often, never = [  # [how often][seed]
        [None if figure is None else bit for bit, figure in zip(own, runs.figures, strict=True)]
        for own in runs.record["forgetful"]
    ]
    return {
        "chunk": chunk, "mode": mode, "rate": runs.rate, "bits": runs.figures, "forgetful": often,
        "never": never,
    }  # fmt: skip


def table(results: Results) -> Table:
    summary, sizes = results["summary"], results["settings"]
    carried, reset = learned(results)
    columns: dict[str, Column] = {"chunk": str}
    for timed in summary["timing"]:
        rows = {row["chunk"]: row for row in timed["rows"]}
        for what, say in (
            ("times one step", "{times_a_step[median]:.1f}"),
            ("times as many characters", "{times_as_many[median]:.2f}"),
            ("MB", "{megabytes:.1f}"),
        ):
            columns[f"{timed['name']}: {what}"] = lambda chunk, rows=rows, say=say: (
                say.format_map(rows[chunk]) if chunk in rows else "-"
            )
    for what, of in (
        ("carried", lambda chunk: carried[chunk]["bits"]),
        ("carried, forgets each chunk", lambda chunk: forgetting(results, carried[chunk])),
        ("reset at each chunk", lambda chunk: reset[chunk]["bits"]),
    ):
        columns[what] = lambda chunk, of=of: stats.shown(of(chunk)) if chunk in carried else "-"
    return Table.of(
        "A chunk's cost, as multiples of a feed-forward gradient, and its bits per character (95% "
        "interval)",
        sorted({*sizes["time_chunks"], *sizes["chunks"]}), columns,
    )  # fmt: skip


def learned(results: Results) -> list[dict[int, dict[str, Any]]]:
    """For each mode, what was learned with each chunk."""
    rows = results["summary"]["learning"]
    return [{row["chunk"]: row for row in rows if row["mode"] == mode} for mode in MODES]


def forgetting(results: Results, row: dict[str, Any]) -> Figures:
    """The bits of networks made to forget as often as their chunks end."""
    return row["forgetful"][results["settings"]["forget"].index(row["chunk"])]


def answer(results: Results) -> str:
    asked, (timed, *_) = results["settings"]["asked"], results["summary"]["timing"]
    row = next(row for row in timed["rows"] if row["chunk"] == asked)
    step, as_many = row["times_a_step"], row["times_as_many"]
    relation = "more than" if step["low"] > asked else "about"
    relation = "less than" if step["high"] < asked else relation
    carried, reset = learned(results)
    one, other = carried[asked], reset[asked]
    whole, _ = stats.told_apart({
        "trained": one["bits"], "reset": other["bits"], "forgetful": forgetting(results, one),
        "never": one["never"],
    })  # fmt: skip
    costs = []
    for said, worse, better in (
        ("training and reading without a carried state costs", "reset", "trained"),
        (f"a network trained with it, if made to forget every {asked} characters, loses",
         "forgetful", "never"),
    ):  # fmt: skip
        if {worse, better} <= whole.keys():
            cost = stats.difference(whole[worse], whole[better])
            nothing = "" if cost.is_told else ", which may be nothing"
            costs.append(f"{said} {cost:.3f} bits{nothing}")
    return " ".join([
        f"A gradient of {timed['name']} with a chunk of {asked} takes {step['median']:.1f} times "
        f"(10% to 90% of rounds: {step['low']:.1f} to {step['high']:.1f}) as long as one of a "
        f"feed-forward network with as many lanes, {relation} {asked} times, and "
        f"{as_many['median']:.1f} times as long as one of a feed-forward network with as many "
        "characters. From equally many characters "
        + stats.verdict({f"a chunk of {chunk}": row["bits"] for chunk, row in carried.items()}),
        *([f"With a chunk of {asked}, {', and '.join(costs)}."] if costs else []),
        stats.told_apart({f"a chunk of {asked}, reset": other["bits"]})[1],
    ]).rstrip()  # fmt: skip


def draw(results: Results) -> Any:
    picture, (time, length, past) = figures(15, 4.4, 3)
    timings, forget = results["summary"]["timing"], results["settings"]["forget"]
    for timed, color in zip(timings, (COLORS[0], COLORS[4]), strict=False):
        draw_spread(time, "chunk", "times_a_step", timed["rows"], color=color, label=timed["name"])
    rows = timings[0]["rows"]
    draw_spread(
        time, "chunk", "feedforward_times_a_step", rows, color=COLORS[2], label="feed-forward"
    )
    chunks = [row["chunk"] for row in rows]
    time.plot(chunks, chunks, ":", color="black", lw=1, label="once per step")
    time.set(ylabel="time of a gradient, as multiples of\none feed-forward step's", yscale="log")
    time.yaxis.set_major_formatter("{x:g}")
    carried, reset = (list(rows.values()) for rows in learned(results))
    chunks = [row["chunk"] for row in carried]
    for label, style, color, bits_of_all in (
        ("carried", "o-", COLORS[0], [row["bits"] for row in carried]),
        ("carried in training, then reset", "o:", COLORS[0],
         [forgetting(results, row) for row in carried]),
        ("reset at each chunk", "o-", COLORS[6], [row["bits"] for row in reset]),
    ):  # fmt: skip
        label = stats.counted(label, [bit for own in bits_of_all for bit in own])
        length.plot(chunks, _means(bits_of_all), style, color=color, ms=4, label=label)
    for row, color in zip(carried[::2], COLORS, strict=False):
        label = stats.counted(f"chunk {row['chunk']}", row["bits"])
        past.plot(forget, _means(row["forgetful"]), "-", color=color, label=label)
    for row, color in zip(reset[::2], COLORS, strict=False):
        past.plot(forget, _means(row["forgetful"]), ":", color=color)
    past.set_title("solid: carried in training, dotted: reset")
    if tops := [bit for row in carried for own in row["forgetful"] for bit in finite(own)]:
        past.set_ylim(top=max(tops) + 0.1)  # who has never had a past may do far worse with one
    length.set_ylabel("validation bits per character")
    past.set_ylabel("validation bits per character")
    labels = "chunk, steps", "chunk, steps", "forgets every so many characters"
    for axes, label in zip((time, length, past), labels, strict=True):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(label)
        axes.legend(frameon=False)
    return picture


def _means(figures: list[Figures]) -> list[float]:
    """Of the runs that did not diverge; NaN, which is not drawn, where all did."""
    return [float(np.mean(finite(own))) if finite(own) else np.nan for own in figures]


STUDY = Study("cost", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=3)

if __name__ == "__main__":
    conduct(STUDY)
