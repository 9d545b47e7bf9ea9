"""What one sees while a run trains: a progress bar on a terminal, plain lines elsewhere."""

import time
from types import TracebackType

import rich.console
import rich.progress

PLAIN_INTERVAL = 10.0  # seconds between two plain lines


class ProgressDisplay:
    """A bar with step, loss, speed and time left; what is printed meanwhile appears above it."""

    def __init__(self, console: rich.console.Console | None = None) -> None:
        self.console = console or rich.console.Console(highlight=False, soft_wrap=True)
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.fields[steps]}"),
            rich.progress.BarColumn(bar_width=None),
            rich.progress.TextColumn("{task.fields[facts]}"),
            console=self.console,
            disable=not self.console.is_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=1.0, steps="compiling", facts="")
        self._last_line = time.monotonic()

    def __enter__(self) -> "ProgressDisplay":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, step: int, fraction: float, facts: str, seconds_left: float) -> None:
        """Shows where training is; `fraction` of it is done."""
        facts = f"{facts}, {_clock(seconds_left)} left"
        self._bar.update(self._task, completed=fraction, steps=f"step {step:,}", facts=facts)
        if self._bar.disable and time.monotonic() - self._last_line >= PLAIN_INTERVAL:
            self._last_line = time.monotonic()
            self.say(f"step {step:,} ({fraction:.0%}): {facts}")

    def say(self, text: str = "") -> None:
        """Prints text as it is."""
        self.console.out(text, highlight=False)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
