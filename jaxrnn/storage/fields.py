"""Settings as frozen dataclasses, each field of which says what it means and what it may be.

One declaration serves wherever a value comes from: a call, a file, a flag. A class of settings has
leaves, declared by `setting`, and parts, fields that are settings too; it calls `check(self)` in
its `__post_init__`. A leaf is a truth value, a number, a string or a tuple of such, or may be None.
Leaves' names are unique over all the parts of a class.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache, reduce
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from jaxrnn.core.checks import shown
from jaxrnn.core.errors import InputError

Bound = float | int | None
S = TypeVar("S")  # settings: a frozen dataclass


class _Word(NamedTuple):
    one: str
    plural: str


_KINDS = {
    bool: _Word("true or false", "true and false"), int: _Word("a whole number", "whole numbers"),
    float: _Word("a number", "numbers"), str: _Word("a string", "strings"),
}  # fmt: skip


class Meaning(NamedTuple):
    """What a declaration says of a leaf; see `setting`."""

    help: str
    at_least: Bound
    above: Bound
    at_most: Bound
    below: Bound
    choices: tuple[str, ...]
    changeable: bool
    overridable: bool
    flag: str | None


class Leaf(NamedTuple):
    """A field that is no part of others, wherever in a class of settings it is."""

    path: tuple[str, ...]  # the names of the parts that it lies in, and its own
    kind: type  # bool, int, float or str
    many: bool  # a tuple of these
    optional: bool  # or None
    meaning: Meaning

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def flag(self) -> str:
        """The name of the flag that sets it."""
        return self.meaning.flag or self.name

    def of(self, settings: Any) -> Any:
        return reduce(getattr, self.path, settings)

    def as_flag(self, value: Any) -> str:
        """A value as one would type it."""
        if value is None or (self.many and not value):
            return f"no --{self.flag}"
        if self.kind is bool:
            return f"--{'' if value else 'no'}{self.flag}"
        return f"--{self.flag}={','.join(map(str, value)) if self.many else value}"

    def complaint(self, value: Any) -> str | None:
        """What a value would have to be; None if it is."""
        if value is None and self.optional:
            return None
        if not self.many:
            return self._complaint_of_one(value)
        if not isinstance(value, tuple):
            return f"must be a list of {_KINDS[self.kind].plural}"
        complaints = (self._complaint_of_one(each) for each in value)
        return next((f"has an entry that {each}" for each in complaints if each), None)

    def _complaint_of_one(self, value: Any) -> str | None:
        kinds = (int, float) if self.kind is float else self.kind
        if not isinstance(value, kinds) or (isinstance(value, bool) and self.kind is not bool):
            return f"must be {_KINDS[self.kind].one}"
        if isinstance(value, float) and not math.isfinite(value):
            return "must be a finite number"
        if self.meaning.choices and value not in self.meaning.choices:
            return f"must be one of {', '.join(self.meaning.choices)}"
        return None if self._within(value) else f"must be {self._bounds()}"

    def _within(self, value: Any) -> bool:
        m = self.meaning
        return (
            (m.at_least is None or value >= m.at_least) and (m.above is None or value > m.above)
            and (m.at_most is None or value <= m.at_most) and (m.below is None or value < m.below)
        )  # fmt: skip

    def _bounds(self) -> str:
        bounds = [("at least", self.meaning.at_least), ("above", self.meaning.above),
                  ("at most", self.meaning.at_most), ("below", self.meaning.below)]  # fmt: skip
        return " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)


def setting(
    default: Any,
    help: str,
    *,
    at_least: Bound = None,
    above: Bound = None,
    at_most: Bound = None,
    below: Bound = None,
    choices: tuple[str, ...] = (),
    changeable: bool = False,
    overridable: bool = False,
    flag: str | None = None,
) -> Any:
    """Declares a leaf.

    Args:
      default: its value, if none is given.
      help: what it means, a sentence.
      at_least: the least that a number may be;
      above: what it has to exceed;
      at_most: the most that it may be;
      below: what has to exceed it.
      choices: what a string may be, if not any.
      changeable: whether a run that goes on may have another value, since what it has learned, and
        what it learns from, stay the same.
      overridable: whether it may if that is asked for: all arrays of a checkpoint, and what of its
        data a step reads, stay what they are, but the steps from then on are others.
      flag: the name of the flag that sets it, if not its own.
    """
    meaning = Meaning(help, at_least, above, at_most, below, choices, changeable, overridable, flag)
    return dataclasses.field(default=default, metadata={"meaning": meaning})


def parts(kind: type) -> dict[str, type]:
    """The classes of the settings within a class of settings, by the names of the fields."""
    hints = typing.get_type_hints(kind)
    names = (field.name for field in dataclasses.fields(kind))
    return {name: hints[name] for name in names if dataclasses.is_dataclass(hints[name])}


@cache
def leaves(kind: type) -> tuple[Leaf, ...]:
    """The leaves of a class of settings, those of its parts too, in the order of declaration."""
    return tuple(_leaves(kind, ()))


def _leaves(kind: type, path: tuple[str, ...]) -> Iterator[Leaf]:
    hints, below = typing.get_type_hints(kind), parts(kind)
    for field in dataclasses.fields(kind):
        here = (*path, field.name)
        if field.name in below:
            yield from _leaves(below[field.name], here)
        else:
            yield Leaf(here, *_shape(hints[field.name]), field.metadata["meaning"])


def _shape(hint: Any) -> tuple[type, bool, bool]:
    """Of an annotation such as `tuple[int, ...] | None`: kind, whether many, whether optional."""
    optional = isinstance(hint, types.UnionType)
    if optional:
        (hint,) = (each for each in typing.get_args(hint) if each is not types.NoneType)
    many = typing.get_origin(hint) is tuple
    return (typing.get_args(hint)[0] if many else hint), many, optional


def check(settings: Any) -> None:
    """Refuses settings one of whose own leaves is not what it may be."""
    for leaf in leaves(type(settings)):
        if len(leaf.path) == 1 and (complaint := leaf.complaint(leaf.of(settings))):
            raise InputError(f"{leaf.name} is {shown(leaf.of(settings))}; it {complaint}")


def replaced(settings: S, **values: Any) -> S:
    """The same settings but for some leaves, given by name, in whichever parts they are."""
    changed = {}
    for name, kind in parts(type(settings)).items():
        inside = {leaf.name for leaf in leaves(kind)} & values.keys()
        if inside:
            taken = {each: values.pop(each) for each in inside}
            changed[name] = replaced(getattr(settings, name), **taken)
    return dataclasses.replace(settings, **changed, **values)  # type: ignore


def to_dict(settings: Any) -> dict[str, Any]:
    """For JSON; nested as the settings are."""
    found: dict[str, Any] = {}
    for leaf in leaves(type(settings)):
        record, value = found, leaf.of(settings)
        for name in leaf.path[:-1]:
            record = record.setdefault(name, {})
        record[leaf.name] = list(value) if leaf.many and value is not None else value
    return found


def from_dict(kind: type[S], record: Any, file: Path, within: str = "settings") -> S:
    """The settings that `to_dict` made a record of.

    Args:
      kind: their class.
      record: what was read from JSON, whatever it is.
      file: where it was read, for an error's sentence; so is
      within: the name that it has there.

    Raises:
      InputError: a field is missing, unknown or not what it may be.
    """
    advice = "another version wrote it, or it is damaged, so give another directory"
    if record is None:
        raise InputError(f"{file} lacks '{within}'; {advice}")
    if not isinstance(record, Mapping):
        raise InputError(f"{file} has {shown(record)} for '{within}', not an object; {advice}")
    below, own = parts(kind), {leaf.name: leaf for leaf in leaves(kind) if len(leaf.path) == 1}
    for name in sorted(below.keys() | own.keys() | record.keys()):
        if name not in record:
            raise InputError(f"{file} lacks '{within}.{name}'; {advice}")
        if name not in below and name not in own:
            raise InputError(f"{file} has a setting '{within}.{name}', which is unknown; {advice}")
    values: dict[str, Any] = {}
    for name, inner in below.items():
        values[name] = from_dict(inner, record[name], file, f"{within}.{name}")
    for name, leaf in own.items():
        value = record[name]
        if leaf.many and isinstance(value, list):
            value = tuple(value)
        if complaint := leaf.complaint(value):
            told = shown(record[name])
            raise InputError(
                f"{file} has {told} for '{within}.{name}', which {complaint}; {advice}"
            )
        values[name] = _converted(leaf, value)
    try:
        return kind(**values)
    except InputError as mistake:  # of leaves that do not go together
        raise InputError(f"{file}, '{within}': {mistake}") from None


def _converted(leaf: Leaf, value: Any) -> Any:
    """Whole numbers as floats, where these are expected: JSON may have left their points out."""
    if leaf.kind is not float or value is None:
        return value
    return tuple(map(float, value)) if leaf.many else float(value)
