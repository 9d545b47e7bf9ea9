"""Recurrent neural networks in JAX: any graph of layers and delays, one jitted program."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

# What there is stands in jaxrnn.api. It is imported when a name of it is first asked for: the
# commands have to answer Ctrl-C, and `--help`, before JAX is there.
if TYPE_CHECKING:
    from jaxrnn.api import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        if name == "__all__" or not name.startswith("_"):
            api = import_module("jaxrnn.api")
            names = globals()
            names.update({each: getattr(api, each) for each in ("__all__", *api.__all__)})
            if name in names:
                return names[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
