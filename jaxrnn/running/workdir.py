"""A run's work directory: its configuration, its measurements, its lock.

config.json         what decides the run, everything resolved, and what has computed it: devices,
                    cores, versions ...
metrics.jsonl       one object per logged step (of a study: trials.jsonl, one per trial)
checkpoints/        see jaxrnn.storage.checkpoints
result.json         written at the end
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxrnn.core.errors import InputError, installed
from jaxrnn.running.surroundings import change
from jaxrnn.storage.fields import from_dict, leaves, to_dict
from jaxrnn.storage.files import append_record, read_records, replace, to_json

with installed():
    import filelock


class WorkDirectory:
    """One run's files. Made by `open_workdir`, which holds the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write_text(self, name: str, text: str) -> None:
        """Replaces a file at once: a reader, or a crash, sees the old one or the new one."""
        replace(self.path / name, text.encode())

    def write_json(self, name: str, record: Mapping[str, Any]) -> None:
        """Likewise; what is not finite becomes null."""
        self.write_text(name, to_json(record, indent=2, ensure_ascii=False) + "\n")

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The record in a file; None if there is no such file."""
        return read_json(self.path / name)

    def append(self, name: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Adds one line to a file of records, and returns it as it will be read."""
        return append_record(self.path / name, record)

    def log(self, record: Mapping[str, Any]) -> None:
        """Appends one line to metrics.jsonl: a step, and what was measured then."""
        self.append("metrics.jsonl", record)

    def metrics(self) -> list[dict[str, Any]]:
        """What has been logged."""
        return self.records("metrics.jsonl", step=int)

    def records(self, name: str, **fields: type | tuple[type, ...]) -> list[dict[str, Any]]:
        """The lines of a file of records that have these fields, each of the kind given for it.

        A line that a crash cut short is left out.
        """
        return read_records(self.path / name, **fields)

    def forget_after(self, step: int) -> None:
        """Drops from metrics.jsonl what was logged after the step from which the run resumes."""
        kept = [record for record in self.metrics() if record["step"] <= step]
        self.write_text("metrics.jsonl", "".join(to_json(record) + "\n" for record in kept))

    def note_surroundings(self, start: int, now: Mapping[str, Any]) -> str | None:
        """Adds what computes from a step (or trial) on to the configuration, where it is new.

        Args:
          start: the step.
          now: as from `surroundings`.

        Returns:
          One sentence, where something else computed the steps before.
        """
        config = self.read_json("config.json") or {}
        history = [entry for entry in config.get("surroundings", []) if entry["from"] < start]
        changed = change(history[-1], now) if history else None
        if changed or not history:
            history.append({"from": start, **now})
        if history != config.get("surroundings"):
            self.write_json("config.json", {**config, "surroundings": history})
        return changed


@contextlib.contextmanager
def open_workdir(
    path: Path, config: Mapping[str, Any], settings: Any = None
) -> Iterator[WorkDirectory]:
    """Makes or re-opens a work directory, for one run at a time.

    The directory holds one run: another configuration is refused, and so are other settings but for
    the changeable ones, of which it keeps the latest.

    Args:
      path: the directory.
      config: what decides the run, or follows from the settings.
      settings: as of `jaxrnn.storage.fields`, where a run has such; kept as "settings".

    Raises:
      InputError: the directory cannot be written, is in use, holds something else, or holds a run
        of another configuration.
    """
    _check_is_ours(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path / ".lock", timeout=0)
        lock.acquire()
    except filelock.Timeout:
        raise InputError(
            f"another run is using {path}; wait for it, or give another --workdir"
        ) from None
    except OSError as error:
        raise InputError(
            f"the work directory {path} cannot be written ({error.strerror}); "
            "give another --workdir"
        ) from None
    try:
        workdir = WorkDirectory(path)
        known = workdir.read_json("config.json")
        if known is not None:
            _check_same(path, known, config, settings)
        history = [] if known is None else _surroundings(path, known)
        kept = {} if settings is None else {"settings": to_dict(settings)}
        workdir.write_json("config.json", {**kept, **config, "surroundings": history})
        yield workdir
    finally:
        lock.release()


class _Silent(WorkDirectory):
    def write_text(self, name: str, text: str) -> None:
        pass

    def append(self, name: str, record: Mapping[str, Any]) -> dict[str, Any]:
        return dict(record)


@contextlib.contextmanager
def silent_workdir(
    path: Path, config: Mapping[str, Any], settings: Any = None
) -> Iterator[WorkDirectory]:
    """In place of `open_workdir` in a process that leaves all writing to another one."""
    del config, settings
    yield _Silent(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no such file."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); mend or remove it") from None
    if not isinstance(record, dict):
        raise InputError(f"{path} does not hold a JSON object; mend or remove it")
    return record


def surroundings_before(path: Path, step: int) -> dict[str, Any] | None:
    """What computed the step before this one; None where there is none, or that is not known."""
    known = read_json(path / "config.json")
    history = [] if known is None else _surroundings(path, known)
    return next((entry for entry in reversed(history) if entry["from"] < step), None)


def _surroundings(path: Path, known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What has computed a run so far, from which step on."""
    history = known.get("surroundings", [])
    if not isinstance(history, list) or not all(
        isinstance(entry, dict)
        and isinstance(entry.get("from"), int)
        and all(isinstance(entry.get(name, {}), dict) for name in ("versions", "options"))
        for entry in history
    ):
        raise InputError(
            f"{path / 'config.json'} has {_short(history)} for 'surroundings', where a list of "
            "objects with 'from' and 'versions' is expected; take it out of the file"
        )
    return history


def _check_is_ours(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise InputError(f"the work directory {path} is a file; give another --workdir")
    if path.is_dir() and not (path / "config.json").exists():
        try:
            others = [file.name for file in path.iterdir() if not file.name.startswith(".")]
        except OSError as error:
            raise InputError(
                f"the work directory {path} cannot be read ({error.strerror}); "
                "give another --workdir"
            ) from None
        if others:
            raise InputError(
                f"{path} holds files but no run ('{sorted(others)[0]}', no config.json); "
                "give an empty or a new --workdir"
            )


def _check_same(
    path: Path, known: Mapping[str, Any], config: Mapping[str, Any], settings: Any
) -> None:
    differences = []
    if settings is not None:
        there = from_dict(type(settings), known.get("settings"), path / "config.json")
        differences = [
            f"{leaf.as_flag(leaf.of(there))} there and {leaf.as_flag(leaf.of(settings))} here"
            for leaf in leaves(type(settings))
            if not leaf.meaning.changeable and leaf.of(there) != leaf.of(settings)
        ]
    if not differences:  # else the rest follows from them
        config = json.loads(to_json(config))  # tuples as lists, as on disk
        left_out = {"surroundings"} if settings is None else {"surroundings", "settings"}
        differences = [
            f"{name} is {_short(known.get(name))} there and {_short(config.get(name))} here"
            for name in sorted((known.keys() | config.keys()) - left_out)
            if known.get(name) != config.get(name)
        ]
    if differences:
        raise InputError(
            f"{path} holds a run of another configuration ({'; '.join(differences)}); "
            "give the same settings to go on with it, or another --workdir"
        )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
