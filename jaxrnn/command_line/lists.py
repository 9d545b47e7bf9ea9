"""Flags that take a list: numbers, or names of files and the like.

Entries stand between commas, or follow as words of their own, as a shell expands `*.txt`. Where a
value as a whole names a file, comma and all, it is that file; and pieces between commas that name
none are put together again where that names one.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags

from jaxrnn.core.errors import InputError
from jaxrnn.storage.files import user_path

ABOUT = (
    "The entries of a list stand between commas, or are words of their own: --{name} ONE TWO. "
    "A file whose name has a comma in it may be given as it is. "
    "A list of names may be given again, to add to it; one of numbers is given once."
)


class ListFlag(flags.Flag):
    """A flag whose value is a list; what is given again is added."""

    def __init__(self, name: str, default: Sequence[Any] | None, help: str, kind: type) -> None:
        self.is_once = kind is not str
        super().__init__(_Entries(kind), flags.ListSerializer(","), name, default, help)

    def parse(self, argument: Any) -> None:
        more = self._parse(argument) or []
        self.value = [*self.value, *more] if self.present and self.value else more
        self.present += 1


def define_list(
    name: str, default: Sequence[Any] | None, help: str, kind: type = str
) -> flags.FlagHolder:
    """Defines a flag that takes a list of strings, or of `int` or `float`."""
    return flags.DEFINE_flag(ListFlag(name, default, help, kind))


def define_texts(name: str, help: str) -> flags.FlagHolder:
    """Defines a flag that takes a text as it is, commas and all, and may be given again."""
    holder = flags.DEFINE_multi_string(name, None, help)
    flags.FLAGS[name].help = help  # without the sentence that absl adds to it
    return holder


class _Entries(flags.ArgumentParser):
    def __init__(self, kind: type) -> None:
        self.kind = kind

    def parse(self, argument: Any) -> list[Any]:
        if not isinstance(argument, str):  # a default
            return list(argument)
        texts = list(_names(argument)) if self.kind is str else argument.split(",")
        if any(not text.strip() for text in texts):
            raise ValueError(
                "has an empty entry; separate entries by single commas"
                if argument.strip()
                else "is empty; give what it needs, or leave it out"
            )
        return texts if self.kind is str else [_number(self.kind, text) for text in texts]

    def flag_type(self) -> str:
        return "list"


def _names(text: str) -> Iterator[str]:
    if _is_there(text):
        yield text
        return
    pieces = text.split(",")
    while pieces:
        ends = range(1, len(pieces) + 1)
        end = next((end for end in ends if _is_there(",".join(pieces[:end]))), None)
        yield ",".join(pieces[:end]) if end else pieces[0].strip()
        del pieces[: end or 1]


def _is_there(name: str) -> bool:
    if not name.strip():
        return False
    try:
        return os.path.lexists(user_path(name))
    except (InputError, ValueError):
        return False


def _number(kind: type, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(
            f"has '{text.strip()}' where a {'whole ' * (kind is int)}number is expected; separate "
            "numbers by commas"
        ) from None
