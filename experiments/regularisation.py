"""Which regularisation keeps a recurrent network from learning its text by heart, and is dropout
best kept away from recurrent connections?

A GRU learns a small part of Shakespeare, which it can learn by heart: with none, L1, L2, and with
dropout on feed-forward connections or on all, its masks fresh at each time step or locked for a
chunk. Each method's strength and learning rate are those that do best on one piece of validation
text, which also says when to stop early; the figures are those of another piece.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from jaxtyping import Array

from experiments.command_line.launch import launch
from experiments.laboratory.plots import figures, millions
from experiments.laboratory.replicas import (
    CUT,
    TUNING_SEED,
    over_replicas,
    train_replicas,
)
from experiments.laboratory.statistics import (
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
from jaxrnn import Network, Params, stacked
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.text import EncodedText, encode_corpus, open_corpus
from jaxrnn.text.problem import text_problem

NONE = "none"
METHODS: dict[str, Callable[[float], Recipe]] = {
    NONE: lambda _: Recipe(),
    "L1": lambda strength: Recipe(l1=strength),
    "L2": lambda strength: Recipe(l2=strength),
    "dropout, feed-forward": lambda rate: Recipe(dropout=rate),
    "dropout, all": lambda rate: Recipe(dropout=rate, recurrent_dropout=True),
    "locked dropout, feed-forward": lambda rate: Recipe(dropout=rate, locked=True),
    # Gal and Ghahramani 2016, A theoretically grounded application of dropout in recurrent neural
    # networks.
    "locked dropout, all": lambda rate: Recipe(dropout=rate, locked=True, recurrent_dropout=True),
}
STRENGTHS = {NONE: [0.0], "L1": [1e-5, 3e-5, 1e-4], "L2": [1e-4, 3e-4, 1e-3]}
DROPPED = [0.1, 0.25, 0.5]  # the strengths of every dropout
BATCH, CHUNK = 16, 32
# The hidden layer's cell and size; characters of the text learned and of each piece that is
# evaluated; steps, of tuning too: what over-fitting costs shows late; evaluations; the learning
# rates that are tried without regularisation, and those tried with it as multiples of their best.
FULL = {
    "methods": list(METHODS), "strengths": 3, "cell": "gru", "hidden": 128, "text": 50_000,
    "piece": 25_000, "steps": 1500, "evaluations": 15, "rates": [2e-3, 4e-3, 8e-3, 1.6e-2],
    "factors": [1, 2],
}  # fmt: skip
QUICK = {
    "methods": [NONE, "dropout, all"], "strengths": 1, "cell": "tanh", "hidden": 8, "text": 2000,
    "piece": 1000, "steps": 30, "evaluations": 3, "rates": [4e-3, 8e-3], "factors": [1, 2],
}  # fmt: skip

define_flags("regularisation", seeds=4)


def main() -> int:
    quick, seeds = flags.FLAGS.quick, seeds_of("regularisation")
    sizes = QUICK if quick else FULL
    settings = {"corpus": flags.FLAGS.corpus, "seeds": list(seeds), **sizes}
    task = make_task(encode_corpus(open_corpus(flags.FLAGS.corpus)), sizes)
    with open_study("regularisation", settings, len(sizes["methods"])) as study:
        rows: list[dict[str, Any]] = []
        rates = sizes["rates"]
        for method in sizes["methods"]:
            rows.append(compare(study, method, task, sizes, rates, seeds))
            rates = [rows[0]["rate"] * factor for factor in sizes["factors"]]
        return study.conclude({"rows": rows}, table=table, answer=answer, draw=draw)


class Task(NamedTuple):
    """What all methods do.

    Attributes:
      network: is trained.
      problem: is evaluated on the text by which strengths, rates and the time to stop are chosen.
      others: parameters of all replicas -> bits per character on the text that is reported, and on
        text that was learned.
    """

    network: Network
    problem: Problem
    others: dict[str, Callable[[Params], Array]]


def make_task(text: EncodedText, sizes: dict[str, Any]) -> Task:
    symbols, length = text.vocabulary.size, sizes["piece"]
    network = stacked(symbols, [sizes["hidden"]], symbols, sizes["cell"])
    learned = text.train[: sizes["text"]]
    choosing, reported, training = (
        text_problem(learned, piece, batch=BATCH, chunk=CHUNK, cut=CUT)
        for piece in (text.valid[length : 2 * length], text.valid[:length], learned[:length])
    )
    others = {
        name: over_replicas(problem.figure(network))
        for name, problem in {"reported": reported, "training": training}.items()
    }
    return Task(network, choosing, others)


def compare(
    study: Study,
    method: str,
    task: Task,
    sizes: dict[str, Any],
    rates: list[float],
    seeds: tuple[int, ...],
) -> dict[str, Any]:
    """Trains with a method at its best strength and learning rate from several seeds."""

    def run(strength: float, seeds: Sequence[int], rates: Sequence[float], **more: Any) -> Any:
        recipe = METHODS[method](strength)
        length = {"steps": sizes["steps"], "evaluations": sizes["evaluations"]}
        return train_replicas(task.network, recipe, task.problem, seeds, rates, **length, **more)[0]

    def trial() -> dict[str, Any]:
        tried = []
        for strength in STRENGTHS.get(method, DROPPED)[-sizes["strengths"] :]:
            curves = run(strength, [TUNING_SEED] * len(rates), rates)
            tried += [(_lowest(curve.valid), strength, curve.rate) for curve in curves]
        _, strength, rate = min(tried, key=lambda row: np.inf if row[0] is None else row[0])
        others: dict[str, list[list[float | None]]] = {name: [] for name in task.others}

        def look(step: int, params: Params) -> None:
            for name, evaluate in task.others.items():
                if step:
                    others[name].append(listed(evaluate(params), 4))

        curves = run(strength, seeds, [rate] * len(seeds), after=look)
        return {
            "strength": strength,
            "rate": rate,
            "tried": tried,
            "steps": curves[0].steps,
            "choosing": [curve.valid for curve in curves],
            **{name: list(map(list, zip(*bits, strict=True))) for name, bits in others.items()},
        }

    record = study.trial(method, trial)
    return {
        "method": method,
        "strength": record["strength"],
        "rate": record["rate"],
        "tried": record["tried"],
        "characters": [step * BATCH * CHUNK for step in record["steps"]],
        **figures_of(record["choosing"], record["reported"], record["training"]),
    }


def figures_of(
    choosing: list[list[float | None]],
    reported: list[list[float | None]],
    training: list[list[float | None]],
) -> dict[str, Any]:
    """Bits per character at the end and where one would stop early, and the mean curves.

    What is not finite is None, as where a run diverged: where to stop, if nothing was finite.

    Args:
      choosing: each seed's curve on the text where it is lowest when one should stop.
      reported: the same on the text that the figures are of.
      training: the same on text that was learned.
    """
    stops = [None if _lowest(curve) is None else curve.index(_lowest(curve)) for curve in choosing]

    def at(curves: list[list[float | None]], places: Sequence[int | None]) -> list[float | None]:
        found = [None if i is None else c[i] for c, i in zip(curves, places, strict=True)]
        return listed(np.array(found, float), 4)

    ends = [-1] * len(stops)
    return {
        "stops": stops,
        "stopped": at(reported, stops),
        "final": at(reported, ends),
        "stopped_training": at(training, stops),
        "final_training": at(training, ends),
        "curve": listed(np.mean(np.array(reported, float), axis=0), 4),
        "training_curve": listed(np.mean(np.array(training, float), axis=0), 4),
    }


def table(results: Results) -> Table:
    made = Table(
        "Validation bits per character: mean over seeds (95% interval)",
        ["method", "strength", "learning rate", "stopped early", "gap then", "at the end", "gap"],
    )
    for row in results["summary"]["rows"]:
        made.rows.append([
            row["method"], f"{row['strength']:g}" if row["strength"] else "-", f"{row['rate']:g}",
            shown(row["stopped"]), _gap(row["stopped"], row["stopped_training"]),
            shown(row["final"]), _gap(row["final"], row["final_training"]),
        ])  # fmt: skip
    made.notes.append(
        "A gap is what validation text needs more than text that was learned, both without dropout."
    )
    return made


def answer(results: Results) -> str:
    rows = {row["method"]: row for row in results["summary"]["rows"]}
    stopped, lost = told_apart({method: row["stopped"] for method, row in rows.items()})
    if not stopped:
        return f"No method trained the network from every seed. {lost}"
    winner, equals = best_of(stopped)
    best = f"that of {winner} ({np.mean(stopped[winner]):.3f} bits per character"
    if winner != NONE and NONE in stopped:
        gain = difference(stopped[NONE], stopped[winner], len(stopped) - 1)
        best += f", against {np.mean(stopped[NONE]):.3f} with none: {gain:.3f} less"
    length = f"{results['settings']['text']:,}"
    best = f"With {length} characters to learn from and early stopping the lowest loss is {best})"
    if equals:
        best += f", but {_listed(equals)} cannot be told from it"
    sentences = [f"{best}.", *_on_recurrent_dropout(stopped), *_on_stopping(rows[NONE]), lost]
    return " ".join(sentences).rstrip()


def _on_stopping(plain: dict[str, Any]) -> list[str]:
    """What training on costs without regularisation, if no run of that diverged."""
    kept = told_apart({name: plain[name] for name in ("stopped", "final", "final_training")})[0]
    if len(kept) < 3:
        return []
    gap = np.mean(kept["final"]) - np.mean(kept["final_training"])
    late = mean_of([a - b for a, b in zip(kept["final"], kept["stopped"], strict=True)])
    end = f"With none, validation text needs {gap:.2f} bits more than learned text at the end"
    if late.low > 0:
        end += f", and not to have stopped early costs {late:.3f} bits"
    return [f"{end}."]


def _on_recurrent_dropout(losses: dict[str, list[float]]) -> list[str]:
    """Whether dropout should leave recurrent connections alone, for each kind of masks."""
    kinds = {"fresh masks": "dropout", "locked masks": "locked dropout"}
    pairs = {
        kind: (losses[f"{name}, all"], losses[f"{name}, feed-forward"])
        for kind, name in kinds.items()
        if {f"{name}, all", f"{name}, feed-forward"} <= losses.keys()
    }
    verdicts = []
    for kind, (everywhere, forward) in pairs.items():
        cost = difference(everywhere, forward, len(pairs))
        if cost.low > 0:
            verdicts.append(f"with {kind} it costs {cost:.3f} bits")
        elif cost.high < 0:
            gain = difference(forward, everywhere, len(pairs))
            verdicts.append(f"with {kind} it gains {gain:.3f} bits")
        else:
            verdicts.append(f"with {kind} it cannot be told from not doing so ({cost:+.3f} bits)")
    return [f"To drop recurrent connections as well: {'; '.join(verdicts)}."] if verdicts else []


def draw(results: Results) -> Any:
    rows = results["summary"]["rows"]
    picture, panels = figures(13, 6.4, len(rows) + 1, rows=2)
    lowest = min((bit for row in rows for bit in finite(row["curve"])), default=0.0)
    low = min([lowest, *(bit for row in rows for bit in finite(row["training_curve"]))])
    (plain,) = (row for row in rows if row["method"] == NONE)
    for row, axes in zip(rows, panels, strict=False):
        characters = row["characters"]
        axes.plot(
            characters, _plotted(plain["curve"]), ":", color="#999999", label="validation, none"
        )
        axes.plot(characters, _plotted(row["training_curve"]), color="#9db4c8", label="training")
        axes.plot(characters, _plotted(row["curve"]), color="#b4442a", label="validation")
        stops = [(characters[i], bits) for i, bits in zip(row["stops"], row["stopped"], strict=True)
                 if bits is not None]  # fmt: skip
        axes.plot([x for x, _ in stops], [y for _, y in stops], "o", ms=4, color="#b4442a",
                  label="stopped early")  # fmt: skip
        strength = f" {row['strength']:g}" if row["strength"] else ""
        axes.set(title=f"{row['method']}{strength}", xlabel="characters trained on",
                 ylabel="bits per character", ylim=(low - 0.1, lowest + 1))  # fmt: skip
        axes.xaxis.set_major_formatter(millions)
    panels[0].legend(frameon=False, fontsize="small")
    _compare_methods(panels[-1], rows)
    return picture


def _compare_methods(axes: Any, rows: list[dict[str, Any]]) -> None:
    """The figures of all methods, and their intervals, side by side."""
    for offset, kind, color, label in (
        (-0.12, "stopped", "#b4442a", "stopped early"),
        (0.12, "final", "#4a6a8a", "at the end"),
    ):
        places = [i for i, row in enumerate(rows) if finite(row[kind])]
        intervals = [mean_of(finite(rows[i][kind])) for i in places]
        axes.errorbar(
            [interval.mean for interval in intervals], np.array(places) + offset, fmt="o",
            xerr=[interval.mean - interval.low for interval in intervals], ms=4, color=color,
            label=label,
        )  # fmt: skip
    axes.set_yticks(range(len(rows)), [row["method"].replace(", ", ",\n") for row in rows])
    axes.set_ylim(len(rows) - 0.5, -1.3)  # downwards, with room for the legend
    axes.set(xlabel="validation bits per character", title="95% intervals over seeds")
    axes.legend(frameon=False, fontsize="small", loc="upper right", ncols=2)


def _lowest(curve: list[float | None]) -> float | None:
    return min(finite(curve), default=None)


def _gap(bits: list[float | None], training: list[float | None]) -> str:
    gaps = finite((np.array(bits, float) - np.array(training, float)).tolist())
    return f"{np.mean(gaps):.2f}" if gaps else "-"


def _plotted(curve: list[float | None]) -> np.ndarray:
    """NaN, which is not drawn, where a run had diverged."""
    return np.array(curve, float)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


if __name__ == "__main__":
    launch(main, __doc__ or "")
