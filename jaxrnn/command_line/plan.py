"""What a run is to be: flags, the run that is there and the model to start from, agreed upon."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import flags

from jaxrnn import Network
from jaxrnn.command_line.flags import absolute, is_given, settings_given
from jaxrnn.core.errors import InputError
from jaxrnn.running.processes import check_alike, from_writer
from jaxrnn.running.stopping import Stopping
from jaxrnn.running.workdir import Config, is_trained, read_config
from jaxrnn.storage.files import user_path
from jaxrnn.text import Corpus, EncodedText
from jaxrnn.text.from_settings import make_network, make_stopping, read_text
from jaxrnn.text.own_cells import load_cells
from jaxrnn.text.own_cells import resolved as resolved_cells
from jaxrnn.text.saved_run import (
    Origin,
    check_corpus_is_there,
    check_same_text,
    saved_run,
    saved_settings,
)
from jaxrnn.text.settings import GRAPH, PRESETS, Settings
from jaxrnn.text.starting import Start, agreed, find_start, taken_over

PRESET = flags.DEFINE_enum(
    "preset", None, list(PRESETS), "Settings to start from; other flags override them. quick: a"
    " few minutes on two CPU cores; best: a larger network, 75 minutes on one core; small: for"
    " texts of about a million characters, half an hour on one core; seed: a small plain network"
    " without tricks [those of the run in --workdir; else quick]."
)  # fmt: skip
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where the run is kept; a run that is there goes on [runs/PRESET]."
)


class Plan(NamedTuple):
    """What a run is, before anything of it is written."""

    path: Path  # its work directory
    start: Start | None
    settings: Settings
    corpus: Corpus
    text: EncodedText
    network: Network
    stopping: Stopping

    @property
    def origin(self) -> Origin | None:
        return None if self.start is None else self.start.origin

    def check_text(self, known: Config) -> None:
        """Refuses to go on with the run that is there on another text."""
        check_same_text(self.path, known, self.text, self.corpus.description)


def make_plan() -> Plan:
    """What flags, the run that is there, and the model to start from say together."""
    path = workdir_given()
    known = from_writer(lambda: config_there(path))
    is_begun = from_writer(lambda: is_trained(path))
    base = base_settings(path, known)
    if is_given("cells"):  # those that a run's files name are not imported for that
        load_cells(resolved_cells(flags.FLAGS["cells"].value or ()))
    start = start_given(base, path, known)
    origin = None if start is None else start.origin
    settings = settings_given(base if origin is None else taken_over(base, origin))
    if origin is not None:
        settings = agreed(settings, origin)
    if settings.recipe.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    if known is not None and not is_given("corpus"):
        check_corpus_is_there(path, settings)
    corpus, text = read_text(settings.text, origin)
    if is_begun and PRESET.value is None and not is_given("graph", *GRAPH):
        assert known is not None
        network = saved_run(path, known).network  # whatever became of files that said it
    else:
        network = make_network(settings.network, text.vocabulary, origin)
    return Plan(path, start, settings, corpus, text, network, make_stopping(settings, text))


def workdir_given() -> Path:
    if WORKDIR.value == "":
        raise InputError("--workdir is empty; name a directory, or leave it out")
    return user_path(WORKDIR.value or f"runs/{PRESET.value or 'quick'}")


def config_there(path: Path) -> dict[str, Any] | None:
    """What config.json of a run that is there says; None where nothing was trained, if that is not
    what this jaxrnn writes.
    """
    config = read_config(path)
    if config is not None and not is_trained(path):
        try:
            saved_settings(path, config)
        except InputError:
            return None
    return config


def base_settings(path: Path, known: Config | None) -> Settings:
    """What flags that are not given say: the preset that is given, or the run that is there."""
    if PRESET.value is not None or known is None:
        return PRESETS[PRESET.value or "quick"]
    return saved_settings(path, known)


def start_given(base: Settings, path: Path, known: Config | None) -> Start | None:
    """The trained model to start from, where a flag, or the run that is there, names one."""
    typed = flags.FLAGS["init_from"].value
    given = base.network.init_from if typed is None else typed and absolute(typed)
    check_alike({"init_from": given})  # before the processes tell each other of the model
    return find_start(given, path, known) if given else None
