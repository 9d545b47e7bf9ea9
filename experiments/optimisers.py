"""Which optimiser trains a recurrent network best, does clipping the gradient help, and how well
must one know the learning rate?

Elman networks of two tanh layers learn Shakespeare by SGD, momentum, Adagrad, RMSProp, Adam and
AdamW, each with the gradient clipped to a global norm of 1 and without. All see equally many
characters, each at the best of many learning rates around those at which it usually works; how the
short runs that chose it fare at the others says how forgiving it is.
"""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from experiments.command_line.launch import launch
from experiments.laboratory.plots import COLORS, figures, millions
from experiments.laboratory.replicas import CUT, train_replicas, tune
from experiments.laboratory.statistics import best_of, difference, finite, shown, told_apart
from experiments.laboratory.study import Results, Study, define_flags, open_study, seeds_of
from experiments.laboratory.tables import Table
from jaxrnn import stacked
from jaxrnn.learning.recipe import Recipe
from jaxrnn.text import EncodedText, encode_corpus, open_corpus
from jaxrnn.text.problem import text_problem

# Where each usually works: the middle of the learning rates that are tried.
USUAL_RATES = {
    "sgd": 0.5, "momentum": 0.05, "adagrad": 0.02, "rmsprop": 1e-3, "adam": 4e-3, "adamw": 4e-3,
}  # fmt: skip
FACTOR = 2.0  # from one learning rate to the next
CLIP_NORM = 1.0
GOOD = 0.1  # a learning rate that costs at most so many bits more than the best is good enough
BATCH, CHUNK = 16, 32  # long chunks: gradients that explode do so over many time steps
# Sizes of hidden layers; steps; steps of tuning, how many learning rates it tries and how often it
# may move on; characters of the validation text.
FULL = {
    "optimizers": list(USUAL_RATES), "hidden": [128, 128], "steps": 1500, "tuning_steps": 300,
    "rates": 9, "moves": 1, "valid": 50_000,
}  # fmt: skip
QUICK = {
    "optimizers": ["sgd"], "hidden": [12], "steps": 40, "tuning_steps": 20, "rates": 2,
    "moves": 0, "valid": 2000,
}  # fmt: skip

define_flags("optimisers", seeds=5)


class Setting(NamedTuple):
    optimizer: str
    clipped: bool

    @property
    def name(self) -> str:
        return self.optimizer + (" with clipping" if self.clipped else "")


def main() -> int:
    quick, seeds = flags.FLAGS.quick, seeds_of("optimisers")
    sizes = QUICK if quick else FULL
    settings = {"corpus": flags.FLAGS.corpus, "seeds": list(seeds), **sizes}
    text = encode_corpus(open_corpus(flags.FLAGS.corpus))
    compared = [Setting(name, clipped) for name in sizes["optimizers"] for clipped in (False, True)]
    with open_study("optimisers", settings, len(compared)) as study:
        rows = [compare(study, text, setting, sizes, seeds) for setting in compared]
        return study.conclude({"rows": rows}, table=table, answer=answer, draw=draw)


def compare(
    study: Study,
    text: EncodedText,
    setting: Setting,
    sizes: dict[str, Any],
    seeds: tuple[int, ...],
) -> dict[str, Any]:
    """Trains by an optimiser at its best learning rate from several seeds."""
    symbols = text.vocabulary.size
    network = stacked(symbols, sizes["hidden"], symbols, "tanh")
    clip_norm = CLIP_NORM if setting.clipped else None
    recipe = Recipe(optimizer=setting.optimizer, clip_norm=clip_norm)
    valid = text.valid[: sizes["valid"]]
    problem = text_problem(text.train, valid, batch=BATCH, chunk=CHUNK, cut=CUT)

    def trial() -> dict[str, Any]:
        rates = rates_around(USUAL_RATES[setting.optimizer], sizes["rates"])
        rate, tried = tune(
            network, recipe, problem, steps=sizes["tuning_steps"], rates=rates, moves=sizes["moves"]
        )
        curves, _ = train_replicas(
            network, recipe, problem, seeds, [rate] * len(seeds), steps=sizes["steps"]
        )
        return {
            "rate": rate,
            "tried": [[curve.rate, curve.valid[-1]] for curve in tried],
            "curves": [curve._asdict() for curve in curves],
        }

    record = study.trial(setting.name, trial)
    curves = record["curves"]
    return {
        **setting._asdict(),
        "name": setting.name,
        "rate": record["rate"],
        "tried": record["tried"],
        "bits": [_rounded(curve["valid"][-1]) for curve in curves],
        "characters": [step * BATCH * CHUNK for step in curves[0]["steps"]],
        "curve": [_mean(bits) for bits in zip(*(c["valid"] for c in curves), strict=True)],
    }


def rates_around(middle: float, count: int) -> list[float]:
    """Learning rates, each `FACTOR` times the one before."""
    return [middle * FACTOR ** (i - count // 2) for i in range(count)]


def good_rates(tried: list[tuple[float, float | None]]) -> tuple[float, float]:
    """The ends of the range of learning rates around the best that are good enough.

    Args:
      tried: learning rates, rising, and the bits per character that each led to.

    Between those tried, bits are taken to be linear in the rate's logarithm; where all to one side
    are good enough, the range ends at the last.
    """
    rates = [rate for rate, _ in tried]
    bits = [math.inf if value is None else value for _, value in tried]
    best = int(np.argmin(bits))
    limit = bits[best] + GOOD

    def end(direction: int) -> float:
        i = best
        while 0 <= i + direction < len(rates):
            if bits[i + direction] > limit:
                share = (limit - bits[i]) / (bits[i + direction] - bits[i])
                return rates[i] * (rates[i + direction] / rates[i]) ** share
            i += direction
        return rates[i]

    return end(-1), end(1)


def table(results: Results) -> Table:
    made = Table(
        "Validation bits per character: mean over seeds (95% interval)",
        ["optimiser", "clipped", "bits per character", "learning rate", "good rates", "ratio"],
    )
    for row in results["summary"]["rows"]:
        low, high = good_rates(row["tried"])
        made.rows.append([
            row["optimizer"], "yes" if row["clipped"] else "no",
            shown(row["bits"]), f"{row['rate']:.3g}",
            f"{low:.2g} to {high:.2g}", f"{high / low:.1f}",
        ])  # fmt: skip
    made.notes.append(
        f"Good learning rates cost at most {GOOD} bits more than the best in the short runs that "
        "chose it (one seed each)."
    )
    return made


def answer(results: Results) -> str:
    rows = {row["name"]: row for row in results["summary"]["rows"]}
    losses, lost = told_apart({name: row["bits"] for name, row in rows.items()})
    if not losses:
        return f"No optimiser trained the network from every seed. {lost}"
    rates = _on_rates([rows[name] for name in losses])
    return " ".join([_on_the_best(losses), *_on_clipping(losses), rates, lost]).rstrip()


def _on_the_best(losses: dict[str, list[float]]) -> str:
    winner, equals = best_of(losses)
    how = f"The lowest loss is that of {winner} ({np.mean(losses[winner]):.3f} bits per character)"
    if len(losses) == 1:
        return f"{how}."
    if len(equals) == len(losses) - 1:
        return f"{how}, but none of the others can be told from it."
    if equals:
        return f"{how}, but {_listed(equals)} cannot be told from it."
    runner = min((n for n in losses if n != winner), key=lambda n: float(np.mean(losses[n])))
    gap = difference(losses[runner], losses[winner], len(losses) - 1)
    return f"{how}: the next, {runner}, needs {gap:.3f} bits more."


def _on_clipping(losses: dict[str, list[float]]) -> list[str]:
    """What it does to the optimisers that trained both with it and without."""
    helped, harmed = [], []
    pairs = {name: f"{name} with clipping" for name in losses if f"{name} with clipping" in losses}
    if not pairs:
        return []
    for plain, clipped in pairs.items():
        gain = difference(losses[plain], losses[clipped], len(pairs))
        loss = difference(losses[clipped], losses[plain], len(pairs))
        if gain.low > 0:
            helped.append(f"{plain} by {gain:.3f} bits")
        elif loss.low > 0:
            harmed.append(f"{plain} by {loss:.3f} bits")
    if not helped and not harmed:
        said = "makes no difference that can be told, for any of them"
        return [f"Clipping the gradient's norm {said}."]
    verdicts = ["helps " + _listed(helped)] if helped else []
    verdicts += ["harms " + _listed(harmed)] if harmed else []
    rest = len(pairs) - len(helped) - len(harmed)
    verdicts += ["makes no difference that can be told to the rest"] if rest else []
    return [f"Clipping the gradient's norm {'; it '.join(verdicts)}."]


def _on_rates(rows: list[dict[str, Any]]) -> str:
    ends = {row["name"]: good_rates(row["tried"]) for row in rows}
    widths = {name: high / low for name, (low, high) in ends.items()}
    wide, narrow = max(widths, key=lambda n: widths[n]), min(widths, key=lambda n: widths[n])
    return (
        f"Of the learning rates that short runs tried, the highest within {GOOD} bits of the best "
        f"is {widths[wide]:.1f} times the lowest for {wide}, the most forgiving, and "
        f"{widths[narrow]:.1f} times for {narrow}, the least."
    )


def draw(results: Results) -> Any:
    rows = results["summary"]["rows"]
    names = results["settings"]["optimizers"]
    picture, panels = figures(10, 7.6, 4, rows=2)
    lowest = min((bits for row in rows for bits in finite(row["curve"])), default=0.0)
    for clipped, curves, sensitivity in zip((False, True), panels[:2], panels[2:], strict=True):
        for row in rows:
            if row["clipped"] == clipped:
                style = {"color": COLORS[names.index(row["optimizer"])], "label": row["optimizer"]}
                style["linestyle"] = "--" if row["optimizer"] == "adamw" else "-"  # lies on adam's
                curves.plot(row["characters"], _plotted(row["curve"]), **style)
                rates, bits = zip(*row["tried"], strict=True)
                sensitivity.plot(np.array(rates) / row["rate"], _plotted(bits), marker=".", **style)
        title = f"clipped to norm {CLIP_NORM:g}" if clipped else "not clipped"
        curves.set(title=f"{title}: best learning rates", xlabel="characters trained on",
                   ylim=(lowest - 0.1, lowest + 1.5))  # fmt: skip
        curves.xaxis.set_major_formatter(millions)
        tried = (finite([bits for _, bits in row["tried"]]) for row in rows)
        least = min(itertools.chain(*tried), default=0.0)
        sensitivity.set(title=f"{title}: short runs", xlabel="learning rate / best learning rate",
                        xscale="log", xlim=(1 / 64, 64),
                        ylim=(least - 0.1, least + 1.5))  # fmt: skip
        for axes in (curves, sensitivity):
            axes.set_ylabel("validation bits per character")
        curves.legend(frameon=False)
    return picture


def _plotted(values: Any) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _mean(values: tuple[float | None, ...]) -> float | None:
    finite = [value for value in values if value is not None]
    return round(float(np.mean(finite)), 4) if len(finite) == len(values) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


if __name__ == "__main__":
    launch(main, __doc__ or "")
