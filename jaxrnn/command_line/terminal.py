"""What may be shown on a terminal, and how a stream is kept from failing at what it cannot show."""

import codecs
import io
import re
import sys

from jaxrnn.core.errors import InputError
from jaxrnn.text.vocabulary import Level, Text

# C0, DEL and C1 but for tabs and line ends; and what reverses the order of the letters that follow.
_CONTROLS = re.compile(r"\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


_ESCAPED = "jaxrnn-escaped"


def prepare() -> None:
    r"""Has standard output and standard error escape what their encoding lacks.

    A name's bytes that are no text, which Python has as surrogates, are escaped as what they are,
    as \xff: so a shell takes them.
    """
    codecs.register_error(_ESCAPED, _escape_lost)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPED)


def harmless(text: str) -> str:
    r"""A text with its control characters escaped, as \x1b, but for line ends and tabs.

    A terminal obeys them: they move its cursor, change its title, or answer as if it had been
    typed at.
    """
    return _CONTROLS.sub(lambda found: _escaped(found[0]), text)


def readable(text: Text, encoding: str = "utf-8") -> str:
    r"""A text as a terminal may show it; of bytes, those that are no text are escaped, as \xff."""
    if isinstance(text, bytes):
        text = text.decode(encoding, "backslashreplace")
    return harmless(text)


class Output:
    """Standard output, as what a model writes goes there: at once, in pieces of any size.

    A terminal shows texts harmlessly, and bytes as text in an encoding; a character or a line end
    that is not whole yet waits for the next piece. A file or a pipe gets characters in its own
    encoding, and bytes as they are, with nothing in between.

    Raises:
      InputError: standard output is closed.
    """

    def __init__(self, level: Level, encoding: str) -> None:
        if sys.stdout is None or sys.stdout.closed:
            raise InputError("standard output is closed; leave it open, or send it to a file")
        self._shown = sys.stdout.isatty()
        self._raw = level == "byte" and not self._shown and hasattr(sys.stdout, "buffer")
        self._nothing = b"" if level == "byte" else ""
        decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")
        # It holds back a \r at the end of a piece as well: with \n it is a line end.
        self._decoder = io.IncrementalNewlineDecoder(
            decoder if level == "byte" else None, translate=False
        )

    def write(self, piece: Text) -> None:
        """Writes what a model read or wrote."""
        if self._raw:
            sys.stdout.buffer.write(piece)  # type: ignore[arg-type]
        else:
            text = self._decoder.decode(piece)
            sys.stdout.write(harmless(text) if self._shown else text)
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Writes what is no part of a text, between two of them."""
        if not self._raw:
            rest = self._decoder.decode(self._nothing, final=True)
            sys.stdout.write((harmless(rest) if self._shown else rest) + text)
            sys.stdout.flush()


def _escape_lost(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    escaped = (
        _escaped(chr(ord(lost) - 0xDC00)) if "\udc80" <= lost <= "\udcff"
        else lost.encode("ascii", "backslashreplace").decode()
        for lost in error.object[error.start : error.end]
    )  # fmt: skip
    return "".join(escaped), error.end


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
