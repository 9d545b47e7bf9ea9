"""Flags for settings: kind, help and what a value may be are as the settings declare them."""

from collections.abc import Callable, Mapping
from typing import Any

from absl import flags

from jaxrnn.command_line.launch import group
from jaxrnn.command_line.lists import define_list
from jaxrnn.core.errors import InputError
from jaxrnn.storage.fields import Leaf, leaves

flags.disclaim_key_flags()  # absl: flags that are defined here belong to the module that asks


def define_flags(kind: type, titles: Mapping[str, str], *first: flags.FlagHolder) -> None:
    """Defines a flag for each leaf of a class of settings, None unless it is given.

    Args:
      kind: the class.
      titles: of its parts, by the names of the fields, for `--help`.
      first: flags that come before them there.
    """
    every = {leaf.path: _define(leaf) for leaf in leaves(kind)}
    group("The run", *first, *(flag for path, flag in every.items() if len(path) == 1))
    for part, title in titles.items():
        group(title, *(flag for path, flag in every.items() if path[0] == part))


def values_given(kind: type, off: Mapping[str, Any]) -> dict[str, Any]:
    """What the command line says, by the names of the leaves.

    Args:
      kind: the class of the settings.
      off: what settings have, by their names, where the command line has 0.

    Raises:
      InputError: a value is not what the setting may be.
    """
    typed = {leaf: flags.FLAGS[leaf.flag].value for leaf in leaves(kind)}
    return {leaf.name: _value(leaf, x, off) for leaf, x in typed.items() if x is not None}


def _define(leaf: Leaf) -> flags.FlagHolder:
    name, help = leaf.flag, leaf.meaning.help
    if leaf.many:
        return define_list(name, None, help, leaf.kind)
    if leaf.meaning.choices:
        return flags.DEFINE_enum(name, None, leaf.meaning.choices, help)
    define: Mapping[type, Callable[..., flags.FlagHolder]] = {
        bool: flags.DEFINE_boolean, int: flags.DEFINE_integer, float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }  # fmt: skip
    return define[leaf.kind](name, None, help)


def _value(leaf: Leaf, typed: Any, off: Mapping[str, Any]) -> Any:
    value = tuple(typed) if leaf.many else typed
    if leaf.name in off and value in (0, (0,)):
        return off[leaf.name]
    if complaint := leaf.complaint(value):
        raise InputError(f"{leaf.as_flag(value)} {complaint}")
    return value
