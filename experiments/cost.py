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
from absl import flags
from jaxtyping import Array, Bool, Float, Integer

from experiments.command_line.launch import launch
from experiments.laboratory.plots import COLORS, figures
from experiments.laboratory.replicas import (
    RATES,
    SLACK,
    over_replicas,
    train_replicas,
    tune,
)
from experiments.laboratory.statistics import (
    Interval,
    best_of,
    difference,
    finite,
    listed,
    mean_of,
    shown,
    told_apart,
)
from experiments.laboratory.study import Results, Study, define_flags, open_study, seeds_of
from experiments.laboratory.tables import Table
from experiments.laboratory.turns import Contender, Spread, take_turns
from jaxrnn import InputError, Network, Options, Params, init, initial_state, stacked, unroll
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.evaluation import mean_metric
from jaxrnn.learning.loss import BITS_PER_CHARACTER, cross_entropy
from jaxrnn.learning.recipe import Recipe
from jaxrnn.text import EncodedText, encode_corpus, open_corpus
from jaxrnn.text.problem import text_problem

BATCH = 32  # of the networks that are timed
MODES = ("carried", "reset")
RESET, FORGETFUL, NEVER = "reset at each chunk", "made to forget", "not made to forget"
# The hidden layers of networks that are timed, the first of which also learns; chunks to time, and
# the one that is asked about; rounds, and seconds for each figure in a round. Chunks to learn from;
# characters of an update; steps, steps of tuning, where it looks first and how often it may move
# on; how often to forget; lanes of validation text, and how many characters of each are scored,
# after as many as the rarest forgetting asks for.
FULL = {
    "timed": {"tanh": [128, 128], "gru": [128]}, "time_chunks": [2**i for i in range(11)],
    "asked": 16, "rounds": 9, "seconds": 0.15,
    "chunks": [1, 4, 16, 64], "characters": 512, "steps": 1000, "tuning_steps": 200,
    "rates": list(RATES), "moves": 2, "forget": [2**i for i in range(9)], "lanes": 32,
    "scored": 768,
}  # fmt: skip
QUICK = {
    "timed": {"tanh": [8]}, "time_chunks": [1, 4], "asked": 4, "rounds": 3, "seconds": 0.005,
    "chunks": [1, 4], "characters": 16, "steps": 20, "tuning_steps": 10, "rates": [2e-3, 8e-3],
    "moves": 0, "forget": [1, 4, 8], "lanes": 4, "scored": 16,
}  # fmt: skip

define_flags("cost", seeds=3)


def main() -> int:
    quick, seeds = flags.FLAGS.quick, seeds_of("cost")
    sizes: dict[str, Any] = QUICK if quick else FULL
    settings = {"corpus": flags.FLAGS.corpus, "seeds": list(seeds), **sizes}
    text = encode_corpus(open_corpus(flags.FLAGS.corpus))
    compared = [(chunk, mode) for chunk in sizes["chunks"] for mode in MODES]
    with open_study("cost", settings, len(compared) + len(sizes["timed"])) as study:
        learning = [learn(study, text, chunk, mode, sizes, seeds) for chunk, mode in compared]
        # Last, so that the machine may be busy until then.
        timing = [measure(study, text.vocabulary.size, cell, sizes) for cell in sizes["timed"]]
        summary = {"learning": learning, "timing": timing}
        return study.conclude(summary, table=table, answer=answer, draw=draw)


def measure(study: Study, symbols: int, cell: str, sizes: dict[str, Any]) -> dict[str, Any]:
    """Times gradients of a recurrent network and of its feed-forward twin, in turns."""
    hidden = sizes["timed"][cell]
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

    record = study.trial(f"timing {cell}", trial)
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
    study: Study,
    text: EncodedText,
    chunk: int,
    mode: str,
    sizes: dict[str, Any],
    seeds: tuple[int, ...],
) -> dict[str, Any]:
    """Trains networks with one chunk, and has them forget."""
    symbols = text.vocabulary.size
    cell, hidden = next(iter(sizes["timed"].items()))
    network, recipe = stacked(symbols, hidden, symbols, cell), Recipe()
    lanes, warmup = passages(text.valid, sizes), max(sizes["forget"])
    # As in training: a network that never had a past would be at a loss with one.
    resets = resets_every(len(lanes) - 1, chunk if mode == "reset" else None)
    problem = replace(
        text_problem(
            text.train, text.valid, batch=sizes["characters"] // chunk, chunk=chunk,
            carried=mode == "carried",
        ),
        held_out=lambda: [scored_after(warmup, lanes, resets)],
    )  # fmt: skip

    def trial() -> dict[str, Any]:
        rate, tried = tune(
            network, recipe, problem, steps=sizes["tuning_steps"], rates=sizes["rates"],
            moves=sizes["moves"], slack=SLACK,
        )  # fmt: skip
        curves, params = train_replicas(
            network,
            recipe,
            problem,
            seeds,
            [rate] * len(seeds),
            steps=sizes["steps"],
            evaluations=1,
        )
        often = jnp.stack([resets_every(len(lanes) - 1, k) for k in (*sizes["forget"], None)])
        forgetful = over_replicas(
            lambda params: jax.lax.map(
                lambda resets: bits(network, params, lanes, resets, warmup), often
            )
        )(params)
        return {
            "rate": rate,
            "tried": {f"{curve.rate:g}": curve.valid[-1] for curve in tried},
            "curves": [curve._asdict() for curve in curves],
            "forgetful": listed(forgetful, 4),
        }

    record = study.trial(f"chunk {chunk}, {mode}", trial)
    *forgetful, never = map(list, zip(*record["forgetful"], strict=True))
    return {
        "chunk": chunk,
        "mode": mode,
        "rate": record["rate"],
        "bits": [curve["valid"][-1] for curve in record["curves"]],
        "forgetful": forgetful,  # [how often][seed]
        "never": never,  # forgets
    }


def passages(
    valid: Integer[np.ndarray, " length"], sizes: dict[str, Any]
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
    learning, timing = results["summary"]["learning"], results["summary"]["timing"]
    made = Table(
        "A chunk's cost, as multiples of a feed-forward gradient, and its bits per character (95% "
        "interval)",
        ["chunk"]
        + [f"{t['name']}: {what}" for t in timing
           for what in ("times one step", "times as many characters", "MB")]
        + ["carried", "carried, forgets each chunk", "reset at each chunk"],
    )  # fmt: skip
    by_chunk = {(row["chunk"], row["mode"]): row for row in learning}
    for chunk in sorted({*results["settings"]["time_chunks"], *results["settings"]["chunks"]}):
        cells = [str(chunk)]
        for timed in timing:
            row = next((row for row in timed["rows"] if row["chunk"] == chunk), None)
            cells += ["-"] * 3 if row is None else [
                f"{row['times_a_step']['median']:.1f}", f"{row['times_as_many']['median']:.2f}",
                f"{row['megabytes']:.1f}",
            ]  # fmt: skip
        carried, reset = (by_chunk.get((chunk, mode)) for mode in MODES)
        if carried is None or reset is None:
            cells += ["-"] * 3
        else:
            forgetful = carried["forgetful"][results["settings"]["forget"].index(chunk)]
            cells += [shown(carried["bits"]), shown(forgetful), shown(reset["bits"])]
        made.rows.append(cells)
    return made


def answer(results: Results) -> str:
    asked, (timed, *_) = results["settings"]["asked"], results["summary"]["timing"]
    row = next(row for row in timed["rows"] if row["chunk"] == asked)
    step, as_many = row["times_a_step"], row["times_as_many"]
    verdict = "more than" if step["low"] > asked else "about"
    if step["high"] < asked:
        verdict = "less than"
    carried, reset = (
        {row["chunk"]: row for row in results["summary"]["learning"] if row["mode"] == mode}
        for mode in MODES
    )
    said = (
        f"A gradient of {timed['name']} with a chunk of {asked} takes {step['median']:.1f} times "
        f"(10% to 90% of rounds: {step['low']:.1f} to {step['high']:.1f}) as long as one of a "
        f"feed-forward network with as many lanes, {verdict} {asked} times, and "
        f"{as_many['median']:.1f} times as long as one of a feed-forward network with as many "
        "characters."
    )
    k = results["settings"]["forget"].index(asked)
    figures, lost = told_apart(
        {f"chunk {chunk}": row["bits"] for chunk, row in carried.items()}
        | {
            RESET: reset[asked]["bits"],
            FORGETFUL: carried[asked]["forgetful"][k],
            NEVER: carried[asked]["never"],
        }
    )
    return " ".join([said, *_on_learning(figures, asked), lost]).rstrip()


def _on_learning(figures: dict[str, list[float]], asked: int) -> list[str]:
    """What can be said of the networks none of whose runs diverged."""
    sentences = []
    chunks = {
        name.removeprefix("chunk "): bits
        for name, bits in figures.items() if name.startswith("chunk ")
    }  # fmt: skip
    if chunks:
        best, equals = best_of(chunks)
        but = f", though {', '.join(equals)} cannot be told from that" if equals else ""
        one = f"; with a chunk of 1 it ends at {np.mean(chunks['1']):.3f}" if "1" in chunks else ""
        sentences.append(
            f"From equally many characters a network learns most with a chunk of {best} "
            f"({np.mean(chunks[best]):.3f} bits per character){but}{one}."
        )
    costs = []
    if str(asked) in chunks and RESET in figures:
        gain = difference(figures[RESET], chunks[str(asked)])
        costs.append(f"training and reading without a carried state costs {_cost(gain)}")
    if {FORGETFUL, NEVER} <= figures.keys():
        forgotten = np.subtract(figures[FORGETFUL], figures[NEVER])
        beyond = mean_of(forgotten.tolist())  # of the same networks: in pairs
        costs.append(
            f"a network trained with it, if made to forget every {asked} characters, loses "
            f"{_cost(beyond)}"
        )
    return sentences + ([f"With a chunk of {asked}, {', and '.join(costs)}."] if costs else [])


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


if __name__ == "__main__":
    launch(main, __doc__ or "")
