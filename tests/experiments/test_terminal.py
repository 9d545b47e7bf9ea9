"""What standard output gets of a text, by what it is: a terminal, or a file."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.command_line.terminal import Output, harmless, prepare
from jaxrnn.core.errors import InputError
from tests.networks import examples


class Stream(io.TextIOWrapper):
    """Keeps what is written to it, and is a terminal or not."""

    def __init__(self, encoding: str, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding, newline="")
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def written(pieces, encoding="utf-8", *, terminal, level="byte", bytes_as="utf-8") -> bytes:
    stream = Stream(encoding, terminal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        prepare()
        output = Output(level, bytes_as)
        for piece in pieces:
            output.write(piece)
        output.say("\n")
    return stream.buffer.getvalue()  # type: ignore[attr-defined]


SHOWN = {
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x1b[31m\x9b31m\x7f\x00\x08": r"\x1b[31m\x9b31m\x7f\x00\x08",
    "over\rwritten": r"over\x0dwritten",
    "a\u202eb\u2066c": r"a\u202eb\u2066c",
    "line\r\nline\n\ttab": "line\r\nline\n\ttab",
    "\u5c71 \u00e9\u0301 \U0001f600\u200d": "\u5c71 \u00e9\u0301 \U0001f600\u200d",
}


@pytest.mark.parametrize(("text", "shown"), SHOWN.items())
def test_a_terminal_gets_nothing_that_it_would_obey(text, shown):
    assert harmless(text) == shown
    whole = f"{shown}\n".encode()
    assert written(text, terminal=True, level="character") == whole
    in_bytes = text.encode()
    pieces = [in_bytes[i : i + 1] for i in range(len(in_bytes))]
    assert written(pieces, terminal=True) == whole


@given(text=st.binary(max_size=30), size=st.integers(1, 7))
@examples(80)
def test_bytes_are_shown_as_text_where_they_are_some_and_escaped_elsewhere(text, size):
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    shown = f"{harmless(text.decode(errors='backslashreplace'))}\n"
    assert written(pieces, terminal=True) == shown.encode()
    assert written(pieces, terminal=False) == text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "gb18030", "utf-16-le"])
@pytest.mark.parametrize("terminal", [True, False])
def test_what_an_encoding_lacks_is_escaped(encoding, terminal):
    for text in ("\u5c71 \u00e9 \U0001f600 \udc80", "x"):
        bytes_as_bytes = text.replace("\udc80", r"\x80")
        expected = f"{bytes_as_bytes}\n".encode(encoding, "backslashreplace")
        assert written([text], encoding, terminal=terminal, level="character") == expected


def test_bytes_stand_for_text_in_the_encoding_that_is_given():
    assert written([b"l\xe9"], terminal=True, bytes_as="latin-1") == "lé\n".encode()
    assert written([b"l\xe9"], terminal=True) == b"l\\xe9\n"


def test_a_closed_output_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(InputError, match="standard output is closed"):
        Output("byte", "utf-8")
