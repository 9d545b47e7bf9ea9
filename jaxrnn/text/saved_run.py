"""What a work directory's config.json says of a run: its settings, and what follows from them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.running.workdir import CONFIG, WorkDirectory, read_config
from jaxrnn.storage.checkpoints import Restored
from jaxrnn.storage.fields import from_dict
from jaxrnn.text.encoded import EncodedText
from jaxrnn.text.own_cells import asking_for
from jaxrnn.text.reading.corpora import NAMES
from jaxrnn.text.settings import Settings
from jaxrnn.text.vocabulary import Vocabulary

Which = Literal["best", "last"]
WHICHES = get_args(Which)
WHICH_HELP = (
    "The state of a run that was best in an evaluation, or the last one that was kept [best; before"
    " the first evaluation, last]."
)


class Origin(NamedTuple):
    """The trained model that a run started from, as it was then."""

    path: str
    step: int | None  # of its training, where that is known
    sha256: str  # of its parameters
    network: Network
    vocabulary: Vocabulary

    def to_dict(self) -> dict[str, Any]:
        return self._asdict() | {
            "network": self.network.to_dict(), "vocabulary": self.vocabulary.to_dict()
        }  # fmt: skip

    @staticmethod
    def from_dict(record: Any) -> "Origin":
        """Raises `KeyError` or `TypeError` where the record is no such thing."""
        made = {
            "network": Network.from_dict(record["network"]),
            "vocabulary": Vocabulary.from_dict(record["vocabulary"]),
        }
        return Origin(**{**record, **made})


class SavedRun(NamedTuple):
    """As `read_run` finds it."""

    settings: Settings
    network: Network
    vocabulary: Vocabulary
    sha256: str  # of the text, normalised
    origin: Origin | None


def consequences(
    network: Network, text: EncodedText, origin: Origin | None = None
) -> dict[str, Any]:
    """What config.json holds beside the settings."""
    begun = {} if origin is None else {"init_from": origin.to_dict()}
    return begun | {
        "network": network.to_dict(),
        "vocabulary": text.vocabulary.to_dict(),
        "text": _facts(text),
    }


def _facts(text: EncodedText) -> dict[str, Any]:
    return {"sha256": text.sha256, "length": text.length}


def read_run(workdir: Path) -> SavedRun | None:
    """The run of a work directory; None if there is no config.json.

    Raises:
      InputError: that is of another program or of an older version, is damaged, or names cells that
        are not known.
    """
    config = read_config(workdir)
    return None if config is None else saved_run(workdir, config)


def saved_settings(workdir: Path, config: Mapping[str, Any]) -> Settings:
    """The settings in what config.json of a work directory holds."""
    return from_dict(Settings, config.get("settings"), workdir / CONFIG)


def saved_run(workdir: Path, config: Mapping[str, Any]) -> SavedRun:
    """The run of which config.json of a work directory holds this; raises as `read_run`."""
    settings = saved_settings(workdir, config)
    try:
        with asking_for(workdir, settings.network.cells):
            network = Network.from_dict(config["network"])
            origin = Origin.from_dict(config["init_from"]) if "init_from" in config else None
        vocabulary = Vocabulary.from_dict(config["vocabulary"])
        return SavedRun(settings, network, vocabulary, config["text"]["sha256"], origin)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{workdir / CONFIG} lacks what a run writes ({error}); give the work directory of "
            "a run"
        ) from None


def facts_of_state(
    workdir: Path, run: SavedRun, which: Which, restored: Restored
) -> dict[str, Any]:
    """What a state of a run came to; the test split's figure where result.json is on that state."""
    step, told = restored.step, restored.metrics
    facts = {
        "which": which,
        "step": step,
        "characters_trained": step * run.settings.text.batch * run.settings.text.chunk,
        "unit": run.vocabulary.level,
        "valid_bits_per_character": told.get("figure") if told.get("evaluated") == step else None,
        "parameters": run.network.parameter_count,
    }
    result = WorkDirectory(workdir).read_json("result.json") or {}
    is_of_it = result.get("best_step") == step
    test = result.get("test_bits_per_character") if is_of_it else None
    return facts if test is None else {**facts, "test_bits_per_character": test}


def check_corpus_is_there(workdir: Path, settings: Settings) -> None:
    """Refuses to look for a text where it was, if it is not there any more."""
    for name in settings.text.corpus:
        if name not in NAMES and not os.path.exists(name):  # noqa: PTH110 (a name may be too long)
            raise InputError(
                f"the text that {workdir} was trained on is no longer at {name}; give --corpus="
                "PATH of the same text, wherever it is"
            )


def check_same_text(
    workdir: Path, config: Mapping[str, Any], text: EncodedText, corpus: str
) -> None:
    """Refuses to go on with a run on another text, wherever that lies.

    Args:
      workdir: of the run.
      config: what its config.json holds.
      text: that is here.
      corpus: what that is called.
    """
    there, here = config.get("text"), _facts(text)
    if there == here or not isinstance(there, dict) or type(there.get("length")) is not int:
        return  # what else is wrong is found where all is compared
    longer = text.length - there["length"]
    level = text.vocabulary.level
    how = (
        f"is {abs(longer):,} {level}{'s' * (abs(longer) != 1)} "
        f"{'longer' if longer > 0 else 'shorter'} than"
        if longer
        else f"has other {level}s than, though as many as,"
    )
    raise InputError(
        f"the text has changed: {corpus} {how} the one that {workdir} was trained on; give that "
        "one to go on with it, or another --workdir"
    )
