"""Where a run is shown while it trains; whatever fails there costs the run nothing."""

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from jaxrnn.running.exits import tell

T = TypeVar("T")


@runtime_checkable
class Display(Protocol):
    """What shows a run; a progress bar, say."""

    def update(self, step: int, fraction: float, facts: str, seconds_left: float) -> None:
        """Shows where training is; `fraction` of it is done."""

    def say(self, text: str = "") -> None:
        """Shows text as it is."""


class Quiet:
    """A display that shows nothing."""

    def update(self, step: int, fraction: float, facts: str, seconds_left: float) -> None:
        pass

    def say(self, text: str = "") -> None:
        pass


class Unfailing:
    """A display that is given up, and said so once on standard error, as soon as it fails.

    Nobody may read the pipe any more, the terminal may be closed, the disk of the log be full; none
    of that is a reason to lose what was learned.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._given_up = False

    def update(self, step: int, fraction: float, facts: str, seconds_left: float) -> None:
        self.attempt(lambda: self._display.update(step, fraction, facts, seconds_left))

    def say(self, text: str = "") -> None:
        self.attempt(lambda: self._display.say(text))

    def attempt(self, show: Callable[[], object]) -> None:
        """Shows something, unless that has failed before."""
        if self._given_up:
            return
        try:
            show()
        except Exception as error:
            self._given_up = True
            tell(f"nothing more can be shown here ({_told(error)}); the work goes on")

    def made(self, what: str, make: Callable[[], T]) -> T | None:
        """What is made to be looked at: a sample, a picture; None, and said, where that fails."""
        try:
            return make()
        except Exception as error:
            self.say(f"There is no {what} ({_told(error)}).")
            return None


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
