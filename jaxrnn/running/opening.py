"""A work directory is opened: by one run at a time, the run that it holds, or a new one."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxrnn.core.errors import InputError, installed
from jaxrnn.running.history import history_in
from jaxrnn.running.workdir import (
    CONFIG,
    COPY,
    Config,
    Silent,
    WorkDirectory,
    is_trained,
    read_config,
)
from jaxrnn.storage.fields import from_dict, leaves
from jaxrnn.storage.files import replace, to_json

with installed():
    import filelock

_RESULTS = {"result.json", "results.json"}  # of a run, and of a study
_HISTORIES = ("surroundings", "overrides")
# What there may be before a checkpoint; the configuration last, for beside it the rest is ours.
_FIRST = ("checkpoints", "metrics.jsonl", "trials.jsonl", "learning_curve.png", COPY, CONFIG)


@contextlib.contextmanager
def open_workdir(
    path: Path,
    config: Config,
    settings: Any = None,
    *,
    override: bool = False,
    check: Callable[[Config], None] = lambda _: None,
) -> Iterator[WorkDirectory]:
    """Makes or re-opens a work directory, for one run at a time.

    The directory holds one run: another configuration is refused, and so are other settings but for
    the changeable ones. The configuration is written when the run `begin`s. A run that fails before
    it has a checkpoint leaves the directory as it was.

    Args:
      path: the directory.
      config: what decides the run, or follows from the settings.
      settings: as of `jaxrnn.storage.fields`, where a run has such; kept as "settings".
      override: whether settings may differ that are declared to be overridable.
      check: is called with the configuration of the run that is there, if its settings fit, and may
        refuse what follows from them in words of its own.

    Raises:
      InputError: the directory cannot be written, is in use, holds something else, or holds a run
        of another configuration.
    """
    _check_is_ours(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path / ".lock", timeout=0)
        lock.acquire()
    except filelock.Timeout:
        raise InputError(
            f"another run is using {path}; wait for it, or give another --workdir"
        ) from None
    except NotImplementedError:  # what filelock raises where the system cannot lock a file
        _remove_made(path, missing)
        raise InputError(
            f"the file system of {path} has no locks, which keep two runs apart; give a --workdir "
            "on another one"
        ) from None
    except OSError as error:
        _remove_made(path, missing)
        raise InputError(
            f"the work directory {path} cannot be written ({error.strerror}); "
            "give another --workdir"
        ) from None
    try:
        known = read_config(path)
        if is_trained(path):
            assert known is not None
            _check_same(path, known, config, settings, override, check)
            found = WorkDirectory(path)
            if found.read_json(CONFIG) is None:  # the copy is what was read
                found.write_config(known)
        else:
            try:
                _check_same(path, known or {}, config, settings, override, check)
            except InputError:  # a start of another run, of which nothing can be gone on from
                shutil.rmtree(path / "checkpoints", ignore_errors=True)
        before = _set_aside(path / CONFIG) if known is None else (path / CONFIG).read_bytes()
        try:
            yield WorkDirectory(path, config, settings)
        except Exception:
            if not is_trained(path):
                _undo(path, before, missing)
            raise
    finally:
        lock.release()


@contextlib.contextmanager
def silent_workdir(path: Path, *_: Any, **__: Any) -> Iterator[WorkDirectory]:
    """In place of `open_workdir` in a process that leaves all writing to another one."""
    yield Silent(path)


def _check_is_ours(path: Path) -> None:
    """Refuses what no run has made, and a run of which only the result is left."""
    if path.exists() and not path.is_dir():
        raise InputError(f"the work directory {path} is a file; give another --workdir")
    if not path.is_dir() or is_trained(path):
        return
    try:
        there = {file.name for file in path.iterdir() if not file.name.startswith(".")}
    except OSError as error:
        raise InputError(
            f"the work directory {path} cannot be read ({error.strerror}); give another --workdir"
        ) from None
    config = read_config(path)
    if config is not None and "surroundings" not in config:
        raise InputError(
            f"{path / CONFIG} is not what a run writes; give an empty or a new --workdir"
        )
    if config is not None and (result := there & _RESULTS):
        raise InputError(
            f"{path} holds the result of a run whose checkpoints are gone; remove "
            f"{path / min(result)} to train there anew, or give another --workdir"
        )
    others = there - (set(_FIRST) if CONFIG in there else set())
    if config is None and others:
        damage = f"{CONFIG} is damaged" if CONFIG in there else f"no {CONFIG}"
        raise InputError(
            f"{path} holds files but no run ('{min(others)}', {damage}); "
            "give an empty or a new --workdir"
        )


def _check_same(
    path: Path,
    known: Config,
    config: Config,
    settings: Any,
    override: bool,
    check: Callable[[Config], None],
) -> None:
    left_out = {*_HISTORIES}
    for name in _HISTORIES:
        history_in(known, name, path / CONFIG)
    if settings is not None:
        left_out.add("settings")
        _check_settings(path, known, settings, override)
    check(known)
    config = json.loads(to_json(config))  # tuples as lists, as on disk
    differences = [
        f"{name} is {_short(known.get(name))} there and {_short(config.get(name))} here"
        for name in sorted((known.keys() | config.keys()) - left_out)
        if known.get(name) != config.get(name)
    ]
    if differences:
        raise _other(path, differences, "give the same settings")


def _check_settings(path: Path, known: Config, settings: Any, override: bool) -> None:
    there = from_dict(type(settings), known.get("settings"), path / CONFIG)
    different = [
        leaf
        for leaf in leaves(type(settings))
        if leaf.of(there) != leaf.of(settings)
        and not (leaf.meaning.changeable or (override and leaf.meaning.overridable))
    ]
    if different:
        final = [f"--{leaf.flag}" for leaf in different if not leaf.meaning.overridable]
        raise _other(
            path,
            [
                f"{leaf.as_flag(leaf.of(there))} there and {leaf.as_flag(leaf.of(settings))} here"
                for leaf in different
            ],
            f"{', '.join(final)} cannot change in a run, so give the same settings"
            if final
            else "give --override to change that from here on, or the same settings",
        )


def _other(path: Path, differences: list[str], advice: str) -> InputError:
    return InputError(
        f"{path} holds a run of another configuration ({'; '.join(differences)}); "
        f"{advice} to go on with it, or another --workdir"
    )


def _set_aside(file: Path) -> None:
    """Keeps what is no configuration under another name, unless a power cut left nothing of it."""
    with contextlib.suppress(FileNotFoundError):
        if file.read_bytes().strip(b"\0 \n"):
            file.replace(file.with_name(f".{file.name}.damaged"))


def _undo(path: Path, before: bytes | None, made: list[Path]) -> None:
    """Leaves a directory as it was found, by a run that has nothing to go on from."""
    with contextlib.suppress(OSError):  # what went wrong before is what is told
        if before is not None:
            if (path / CONFIG).read_bytes() != before:
                replace(path / CONFIG, before)
            return
        for name in _FIRST:
            if (path / name).is_dir():
                shutil.rmtree(path / name)
            else:
                (path / name).unlink(missing_ok=True)
        _remove_made(path, made)


def _remove_made(path: Path, made: list[Path]) -> None:
    """The folders, if they are empty but for the lock of a directory that is one of them."""
    with contextlib.suppress(OSError):
        if path in made:
            (path / ".lock").unlink(missing_ok=True)
    for folder in made:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
