"""A run that is kept in a work directory: its records, and its last and its best state."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from jaxrnn.core.errors import InputError
from jaxrnn.learning import parallel
from jaxrnn.running.keeping import Keeper
from jaxrnn.running.processes import from_writer, is_writer
from jaxrnn.running.progress import Progress
from jaxrnn.running.signals import caught_signals
from jaxrnn.running.workdir import CONFIG, WorkDirectory
from jaxrnn.storage.checkpoints import Checkpoints, Restored


class InDirectory(Keeper):
    """Keeps a run, which goes on from the last checkpoint; the first signal saves and ends it."""

    def __init__(self, workdir: WorkDirectory) -> None:
        self.workdir, self.checkpoints = workdir, Checkpoints(workdir.path)

    def resume(self, state: Any) -> tuple[Any, Progress, list[str]]:
        restored = self._restored(state)
        if restored is None:
            self.workdir.forget_after(-1)
            return state, Progress(), []
        told = [f"Checkpoint {skipped}; going on from another one." for skipped in restored.skipped]
        progress, unknown = self._progress(restored)
        if unknown:
            told.append(
                f"This jaxrnn does not know what the checkpoint says of {', '.join(unknown)}, and "
                "goes on without it."
            )
        self.workdir.forget_after(progress.step)
        return restored.state, progress, [*told, f"Going on from step {progress.step:,}."]

    def note_surroundings(self, step: int, now: Mapping[str, Any]) -> str | None:
        return from_writer(lambda: self.workdir.begin(step, now))

    def log(self, record: Mapping[str, Any]) -> None:
        if is_writer():
            self._check_is_there()
        self.workdir.log(record)

    def save(self, state: Any, progress: Progress, *, best: bool = False) -> None:
        metrics = dataclasses.asdict(progress)

        def save() -> None:
            self._check_is_there()
            self.checkpoints.save(progress.step, state, metrics=metrics, best=best)

        from_writer(save)

    def best(self, state: Any) -> Any:
        return self.checkpoints.restore(state, which="best").state

    @contextlib.contextmanager
    def caught_signals(self) -> Iterator[list[str]]:
        with caught_signals() as caught:
            yield caught

    def _check_is_there(self) -> None:
        """Before something is written: what was saved would be half of a run."""
        if not (self.workdir.path / CONFIG).exists():
            raise InputError(
                f"the work directory {self.workdir.path} was moved or removed while the run was "
                "going on; go on from where it is now, or give another --workdir"
            )

    def _restored(self, state: Any) -> Restored | None:
        """The writer's last checkpoint, in every process; None if there is none."""
        checkpoints = self.checkpoints
        found = checkpoints.restore(state) if is_writer() and checkpoints.there else None
        if jax.process_count() == 1:
            return found
        told = from_writer(lambda: found and found._replace(state=None))
        if told is None:
            return None
        step, _, metrics, skipped, which = told
        state = parallel.from_first(found.state if found else state)
        return Restored(step, state, metrics, tuple(skipped), which)

    def _progress(self, restored: Restored) -> tuple[Progress, list[str]]:
        """The progress in a checkpoint, and what in it is unknown.

        An older or a newer jaxrnn may have written it.
        """
        kinds: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(Progress)}
        found: dict[str, Any] = {"step": restored.step} | restored.metrics
        known = {}
        for name in found.keys() & kinds.keys():
            value, kind = found[name], kinds[name]
            known[name] = (
                value if isinstance(value, kind) or type(value) is not int else float(value)
            )
            if not isinstance(known[name], kind):
                raise InputError(
                    f"the checkpoint of step {restored.step} in {self.workdir.path} has {value!r} "
                    f"for '{name}', where {getattr(kind, '__name__', kind)} is expected; delete it "
                    "to go on from the one before it"
                )
        return Progress(**known), sorted(found.keys() - kinds.keys())
