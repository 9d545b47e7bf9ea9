"""Text that a user types, or gives in a file or on standard input, as a model takes it."""

import codecs
import os
import tempfile
from pathlib import Path

from jaxrnn.core.errors import InputError
from jaxrnn.running.exits import tell
from jaxrnn.storage.files import user_path
from jaxrnn.text.reading.compression import open_bytes
from jaxrnn.text.reading.decoding import text_blocks
from jaxrnn.text.reading.files import check_file, named
from jaxrnn.text.reading.pipes import STANDARD_INPUT, spool
from jaxrnn.text.unknown import counted, other_form
from jaxrnn.text.vocabulary import Level, Text, Vocabulary

WITHOUT_MARK = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}


def typed(text: str, level: Level, encoding: str, flag: str) -> Text:
    """What was typed as a flag's value: characters, or bytes in an encoding.

    Python keeps the bytes that the locale could not read as surrogates. They are bytes again, or
    are read in the encoding.

    Raises:
      InputError: the encoding has not all of the characters, or cannot read the bytes.
    """
    try:
        if level == "byte":
            name = codecs.lookup(encoding).name
            return text.encode(WITHOUT_MARK.get(name, name), "surrogateescape")
        if any("\ud800" <= character <= "\udfff" for character in text):
            return os.fsencode(text).decode(encoding)
    except UnicodeDecodeError:
        raise InputError(
            f"--{flag}={text!r} is not text in {encoding}; say with --encoding what it is in"
        ) from None
    except UnicodeEncodeError as error:
        raise InputError(
            f"--{flag} has {text[error.start : error.end]!r}, which {encoding} has not; give "
            "another --encoding, or leave it out"
        ) from None
    return text


def read_file(name: str, level: Level, encoding: str) -> Text:
    """What is in a file, or comes from standard input, where its name is "-".

    Raises:
      InputError: it is empty, cannot be read, or is not text in the encoding.
    """
    path = user_path(name)
    if path.is_dir():
        raise InputError(f"{named(path)} is a directory; give a file with the text to go on from")
    if name != STANDARD_INPUT and not path.is_fifo():
        check_file(path)
        return _content(path, level, encoding)
    with tempfile.TemporaryDirectory() as folder:  # the readers want a file
        spooled = Path(folder) / ("standard input" if name == STANDARD_INPUT else "pipe")
        with spooled.open("wb") as file:
            spool(name if name == STANDARD_INPUT else str(path), file)
        return _content(spooled, level, encoding)


def known(vocabulary: Vocabulary, text: Text, *, drop: bool, flag: str) -> Text:
    """The text, normalised; without what the model does not know, where that may be dropped.

    Raises:
      InputError: the model does not know all of the characters, or, where they may be dropped,
        none of them.
    """
    text = vocabulary.normalise(text)
    unknown = vocabulary.unknown_in(text)
    if not unknown:
        return text
    if isinstance(text, bytes) and not drop:
        tell(f"reads what the model never saw as unknown, {counted(unknown, text, flag)}")
        return text
    if not drop:
        raise InputError(
            f"the model does not know {counted(unknown, text, flag)}; leave them out, or give "
            f"--unknown=drop{other_form(vocabulary, text)}"
        )
    left = vocabulary.without_unknown(text)
    if not left:
        raise InputError(
            f"nothing would be left: the model does not know {counted(unknown, text, flag)}; give "
            "another text"
        )
    tell(f"dropped what the model does not know, {counted(unknown, text, flag)}")
    return left


def _content(file: Path, level: Level, encoding: str) -> Text:
    if level == "character":
        return "".join(text_blocks(file, encoding))
    with open_bytes(file) as stream:
        return b"".join(stream.blocks())
