"""Which regularisation keeps a recurrent network from learning its text by heart, and is dropout
best kept away from recurrent connections?

A GRU learns a small part of Shakespeare, which it can learn by heart: with none, L1, L2, and with
dropout on feed-forward connections, the input's too, or on all, its masks fresh at each time step
or locked for a chunk. Each method's strength and learning rate are those that do best on one piece
of validation text, which also says when to stop early; the figures are those of another piece.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Integer

from experiments.laboratory import statistics as stats
from experiments.laboratory.divergence import Figures, finite
from experiments.laboratory.early_stopping import figures_of
from experiments.laboratory.plots import draw_figures, figures, label_learning
from experiments.laboratory.replicas import CUT, TUNING_SEED, train_replicas
from experiments.laboratory.study import Bench, Results, Study, Table, conduct, find
from jaxrnn import Connection, Dropout, Network, Params, stacked
from jaxrnn.core.engine.dropout import dropped_on
from jaxrnn.core.parameters import Ends
from jaxrnn.learning.problem import Problem
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.replicas import over_replicas
from jaxrnn.storage.fields import setting
from jaxrnn.text import EncodedText
from jaxrnn.text.problem import text_problem

NONE = "none"


@dataclass(frozen=True)
class Alike(Recipe):
    """Connections are dropped alike, wherever they come from: what is compared is masks alone."""

    recurrent: bool = setting(False, "Drop on delayed connections as well.")

    def dropout_on(self, network: Network) -> dict[Connection | Ends, Dropout]:
        return {**dropped_on(network, Dropout(self.dropout, self.locked, self.recurrent))}


METHODS: dict[str, Callable[[float], Recipe]] = {
    NONE: lambda _: Recipe(),
    "L1": lambda strength: Recipe(l1=strength),
    "L2": lambda strength: Recipe(l2=strength),
    "dropout, feed-forward": lambda rate: Alike(dropout=rate),
    "dropout, all": lambda rate: Alike(dropout=rate, recurrent=True),
    "locked dropout, feed-forward": lambda rate: Alike(dropout=rate, locked=True),
    # Gal and Ghahramani 2016, A theoretically grounded application of dropout in recurrent neural
    # networks.
    "locked dropout, all": lambda rate: Alike(dropout=rate, locked=True, recurrent=True),
}
STRENGTHS = {NONE: [0.0], "L1": [1e-5, 3e-5, 1e-4], "L2": [1e-4, 3e-4, 1e-3]}
DROPPED = [0.1, 0.25, 0.5]  # the strengths of every dropout
BATCH, CHUNK = 16, 32
FULL = {
    "methods": list(METHODS), "strengths": 3, "cell": "gru", "hidden": 128,
    "text": 50_000,  # characters that are learned
    "piece": 25_000,  # of each piece that is evaluated
    "steps": 1500, "evaluations": 15,  # of tuning too: what over-fitting costs shows late
    "rates": [2e-3, 4e-3, 8e-3, 1.6e-2],  # tried without regularisation
    "factors": [1, 2],  # tried with it, times the best of these
}  # fmt: skip
QUICK = {
    "methods": [NONE, "dropout, all"], "strengths": 1, "cell": "tanh", "hidden": 8, "text": 2000,
    "piece": 1000, "steps": 40, "evaluations": 2, "rates": [1e-2, 2e-2], "factors": [1, 2],
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, bench.text()
    symbols = text.vocabulary.size
    network = stacked(symbols, [sizes["hidden"]], symbols, sizes["cell"])
    problems = problems_of(text, sizes["text"], sizes["piece"])
    bench.begin(2 * len(sizes["methods"]))
    rows, rates = [], sizes["rates"]
    for method in sizes["methods"]:
        rows.append(compare(bench, method, network, problems, rates))
        rates = [rows[0]["rate"] * factor for factor in sizes["factors"]]
    return {"rows": rows}


def problems_of(text: EncodedText, learned: int, piece: int) -> dict[str, Problem]:
    """The same text to learn, judged by that by which strengths, rates and the time to stop are
    chosen, by that which is reported, and by what was learned.
    """

    def judged_by(valid: Integer[np.ndarray, " length"]) -> Problem:
        return text_problem(text.train[:learned], valid, batch=BATCH, chunk=CHUNK, cut=CUT)

    return {
        "choosing": judged_by(text.valid[piece : 2 * piece]),
        "reported": judged_by(text.valid[:piece]),
        "training": judged_by(text.train[: min(learned, piece)]),
    }


def compare(
    bench: Bench,
    method: str,
    network: Network,
    problems: Mapping[str, Problem],
    rates: Sequence[float],
) -> dict[str, Any]:
    """Trains with a method at its best strength and learning rate from several seeds."""
    sizes, choosing, baseline = bench.settings, problems["choosing"], problems["training"].baseline
    assert baseline is not None

    def search() -> dict[str, Any]:
        tried = []
        for strength in STRENGTHS.get(method, DROPPED)[-sizes["strengths"] :]:
            curves, _ = train_replicas(
                network, METHODS[method](strength), choosing, [TUNING_SEED] * len(rates), rates,
                steps=sizes["steps"], evaluations=sizes["evaluations"],
            )  # fmt: skip
            lowest = [min(finite(curve.valid), default=None) for curve in curves]
            tried += zip(lowest, [strength] * len(rates), rates, strict=True)
        return {"tried": tried}

    tried = bench.trial(f"{method}, tuning", search)["tried"]
    _, strength, rate = min(tried, key=lambda row: np.inf if row[0] is None else row[0])
    figures = {
        name: over_replicas(problems[name].figure(network)) for name in ("reported", "training")
    }
    seen: dict[str, list[Any]] = {name: [] for name in figures}

    def look(step: int, params: Params) -> None:
        for name, figure in figures.items():
            seen[name] += [figure(params)] if step else []

    runs = bench.train(
        method, network, METHODS[method](strength), choosing, rate=rate, after=look,
        also=lambda _: {name: stats.listed(np.transpose(bits), 4) for name, bits in seen.items()},
    )  # fmt: skip
    curves = [curve["valid"] for curve in runs.record["curves"]]
    return {
        "method": method, "strength": strength, "rate": rate, "tried": tried,
        "characters": [step * BATCH * CHUNK for step in runs.steps],
        **figures_of(curves, runs.record["reported"], runs.record["training"], baseline),
    }  # fmt: skip


def table(results: Results) -> Table:
    return Table.of(
        "Validation bits per character: mean over seeds (95% interval)",
        results["summary"]["rows"],
        {
            "method": "{method}",
            "strength": lambda row: f"{row['strength']:g}" if row["strength"] else "-",
            "learning rate": "{rate:g}",
            "stopped early": lambda row: stats.shown(row["stopped"]),
            "gap then": lambda row: _gap(row["stopped"], row["stopped_training"]),
            "at the end": lambda row: stats.shown(row["final"]),
            "gap": lambda row: _gap(row["final"], row["final_training"]),
        },
        notes=["A gap is what validation text needs more than text that was learned, both without "
               "dropout."],
    )  # fmt: skip


def answer(results: Results) -> str:
    rows = {row["method"]: row for row in results["summary"]["rows"]}
    plain = "no regularisation"
    stopped = {plain if name == NONE else name: row["stopped"] for name, row in rows.items()}
    whole, _ = stats.told_apart(stopped)
    sentences = [
        f"With {results['settings']['text']:,} characters to learn from and early stopping "
        f"{stats.verdict(stopped)}"
    ]
    if plain in whole and (best := stats.best_of(whole)[0]) != plain:
        gain = stats.difference(whole[plain], whole[best], len(whole) - 1)
        sentences.append(f"Without regularisation it needs {gain:.3f} more than with {best}.")
    return " ".join([*sentences, *_on_recurrent_dropout(whole), *_on_stopping(rows[NONE])])


def _on_stopping(plain: dict[str, Any]) -> list[str]:
    """What training on costs without regularisation, if no run of that diverged."""
    kinds = "final", "stopped", "final_training"
    if any(None in plain[kind] for kind in kinds):
        return []
    final, stopped, learned = (plain[kind] for kind in kinds)
    gap, late = stats.difference(final, learned), stats.difference(final, stopped)
    stop = f", and not to have stopped early costs {late:.3f} bits" if late.low > 0 else ""
    return [f"Without regularisation, validation text needs {gap.mean:.2f} bits more than learned "
            f"text at the end{stop}."]  # fmt: skip


def _on_recurrent_dropout(losses: Mapping[str, Figures]) -> list[str]:
    """Whether dropout should leave recurrent connections alone, for each kind of masks."""
    kinds = {"fresh masks": "dropout", "locked masks": "locked dropout"}
    pairs = {
        kind: (losses[f"{name}, all"], losses[f"{name}, feed-forward"])
        for kind, name in kinds.items()
        if {f"{name}, all", f"{name}, feed-forward"} <= losses.keys()
    }
    verdicts = []
    for kind, (everywhere, forward) in pairs.items():
        cost = stats.difference(everywhere, forward, len(pairs))
        said = f"it cannot be told from not doing so ({cost:+.3f} bits)"
        if cost.is_told:
            said = f"it costs {cost:.3f} bits" if cost.low > 0 else f"it gains {-cost:.3f} bits"
        verdicts.append(f"with {kind} {said}")
    return [f"To drop recurrent connections as well: {'; '.join(verdicts)}."] if verdicts else []


def draw(results: Results) -> Any:
    rows, plain = results["summary"]["rows"], find(results, method=NONE)
    picture, panels = figures(13, 6.4, len(rows) + 1, rows=2)
    lowest = min((bit for row in rows for bit in finite(row["curve"])), default=0.0)
    low = min([lowest, *(bit for row in rows for bit in finite(row["training_curve"]))])
    for row, axes in zip(rows, panels, strict=False):
        characters = row["characters"]
        for curve, style in (
            (plain["curve"], {"ls": ":", "color": "#999999", "label": "validation, none"}),
            (row["training_curve"], {"color": "#9db4c8", "label": "training"}),
            (row["curve"], {"color": "#b4442a", "label": "validation"}),
        ):
            axes.plot(characters[: len(curve)], stats.numbers(curve), **style)
        stops = [(characters[i], bits) for i, bits in zip(row["stops"], row["stopped"], strict=True)
                 if bits is not None]  # fmt: skip
        axes.plot([x for x, _ in stops], [y for _, y in stops], "o", ms=4, color="#b4442a",
                  label="stopped early")  # fmt: skip
        strength = f" {row['strength']:g}" if row["strength"] else ""
        title = stats.counted(f"{row['method']}{strength}", row["final"])
        label_learning(axes, title, (low - 0.1, lowest + 1))
        axes.set_ylabel("bits per character")
    panels[0].legend(frameon=False, fontsize="small")
    methods, axes = range(len(rows)), panels[-1]
    for kind, shift, color, label in (
        ("stopped", -0.12, "#b4442a", "stopped early"), ("final", 0.12, "#4a6a8a", "at the end"),
    ):  # fmt: skip
        places = [i + shift for i in methods]
        draw_figures(axes, places, [row[kind] for row in rows], color=color, label=label)
    axes.set_xticks(methods, [row["method"].replace(", ", ",\n") for row in rows], rotation=90)
    axes.set(ylabel="validation bits per character", title="95% intervals over seeds")
    axes.legend(frameon=False, fontsize="small")
    return picture


def _gap(bits: Figures, training: Figures) -> str:
    gaps = finite((stats.numbers(bits) - stats.numbers(training)).tolist())
    return f"{np.mean(gaps):.2f}" if gaps else "-"


STUDY = Study("regularisation", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=4)

if __name__ == "__main__":
    conduct(STUDY)
