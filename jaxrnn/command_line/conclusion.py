"""The end of a run of char_lm: the files that it leaves behind, and what it says."""

import signal
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax

from jaxrnn.command_line.learning_curve import draw_learning_curve
from jaxrnn.command_line.terminal import readable
from jaxrnn.running.display import Unfailing
from jaxrnn.running.exits import DIVERGED
from jaxrnn.running.fitting import Fitted
from jaxrnn.running.signals import STOPPING
from jaxrnn.running.workdir import WorkDirectory
from jaxrnn.text import EncodedText
from jaxrnn.text.language_model import LanguageModel, load_language_model
from jaxrnn.text.sampling import Choice
from jaxrnn.text.settings import Settings
from jaxrnn.text.unknown import NOTABLE, told, unknown_share
from jaxrnn.text.vocabulary import Text

SAMPLE_TEMPERATURE = 0.7
SAMPLE_LENGTH = 2000  # characters


def conclude(
    settings: Settings,
    text: EncodedText,
    fitted: Fitted,
    workdir: WorkDirectory,
    display: Unfailing,
) -> int:
    """Writes what a run leaves behind and says how it ended; returns the exit code.

    What is only to be looked at comes last.
    """
    if fitted.reason in STOPPING:
        code = stopped(fitted, display)
    elif fitted.reason == "not finite":
        code = _diverged(fitted, workdir, display)
    elif fitted.progress.best is None:
        code = _never_finite(settings, text, fitted, workdir, display)
    else:
        code = _finished(settings, text, fitted, workdir, display)
    picture = workdir.path / "learning_curve.png"
    display.made(
        picture.name,
        lambda: draw_learning_curve(workdir.metrics(), picture, text.vocabulary.level),
    )
    return code


def sample(model: LanguageModel, length: int, seed: int) -> Text:
    """What shows a person how far a model is."""
    choice = Choice(temperature=SAMPLE_TEMPERATURE)
    (text,) = model.texts(length, choice=choice, seed=seed)
    return text if isinstance(text, bytes) else text.strip("\n")


def stopped(fitted: Fitted, display: Unfailing) -> int:
    """Says where a signal ended a run that is kept; returns the exit code."""
    step, saved = fitted.progress.step, fitted.saved
    kept = "and saved" if saved == step else f"where steps were skipped; step {saved:,} is saved"
    display.say(f"\nStopped at step {step:,} {kept}; the same command goes on.")
    return 128 + signal.Signals[fitted.reason]


def _diverged(fitted: Fitted, workdir: WorkDirectory, display: Unfailing) -> int:
    progress = fitted.progress
    display.say(
        f"\nTraining stopped at step {progress.step:,}: the loss, its gradient or what a step "
        f"would have left behind was not finite {progress.skipped_in_a_row} steps in a row, though "
        f"{progress.restarted:,} lanes were started anew meanwhile. {_advice(fitted, workdir)}"
    )
    return DIVERGED


def _never_finite(
    settings: Settings,
    text: EncodedText,
    fitted: Fitted,
    workdir: WorkDirectory,
    display: Unfailing,
) -> int:
    result = _result(settings, text, fitted, None, display)
    display.say(f"\n{_summary(result)}")
    display.say(
        "No evaluation was finite, so that there is no best state, no result.json and no "
        f"sample.txt. {_advice(fitted, workdir)}"
    )
    return DIVERGED


def _advice(fitted: Fitted, workdir: WorkDirectory) -> str:
    """What is left, and how to go on."""
    lower = "a lower --learning_rate or --clip_norm"
    if not fitted.saved:
        return f"No state was worth keeping; train anew with {lower}."
    best = fitted.progress.best_step
    return (
        f"{workdir.path} keeps the state of step {fitted.saved:,}"
        + (f", and as the best one that of step {best:,}" if best is not None else "")
        + f"; --override with {lower} goes on from there."
    )


def _finished(
    settings: Settings,
    text: EncodedText,
    fitted: Fitted,
    workdir: WorkDirectory,
    display: Unfailing,
) -> int:
    progress = fitted.progress
    known = _known(workdir)
    if known is not None and known["steps"] == progress.step:
        is_stale = fitted.reason == "patience"
        more = "a higher --patience" if is_stale else f"more --{settings.length.unit}"
        display.say(f"This run is finished; give it {more} to go on.\n{_summary(known)}")
        return 0
    best = display.made("best state", lambda: load_language_model(workdir.path, which="best"))
    result = _result(settings, text, fitted, best, display)
    written = None if best is None else _write_sample(best, settings.seed, workdir, display)
    workdir.write_json("result.json", result)  # the last file: without it the others are made anew
    if written is not None:
        display.say(f"\nWhat the best state, of step {progress.best_step:,}, writes:\n\n{written}")
    display.say(f"\n{_summary(result)}")
    display.say(f"Everything is in {workdir.path}: result.json, learning_curve.png, sample.txt ...")
    return 0


def _write_sample(
    best: LanguageModel, seed: int, workdir: WorkDirectory, display: Unfailing
) -> str | None:
    def make() -> str:
        written = sample(best, SAMPLE_LENGTH, seed)
        content = written if isinstance(written, bytes) else f"{written}\n".encode()
        workdir.write_bytes("sample.txt", content)
        return readable(written)

    return display.made("sample.txt", make)


def _result(
    settings: Settings,
    text: EncodedText,
    fitted: Fitted,
    best: LanguageModel | None,
    display: Unfailing,
) -> dict[str, Any]:
    """Bits per character of the best state; step and characters of it and of the end."""
    progress, per_step = fitted.progress, settings.text.batch * settings.text.chunk
    characters = progress.step * per_step
    test = None
    if best is not None and len(text.test) > 1:
        test = display.made("figure of the test split", lambda: best.bits_per_character(text.test))
    best_step = progress.best_step
    return {
        "valid_bits_per_character": progress.best,
        "test_bits_per_character": test,
        "best_step": best_step,
        "best_characters_trained": None if best_step is None else best_step * per_step,
        "last_valid_bits_per_character": progress.figure,
        "steps": progress.step,
        "characters_trained": characters,
        "unit": text.vocabulary.level,  # bytes with --bytes; the names stay
        "parameters": sum(array.size for array in jax.tree.leaves(fitted.state.params)),
        "characters_per_second": round(characters / max(progress.seconds, 1e-9), 1),
        "seconds": round(progress.seconds, 1),
        "steps_skipped": progress.skipped,
        "lanes_restarted": progress.restarted,
        "stopped_because": fitted.reason,
        **_coverage(text, best, display),
    }


def _coverage(
    text: EncodedText, best: LanguageModel | None, display: Unfailing
) -> dict[str, float | None]:
    """How much of the splits the model does not know, and what all else costs it where it does."""
    found = {}
    for name, part in (("valid", text.valid), ("test", text.test)):
        share, known = unknown_share(part[1:]), None  # the first one is not predicted
        if share and best is not None:
            judge = partial(best.tally_split, part)
            tally = display.made(f"figure of what is known of the {name} split", judge)
            known = tally and tally.known.bits
        found |= {f"{name}_unknown_share": share, f"{name}_bits_per_known_character": known}
    return found


def _known(workdir: WorkDirectory) -> dict[str, Any] | None:
    """The result of an earlier end, where there is one that can be read."""
    known = workdir.read_json("result.json") or {}
    return known if known.keys() >= _SUMMARISED else None


_SUMMARISED = {
    "valid_bits_per_character", "test_bits_per_character", "best_step", "best_characters_trained",
    "last_valid_bits_per_character", "steps", "characters_trained", "unit", "seconds",
    "characters_per_second", "steps_skipped", "lanes_restarted",
}  # fmt: skip


def _summary(result: Mapping[str, Any]) -> str:
    """The best state and the last one, each with its figures and its place."""
    unit, test = result["unit"], result["test_bits_per_character"]
    best, last = result["valid_bits_per_character"], result["last_valid_bits_per_character"]
    best_place = (result["best_characters_trained"], result["best_step"])
    last_place = (result["characters_trained"], result["steps"])
    parts = []
    if best is not None:
        tested = "" if test is None else f", {test:.4f} on the test split,"
        parts.append(f"best: {_found(best, unit)}{tested}{_after(*best_place, unit)}")
    if best_place != last_place:
        parts.append(f"at the end: {_found(last, unit)}{_after(*last_place, unit)}")
    speed = f"{result['characters_per_second']:,.0f} {unit}s a second"
    return (
        f"{'; '.join(parts)}; {result['seconds']:,.0f} s ({speed})."
        + _unknown(result)
        + _skipped(result["steps_skipped"], result["lanes_restarted"])
    )  # fmt: skip


def _found(bits: float | None, unit: str) -> str:
    number = "no finite" if bits is None else f"{bits:.4f}"
    return f"{number} bits per {unit} on the validation split"


def _after(characters: int, step: int, unit: str) -> str:
    return f" after {characters:,} {unit}s (step {step:,})"


def _unknown(result: Mapping[str, Any]) -> str:
    sentences = ""
    for name, split in (("valid", "validation"), ("test", "test")):
        share = result.get(f"{name}_unknown_share") or 0
        known = result.get(f"{name}_bits_per_known_character")
        if share >= NOTABLE:
            sentences += "\n" + told(share, result["unit"], f"the {split} split", others=known)
    return sentences


def _skipped(steps: int, lanes: int) -> str:
    if not steps:
        return ""
    return (
        f"\nSkipped, because something in them was not finite: {steps:,} steps; lanes started anew "
        f"at them: {lanes:,}."
    )
