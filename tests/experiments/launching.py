"""Experiments launched inside the test process, each with flags and titles of its own."""

import contextlib
import importlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import pytest
from absl import flags

from experiments.laboratory.study import Study, define_flags, run
from jaxrnn import Network
from jaxrnn.command_line import launch
from jaxrnn.storage.checkpoints import Checkpoints, Restored
from jaxrnn.storage.fields import from_dict
from jaxrnn.text.settings import Settings

ROOT = Path(__file__).parents[2]

COMMANDS = {"char_lm": "train", "sample": "sample", "evaluate": "evaluate"}  # the installed ones


class Outcome(NamedTuple):
    """What a launched experiment leaves on the terminal."""

    code: int
    out: str
    err: str


class Experiment:
    """A program of experiments/, whose flags are known to absl only while it runs.

    In one process two experiments' flags of one name would clash.
    """

    def __init__(self, name: str) -> None:
        titles, others = list(launch._groups), set(flags.FLAGS)
        module = f"experiments.{name}"
        if name in COMMANDS:
            module = f"jaxrnn.command_line.{COMMANDS[name]}"
        elif not (ROOT / "experiments" / f"{name}.py").exists():  # a package
            module += ".__main__"
        self.module: ModuleType = importlib.import_module(module)
        self.study: Study | None = getattr(self.module, "STUDY", None)
        if self.study:
            define_flags(self.study)
        # Not by module: absl takes what checks shapes in tests for the module that defines them.
        self.flags = {flag: flags.FLAGS[flag] for flag in set(flags.FLAGS) - others}
        self.groups = launch._groups[len(titles) :]
        launch._groups[:] = titles
        self._forget()

    def main(self) -> int:
        return run(self.study) if self.study else self.module.main()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        pristine = {name: dict(vars(flag)) for name, flag in self.flags.items()}
        for name, flag in self.flags.items():
            flags.FLAGS[name] = flag
        launch._groups[:] = self.groups
        try:
            yield
        finally:
            launch._groups.clear()
            self._forget()
            for name, flag in self.flags.items():
                vars(flag).update(pristine[name])
            flags.FLAGS.unparse_flags()

    def _forget(self) -> None:
        for name in self.flags:
            delattr(flags.FLAGS, name)


NAMES = {path.stem for path in (ROOT / "experiments").glob("*.py")} - {"__init__"}
NAMES |= {path.parent.name for path in (ROOT / "experiments").glob("*/__main__.py")}
EXPERIMENTS = {name: Experiment(name) for name in sorted(NAMES)}


def launched(name: str, *arguments: object) -> Outcome:
    """Runs an experiment in this process: `launched("sample", "--length=5")`."""
    experiment, err = EXPERIMENTS[name], io.StringIO()
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", newline="")  # bytes may be written to it, too
    argv = [name, *map(str, arguments)]
    jax.config.update("jax_enable_x64", False)  # as a process of its own finds it
    with (
        experiment.installed(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as exit,
    ):
        launch.launch(experiment.main, experiment.module.__doc__ or "", argv)
    jax.config.update("jax_enable_x64", False)  # and would leave it
    assert isinstance(exit.value.code, int)
    out.flush()
    written = out.buffer.getvalue().decode("utf-8", "surrogateescape")  # type: ignore[attr-defined]
    return Outcome(exit.value.code, written, err.getvalue())


def but(command: tuple[str, ...], *flags: object) -> tuple[str, ...]:
    """A command with some flags given, in the place of those of the same names."""
    given = tuple(map(str, flags))
    names = {flag.partition("=")[0] for flag in given}
    return (*(flag for flag in command if flag.partition("=")[0] not in names), *given)


def assert_refused(outcome: Outcome, *named: str) -> None:
    """Exit code 2 and one line on stderr that names what is wrong."""
    assert outcome.code == 2, outcome
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.endswith("\n")
    for name in named:
        assert name in outcome.err


def records(workdir: Path) -> list[dict[str, Any]]:
    """metrics.jsonl; raises where a line is not strict JSON."""
    lines = (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [read(line) for line in lines]


def read(text: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def result(workdir: Path) -> dict[str, Any]:
    return read((workdir / "result.json").read_text(encoding="utf-8"))


def settings_of(workdir: Path) -> Settings:
    file = workdir / "config.json"
    return from_dict(Settings, read(file.read_text(encoding="utf-8"))["settings"], file)


def network_of(workdir: Path) -> Network:
    return Network.from_dict(read((workdir / "config.json").read_text(encoding="utf-8"))["network"])


def last_state(
    workdir: Path, which: Literal["last", "best"] = "last"
) -> tuple[int, list[np.ndarray]]:
    """Step and arrays (parameters, optimiser, network state) of the newest checkpoint."""
    found = restored(workdir, which)
    return found.step, [np.asarray(leaf) for leaf in jax.tree.leaves(found.state)]


def restored(workdir: Path, which: Literal["last", "best"] = "last") -> Restored:
    """The newest checkpoint."""
    settings = settings_of(workdir)
    template = settings.recipe.start(
        network_of(workdir), settings.text.batch, jax.random.key(settings.seed)
    )
    return Checkpoints(workdir).restore(template, which=which)


def assert_same_state(one: Path, other: Path, which: Literal["last", "best"] = "last") -> None:
    """The last (or best) checkpoints hold the same step and the same bits."""
    (step, arrays), (other_step, other_arrays) = last_state(one, which), last_state(other, which)
    assert step == other_step
    for array, other_array in zip(arrays, other_arrays, strict=True):
        assert array.dtype == other_array.dtype
        assert array.tobytes() == other_array.tobytes()
