"""A flag for a setting: its kind, its help, and what it may be, as the setting declares them."""

from collections.abc import Callable, Mapping
from typing import Any

from absl import flags

from jaxrnn.command_line.lists import define_list
from jaxrnn.core.errors import InputError
from jaxrnn.storage.fields import Leaf

flags.disclaim_key_flags()  # absl: flags that are defined here belong to the module that asks


def define_flag(leaf: Leaf) -> flags.FlagHolder:
    """A flag that is None unless it is given on the command line."""
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


def value_given(leaf: Leaf, off: Mapping[str, Any]) -> Any:
    """What the command line says, or None.

    Args:
      leaf: the setting.
      off: what settings have, by their names, where the command line has 0.

    Raises:
      InputError: it is not what the setting may be.
    """
    typed = flags.FLAGS[leaf.flag].value
    if typed is None:
        return None
    value = tuple(typed) if leaf.many else typed
    if leaf.name in off and value in (0, (0,)):
        return off[leaf.name]
    if complaint := leaf.complaint(value):
        raise InputError(f"{leaf.as_flag(value)} {complaint}")
    return value
