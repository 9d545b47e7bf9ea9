"""A run's work directory: its configuration, its measurements, its lock.

config.json         what decides the run, everything resolved, and what has computed it: devices,
                    cores, versions ... (`jaxrnn.running.history`); .config.json is a copy
metrics.jsonl       one object per logged step (of a study: trials.jsonl, one per trial), and one
                    per step from which on settings were overridden
checkpoints/        see jaxrnn.storage.checkpoints
result.json         written at the end

Until there is a checkpoint (or a trial), nothing in it counts: it takes another configuration.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jaxrnn.core.errors import InputError
from jaxrnn.running.history import computed_by, history_in, overridden
from jaxrnn.storage.fields import from_dict, leaves, replaced, to_dict
from jaxrnn.storage.files import append_record, read_records, replace, to_json

Config = Mapping[str, Any]

_TRAINED = re.compile(r"\d+-step-[1-9]\d*")
CONFIG, COPY = "config.json", ".config.json"


class WorkDirectory:
    """One run's files. Made by `jaxrnn.running.opening.open_workdir`, which holds the lock.

    Args:
      path: the directory.
      config: as for `open_workdir`, and so are
      settings.
    """

    def __init__(self, path: Path, config: Config | None = None, settings: Any = None) -> None:
        self.path, self._config, self._settings = path, config or {}, settings

    def write_text(self, name: str, text: str) -> None:
        """Replaces a file at once: a reader, or a crash, sees the old one or the new one."""
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> None:
        """Likewise."""
        replace(self.path / name, content)

    def write_json(self, name: str, record: Mapping[str, Any]) -> None:
        """Likewise; what is not finite becomes null."""
        self.write_text(name, to_json(record, indent=2, ensure_ascii=False) + "\n")

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The record in a file; None if there is no such file, or none that is whole."""
        try:
            return read_json(self.path / name)
        except InputError:
            return None

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
        self._keep_metrics(record for record in self.metrics() if record["step"] <= step)

    def begin(self, start: int, now: Mapping[str, Any]) -> str | None:
        """Writes down what decides the run from a step (or trial) on.

        Not before one is about to be taken: a run that is finished keeps the configuration that it
        had, whatever was given.

        Args:
          start: the step.
          now: what computes, as from `surroundings`.

        Returns:
          A sentence each for what computed, and for how settings were, otherwise before.
        """
        file = self.path / CONFIG
        known = (read_config(self.path) or {}) if start else {}
        surroundings, said = computed_by(history_in(known, "surroundings", file), start, now)
        overrides, told = history_in(known, "overrides", file), None
        if self._settings is not None and known:
            there = from_dict(type(self._settings), known.get("settings"), file)
            overrides, told = overridden(overrides, start, there, self._settings)
        config = {**self._config, "surroundings": surroundings}
        if self._settings is not None:
            config = {"settings": to_dict(self._settings), **config}
        if overrides:
            config["overrides"] = overrides
        self.write_config(config)
        self._log_overrides(start, overrides)
        return "\n".join(filter(None, (told, said))) or None

    def keep_changeable(self) -> None:
        """Writes down the settings that a finished run may have otherwise."""
        known = read_config(self.path)
        if known is None or self._settings is None:
            return
        here, kind = self._settings, type(self._settings)
        there = from_dict(kind, known.get("settings"), self.path / CONFIG)
        changeable = (leaf for leaf in leaves(kind) if leaf.meaning.changeable)
        kept = replaced(there, **{leaf.name: leaf.of(here) for leaf in changeable})
        if kept != there:
            self.write_config({**known, "settings": to_dict(kept)})

    def write_config(self, config: Config) -> None:
        for name in (CONFIG, COPY):
            self.write_json(name, config)

    def _log_overrides(self, start: int, overrides: list[dict[str, Any]]) -> None:
        """Has metrics.jsonl say so at the step, once, however often the run goes on from there."""
        self._keep_metrics(
            record
            for record in self.metrics()
            if not (record["step"] == start and "overridden" in record)
        )
        if overrides and overrides[-1]["from"] == start:
            self.log({"step": start, "overridden": overrides[-1]["settings"]})

    def _keep_metrics(self, records: Iterator[Mapping[str, Any]]) -> None:
        file = self.path / "metrics.jsonl"
        text = "".join(to_json(record) + "\n" for record in records)
        if file.exists() and file.read_bytes() != text.encode():
            self.write_text("metrics.jsonl", text)


class Silent(WorkDirectory):
    """In a process that leaves all writing to another one."""

    def write_bytes(self, name: str, content: bytes) -> None:
        pass

    def append(self, name: str, record: Mapping[str, Any]) -> dict[str, Any]:
        return dict(record)


class Damaged(InputError):
    """A file is no JSON, as after a power cut."""


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is no such file."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); allow it") from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} cannot be read as JSON ({error}); mend or remove it") from None
    if not isinstance(record, dict):
        raise InputError(f"{path} does not hold a JSON object; mend or remove it")
    return record


def read_config(path: Path) -> dict[str, Any] | None:
    """The configuration of a work directory, or its copy where that is damaged.

    Returns:
      None if there is none: no run has begun there, or one was killed when it did.

    Raises:
      InputError: there are checkpoints (or trials), but it is not known what of.
    """
    damage = "is not there"
    for name in (CONFIG, COPY):
        try:
            config = read_json(path / name)
        except Damaged:
            config, damage = None, "is damaged"
        if config is not None:
            return config
        if not is_trained(path):
            return None
    raise InputError(
        f"{path / CONFIG} {damage}, and its copy {COPY} is no better, so that nobody knows "
        "what was trained there; put it back, or give another --workdir"
    )


def is_trained(path: Path) -> bool:
    """Whether a work directory holds what took time: a checkpoint after a step, or a trial."""
    checkpoints = (path / "checkpoints").glob("*/*")
    return any(_TRAINED.fullmatch(checkpoint.name) for checkpoint in checkpoints) or bool(
        read_records(path / "trials.jsonl", trial=str)
    )


def surroundings_before(path: Path, step: int) -> dict[str, Any] | None:
    """What computed the step before this one; None where there is none, or that is not known."""
    history = history_in(read_config(path) or {}, "surroundings", path / CONFIG)
    return next((entry for entry in reversed(history) if entry["from"] < step), None)
