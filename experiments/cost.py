"""What does a chunk cost, and what does it buy?

A longer chunk lets deltas go back further, and takes more time and memory for each update. Timed is
one gradient of a recurrent network, against one of a feed-forward network with layers of the same
sizes. Then networks learn Shakespeare from chunks of several lengths, with the state carried from
chunk to chunk or reset at each, and are made to forget all they have read every k characters. The
number of characters to an update is the same for all, the longer their chunks the fewer their
lanes: so all make as many updates from as many characters.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from experiments.laboratory.bench import Bench
from experiments.laboratory.divergence import finite
from experiments.laboratory.plots import COLORS, figures
from experiments.laboratory.replicas import RATES, SLACK, over_replicas
from experiments.laboratory.statistics import (
    Interval,
    difference,
    listed,
    shown,
    told_apart,
    verdict,
)
from experiments.laboratory.stopwatch import Contender, Spread, take_turns
from experiments.laboratory.study import Results, Study, conduct
from experiments.laboratory.tables import Table
from jaxrnn import InputError, Network, Options, Params, init, initial_state, stacked, unroll
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.evaluation import mean_metric
from jaxrnn.learning.loss import BITS_PER_CHARACTER, cross_entropy
from jaxrnn.learning.recipe import Recipe
from jaxrnn.text import EncodedText
from jaxrnn.text.problem import text_problem

BATCH = 32  # of the networks that are timed
MODES = ("carried", "reset")
RESET, FORGETFUL, NEVER = "reset at each chunk", "made to forget", "not made to forget"
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
    "chunks": [4], "characters": 16, "steps": 20, "evaluations": 1, "rates": [2e-3, 8e-3],
    "tuning_steps": 10, "moves": 0, "forget": [1, 4, 8], "lanes": 4, "scored": 16,
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, bench.text()
    lanes = passages(text.valid, sizes)
    compared = list(itertools.product(sizes["chunks"], MODES))
    bench.begin(len(compared) + len(sizes["timed"]))
    learning = [learn(bench, text, lanes, chunk, mode) for chunk, mode in compared]
    # Last, so that the machine may be busy until then.
    timing = [measure(bench, text.vocabulary.size, cell) for cell in sizes["timed"]]
    return {"learning": learning, "timing": timing}


def measure(bench: Bench, symbols: int, cell: str) -> dict[str, Any]:
    """Times gradients of a recurrent network and of its feed-forward twin, in turns."""
    sizes, hidden = bench.settings, bench.settings["timed"][cell]
    networks = {
        "recurrent": stacked(symbols, hidden, symbols, cell),
        "feedforward": feedforward(symbols, hidden),
    }

    def trial() -> dict[str, Any]:
        contenders = {
            f"{name} {chunk}": Gradient(network, chunk)
            for name, network in networks.items()
            for chunk in sizes["time_chunks"]
        }
        timers = {name: contender.seconds_each for name, contender in contenders.items()}
        seconds = take_turns(timers, sizes["rounds"], sizes["seconds"])
        return {
            "milliseconds": {name: (1e3 * s).round(4).tolist() for name, s in seconds.items()},
            "megabytes": {name: x.megabytes for name, x in contenders.items()},
        }

    record = bench.trial(f"timing {cell}", trial)
    rounds = {name: np.array(figures) for name, figures in record["milliseconds"].items()}
    rows = []
    for chunk in sizes["time_chunks"]:
        own, other = rounds[f"recurrent {chunk}"], rounds[f"feedforward {chunk}"]
        rows.append({
            "chunk": chunk,
            "milliseconds": _spread(own),
            "times_a_step": _spread(own / rounds["feedforward 1"]),
            "times_as_many": _spread(own / other),
            "feedforward_times_a_step": _spread(other / rounds["feedforward 1"]),
            "megabytes": record["megabytes"][f"recurrent {chunk}"],
            "feedforward_megabytes": record["megabytes"][f"feedforward {chunk}"],
        })  # fmt: skip
    return {"name": f"{cell} {', '.join(map(str, hidden))}", "rows": rows}


def feedforward(symbols: int, hidden: list[int]) -> Network:
    """Tanh layers without recurrent connections, for which a chunk is so many more lanes."""
    network = stacked(symbols, hidden, symbols)
    connections = [connection for connection in network.connections if not connection.delay]
    return Network(network.input_size, network.layers, connections)


class Gradient(Contender):
    """The gradient of the mean cross-entropy of one chunk, in one piece.

    Attributes:
      megabytes: what it needs besides its arguments and its result.
    """

    def __init__(self, network: Network, chunk: int) -> None:
        def loss(params: Params, symbols: Integer[Array, "time batch"]) -> Float[Array, ""]:
            state = initial_state(network, BATCH)
            outputs, _ = unroll(network, params, state, symbols[:-1], options=Options(segment=0))
            return cross_entropy(outputs, symbols[1:]).mean()

        size = (chunk + 1, BATCH)
        symbols = np.random.default_rng(0).integers(network.input_size, size=size)
        self._arguments = init(network, jax.random.key(0)), jnp.asarray(symbols)
        self._gradient = jax.jit(jax.grad(loss)).lower(*self._arguments).compile()
        plan = self._gradient.memory_analysis()
        self.megabytes = round(plan.temp_size_in_bytes / 1e6, 3)  # pyright: ignore[reportOptionalMemberAccess]

    def run(self, count: int) -> None:
        for _ in range(count):
            gradient = self._gradient(*self._arguments)
        jax.block_until_ready(gradient)


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

    def forgetful(params: Params) -> dict[str, Any]:
        often = jnp.stack([resets_every(len(lanes) - 1, k) for k in (*sizes["forget"], None)])
        found = over_replicas(
            lambda params: jax.lax.map(
                lambda resets: bits(network, params, lanes, resets, warmup), often
            )
        )(params)
        return {"forgetful": listed(np.transpose(found), 4)}  # [how often, or never][seed]

    runs = bench.train(
        f"chunk {chunk}, {mode}", network, Recipe(), problem, slack=SLACK, also=forgetful
    )
    *often, never = [
        [None if figure is None else bit for bit, figure in zip(own, runs.figures, strict=True)]
        for own in runs.record["forgetful"]
    ]
    return {
        "chunk": chunk, "mode": mode, "rate": runs.rate, "bits": runs.figures, "forgetful": often,
        "never": never,
    }  # fmt: skip


def passages(
    valid: Integer[np.ndarray, " length"], sizes: Mapping[str, Any]
) -> Integer[Array, "time_and_1 lanes"]:
    """Lanes of validation text next to each other, and the character that follows each."""
    time, lanes = max(sizes["forget"]) + sizes["scored"], sizes["lanes"]
    if len(valid) <= time * lanes:
        raise InputError(
            f"the validation text has {len(valid)} characters, but {time * lanes + 1} are read; "
            "give a longer text"
        )
    return jnp.asarray(np.asarray(valid)[np.arange(time + 1)[:, None] + np.arange(lanes) * time])


def resets_every(time: int, k: int | None) -> Bool[Array, " time"]:
    """Where to forget, every k steps; None is never."""
    return jnp.zeros(time, bool) if k is None else jnp.arange(time) % k == 0


def bits(
    network: Network,
    params: Params,
    lanes: Integer[Array, "time_and_1 lanes"],
    resets: Bool[Array, " time"],
    warmup: int,
) -> Float[Array, ""]:
    """Bits per character, of all after so many, if the network forgets where it is told to."""
    batch = jax.tree.map(lambda array: array[None], scored_after(warmup, lanes, resets))
    return BITS_PER_CHARACTER.factor * mean_metric(network, params, batch)


def scored_after(
    warmup: int, lanes: Integer[Array, "time_and_1 lanes"], resets: Bool[Array, " time"]
) -> Batch:
    """Passages of which all counts after so many steps, forgotten where they are told to."""
    inputs, targets = lanes[:-1], lanes[1:]
    counts = jnp.arange(len(inputs)) >= warmup
    resets, weights = (jnp.broadcast_to(x[:, None], inputs.shape) for x in (resets, counts))
    return Batch(inputs, targets, resets, weights.astype(jnp.float32))


def table(results: Results) -> Table:
    summary, sizes = results["summary"], results["settings"]
    learned = {(row["chunk"], row["mode"]): row for row in summary["learning"]}
    timed = {
        (own["name"], row["chunk"]): row for own in summary["timing"] for row in own["rows"]
    }  # fmt: skip
    chunks = sorted({*sizes["time_chunks"], *sizes["chunks"]})
    measured = {
        "times one step": lambda row: f"{row['times_a_step']['median']:.1f}",
        "times as many characters": lambda row: f"{row['times_as_many']['median']:.2f}",
        "MB": lambda row: f"{row['megabytes']:.1f}",
    }
    found = {
        "carried": lambda chunk: learned[chunk, "carried"]["bits"],
        "carried, forgets each chunk": lambda chunk: forgetful(results, learned[chunk, "carried"]),
        "reset at each chunk": lambda chunk: learned[chunk, "reset"]["bits"],
    }
    return Table.of(
        "A chunk's cost, as multiples of a feed-forward gradient, and its bits per character (95% "
        "interval)",
        chunks,
        {
            "chunk": lambda chunk: chunk,
            **{
                f"{own['name']}: {what}": lambda chunk, name=own["name"], say=say: (
                    say(timed[name, chunk]) if (name, chunk) in timed else "-"
                )
                for own, (what, say) in itertools.product(summary["timing"], measured.items())
            },
            **{
                what: lambda chunk, of=of: shown(of(chunk)) if chunk in sizes["chunks"] else "-"
                for what, of in found.items()
            },
        },
    )


def forgetful(results: Results, row: dict[str, Any]) -> list[float | None]:
    """The bits of networks made to forget as often as their chunks end."""
    return row["forgetful"][results["settings"]["forget"].index(row["chunk"])]


def answer(results: Results) -> str:
    asked, (timed, *_) = results["settings"]["asked"], results["summary"]["timing"]
    row = next(row for row in timed["rows"] if row["chunk"] == asked)
    step, as_many = row["times_a_step"], row["times_as_many"]
    relation = "more than" if step["low"] > asked else "about"
    if step["high"] < asked:
        relation = "less than"
    said = (
        f"A gradient of {timed['name']} with a chunk of {asked} takes {step['median']:.1f} times "
        f"(10% to 90% of rounds: {step['low']:.1f} to {step['high']:.1f}) as long as one of a "
        f"feed-forward network with as many lanes, {relation} {asked} times, and "
        f"{as_many['median']:.1f} times as long as one of a feed-forward network with as many "
        "characters."
    )
    carried, reset = (
        {row["chunk"]: row for row in results["summary"]["learning"] if row["mode"] == mode}
        for mode in MODES
    )
    chunks = {f"a chunk of {chunk}": row["bits"] for chunk, row in carried.items()}
    figures, _ = told_apart({
        "trained": carried[asked]["bits"], RESET: reset[asked]["bits"],
        FORGETFUL: forgetful(results, carried[asked]), NEVER: carried[asked]["never"],
    })  # fmt: skip
    costs = []
    if {"trained", RESET} <= figures.keys():
        cost = difference(figures[RESET], figures["trained"])
        costs.append(f"training and reading without a carried state costs {_cost(cost)}")
    if {FORGETFUL, NEVER} <= figures.keys():
        costs.append(
            f"a network trained with it, if made to forget every {asked} characters, loses "
            f"{_cost(difference(figures[FORGETFUL], figures[NEVER]))}"
        )
    _, lost = told_apart({f"chunk {asked}, {RESET}": reset[asked]["bits"]})
    sentences = [said, f"From equally many characters {verdict(chunks)}"]
    sentences += [f"With a chunk of {asked}, {', and '.join(costs)}."] if costs else []
    return " ".join([*sentences, lost]).rstrip()


def draw(results: Results) -> Any:
    picture, (time, length, past) = figures(15, 4.4, 3)
    for timed, color in zip(results["summary"]["timing"], (COLORS[0], COLORS[4]), strict=False):
        _plot_spread(time, timed["rows"], "times_a_step", color, timed["name"])
    rows = results["summary"]["timing"][0]["rows"]
    _plot_spread(time, rows, "feedforward_times_a_step", COLORS[2], "feed-forward")
    chunks = [row["chunk"] for row in rows]
    time.plot(chunks, chunks, ":", color="black", lw=1, label="once per step")
    time.set(ylabel="time of a gradient, as multiples of\none feed-forward step's", yscale="log")
    time.yaxis.set_major_formatter("{x:g}")
    settings = results["settings"]
    for mode, color in zip(MODES, (COLORS[0], COLORS[6]), strict=True):
        learnt = [row for row in results["summary"]["learning"] if row["mode"] == mode]
        chunks = [row["chunk"] for row in learnt]
        means = [_plotted(row["bits"]) for row in learnt]
        label = "carried" if mode == "carried" else "reset at each chunk"
        length.plot(chunks, means, "o-", color=color, ms=4, label=label)
        if mode == "carried":
            forgetful = [
                _plotted(row["forgetful"][settings["forget"].index(row["chunk"])]) for row in learnt
            ]
            length.plot(chunks, forgetful, "o:", color=color, ms=4,
                        label="carried in training, then reset")  # fmt: skip
        for row, shade in zip(learnt[::2], COLORS, strict=False):
            past.plot(
                settings["forget"], [_plotted(bits) for bits in row["forgetful"]], color=shade,
                ls="-" if mode == "carried" else ":",
                label=f"chunk {row['chunk']}" if mode == "carried" else None,
            )  # fmt: skip
    tops = [bit for row in results["summary"]["learning"] if row["mode"] == "carried"
            for bits in row["forgetful"] for bit in finite(bits)]  # fmt: skip
    past.set_title("solid: carried in training, dotted: reset")
    if tops:
        past.set_ylim(top=max(tops) + 0.1)  # who has never had a past may do far worse with one
    labels = "chunk, steps", "chunk, steps", "forgets every so many characters"
    for axes, label in zip((time, length, past), labels, strict=True):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(label)
        axes.legend(frameon=False)
    for axes in (length, past):
        axes.set_ylabel("validation bits per character")
    return picture


def _plot_spread(axes: Any, rows: list[dict[str, Any]], name: str, color: str, label: str) -> None:
    """Medians as a line, and 10% and 90% quantiles as a band."""
    chunks = [row["chunk"] for row in rows]
    low, median, high = ([row[name][part] for row in rows] for part in ("low", "median", "high"))
    axes.plot(chunks, median, "o-", ms=4, color=color, label=label)
    axes.fill_between(chunks, low, high, color=color, alpha=0.2, lw=0)


def _cost(bits: Interval) -> str:
    """An interval of bits, and a warning if it does not leave out 0."""
    return f"{bits:.3f} bits" + ("" if bits.low > 0 or bits.high < 0 else ", which may be nothing")


def _plotted(bits: list[float | None]) -> float:
    """The mean; NaN, which is not drawn, if a run diverged."""
    return float(np.mean(np.array(bits, float)))


def _spread(values: np.ndarray) -> dict[str, float]:
    return {name: round(value, 4) for name, value in Spread.of(values)._asdict().items()}


STUDY = Study(
    "cost", __doc__, seeds=3, full=FULL, quick=QUICK, trials=trials, table=table, answer=answer,
    draw=draw,
)  # fmt: skip

if __name__ == "__main__":
    conduct(STUDY)
