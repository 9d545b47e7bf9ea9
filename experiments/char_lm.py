"""Trains a character-level language model: reads a text, learns to predict the next character.

The same command again goes on from the last checkpoint. Ctrl-C and SIGTERM save before they stop.
"""

import contextlib
import math
import signal
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax
from absl import flags
from jax.sharding import Mesh

from experiments.command_line.launch import group, launch
from experiments.command_line.learning_curve import draw_learning_curve
from experiments.command_line.progress import ProgressDisplay
from jaxrnn import CELLS, INITIALIZERS, InputError, Network, stacked
from jaxrnn.core.parameters import Params
from jaxrnn.learning.optimizers import OPTIMIZERS, SCHEDULES
from jaxrnn.learning.parallel import data_mesh, placement
from jaxrnn.learning.recipe import Recipe
from jaxrnn.running import train
from jaxrnn.running.devices import cores, devices_as_before, use_cores, worthwhile_devices
from jaxrnn.running.directory import InDirectory
from jaxrnn.running.exits import DIVERGED
from jaxrnn.running.fitting import Fitted
from jaxrnn.running.processes import (
    check_alike,
    from_writer,
    is_writer,
    jax_settings,
    joined,
    least,
)
from jaxrnn.running.stopping import Stopping
from jaxrnn.running.workdir import (
    WorkDirectory,
    open_workdir,
    silent_workdir,
    surroundings_before,
)
from jaxrnn.storage.checkpoints import Checkpoints
from jaxrnn.storage.files import user_path
from jaxrnn.text import (
    NAMES,
    EncodedText,
    encode_corpus,
    open_corpus,
    own_cells,
    steps_per_epoch,
)
from jaxrnn.text.language_model import (
    LanguageModel,
    load_language_model,
)
from jaxrnn.text.problem import text_problem
from jaxrnn.text.sampling import Choice

QUICK: dict[str, Any] = {
    "corpus": ["shakespeare"], "split": [0.9, 0.05, 0.05],
    "bytes": False, "lowercase": False, "collapse_whitespace": False,
    "cells": [], "cell": "gru", "hidden": [256], "skip": False, "feedback": False,
    "initializer": None, "recurrent_initializer": None,
    "dropout": 0.0, "locked": False, "l1": 0.0, "l2": 0.0,
    "chunk": 32, "segment": None, "batch": 32, "random_chunks": False,
    "steps": 8500, "epochs": None, "minutes": None, "patience": 0,
    "optimizer": "adam", "learning_rate": 8e-3, "schedule": "cosine",
    "clip_norm": 1.0, "clip_value": None,
    "evaluate_every": 1000, "checkpoint_every": 500, "seed": 0, "dtype": "float32",
}  # fmt: skip
PRESETS: dict[str, dict[str, Any]] = {
    "quick": QUICK,
    "seed": QUICK | {
        "lowercase": True, "collapse_whitespace": True, "cell": "elu", "hidden": [128, 128],
        "chunk": 16, "random_chunks": True, "steps": 20_000, "learning_rate": 1e-3,
        "schedule": "constant", "clip_norm": None, "evaluate_every": 2000,
    },
    "best": QUICK | {
        "hidden": [320, 320], "skip": True, "chunk": 64, "steps": 12_000, "learning_rate": 4e-3,
    },
}  # fmt: skip
LENGTHS = ("steps", "epochs", "minutes")
GRAPH = ("cell", "hidden", "skip", "feedback")
DTYPES = ("float32", "bfloat16", "float64")
SAMPLE_TEMPERATURE = 0.7

CORPUS = flags.DEFINE_list(
    "corpus", None, f"Texts to read, joined: {', '.join(NAMES)}, or paths of files (also .gz, .bz2,"
    " .xz, MediaWiki .xml) and directories of .txt files."
)  # fmt: skip
SPLIT = flags.DEFINE_list("split", None, "Fractions of the text for training, validation, test.")
BYTES = flags.DEFINE_boolean("bytes", None, "Read bytes instead of characters.")
LOWERCASE = flags.DEFINE_boolean("lowercase", None, "Read the text in lower case.")
COLLAPSE = flags.DEFINE_boolean(
    "collapse_whitespace", None, "Read each run of white space as one space."
)

WORKDIR = flags.DEFINE_string("workdir", None, "Where the run is kept [runs/PRESET].")
PRESET = flags.DEFINE_enum(
    "preset", "quick", list(PRESETS), "Settings to start from; other flags override them. quick: a"
    " few minutes on two CPU cores; seed: a small plain network without tricks; best: a larger"
    " network, about an hour on two CPU cores."
)  # fmt: skip
SEED = flags.DEFINE_integer(
    "seed", None, "Decides parameters, chunks, dropout and samples.", lower_bound=0,
    upper_bound=2**32 - 1,
)  # fmt: skip
DTYPE = flags.DEFINE_enum(
    "dtype", None, DTYPES, "Of the arithmetic; bfloat16 is for matrix products only."
)

OWN_CELLS = flags.DEFINE_list("cells", None, own_cells.HELP)
CELL = flags.DEFINE_string(
    "cell", None, f"What hidden layers are made of: {', '.join(CELLS)}, or one of yours."
)
HIDDEN = flags.DEFINE_list("hidden", None, "Sizes of the hidden layers, from the input up.")
SKIP = flags.DEFINE_boolean("skip", None, "Connect the input and the output to every layer.")
FEEDBACK = flags.DEFINE_boolean("feedback", None, "Connect each layer to the one below, delay 1.")
NETWORK = flags.DEFINE_string(
    "network", None, "A JSON file with any graph, instead of the four flags above; sizes of input"
    " and output may be left out."
)  # fmt: skip
INITIALIZER = flags.DEFINE_enum(
    "initializer", None, list(INITIALIZERS), "For matrices from below [as the cell recommends]."
)
RECURRENT_INITIALIZER = flags.DEFINE_enum(
    "recurrent_initializer", None, list(INITIALIZERS), "For matrices of delayed connections"
    " [as the cell recommends]."
)  # fmt: skip

CHUNK = flags.DEFINE_integer(
    "chunk", None, "Time steps that back-propagation through time sees.", lower_bound=1
)
SEGMENT = flags.DEFINE_integer(
    "segment", None, "Run chunks in segments of so many steps, which saves memory and costs one"
    " more forward pass; 0: never [128 for chunks of 1024 and more].", lower_bound=0,
)  # fmt: skip
BATCH = flags.DEFINE_integer("batch", None, "Lanes: chunks in one step.", lower_bound=1)
RANDOM_CHUNKS = flags.DEFINE_boolean(
    "random_chunks", None, "Draw chunks at random and start each from the zero state, instead of"
    " reading on in every lane with the state carried."
)  # fmt: skip
DROPOUT = flags.DEFINE_float("dropout", None, "Rate, on delay-0 connections only.")
LOCKED = flags.DEFINE_boolean("locked", None, "Hold one dropout mask for a whole chunk.")
L1 = flags.DEFINE_float(
    "l1", None, "Weight of the sum of absolute weights in the loss.", lower_bound=0
)
L2 = flags.DEFINE_float(
    "l2", None, "Weight of half the sum of squared weights in the loss.", lower_bound=0
)

STEPS = flags.DEFINE_integer("steps", None, "Train for so many steps.", lower_bound=1)
EPOCHS = flags.DEFINE_float(
    "epochs", None, "Or train until the training text was read so many times.", lower_bound=1e-9
)
MINUTES = flags.DEFINE_float(
    "minutes", None, "Or train for so long; the schedule then follows the clock, so that no"
    " two runs are quite equal.", lower_bound=1e-9
)  # fmt: skip
PATIENCE = flags.DEFINE_integer(
    "patience",
    None,
    "Stop after so many evaluations in a row without a new best; 0: never.",
    lower_bound=0,
)
OPTIMIZER = flags.DEFINE_enum("optimizer", None, list(OPTIMIZERS), "How to walk downhill.")
LEARNING_RATE = flags.DEFINE_float("learning_rate", None, "The highest of the schedule.")
SCHEDULE = flags.DEFINE_enum("schedule", None, SCHEDULES, "cosine starts with a warm-up.")
CLIP_NORM = flags.DEFINE_float(
    "clip_norm", None, "Scale gradients down to this norm; 0: never.", lower_bound=0
)
CLIP_VALUE = flags.DEFINE_float(
    "clip_value", None, "Cut gradients' entries to this; 0: never.", lower_bound=0
)
EVALUATE_EVERY = flags.DEFINE_integer(
    "evaluate_every", None, "Steps between two evaluations, rounded up to tens.", lower_bound=1
)
CHECKPOINT_EVERY = flags.DEFINE_integer(
    "checkpoint_every", None, "Steps between two checkpoints, rounded up to tens.", lower_bound=1
)

DATA_PARALLEL = flags.DEFINE_integer(
    "data_parallel", None, "Spread the lanes over so many devices of this process, of a CPU over so"
    " many cores [as many as the run had before; else the most that divide --batch; of cores, no"
    " more than make it faster].", lower_bound=1,
)  # fmt: skip
COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT of process 0, where several processes train one model. Slurm,"
    " Kubernetes, Open MPI and TPU slices need none of these three flags."
)  # fmt: skip
PROCESSES = flags.DEFINE_integer(
    "processes", None, "How many there are; 1: this one alone, also in a cluster.", lower_bound=1
)
PROCESS_ID = flags.DEFINE_integer(
    "process_id", None, "Which one this is, from 0; process 0 writes and speaks.", lower_bound=0
)

group("The run", PRESET, WORKDIR, SEED, DTYPE)
group("The text", CORPUS, SPLIT, BYTES, LOWERCASE, COLLAPSE)
group(
    "The network", OWN_CELLS, CELL, HIDDEN, SKIP, FEEDBACK, NETWORK, INITIALIZER,
    RECURRENT_INITIALIZER,
)  # fmt: skip
group("Chunks and regularisation", CHUNK, SEGMENT, BATCH, RANDOM_CHUNKS, DROPOUT, LOCKED, L1, L2)
group("How long", STEPS, EPOCHS, MINUTES, PATIENCE, EVALUATE_EVERY, CHECKPOINT_EVERY)
group("The optimiser", OPTIMIZER, LEARNING_RATE, SCHEDULE, CLIP_NORM, CLIP_VALUE)
group("Several devices", DATA_PARALLEL, COORDINATOR, PROCESSES, PROCESS_ID)


def main() -> int:
    with joined(COORDINATOR.value, PROCESSES.value, PROCESS_ID.value):
        return run()


def run() -> int:
    """All that a process of a run does; returns the exit code."""
    is_split = use_cores(least(cores()))
    settings = resolve_settings()
    own_cells.load_cells(settings["cells"])
    if settings["dtype"] == "float64":
        jax.config.update("jax_enable_x64", True)
    corpus = open_corpus(settings["corpus"])
    text = encode_corpus(
        corpus, split=settings["split"], level="byte" if settings["bytes"] else "character",
        lowercase=settings["lowercase"], collapse_whitespace=settings["collapse_whitespace"],
    )  # fmt: skip
    network = make_network(settings, text.vocabulary.size)
    stopping = make_stopping(settings, text)
    workdir_path = user_path(WORKDIR.value or f"runs/{PRESET.value}")
    jax.devices()  # JAX begins in all processes at once, not in the writer while the others wait
    kept = from_writer(lambda: devices_so_far(workdir_path, settings["batch"]))
    devices = DATA_PARALLEL.value or kept
    if devices is None and is_split:
        devices = worthwhile_devices(network, settings["batch"], settings["chunk"])
    mesh = data_mesh(settings["batch"], devices)
    config = settings | {
        "network": network.to_dict(),
        "vocabulary": text.vocabulary.to_dict(),
        "text": {"sha256": text.sha256, "length": text.length},
    }
    check_alike(config | jax_settings() | {"data_parallel": mesh.size})
    with contextlib.ExitStack() as stack:
        opened = open_workdir if is_writer() else silent_workdir
        workdir = stack.enter_context(opened(workdir_path, config))
        display = stack.enter_context(ProgressDisplay())
        display.say(f"{network}\n\n{describe(corpus.description, text)}\n")
        if mesh.size > 1 or (jax.device_count() > 1 and (kept or not is_split)):
            display.say(f"{placement(mesh, settings['batch'])}\n")
        return train_model(settings, text, network, stopping, mesh, workdir, display)


def devices_so_far(workdir: Path, batch: int) -> int | None:
    """How many devices of each process a run has trained on, where it can go on so."""
    last = max(Checkpoints(workdir).steps(), default=0)
    return devices_as_before(surroundings_before(workdir, last), batch)


def train_model(
    settings: Mapping[str, Any],
    text: EncodedText,
    network: Network,
    stopping: Stopping,
    mesh: Mesh,
    workdir: WorkDirectory,
    display: ProgressDisplay,
) -> int:
    """Trains, or goes on, until told to stop; returns the exit code."""
    problem = text_problem(
        text.train, text.valid, batch=settings["batch"], chunk=settings["chunk"],
        carried=not settings["random_chunks"], level=text.vocabulary.level,
    )  # fmt: skip

    def write(step: int, params: Params) -> None:
        model = LanguageModel(network, params, text.vocabulary)
        display.say(sample(model, 240, settings["seed"]))

    fitted = train(
        network, problem, recipe_of(settings), **stopping._asdict(), seed=settings["seed"],
        mesh=mesh, evaluate_every=settings["evaluate_every"],
        checkpoint_every=settings["checkpoint_every"], workdir=InDirectory(workdir),
        display=display, after=write,
    )  # fmt: skip
    return from_writer(lambda: conclude(settings, text, network, fitted, workdir, display))


def recipe_of(settings: Mapping[str, Any]) -> Recipe:
    return Recipe(
        **{field.name: settings[field.name] for field in fields(Recipe) if field.name in settings}
    )


def conclude(
    settings: Mapping[str, Any],
    text: EncodedText,
    network: Network,
    fitted: Fitted,
    workdir: WorkDirectory,
    display: ProgressDisplay,
) -> int:
    """Writes what a run leaves behind and says how it ended; returns the exit code."""
    progress, reason, level = fitted.progress, fitted.reason, text.vocabulary.level
    draw_learning_curve(workdir.metrics(), workdir.path / "learning_curve.png", level)
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
        how = "a higher --patience" if reason == "patience" else f"more --{_length(settings)}"
        display.say(f"This run is finished; give it {how} to go on.\n{_summary(known)}")
        return 0
    best = load_language_model(workdir.path)
    characters = progress.step * settings["batch"] * settings["chunk"]
    result = {
        "valid_bits_per_character": _finite(progress.best),
        "test_bits_per_character": (
            _finite(best.bits_per_character(text.test)) if len(text.test) > 1 else None
        ),
        "unit": text.vocabulary.level,  # bytes with --bytes; the names stay
        "parameters": network.parameter_count,
        "characters_trained": characters,
        "characters_per_second": round(characters / progress.seconds, 1),
        "seconds": round(progress.seconds, 1),
        "steps": progress.step,
        "steps_skipped": progress.skipped,
        "lanes_restarted": progress.restarted,
        "stopped_because": reason,
    }
    written = sample(best, 2000, settings["seed"])
    workdir.write_text("sample.txt", written + "\n")
    workdir.write_json("result.json", result)
    display.say(f"\nWhat it writes now:\n\n{written}\n\n{_summary(result)}")
    display.say(f"Everything is in {workdir.path}: result.json, learning_curve.png, sample.txt ...")
    return 0


def sample(model: LanguageModel, length: int, seed: int) -> str:
    choice = Choice(temperature=SAMPLE_TEMPERATURE)
    return model.texts(length, choice=choice, seed=seed)[0].strip("\n")


def resolve_settings() -> dict[str, Any]:
    """The preset's settings, overridden by the flags that were given."""
    given: dict[str, Any] = {
        name: flags.FLAGS[name].value
        for name in PRESETS["quick"]
        if flags.FLAGS[name].value is not None
    }
    lengths = [name for name in LENGTHS if name in given]
    if len(lengths) > 1:
        raise InputError(f"--{lengths[0]} and --{lengths[1]} both say how long; give one of them")
    if lengths:
        given = dict.fromkeys(LENGTHS) | given
    if NETWORK.value is not None and not given.keys().isdisjoint(GRAPH):
        raise InputError(
            "--network gives the whole graph; leave --cell, --hidden, --skip, --feedback out"
        )
    if "hidden" in given:
        given["hidden"] = [_number(int, "hidden", size) for size in given["hidden"]]
    if "split" in given:
        given["split"] = [_number(float, "split", part) for part in given["split"]]
    settings = {**PRESETS[PRESET.value or "quick"], **given}
    settings["corpus"] = [
        name if name in NAMES else str(user_path(name).absolute()) for name in settings["corpus"]
    ]
    settings["cells"] = own_cells.resolved(settings["cells"])
    if NETWORK.value is not None:
        settings |= dict.fromkeys(GRAPH)
    for name in ("clip_norm", "clip_value"):
        settings[name] = settings[name] or None
    for name, value in settings.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"--{name}={value} must be a finite number")
    if settings["learning_rate"] <= 0:
        raise InputError(f"--learning_rate={settings['learning_rate']} must be above 0")
    if not 0 <= settings["dropout"] < 1:
        raise InputError(f"--dropout={settings['dropout']} must be at least 0 and below 1")
    return settings


def make_network(settings: Mapping[str, Any], symbols: int) -> Network:
    """The network of the flags, or of the file that they name."""
    with own_cells.naming_the_flag():
        return _make_network(settings, symbols)


def _make_network(settings: Mapping[str, Any], symbols: int) -> Network:
    if NETWORK.value is None:
        return stacked(
            symbols, settings["hidden"], symbols, settings["cell"],
            skip=settings["skip"], feedback=settings["feedback"],
        )  # fmt: skip
    try:
        network = Network.from_json(user_path(NETWORK.value).read_text(encoding="utf-8"), symbols)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--network={NETWORK.value} cannot be read ({error})") from None
    except InputError as mistake:
        raise type(mistake)(f"--network={NETWORK.value}: {mistake}") from None
    if (network.input_size, network.size("output")) != (symbols, symbols):
        raise InputError(
            f"the network of {NETWORK.value} has {network.input_size} inputs and "
            f"{network.size('output')} outputs but the text {symbols} symbols; leave both sizes out"
        )
    return network


def make_stopping(settings: Mapping[str, Any], text: EncodedText) -> Stopping:
    """When to stop; also where a text too short for its chunks or for evaluation is refused."""
    steps, batch = settings["steps"], settings["batch"]
    lanes = 1 if settings["random_chunks"] else batch  # random chunks may overlap
    readings = steps_per_epoch(len(text.train), batch=lanes, chunk=settings["chunk"])
    if settings["epochs"] is not None:
        steps = math.ceil(settings["epochs"] * readings / (batch // lanes))
    if len(text.valid) < 2:
        raise InputError(
            f"the validation split has {len(text.valid)} characters; give --split a larger second "
            "fraction, or more text"
        )
    return Stopping(steps, settings["minutes"], settings["patience"])


def describe(description: str, text: EncodedText) -> str:
    """The corpus's facts, and its first lines."""
    splits = ", ".join(
        f"{len(part):,} {name}"
        for name, part in (
            ("for training", text.train), ("for validation", text.valid), ("for testing", text.test)
        )
    )  # fmt: skip
    lines = "\n".join(f"    {line}"[:100] for line in text.preview(10).splitlines())
    unit = f"{text.vocabulary.level}s"
    return (
        f"{description}: {text.length:,} {unit} ({splits}), "
        f"{text.vocabulary.size} symbols, the unknown one included\n\n{lines}"
    )


def _length(settings: Mapping[str, Any]) -> str:
    """The flag that says how long."""
    return next(name for name in LENGTHS if settings[name] is not None)


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
        + _skipped(result["steps_skipped"], result.get("lanes_restarted", 0))
    )


def _skipped(steps: int, lanes: int) -> str:
    if not steps:
        return ""
    return (
        f"\nSkipped, because something in them was not finite: {steps:,} steps; lanes started anew "
        f"at them: {lanes:,}."
    )


def _number(kind: type[int] | type[float], flag: str, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InputError(
            f"--{flag} has '{text}' where a {'whole ' * (kind is int)}number is expected; separate "
            "numbers by commas"
        ) from None


if __name__ == "__main__":
    launch(main, __doc__ or "", defaults=QUICK)
