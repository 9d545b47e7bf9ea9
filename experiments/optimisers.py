"""Which optimiser trains a recurrent network best, does clipping the gradient help, and how well
must one know the learning rate?

Elman networks of two tanh layers learn Shakespeare by SGD, momentum, Adagrad, RMSProp, Adam and
AdamW, each with the gradient clipped to a global norm of 1 and without. All see equally many
characters. Short runs try many learning rates around those at which an optimiser usually works; the
lowest that is nearly the best of them counts, for what just holds in a short run may diverge in a
long one. How they fare at the others says how forgiving the optimiser is.
"""

from collections.abc import Mapping
from typing import Any

from experiments.laboratory import statistics as stats
from experiments.laboratory.divergence import Figures, finite
from experiments.laboratory.plots import COLORS, figures, label_learning
from experiments.laboratory.rates import GOOD, good_rates, rates_around
from experiments.laboratory.replicas import SLACK
from experiments.laboratory.study import Bench, Results, Study, Table, conduct
from jaxrnn import stacked
from jaxrnn.learning.recipe import Recipe

# Where each usually works: the middle of the learning rates that are tried.
USUAL_RATES = {
    "sgd": 0.5, "momentum": 0.05, "adagrad": 0.02, "rmsprop": 1e-3, "adam": 4e-3, "adamw": 4e-3,
}  # fmt: skip
CLIP_NORM = 1.0
BATCH, CHUNK = 16, 32  # long chunks: gradients that explode do so over many time steps
FULL = {
    "optimizers": list(USUAL_RATES),
    "hidden": [128, 128],
    "steps": 1500, "evaluations": 10,
    "rates": 9,  # that tuning tries, around the usual one
    "tuning_steps": 300, "moves": 1,
    "valid": 50_000,  # characters
}  # fmt: skip
QUICK = {
    "optimizers": ["sgd"], "hidden": [8], "steps": 40, "evaluations": 1, "rates": 2,
    "tuning_steps": 20, "moves": 0, "valid": 2000,
}  # fmt: skip


def trials(bench: Bench) -> dict[str, Any]:
    sizes, text = bench.settings, bench.text()
    symbols = text.vocabulary.size
    network = stacked(symbols, sizes["hidden"], symbols, "tanh")
    problem = bench.reading(text, batch=BATCH, chunk=CHUNK)
    settings = [(name, clipped) for name in sizes["optimizers"] for clipped in (False, True)]
    bench.begin(len(settings))
    rows = []
    for optimizer, clipped in settings:
        name = optimizer + (" with clipping" if clipped else "")
        recipe = Recipe(optimizer=optimizer, clip_norm=CLIP_NORM if clipped else None)
        rates = rates_around(USUAL_RATES[optimizer], sizes["rates"])
        runs = bench.train(name, network, recipe, problem, rates=rates, slack=SLACK)
        rows.append({
            "optimizer": optimizer, "clipped": clipped, "name": name, "rate": runs.rate,
            "tried": runs.record["tried"], "bits": runs.figures,
            "characters": [step * BATCH * CHUNK for step in runs.steps], "curve": runs.mean_curve,
        })  # fmt: skip
    return {"rows": rows}


def table(results: Results) -> Table:
    def good(row: dict[str, Any]) -> str:
        low, high = good_rates(row["tried"])
        return f"{low:.2g} to {high:.2g}"

    return Table.of(
        "Validation bits per character: mean over seeds (95% interval)",
        results["summary"]["rows"],
        {
            "optimiser": "{optimizer}",
            "clipped": lambda row: "yes" if row["clipped"] else "no",
            "bits per character": lambda row: stats.shown(row["bits"]),
            "learning rate": "{rate:.3g}",
            "good rates": good,
            "ratio": lambda row: f"{width(row):.1f}",
        },
        notes=[f"Good learning rates cost at most {GOOD} bits more than the best in the short runs "
               "that chose it (one seed each)."],
    )  # fmt: skip


def width(row: dict[str, Any]) -> float:
    """How many times the lowest good rate the highest is."""
    low, high = good_rates(row["tried"])
    return high / low


def answer(results: Results) -> str:
    rows = {row["name"]: row for row in results["summary"]["rows"]}
    losses = {name: row["bits"] for name, row in rows.items()}
    sentences = [f"From equally many characters {stats.verdict(losses)}"]
    if whole := stats.told_apart(losses)[0]:
        widths = {name: width(rows[name]) for name in whole}
        wide, narrow = max(widths, key=lambda n: widths[n]), min(widths, key=lambda n: widths[n])
        sentences += _on_clipping(whole)
        sentences.append(
            f"Of the learning rates that short runs tried, the highest within {GOOD} bits of the "
            f"best is {widths[wide]:.1f} times the lowest for {wide}, the most forgiving, and "
            f"{widths[narrow]:.1f} times for {narrow}, the least."
        )
    return " ".join(sentences)


def _on_clipping(losses: Mapping[str, Figures]) -> list[str]:
    """What it does to the optimisers that trained both with it and without."""
    pairs = {name: f"{name} with clipping" for name in losses if f"{name} with clipping" in losses}
    gains = {
        plain: stats.difference(losses[plain], losses[clipped], len(pairs))
        for plain, clipped in pairs.items()
    }
    if not gains:
        return []
    helped = [f"{name} by {gain:.3f} bits" for name, gain in gains.items() if gain.low > 0]
    harmed = [f"{name} by {-gain:.3f} bits" for name, gain in gains.items() if gain.high < 0]
    if not helped and not harmed:
        return ["Clipping the gradient's norm makes no difference that can be told, for any of "
                "them."]  # fmt: skip
    verdicts = [f"helps {stats.listing(helped)}"] if helped else []
    verdicts += [f"harms {stats.listing(harmed)}"] if harmed else []
    rest = len(gains) - len(helped) - len(harmed)
    verdicts += ["makes no difference that can be told to the rest"] if rest else []
    return [f"Clipping the gradient's norm {'; it '.join(verdicts)}."]


def draw(results: Results) -> Any:
    rows, names = results["summary"]["rows"], results["settings"]["optimizers"]
    picture, panels = figures(10, 7.6, 4, rows=2)
    lowest = min((bits for row in rows for bits in finite(row["curve"])), default=0.0)
    for clipped, curves, sensitivity in zip((False, True), panels[:2], panels[2:], strict=True):
        own = [row for row in rows if row["clipped"] == clipped]
        for row in own:
            style = {
                "color": COLORS[names.index(row["optimizer"])],
                "label": stats.counted(row["optimizer"], row["bits"]),
                "linestyle": "--" if row["optimizer"] == "adamw" else "-",  # lies on adam's
            }
            curve = stats.numbers(row["curve"])
            curves.plot(row["characters"][: len(curve)], curve, **style)
            rates, bits = stats.numbers(row["tried"]).T
            sensitivity.plot(rates / row["rate"], bits, marker=".", **style)
        title = f"clipped to norm {CLIP_NORM:g}" if clipped else "not clipped"
        label_learning(curves, f"{title}: at the rate taken", (lowest - 0.1, lowest + 1.5))
        least = min((x for row in own for x in finite([bits for _, bits in row["tried"]])),
                    default=0.0)  # fmt: skip
        sensitivity.set(title=f"{title}: short runs", xlabel="learning rate / the one taken",
                        ylabel="validation bits per character", xscale="log", xlim=(1 / 64, 64),
                        ylim=(least - 0.1, least + 1.5))  # fmt: skip
        curves.legend(frameon=False)
    return picture


STUDY = Study("optimisers", __doc__, FULL, QUICK, trials, table, answer, draw, seeds=5)

if __name__ == "__main__":
    conduct(STUDY)
