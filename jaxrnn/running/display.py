"""Where a run is shown while it trains."""

from typing import Protocol, runtime_checkable


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
