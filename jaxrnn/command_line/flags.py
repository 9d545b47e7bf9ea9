"""Flags made from settings, one for each leaf; what is not given on the command line a preset says,
or the run that is gone on with.

A flag that was not given is None, and that is what tells it from one that was.
"""

from typing import Any

from absl import flags

from jaxrnn.command_line.setting_flags import values_given
from jaxrnn.core.errors import InputError
from jaxrnn.storage.fields import leaves
from jaxrnn.storage.files import user_path
from jaxrnn.text import own_cells
from jaxrnn.text.reading.corpora import resolved
from jaxrnn.text.settings import GRAPH, LENGTHS, Settings

TITLES = {
    "text": "The text", "network": "The network", "recipe": "How it learns", "length": "How long",
}  # fmt: skip
# What settings have where the command line has 0.
OFF = {"clip_norm": None, "clip_value": None, "ngrams": ()}

flags.disclaim_key_flags()  # absl: flags that are defined here belong to the module that asks


def settings_given(base: Settings) -> Settings:
    """A preset's settings, or those of a run, overridden by the flags that were given.

    Raises:
      InputError: a flag's value is not what it may be, or flags exclude each other.
    """
    given: dict[str, Any] = values_given(Settings, OFF)
    lengths = [name for name in LENGTHS if name in given]
    if len(lengths) > 1:
        raise InputError(f"--{lengths[0]} and --{lengths[1]} both say how long; give one of them")
    if lengths:
        given = dict.fromkeys(LENGTHS) | given
    if "graph" in given:
        if not given.keys().isdisjoint(GRAPH):
            names = ", ".join(f"--{name}" for name in GRAPH)
            raise InputError(f"--network gives the whole graph; leave {names} out")
        given |= dict.fromkeys(GRAPH)
    elif base.network.graph is not None and not given.keys().isdisjoint(GRAPH):
        plain = Settings().network  # no longer a graph
        given = {"graph": None, **{name: getattr(plain, name) for name in GRAPH}} | given
    for name in given.keys() & {"graph", "init_from"}:
        given[name] = absolute(given[name])
    if "corpus" in given:
        given["corpus"] = resolved(given["corpus"])
    if "cells" in given:
        given["cells"] = own_cells.resolved(given["cells"])
    return base.but(**given)


def is_given(*names: str) -> bool:
    """Whether one of the flags was given that set these leaves."""
    flagged = {leaf.name: leaf.flag for leaf in leaves(Settings)}
    return any(flags.FLAGS[flagged[name]].value is not None for name in names)


def absolute(path: str) -> str:
    """As settings keep it, so that it holds wherever one is."""
    return str(user_path(path).absolute())


def by_flag(settings: Settings) -> dict[str, Any]:
    """The values by the names of the flags that set them."""
    return {leaf.flag: leaf.of(settings) for leaf in leaves(Settings)}
