"""Where a run is kept so that it can go on; here, nowhere. `InDirectory` keeps one in files."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from jaxrnn.running.progress import Progress


class Keeper:
    """Keeps a run nowhere: what it returns is all that is left, and Ctrl-C ends it at once."""

    def resume(self, state: Any) -> tuple[Any, Progress, list[str]]:
        """The state to go on from, or the one given; and what is to be said of it."""
        return state, Progress(), []

    def note_surroundings(self, step: int, now: Mapping[str, Any]) -> str | None:
        """Takes note of what computes from a step on; says what of it is new."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Takes note of what was measured."""

    def save(self, state: Any, progress: Progress, *, best: bool = False) -> None:
        """Keeps a state, of which every process can read all."""

    def best(self, state: Any) -> Any:
        """The best state of a session before this one; of the given one's structure."""
        return state

    @contextlib.contextmanager
    def caught_signals(self) -> Iterator[list[str]]:
        """Collects the names of the signals at which a run is to be saved and to stop."""
        yield []
