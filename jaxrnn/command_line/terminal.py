"""What may be shown on a terminal, and how a stream is kept from failing at what it cannot show."""

import io
import sys
import unicodedata

_LAYOUT = "\n\t"


def prepare() -> None:
    """Has standard output and standard error escape what their encoding lacks."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def harmless(text: str) -> str:
    r"""A text with its control characters escaped, as \x1b, but for line ends and tabs.

    A terminal obeys them: they move its cursor, change its title, or answer as if it had been
    typed at.
    """
    if text.isprintable():
        return text
    return "".join(
        f"\\x{ord(c):02x}" if unicodedata.category(c) == "Cc" and c not in _LAYOUT else c
        for c in text
    )
