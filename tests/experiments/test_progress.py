import errno
import io
import os

import pytest
import rich.console

from jaxrnn.command_line import progress
from jaxrnn.command_line.progress import ProgressDisplay, progress_display


def display(terminal: bool) -> tuple[ProgressDisplay, io.StringIO]:
    file = io.StringIO()
    console = rich.console.Console(
        file=file, force_terminal=terminal, width=100, _environ={"TERM": "xterm"}
    )
    return ProgressDisplay(console), file


def test_text_is_printed_as_it_is():
    text = "[bold]no markup[/bold] :smile: 'quoted' 1,234 " + "and a long line " * 20
    shown, file = display(terminal=False)
    shown.say(text)
    assert file.getvalue() == text + "\n"


def test_elsewhere_than_on_a_terminal_there_is_a_line_now_and_then(monkeypatch):
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shown, file = display(terminal=False)
    for _ in range(41):
        now += 0.5
        shown.update(1200, 0.25, "2.500 bits per character, 98,765 characters/s", 3725.0)
    line = "step 1,200 (25%): 2.500 bits per character, 98,765 characters/s, 1:02:05 left"
    assert file.getvalue().splitlines() == [line, line]


def test_a_terminal_has_a_bar():
    shown, file = display(terminal=True)
    shown.start()
    shown.update(1200, 0.25, "2.500 bits per character", 65.0)
    shown.say("what it writes")
    shown.stop()
    written = file.getvalue()
    assert "what it writes" in written
    assert "step 1,200" in written
    assert "1:05 left" in written


@pytest.mark.parametrize("terminal", [False, True])
def test_what_a_terminal_would_obey_is_escaped(terminal):
    shown, file = display(terminal)
    shown.say("a\x1b]0;title\x07b\x9b31m\rc\x00\nline")
    assert file.getvalue() == "a\\x1b]0;title\\x07b\\x9b31m\\x0dc\\x00\nline\n"


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("number", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_an_output_that_fails_is_said_once_and_stops_nothing(number, terminal, monkeypatch, capsys):
    class Failing(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(number, os.strerror(number))

        def isatty(self) -> bool:
            return terminal

    monkeypatch.setattr("sys.stdout", Failing())
    with progress_display() as shown:
        for step in range(5):
            shown.say(f"step {step}")
            shown.update(step, 0.5, "facts", 1.0)
    assert capsys.readouterr().err.count(os.strerror(number)) == 1


def test_what_cannot_be_made_for_looking_at_is_said(capsys):
    with progress_display() as shown:
        assert shown.made("picture", lambda: 1 // 0) is None
        assert shown.made("picture", lambda: 3) == 3
        shown.say("on it goes")
    assert capsys.readouterr().out == (
        "There is no picture (ZeroDivisionError: integer division or modulo by zero).\non it goes\n"
    )
