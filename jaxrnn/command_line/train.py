"""Trains a character-level language model: reads a text, learns to predict the next character.

The same command again goes on from the last checkpoint, and so does --workdir alone. Ctrl-C,
SIGTERM and a closed terminal (SIGHUP) save before they stop. Output that cannot be shown stops
nothing.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from absl import flags
from jax.sharding import Mesh

from jaxrnn import Network
from jaxrnn.command_line.conclusion import conclude, sample
from jaxrnn.command_line.flags import (
    absolute,
    by_flag,
    define_flags,
    is_given,
    settings_given,
)
from jaxrnn.command_line.launch import group, launch
from jaxrnn.command_line.progress import progress_display
from jaxrnn.command_line.terminal import readable
from jaxrnn.core.errors import InputError
from jaxrnn.core.parameters import Params
from jaxrnn.learning.loss import cross_entropy
from jaxrnn.learning.parallel import data_mesh, placement
from jaxrnn.running import train
from jaxrnn.running.devices import cores, devices_as_before, use_cores, worthwhile_devices
from jaxrnn.running.directory import InDirectory
from jaxrnn.running.display import Unfailing
from jaxrnn.running.fitting import Fitted
from jaxrnn.running.needs import check_training, text_shapes
from jaxrnn.running.opening import open_workdir, silent_workdir
from jaxrnn.running.processes import (
    check_alike,
    from_writer,
    is_writer,
    jax_settings,
    joined,
    least,
)
from jaxrnn.running.stopping import Stopping
from jaxrnn.running.workdir import WorkDirectory, is_trained, read_config, surroundings_before
from jaxrnn.storage.checkpoints import Checkpoints
from jaxrnn.storage.files import user_path
from jaxrnn.text import Corpus, EncodedText
from jaxrnn.text.from_settings import make_network, make_stopping, read_text
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.own_cells import load_cells
from jaxrnn.text.own_cells import resolved as resolved_cells
from jaxrnn.text.problem import text_problem
from jaxrnn.text.saved_run import (
    check_corpus_is_there,
    check_same_text,
    consequences,
    saved_run,
    saved_settings,
)
from jaxrnn.text.settings import GRAPH, PRESETS, Settings
from jaxrnn.text.starting import Start, agreed, describe_start, find_start, first_params, taken_over
from jaxrnn.text.unknown import foretold, left_out

PRESET = flags.DEFINE_enum(
    "preset", None, list(PRESETS), "Settings to start from; other flags override them. quick: a"
    " few minutes on two CPU cores; seed: a small plain network without tricks; best: a larger"
    " network, about an hour on two CPU cores [those of the run in --workdir; else quick]."
)  # fmt: skip
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where the run is kept; a run that is there goes on [runs/PRESET]."
)
OVERRIDE = flags.DEFINE_boolean(
    "override", False, "Go on with a run though flags differ from its own: --learning_rate and"
    " others that leave its parameters what they are. Files record from which step on."
)  # fmt: skip
define_flags(PRESET, WORKDIR, OVERRIDE)

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
group("Several devices", DATA_PARALLEL, COORDINATOR, PROCESSES, PROCESS_ID)

PREVIEW = 240  # characters that are written at each evaluation


def main() -> int:
    with joined(COORDINATOR.value, PROCESSES.value, PROCESS_ID.value):
        return run()


def run() -> int:
    """All that a process of a run does; returns the exit code."""
    is_split = use_cores(least(cores()))
    path = workdir_given()
    known = from_writer(lambda: config_there(path))
    is_begun = from_writer(lambda: is_trained(path))
    base = base_settings(path, known)
    if is_given("cells"):  # those that a run's files name are not imported for that
        load_cells(resolved_cells(flags.FLAGS["cells"].value or ()))
    start = start_given(base, path, known)
    origin = None if start is None else start.origin
    settings = settings_given(base if origin is None else taken_over(base, origin))
    if origin is not None:
        settings = agreed(settings, origin)
    if settings.recipe.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    if known is not None and not is_given("corpus"):
        check_corpus_is_there(path, settings)
    corpus, text = read_text(settings.text, origin)

    def check(known: Mapping[str, Any]) -> None:
        check_same_text(path, known, text, corpus.description)

    if is_begun and PRESET.value is None and not is_given("graph", *GRAPH):
        assert known is not None
        network = saved_run(path, known).network  # whatever became of files that said it
    else:
        network = make_network(settings.network, text.vocabulary.size, origin)
    stopping = make_stopping(settings, text)
    mesh, devices = choose_devices(settings, network, path, is_split)
    config = consequences(network, text, origin)
    others = {"data_parallel": mesh.size, "override": OVERRIDE.value}
    check_alike(by_flag(settings) | config | jax_settings() | others)
    check_training(
        network, cross_entropy, settings.recipe,
        text_shapes(settings.text.batch // jax.process_count(), settings.text.chunk), mesh,
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        opened = open_workdir if is_writer() else silent_workdir
        workdir = stack.enter_context(
            opened(path, config, settings, override=OVERRIDE.value, check=check)
        )
        display = stack.enter_context(progress_display())
        display.say(f"{network}\n\n{describe(corpus, text, settings.text.minimum_count)}\n")
        if start is not None and start.is_new:
            display.say(f"{describe_start(start, text)}\n")
        if devices:
            display.say(f"{devices}\n")
        fitted = train_model(settings, text, network, start, stopping, mesh, workdir, display)
        is_as_planned = fitted.progress.length == stopping.length
        if fitted.reason in ("steps", "minutes") and not is_as_planned:
            display.say(
                f"\nThe run in {path} has trained for {fitted.progress.step:,} steps of "
                f"{fitted.progress.length} already, as long as --{settings.length.unit}="
                f"{getattr(settings.length, settings.length.unit)} asks or longer; it is left as "
                "it was, so give more to go on with it."
            )
            return 0
        if is_as_planned and is_writer():
            workdir.keep_changeable()
        return from_writer(lambda: conclude(settings, text, fitted, workdir, display))


def workdir_given() -> Path:
    if WORKDIR.value == "":
        raise InputError("--workdir is empty; name a directory, or leave it out")
    return user_path(WORKDIR.value or f"runs/{PRESET.value or 'quick'}")


def config_there(path: Path) -> dict[str, Any] | None:
    """What config.json of a run that is there says; None where nothing was trained, if that is not
    what this jaxrnn writes.
    """
    config = read_config(path)
    if config is not None and not is_trained(path):
        try:
            saved_settings(path, config)
        except InputError:
            return None
    return config


def base_settings(path: Path, known: Mapping[str, Any] | None) -> Settings:
    """What flags that are not given say: the preset that is given, or the run that is there."""
    if PRESET.value is not None or known is None:
        return PRESETS[PRESET.value or "quick"]
    return saved_settings(path, known)


def start_given(base: Settings, path: Path, known: Mapping[str, Any] | None) -> Start | None:
    """The trained model to start from, where a flag, or the run that is there, names one."""
    typed = flags.FLAGS["init_from"].value
    given = base.network.init_from if typed is None else typed and absolute(typed)
    check_alike({"init_from": given})  # before the processes tell each other of the model
    return find_start(given, path, known) if given else None


def choose_devices(
    settings: Settings, network: Network, workdir: Path, is_split: bool
) -> tuple[Mesh, str | None]:
    """The devices to train on, and what is to be said of them, if anything.

    Args:
      settings: of the run.
      network: what is trained.
      workdir: of the run, whether it is there or not.
      is_split: whether a CPU's cores were made devices, unasked.
    """
    batch = settings.text.batch
    jax.devices()  # JAX begins in all processes at once, not in the writer while the others wait
    kept = from_writer(lambda: devices_so_far(workdir, batch))
    count = DATA_PARALLEL.value or kept
    if count is None and is_split:
        count = worthwhile_devices(network, batch, settings.text.chunk)
    mesh = data_mesh(batch, count)
    is_news = mesh.size > 1 or (jax.device_count() > 1 and (kept or not is_split))
    return mesh, placement(mesh, batch) if is_news else None


def devices_so_far(workdir: Path, batch: int) -> int | None:
    """How many devices of each process a run has trained on, where it can go on so."""
    last = max(Checkpoints(workdir).steps(), default=0)
    return devices_as_before(surroundings_before(workdir, last), batch)


def train_model(
    settings: Settings,
    text: EncodedText,
    network: Network,
    start: Start | None,
    stopping: Stopping,
    mesh: Mesh,
    workdir: WorkDirectory,
    display: Unfailing,
) -> Fitted:
    """Trains, or goes on, until told to stop."""
    problem = text_problem(
        text.train, text.valid, batch=settings.text.batch, chunk=settings.text.chunk,
        carried=not settings.text.random_chunks, level=text.vocabulary.level,
    )  # fmt: skip

    def write(step: int, params: Params) -> None:
        model = LanguageModel(network, params, text.vocabulary)
        written = display.made("sample", lambda: sample(model, PREVIEW, settings.seed))
        display.say(readable(written or ""))

    params = None
    if start is not None and start.is_new:
        params = first_params(start, text, settings.recipe, jax.random.key(settings.seed))
    return train(
        network, problem, settings.recipe, **stopping._asdict(), params=params,
        seed=settings.seed, mesh=mesh,
        evaluate_every=settings.length.evaluate_every,
        checkpoint_every=settings.length.checkpoint_every, workdir=InDirectory(workdir),
        display=display, after=write,
    )  # fmt: skip


def describe(corpus: Corpus, text: EncodedText, minimum_count: int) -> str:
    """The text's facts, and its first lines."""
    splits = ", ".join(
        f"{len(part):,} {name}"
        for name, part in (
            ("for training", text.train), ("for validation", text.valid), ("for testing", text.test)
        )
    )  # fmt: skip
    lines = "\n".join(f"    {line}"[:100] for line in text.preview(10).splitlines())
    rare, warning = left_out(text, minimum_count), foretold(text)
    return (
        f"{corpus.description}: {text.length:,} {text.vocabulary.level}s ({splits}), "
        f"{text.vocabulary.size} symbols, the unknown one included\n"
        + f"{warning}\n" * bool(warning)
        + f"{rare}\n" * bool(rare)
        + f"\n{lines}"
    )


def begin() -> None:
    """Runs the program on the command line's flags, and exits."""
    launch(main, __doc__ or "", defaults=by_flag(PRESETS["quick"]))
