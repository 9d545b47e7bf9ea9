"""What one sees while a run trains: a progress bar on a terminal, plain lines elsewhere."""

import contextlib
import errno
import os
import time
from collections.abc import Iterator

import rich.console
import rich.progress

from jaxrnn.command_line.terminal import harmless
from jaxrnn.running.display import Unfailing
from jaxrnn.running.exits import forgo

BAR_INTERVAL = 0.2  # seconds between two pictures of the bar
PLAIN_INTERVAL = 10.0  # and between two plain lines


@contextlib.contextmanager
def progress_display() -> Iterator[Unfailing]:
    """Where a run is shown on standard output, as long as that can be written to."""
    shown = ProgressDisplay()
    display = Unfailing(shown)
    display.attempt(shown.start)
    try:
        yield display
    finally:
        display.attempt(shown.stop)
        forgo()


class ProgressDisplay:
    """A bar with step, loss, speed and time left; what is printed meanwhile appears above it."""

    def __init__(self, console: rich.console.Console | None = None) -> None:
        self.console = console or _Console(highlight=False, soft_wrap=True)
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.fields[steps]}"),
            rich.progress.BarColumn(bar_width=None),
            rich.progress.TextColumn("{task.fields[facts]}"),
            console=self.console,
            disable=not self.console.is_terminal or self.console.is_dumb_terminal,
            auto_refresh=False,  # by a thread, whose failures nobody would catch
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=1.0, steps="compiling", facts="")
        self._last_shown = time.monotonic()

    def start(self) -> None:
        self._bar.start()

    def stop(self) -> None:
        self._bar.stop()

    def update(self, step: int, fraction: float, facts: str, seconds_left: float) -> None:
        """Shows where training is; `fraction` of it is done."""
        facts = f"{facts}, {_clock(seconds_left)} left"
        interval = PLAIN_INTERVAL if self._bar.disable else BAR_INTERVAL
        is_due = time.monotonic() - self._last_shown >= interval
        if is_due:
            self._last_shown = time.monotonic()
        if not self._bar.disable:
            self._bar.update(
                self._task, completed=fraction, steps=f"step {step:,}", facts=facts, refresh=is_due
            )
        elif is_due:
            self.say(f"step {step:,} ({fraction:.0%}): {facts}")

    def say(self, text: str = "") -> None:
        """Prints text as it is, but for characters that a terminal would obey."""
        self.console.out(harmless(text), highlight=False)


class _Console(rich.console.Console):
    def on_broken_pipe(self) -> None:
        # Rich would end the program.
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
