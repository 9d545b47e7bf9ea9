"""Are there units in a trained network that track something one can name: a speaker's name, a stage
direction, the position in the line?

An LSTM learns Shakespeare. Of each named feature the unit that correlates with it most closely is
searched on one half of a text not trained on, and judged on the other half; so is the best unit of
the same network before training. `--run=DIR` takes a model that char_lm trained instead. Writes
neurons.html as well: a passage coloured by these units.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from experiments.laboratory.coloured import draw_scale, draw_text, page
from experiments.laboratory.divergence import finite
from experiments.laboratory.features import Reading, Values, read
from experiments.laboratory.plots import figures
from experiments.laboratory.statistics import Interval, difference, mean_of, shown, told_apart
from experiments.laboratory.study import Bench, Results, Study, Table, conduct
from experiments.laboratory.units import Units, best_units
from jaxrnn import InputError, Network, Params, init, stacked
from jaxrnn.learning.recipe import Recipe
from jaxrnn.storage.files import user_path
from jaxrnn.text import EncodedText
from jaxrnn.text.language_model import load_language_model

BATCH, CHUNK = 32, 64
FULL = {
    "hidden": 128,  # units
    "steps": 3000, "evaluations": 10, "tuning_steps": 200, "moves": 1,
    "valid": 100_000, "shown": 900,  # characters that the units read, and of the passage shown
}  # fmt: skip
QUICK = {
    "hidden": 8, "steps": 40, "evaluations": 1, "rates": [1e-2, 3e-2], "tuning_steps": 20,
    "moves": 0, "valid": 4000, "shown": 300,
}  # fmt: skip
LINES, WIDTH = 9, 56  # of a panel of the picture


def trials(bench: Bench) -> dict[str, Any]:
    run = bench.settings["run"]
    model = None if run is None else load_language_model(user_path(run))
    if model is not None and len(model.network.layers) == 1:
        raise InputError(f"the network in {run} has no hidden layer, so no units to look at")
    text = bench.text(None if model is None else model.vocabulary)
    reading = read(text, bench.settings["valid"], bench.settings["shown"])
    if model is None:
        bench.begin(2)
        network, trained, facts = train(bench, text, reading)
    else:
        network, facts = model.network, {"rate": None, "bits": []}
        trained = [best_units(network, model.params, reading)]
        if trained == [None]:
            raise InputError(
                f"the units of the model in {run} overflow while they read; give a model whose "
                "training went well"
            )
        bench.begin(1)
    starts = (init(network, jax.random.key(seed)) for seed in bench.seeds)
    untrained = bench.trial(
        "untrained", lambda: {"units": [best_units(network, start, reading) for start in starts]}
    )["units"]
    return {
        "cell": network.layers[0].cell.name, **facts,
        "passage": reading.characters[reading.shown],
        "rows": rows_of(list(reading.features), trained, untrained),
    }  # fmt: skip


def train(
    bench: Bench, text: EncodedText, reading: Reading
) -> tuple[Network, list[Units | None], dict[str, Any]]:
    """Networks that differ in seed alone, at their best learning rate, and what is best in each.

    None for those that diverged.
    """
    symbols = text.vocabulary.size
    network = stacked(symbols, [bench.settings["hidden"]], symbols, "lstm")

    def units(params: Params) -> dict[str, Any]:
        replicas = [jax.tree.map(lambda x, i=i: x[i], params) for i in range(len(bench.seeds))]
        return {"units": [best_units(network, replica, reading) for replica in replicas]}

    problem = bench.reading(text, batch=BATCH, chunk=CHUNK)
    runs = bench.train("trained", network, Recipe(), problem, also=units)
    pairs = list(zip(runs.figures, runs.record["units"], strict=True))
    bits = [None if found is None else figure for figure, found in pairs]
    trained = [None if figure is None else found for figure, found in pairs]
    return network, trained, {"rate": runs.rate, "bits": bits}


def rows_of(
    features: Sequence[str], trained: Sequence[Units | None], untrained: Sequence[Units | None]
) -> list[dict[str, Any]]:
    """For each feature how closely the best units track it; none if no network ended well."""
    ended = [units for units in trained if units is not None]
    rows = []
    for i, feature in enumerate(features if ended else []):
        # The network to be shown is chosen as units are: by the half on which they are searched.
        best = max((units[i] for units in ended), key=lambda unit: unit["searched"])
        after, before = (
            [None if units is None else units[i]["judged"] for units in networks]
            for networks in (trained, untrained)
        )
        rows.append({
            "feature": feature, "unit": best["name"], "correlation": best["judged"],
            "trained": after, "untrained": before, "shown": best["shown"],
        })  # fmt: skip
    return rows


def table(results: Results) -> Table:
    return Table.of(
        "Correlation of the best unit with the feature, on text on which it was not searched: mean "
        "over seeds (95% interval)",
        results["summary"]["rows"],
        {
            "feature": "{feature}",
            "trained": lambda row: shown(row["trained"], ".2f"),
            "untrained": lambda row: shown(row["untrained"], ".2f"),
            "best unit": "{unit}",
            "its correlation": "{correlation:.2f}",
        },
        notes=["neurons.html shows a passage coloured by each of these units."],
    )


def answer(results: Results) -> str:
    rows, cell = results["summary"]["rows"], results["summary"]["cell"]
    _, lost = told_apart({cell: results["summary"]["bits"]})
    if not rows:
        return f"No network ended well. {lost}"
    learned = [row for row in rows if _gain(row, len(rows)).low > 0]
    best = max(learned or rows, key=lambda row: _gain(row).mean)
    before, after = (mean_of(finite(best[when])) for when in ("untrained", "trained"))
    gap = (
        f"The widest gap is that of {best['feature']}: the best unit's correlation is "
        f"{before:.2f} before training, {after:.2f} after. {lost}"
    ).rstrip()
    if not learned:
        return (
            f"Whether a trained network ({cell}) has units that track any of {len(rows)} features "
            f"better than before training cannot be told from these runs. {gap}"
        )
    rest = [row["feature"] for row in rows if row not in learned]
    return (
        f"Yes: training gives the network ({cell}) units that track these more closely than any "
        f"did before: {', '.join(row['feature'] for row in learned)}. "
        + (f"Of {', '.join(rest)} that cannot be said. " if rest else "")
        + gap
    )


def draw(results: Results) -> Any:
    summary = results["summary"]
    rows = sorted(summary["rows"], key=lambda row: -_gain(row).mean)[:3]
    count = max(1, len(rows))
    picture, panels = figures(8.2, 2.35 * count + 0.5, count, count)
    for axes, row in zip(panels, rows, strict=False):
        draw_text(axes, summary["passage"], _numbers(row["shown"]), lines=LINES, width=WIDTH)
        axes.set_title(_heading(row), loc="left", fontsize=10)
    draw_scale(picture, panels, "activation: standard deviations from the unit's mean, turned such "
               "that it rises with the feature")  # fmt: skip
    return picture


def pages(results: Results) -> dict[str, str]:
    """The passage once for each feature, as a page of HTML."""
    summary = results["summary"]
    made = page(
        "Units that track something",
        f"A text that the network ({summary['cell']}) was not trained on. The colour of a "
        "character is the activation, once it has been read, of the unit that tracks the feature "
        "best; units were searched on other text. Blue is below the unit's mean and red above it, "
        "or the other way round for a unit that falls where the feature rises.",
        [(_heading(row), summary["passage"], _numbers(row["shown"])) for row in summary["rows"]],
    )
    return {"neurons.html": made}


def _heading(row: dict[str, Any]) -> str:
    return (
        f"{row['feature']}: {row['unit']}, correlation {row['correlation']:.2f} "
        f"(before training {np.mean(row['untrained']):.2f})"
    )


def _numbers(shown: str) -> Values:
    return np.array(shown.split(), float)


def _gain(row: dict[str, Any], comparisons: int = 1) -> Interval:
    """What training adds to the correlation, seed by seed: the same network before and after."""
    if len(row["trained"]) != len(row["untrained"]):  # one model, whose start is not known
        return Interval(np.mean(row["trained"]) - np.mean(row["untrained"]), np.nan, np.nan)
    return difference(row["trained"], row["untrained"], comparisons)


STUDY = Study(
    "neurons", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=5, pages=pages,
    options={"run": "Take the model of this work directory, or exported one."},
)  # fmt: skip

if __name__ == "__main__":
    conduct(STUDY)
