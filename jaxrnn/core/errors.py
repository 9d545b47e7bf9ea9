"""A user's mistake, and a library that is not installed: one sentence each."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """What a user gave cannot be used.

    The message is one sentence that names the offending thing, what was expected and what to do.
    Experiments print it without a traceback and exit with code 2; a notebook sees a `ValueError`.
    """


class MissingLibrary(InputError, ModuleNotFoundError):
    """A library is not installed; the sentence says which of jaxrnn's extras brings it."""


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around the import of a library that one of jaxrnn's extras brings (see pyproject.toml).

    Raises:
        MissingLibrary: the library is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        told = MissingLibrary(missing(f"the library {error.name}", name))
        told.name = error.name
        raise told from None


def missing(what: str, extra_name: str) -> str:
    """The sentence about something that an extra brings."""
    return (
        f"{what} is not installed; it comes with jaxrnn's extra '{extra_name}', in a checkout by: "
        f"pip install --editable '.[{extra_name}]'"
    )
