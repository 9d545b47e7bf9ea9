"""A user's mistake, and a library that is not installed: one sentence each."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """What a user gave cannot be used.

    The message is one sentence that names the offending thing, what was expected and what to do.
    Experiments print it without a traceback and exit with code 2; a notebook sees a `ValueError`.
    """


class MissingLibrary(InputError, ModuleNotFoundError):
    """A library is not installed; the sentence says how it is."""


@contextmanager
def installed() -> Iterator[None]:
    """Around the import of a library that the core can do without, and a lean installation has not.

    Raises:
        MissingLibrary: the library is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        told = MissingLibrary(missing(f"the library {error.name}"))
        told.name = error.name
        raise told from None


def missing(what: str) -> str:
    """The sentence about something that is not installed."""
    return (
        f"{what} is not installed; in a checkout of jaxrnn, {sys.executable} -m pip install "
        "--requirement requirements.txt installs all that is needed"
    )
