import io

import rich.console

from jaxrnn.command_line import progress
from jaxrnn.command_line.progress import ProgressDisplay


def display(terminal: bool) -> tuple[ProgressDisplay, io.StringIO]:
    file = io.StringIO()
    console = rich.console.Console(file=file, force_terminal=terminal, width=100)
    return ProgressDisplay(console), file


def test_text_is_printed_as_it_is():
    text = "[bold]no markup[/bold] :smile: 'quoted' 1,234 " + "and a long line " * 20
    shown, file = display(terminal=False)
    with shown:
        shown.say(text)
    assert file.getvalue() == text + "\n"


def test_elsewhere_than_on_a_terminal_there_is_a_line_now_and_then(monkeypatch):
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    shown, file = display(terminal=False)
    with shown:
        for _ in range(41):
            now += 0.5
            shown.update(1200, 0.25, "2.500 bits per character, 98,765 characters/s", 3725.0)
    line = "step 1,200 (25%): 2.500 bits per character, 98,765 characters/s, 1:02:05 left"
    assert file.getvalue().splitlines() == [line, line]


def test_a_terminal_has_a_bar():
    shown, file = display(terminal=True)
    with shown:
        shown.update(1200, 0.25, "2.500 bits per character", 65.0)
        shown.say("what it writes")
    written = file.getvalue()
    assert "what it writes" in written
    assert "step 1,200" in written
    assert "1:05 left" in written
