"""Trains a character-level language model: reads a text, learns to predict the next character.

The same command again goes on from the last checkpoint. Ctrl-C, SIGTERM and a closed terminal
(SIGHUP) save before they stop. Output that cannot be shown stops nothing.
"""

import contextlib
from pathlib import Path

import jax
from absl import flags
from jax.sharding import Mesh

from jaxrnn import Network
from jaxrnn.command_line.conclusion import conclude, sample
from jaxrnn.command_line.flags import by_flag, define_flags, settings_given
from jaxrnn.command_line.launch import group, launch
from jaxrnn.command_line.progress import progress_display
from jaxrnn.core.parameters import Params
from jaxrnn.learning.parallel import data_mesh, placement
from jaxrnn.running import train
from jaxrnn.running.devices import cores, devices_as_before, use_cores, worthwhile_devices
from jaxrnn.running.directory import InDirectory
from jaxrnn.running.display import Unfailing
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
from jaxrnn.text import Corpus, EncodedText
from jaxrnn.text.from_settings import make_network, make_stopping, read_text
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.own_cells import load_cells
from jaxrnn.text.problem import text_problem
from jaxrnn.text.saved_run import consequences
from jaxrnn.text.settings import PRESETS, Settings

PRESET = flags.DEFINE_enum(
    "preset", "quick", list(PRESETS), "Settings to start from; other flags override them. quick: a"
    " few minutes on two CPU cores; seed: a small plain network without tricks; best: a larger"
    " network, about an hour on two CPU cores."
)  # fmt: skip
WORKDIR = flags.DEFINE_string("workdir", None, "Where the run is kept [runs/PRESET].")
define_flags(PRESET, WORKDIR)

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
    settings = settings_given(PRESETS[PRESET.value or "quick"])
    load_cells(settings.network.cells)
    if settings.recipe.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    corpus, text = read_text(settings.text)
    network = make_network(settings.network, text.vocabulary.size)
    stopping = make_stopping(settings, text)
    path = user_path(WORKDIR.value or f"runs/{PRESET.value}")
    mesh, devices = choose_devices(settings, network, path, is_split)
    config = consequences(network, text)
    check_alike(by_flag(settings) | config | jax_settings() | {"data_parallel": mesh.size})
    with contextlib.ExitStack() as stack:
        opened = open_workdir if is_writer() else silent_workdir
        workdir = stack.enter_context(opened(path, config, settings))
        display = stack.enter_context(progress_display())
        display.say(f"{network}\n\n{describe(corpus, text)}\n")
        if devices:
            display.say(f"{devices}\n")
        fitted = train_model(settings, text, network, stopping, mesh, workdir, display)
        return from_writer(lambda: conclude(settings, text, fitted, workdir, display))


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
        display.say(written or "")

    return train(
        network, problem, settings.recipe, **stopping._asdict(), seed=settings.seed, mesh=mesh,
        evaluate_every=settings.length.evaluate_every,
        checkpoint_every=settings.length.checkpoint_every, workdir=InDirectory(workdir),
        display=display, after=write,
    )  # fmt: skip


def describe(corpus: Corpus, text: EncodedText) -> str:
    """The text's facts, and its first lines."""
    splits = ", ".join(
        f"{len(part):,} {name}"
        for name, part in (
            ("for training", text.train), ("for validation", text.valid), ("for testing", text.test)
        )
    )  # fmt: skip
    lines = "\n".join(f"    {line}"[:100] for line in text.preview(10).splitlines())
    return (
        f"{corpus.description}: {text.length:,} {text.vocabulary.level}s ({splits}), "
        f"{text.vocabulary.size} symbols, the unknown one included\n\n{lines}"
    )


def begin() -> None:
    """Runs the program on the command line's flags, and exits."""
    launch(main, __doc__ or "", defaults=by_flag(PRESETS["quick"]))
