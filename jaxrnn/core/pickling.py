"""Functions in a pickle by where they are imported from.

`pickle` does so for plain functions only; of `jnp.tanh`, which is jitted, it tries to pickle what
is inside, and fails.
"""

import functools
import importlib
from types import FunctionType
from typing import Any


class _StandIn:
    """Takes an object's place in a pickle, and is that object once loaded."""

    def __init__(self, make: Any, *arguments: Any) -> None:
        self.made_by = make, arguments

    def __reduce__(self) -> tuple:
        return self.made_by


def by_name(function: Any) -> Any:
    """A function as it is to be pickled: by its name, where that leads to it, else as it is."""
    if isinstance(function, FunctionType):
        return function
    if isinstance(function, functools.partial):
        arguments, keywords = function.args, function.keywords
        return _StandIn(_partial, by_name(function.func), arguments, keywords)
    place = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    try:
        is_found = place[0] != "__main__" and _import(*place) is function
    except (ImportError, AttributeError, ValueError, TypeError):
        return function
    return _StandIn(_import, *place) if is_found else function


def _import(module: Any, name: Any) -> Any:
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


def _partial(function: Any, arguments: tuple, keywords: dict) -> functools.partial:
    return functools.partial(function, *arguments, **keywords)
