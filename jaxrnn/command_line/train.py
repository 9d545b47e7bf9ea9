"""Trains a character-level language model: reads a text, learns to predict the next character.

The same command again goes on from the last checkpoint, and so does --workdir alone. Ctrl-C,
SIGTERM and a closed terminal (SIGHUP) save before they stop. Output that cannot be shown stops
nothing.
"""

import contextlib
from pathlib import Path

import jax
from absl import flags
from jax.sharding import Mesh

from jaxrnn import Network
from jaxrnn.command_line.conclusion import conclude, sample
from jaxrnn.command_line.flags import TITLES, by_flag
from jaxrnn.command_line.launch import group, launch
from jaxrnn.command_line.plan import PRESET, WORKDIR, Plan, make_plan
from jaxrnn.command_line.progress import progress_display
from jaxrnn.command_line.setting_flags import define_flags
from jaxrnn.command_line.terminal import readable
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
from jaxrnn.running.workdir import WorkDirectory, surroundings_before
from jaxrnn.storage.checkpoints import Checkpoints
from jaxrnn.text.from_settings import make_problem
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.saved_run import consequences
from jaxrnn.text.settings import PRESETS, Settings
from jaxrnn.text.starting import describe_start, first_params
from jaxrnn.text.unknown import foretold, left_out

OVERRIDE = flags.DEFINE_boolean(
    "override", False, "Go on with a run though flags differ from its own: --learning_rate and"
    " others that leave its parameters what they are. Files record from which step on."
)  # fmt: skip
define_flags(Settings, TITLES, PRESET, WORKDIR, OVERRIDE)

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
    plan = make_plan()
    settings, batch = plan.settings, plan.settings.text.batch
    mesh, devices = choose_devices(settings, plan.network, plan.path, is_split)
    config = consequences(plan.network, plan.text, plan.origin)
    others = {"data_parallel": mesh.size, "override": OVERRIDE.value}
    check_alike(by_flag(settings) | config | jax_settings() | others)
    shapes = text_shapes(batch // jax.process_count(), settings.text.chunk)
    check_training(plan.network, cross_entropy, settings.recipe, shapes, mesh)
    with contextlib.ExitStack() as stack:
        opened = open_workdir if is_writer() else silent_workdir
        workdir = stack.enter_context(
            opened(plan.path, config, settings, override=OVERRIDE.value, check=plan.check_text)
        )
        display = stack.enter_context(progress_display())
        display.say(describe(plan))
        if devices:
            display.say(f"{devices}\n")
        fitted = train_model(plan, mesh, workdir, display)
        is_as_planned = fitted.progress.length == plan.stopping.length
        if fitted.reason in ("steps", "minutes") and not is_as_planned:
            display.say(past_its_end(plan, fitted))
            return 0
        if is_as_planned and is_writer():
            workdir.keep_changeable()
        return from_writer(lambda: conclude(settings, plan.text, fitted, workdir, display))


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


def train_model(plan: Plan, mesh: Mesh, workdir: WorkDirectory, display: Unfailing) -> Fitted:
    """Trains, or goes on, until told to stop."""
    settings, text, start = plan.settings, plan.text, plan.start
    problem = make_problem(settings.text, text)

    def write(step: int, params: Params) -> None:
        model = LanguageModel(plan.network, params, text.vocabulary)
        written = display.made("sample", lambda: sample(model, PREVIEW, settings.seed))
        display.say(readable(written or ""))

    params = None
    if start is not None and start.is_new:
        params = first_params(start, text, settings.recipe, jax.random.key(settings.seed))
    return train(
        plan.network, problem, settings.recipe, **plan.stopping._asdict(), params=params,
        seed=settings.seed, mesh=mesh, evaluate_every=settings.length.evaluate_every,
        checkpoint_every=settings.length.checkpoint_every, workdir=InDirectory(workdir),
        display=display, after=write,
    )  # fmt: skip


def describe(plan: Plan) -> str:
    """The network, the text's facts and first lines, and the model that training starts from."""
    text, start = plan.text, plan.start
    splits = ", ".join(
        f"{len(part):,} {name}"
        for name, part in (
            ("for training", text.train), ("for validation", text.valid), ("for testing", text.test)
        )
    )  # fmt: skip
    facts = (
        f"{plan.corpus.description}: {text.length:,} {text.vocabulary.level}s ({splits}), "
        f"{text.vocabulary.size} symbols, the unknown one included"
    )
    remarks = foretold(text), left_out(text, plan.settings.text.minimum_count)
    lines = "\n".join(f"    {line}"[:100] for line in text.preview(10).splitlines())
    known = describe_start(start, text) if start is not None and start.is_new else ""
    parts = str(plan.network), "\n".join(filter(None, (facts, *remarks))), lines, known
    return "\n\n".join(filter(None, parts)) + "\n"


def past_its_end(plan: Plan, fitted: Fitted) -> str:
    """A sentence on a run that is to be as long as it has been already, or shorter."""
    progress, length = fitted.progress, plan.settings.length
    return (
        f"\nThe run in {plan.path} has trained for {progress.step:,} steps already, "
        f"as long as --{length.unit}={getattr(length, length.unit)} asks or longer; it is "
        "left as it was, so give more to go on with it."
    )


def begin() -> None:
    """Runs the program on the command line's flags, and exits."""
    launch(main, __doc__ or "", defaults=by_flag(PRESETS["quick"]))
