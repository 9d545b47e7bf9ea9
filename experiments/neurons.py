"""Are there units in a trained network that track something one can name: a speaker's name, a stage
direction, the position in the line?

An LSTM learns Shakespeare. Of each named feature the unit that correlates with it most closely is
searched on one half of a text not trained on, and judged on the other half; so is the best unit of
the same network before training. `--run=DIR` takes a model that char_lm trained instead. Writes
neurons.html as well: a passage coloured by these units.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags
from jaxtyping import Float, Integer

from experiments.command_line.launch import group, launch
from experiments.laboratory.coloured import draw_scale, draw_text, page
from experiments.laboratory.plots import figures
from experiments.laboratory.replicas import CUT, train_replicas, tune
from experiments.laboratory.statistics import Interval, difference, mean_of
from experiments.laboratory.study import Results, define_flags, open_study, seeds_of
from experiments.laboratory.tables import Table
from experiments.laboratory.units import activations, correlations
from jaxrnn import InputError, Network, Params, init, stacked
from jaxrnn.learning.recipe import Recipe
from jaxrnn.storage.files import user_path
from jaxrnn.text import EncodedText, encode_corpus, open_corpus
from jaxrnn.text.language_model import LanguageModel, load_language_model
from jaxrnn.text.problem import text_problem

BATCH, CHUNK = 32, 64
# Units; steps, and those of tuning; how often tuning may move on; characters of the validation text
# that are read; characters of the passage that is shown.
FULL = {"hidden": 128, "steps": 3000, "tuning": 200, "moves": 1, "read": 100_000, "shown": 900}
QUICK = {"hidden": 8, "steps": 20, "tuning": 10, "moves": 0, "read": 4000, "shown": 300}
LINES, WIDTH = 9, 56  # of a panel of the picture, which shows about the first FIRST characters
FIRST = 300

define_flags("neurons", seeds=5)
RUN = flags.DEFINE_string("run", None, "Take the model of this work directory, or exported one.")
group("The model", RUN)

Values = Float[np.ndarray, " length"]


class Reading(NamedTuple):
    """The text that the units read; what is searched on its first half is judged on its second."""

    tokens: Integer[np.ndarray, " length"]
    characters: str
    features: dict[str, Values]
    shown: slice  # of the second half

    @property
    def half(self) -> int:
        return len(self.tokens) // 2


def main() -> int:
    quick, seeds = flags.FLAGS.quick, seeds_of("neurons")
    sizes = QUICK if quick else FULL
    settings = {"corpus": flags.FLAGS.corpus, "seeds": list(seeds), "run": RUN.value, **sizes}
    model = None if RUN.value is None else load_language_model(user_path(RUN.value))
    if model is not None and len(model.network.layers) == 1:
        raise InputError(f"the network in {RUN.value} has no hidden layer, so no units to look at")
    text = encode_corpus(
        open_corpus(flags.FLAGS.corpus), vocabulary=None if model is None else model.vocabulary
    )
    reading = read(text, sizes)
    with open_study("neurons", settings, 1) as study:
        record = study.trial("units", lambda: compare(text, reading, model, sizes, seeds))
        summary = {key: record[key] for key in ("cell", "bits", "rate", "passage", "rows")}
        study.workdir.write_text("neurons.html", make_page(summary))
        return study.conclude(summary, table=table, answer=answer, draw=draw)


def read(text: EncodedText, sizes: dict[str, Any]) -> Reading:
    tokens = text.valid[: sizes["read"]]
    characters = text.vocabulary.decode(tokens)
    if len(characters) != len(tokens):
        raise InputError(
            "the model reads bytes, several of which may be one character; give one of characters"
        )
    half = len(tokens) // 2
    features = {name: feature(characters) for name, feature in FEATURES.items()}
    features = {name: x for name, x in features.items() if np.ptp(x[:half]) and np.ptp(x[half:])}
    if not features:
        raise InputError("the validation text has nothing that is looked for; give more text")
    start = half + passage(
        characters[half:], [x[half:] for x in features.values()], sizes["shown"], FIRST
    )
    return Reading(tokens, characters, features, slice(start, start + sizes["shown"]))


def compare(
    text: EncodedText,
    reading: Reading,
    model: LanguageModel | None,
    sizes: dict[str, Any],
    seeds: tuple[int, ...],
) -> dict[str, Any]:
    """Finds the best units of networks before and after training."""
    if model is None:
        network, trained, facts = train(text, sizes, seeds)
    else:
        network, trained, facts = model.network, [model.params], {"rate": None, "bits": []}
    found = [best_units(network, params, reading) for params in trained]
    untrained = (init(network, jax.random.key(seed)) for seed in seeds)
    control = [best_units(network, params, reading) for params in untrained]
    rows = []
    for i, name in enumerate(reading.features):
        # The network to be shown is chosen as units are: by the half on which they are searched.
        best = max((replica[i] for replica in found), key=lambda unit: unit["searched"])
        rows.append({
            "feature": name, "unit": best["name"], "correlation": best["judged"],
            "trained": [replica[i]["judged"] for replica in found],
            "untrained": [replica[i]["judged"] for replica in control],
            "shown": best["shown"],
        })  # fmt: skip
    cell = network.layers[0].cell.name
    return {"cell": cell, **facts, "passage": reading.characters[reading.shown], "rows": rows}


def train(
    text: EncodedText, sizes: dict[str, Any], seeds: tuple[int, ...]
) -> tuple[Network, list[Params], dict[str, Any]]:
    """Networks that differ in seed alone, at their best learning rate."""
    symbols = text.vocabulary.size
    recipe, network = Recipe(), stacked(symbols, [sizes["hidden"]], symbols, "lstm")
    valid = text.valid[: sizes["read"]]
    problem = text_problem(text.train, valid, batch=BATCH, chunk=CHUNK, cut=CUT)
    rate, _ = tune(network, recipe, problem, steps=sizes["tuning"], moves=sizes["moves"])
    curves, params = train_replicas(
        network, recipe, problem, seeds, [rate] * len(seeds), steps=sizes["steps"], evaluations=1
    )
    replicas = [jax.tree.map(lambda x, i=i: x[i], params) for i in range(len(seeds))]
    return network, replicas, {"rate": rate, "bits": [curve.valid[-1] for curve in curves]}


# Features: what is known once a character has been read, one number for each character.


NAME = r"(?:(?<=\n\n)|\A)[^\n]+:(?=\n)"


def in_name(text: str) -> Values:
    """1 in a speaker's name: the first line of a paragraph, where it ends with a colon."""
    return _inside(text, NAME)


def in_direction(text: str) -> Values:
    """1 in a stage direction, from its opening bracket to before the closing one."""
    return _inside(text, r"\[[^\]]*")


def line_position(text: str) -> Values:
    """Characters since the line end; 0 at the line end itself."""
    return _since(text, r"\n")


def word_position(text: str) -> Values:
    """Letters and apostrophes of the word so far; 0 between words."""
    return _since(text, r"[^\w']")


def speech_length(text: str) -> Values:
    """log(1 + characters since the last speaker's name)."""
    return np.log1p(_since(text, NAME))


def upper_case(text: str) -> Values:
    """1 at an upper-case letter: what takes no memory to know."""
    return _inside(text, r"[A-Z]")


FEATURES: dict[str, Callable[[str], Values]] = {
    "speaker's name": in_name,
    "stage direction": in_direction,
    "position in the line": line_position,
    "position in the word": word_position,
    "length of the speech": speech_length,
    "upper case": upper_case,
}


def _inside(text: str, pattern: str) -> Values:
    """1 in whatever matches, else 0."""
    values = np.zeros(len(text))
    for match in re.finditer(pattern, text):
        values[match.start() : match.end()] = 1
    return values


def _since(text: str, pattern: str) -> Values:
    """Characters since the last one of the latest match, or since the text's first; 0 if none."""
    ends = [match.end() - 1 for match in re.finditer(pattern, text)]
    if not ends:
        return np.zeros(len(text))
    last = np.zeros(len(text), int)
    last[ends] = ends
    return np.arange(len(text)) - np.maximum.accumulate(last).astype(float)


# Units.


def best_units(network: Network, params: Params, reading: Reading) -> list[dict[str, Any]]:
    """For each feature the unit that correlates with it most closely in the half to search.

    `searched` is how closely, `judged` its correlation in the other half, turned such that the
    former is positive. `shown` are its activations in the passage to show, turned likewise, in
    standard deviations from its mean: as one text, which is one line of JSON.
    """
    half, features = reading.half, np.stack(list(reading.features.values()), axis=1)
    names, units = activations(network, params, reading.tokens)
    searched = correlations(units[:half], features[:half])
    judged = correlations(units[half:], features[half:])
    found = []
    for i, best in enumerate(np.abs(searched).argmax(axis=0)):
        sign, unit = np.sign(searched[best, i]), units[half:, best]
        deviations = sign * (units[reading.shown, best] - unit.mean()) / (unit.std() or 1)
        found.append({
            "name": names[best],
            "searched": round(float(sign * searched[best, i]), 4),
            "judged": round(float(sign * judged[best, i]), 4),
            "shown": " ".join(f"{x:.2f}" for x in deviations),
        })  # fmt: skip
    return found


def passage(text: str, features: Sequence[Values], length: int, first: int) -> int:
    """Where to begin so that `length` characters follow, the first of which show all features."""
    starts = [match.end() for match in re.finditer(r"\n\n", text[: 1 - length])] or [0]
    return max(
        starts, key=lambda start: min(np.std(x[start : start + first]) / x.std() for x in features)
    )


# What is shown.


def table(results: Results) -> Table:
    shown = Table(
        "Correlation of the best unit with the feature, on text on which it was not searched: mean "
        "over seeds (95% interval)",
        ["feature", "trained", "untrained", "best unit", "its correlation"],
    )
    for row in results["summary"]["rows"]:
        shown.rows.append([
            row["feature"], f"{mean_of(row['trained']):.2f}", f"{mean_of(row['untrained']):.2f}",
            row["unit"], f"{row['correlation']:.2f}",
        ])  # fmt: skip
    shown.notes.append("neurons.html shows a passage coloured by each of these units.")
    return shown


def answer(results: Results) -> str:
    rows, cell = results["summary"]["rows"], results["summary"]["cell"]
    learned = [row for row in rows if _gain(row, len(rows)).low > 0]
    best = max(learned or rows, key=lambda row: _gain(row).mean)
    gap = (
        f"The widest gap is that of {best['feature']}: the best unit's correlation is "
        f"{mean_of(best['untrained']):.2f} before training, {mean_of(best['trained']):.2f} after."
    )
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
    picture, panels = figures(8.2, 2.35 * len(rows) + 0.5, len(rows), len(rows))
    for axes, row in zip(panels, rows, strict=True):
        draw_text(axes, summary["passage"], _numbers(row["shown"]), lines=LINES, width=WIDTH)
        axes.set_title(_heading(row), loc="left", fontsize=10)
    draw_scale(picture, panels, "activation: standard deviations from the unit's mean, turned such "
               "that it rises with the feature")  # fmt: skip
    return picture


def make_page(summary: dict[str, Any]) -> str:
    """The passage once for each feature, as a page of HTML."""
    return page(
        "Units that track something",
        f"A text that the network ({summary['cell']}) was not trained on. The colour of a "
        "character is the activation, once it has been read, of the unit that tracks the feature "
        "best; units were searched on other text. Blue is below the unit's mean and red above it, "
        "or the other way round for a unit that falls where the feature rises.",
        [(_heading(row), summary["passage"], _numbers(row["shown"])) for row in summary["rows"]],
    )


def _heading(row: dict[str, Any]) -> str:
    return (
        f"{row['feature']}: {row['unit']}, correlation {row['correlation']:.2f} "
        f"(before training {np.mean(row['untrained']):.2f})"
    )


def _numbers(shown: str) -> Values:
    return np.array(shown.split(), float)


def _gain(row: dict[str, Any], comparisons: int = 1) -> Interval:
    return difference(row["trained"], row["untrained"], comparisons)


if __name__ == "__main__":
    launch(main, __doc__ or "")
