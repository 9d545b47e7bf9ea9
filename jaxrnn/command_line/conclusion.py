"""The end of a run of char_lm: the files that it leaves behind, and what it says."""

import math
import signal
from collections.abc import Mapping
from typing import Any

from jaxrnn.command_line.learning_curve import draw_learning_curve
from jaxrnn.command_line.progress import ProgressDisplay
from jaxrnn.running.exits import DIVERGED
from jaxrnn.running.fitting import Fitted
from jaxrnn.running.workdir import WorkDirectory
from jaxrnn.text import EncodedText
from jaxrnn.text.language_model import LanguageModel, load_language_model
from jaxrnn.text.sampling import Choice
from jaxrnn.text.settings import Settings

SAMPLE_TEMPERATURE = 0.7
SAMPLE_LENGTH = 2000  # characters


def conclude(
    settings: Settings,
    text: EncodedText,
    fitted: Fitted,
    workdir: WorkDirectory,
    display: ProgressDisplay,
) -> int:
    """Writes what a run leaves behind and says how it ended; returns the exit code."""
    progress, reason = fitted.progress, fitted.reason
    picture = workdir.path / "learning_curve.png"
    draw_learning_curve(workdir.metrics(), picture, text.vocabulary.level)
    if reason in ("SIGINT", "SIGTERM"):
        display.say(f"\nStopped at step {progress.step:,} and saved; the same command goes on.")
        return 128 + signal.Signals[reason]
    if reason == "not finite":
        display.say(
            f"\nTraining stopped at step {progress.step:,}: the loss, its gradient or what a step "
            f"would have left behind was not finite {progress.skipped_in_a_row} steps in a row, "
            f"though {progress.restarted:,} lanes were started anew meanwhile. Train in another "
            f"--workdir with a lower --learning_rate or --clip_norm; {workdir.path} is left as it "
            "was."
        )
        return DIVERGED
    known = workdir.read_json("result.json")
    if known is not None and known["steps"] == progress.step:
        how = "a higher --patience" if reason == "patience" else f"more --{settings.length.unit}"
        display.say(f"This run is finished; give it {how} to go on.\n{_summary(known)}")
        return 0
    best = load_language_model(workdir.path)
    result = _result(settings, text, best, fitted)
    written = sample(best, SAMPLE_LENGTH, settings.seed)
    workdir.write_text("sample.txt", written + "\n")
    workdir.write_json("result.json", result)
    display.say(f"\nWhat it writes now:\n\n{written}\n\n{_summary(result)}")
    display.say(f"Everything is in {workdir.path}: result.json, learning_curve.png, sample.txt ...")
    return 0


def sample(model: LanguageModel, length: int, seed: int) -> str:
    """What shows a person how far a model is."""
    choice = Choice(temperature=SAMPLE_TEMPERATURE)
    return model.texts(length, choice=choice, seed=seed)[0].strip("\n")


def _result(
    settings: Settings, text: EncodedText, best: LanguageModel, fitted: Fitted
) -> dict[str, Any]:
    progress = fitted.progress
    characters = progress.step * settings.text.batch * settings.text.chunk
    test = best.bits_per_character(text.test) if len(text.test) > 1 else None
    return {
        "valid_bits_per_character": _finite(progress.best),
        "test_bits_per_character": _finite(test),
        "unit": text.vocabulary.level,  # bytes with --bytes; the names stay
        "parameters": best.network.parameter_count,
        "characters_trained": characters,
        "characters_per_second": round(characters / progress.seconds, 1),
        "seconds": round(progress.seconds, 1),
        "steps": progress.step,
        "steps_skipped": progress.skipped,
        "lanes_restarted": progress.restarted,
        "stopped_because": fitted.reason,
    }


def _finite(number: float | None) -> float | None:
    """None for what JSON cannot hold."""
    return number if number is not None and math.isfinite(number) else None


def _summary(result: Mapping[str, Any]) -> str:
    valid, test = result["valid_bits_per_character"], result["test_bits_per_character"]
    return (
        ("no finite" if valid is None else f"{valid:.4f}")
        + f" bits per {result['unit']} on the validation split"
        + (f", {test:.4f} on the test split" if test is not None else "")
        + f", after {result['characters_trained']:,} {result['unit']}s "
        f"in {result['seconds']:,.0f} s ({result['characters_per_second']:,.0f} a second)."
        + _skipped(result["steps_skipped"], result["lanes_restarted"])
    )


def _skipped(steps: int, lanes: int) -> str:
    if not steps:
        return ""
    return (
        f"\nSkipped, because something in them was not finite: {steps:,} steps; lanes started anew "
        f"at them: {lanes:,}."
    )
