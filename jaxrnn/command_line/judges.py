"""Who evaluates, by the flags: models as they are, or as they learn, or with counts."""

import math
import sys
from pathlib import Path

from absl import flags

from jaxrnn.command_line.judged_text import own_split, own_text
from jaxrnn.core.errors import InputError
from jaxrnn.text import Corpus
from jaxrnn.text.adapting import CHUNK, Adaptation
from jaxrnn.text.judging import Judge
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.saved_run import read_run

ADAPT = flags.DEFINE_boolean(
    "adapt", False, "Dynamic evaluation: each character is predicted, then learned from. Of the"
    " run's own text, the validation and the test split."
)  # fmt: skip
RATE = flags.DEFINE_float(
    "adapt_rate", None, f"How fast it is learned: the nats that a step takes from its {CHUNK}"
    f" characters' mean, to first order [{Adaptation().rate:g}]."
)  # fmt: skip
DECAY = flags.DEFINE_float(
    "adapt_decay", None, "How fast parameters go back to the trained ones, by chunk of"
    f" {CHUNK} characters [{Adaptation().decay:g}]."
)  # fmt: skip
COUNTS = flags.DEFINE_boolean(
    "counts", False, "Mix the model with counts of its training text, by weights that are fitted on"
    " the validation split; for each half of that, on its other half."
)  # fmt: skip


def check_mode(*, by_line: bool) -> None:
    """Refuses flags that say how to evaluate and do not go together."""
    rate, decay = RATE.value, DECAY.value
    for flag in (RATE, DECAY):
        if flag.value is not None and not ADAPT.value:
            raise InputError(f"--{flag.name}={flag.value:g} says how to --adapt; give that, too")
    if rate is not None and not 0 < rate < math.inf:
        raise InputError(f"--adapt_rate is {rate:g}; give a number above 0")
    if decay is not None and not 0 <= decay <= 1:
        raise InputError(f"--adapt_decay is {decay:g}; give a number from 0 to 1")
    if by_line and (ADAPT.value or COUNTS.value):
        name = "adapt" if ADAPT.value else "counts"
        raise InputError(
            f"--by=line reads every line as if there were no other, and --{name} goes on through a "
            "text; leave one of them out"
        )


def judge_of(models: list[LanguageModel], path: Path, corpus: Corpus | None) -> Judge:
    """Who judges by the flags.

    Args:
      models: which.
      path: where the first of them comes from, whose text all were trained on.
      corpus: what is evaluated, which may be that text, wherever it lies now.
    """
    if not ADAPT.value and not COUNTS.value:
        return Judge(models)
    run = read_run(path)
    if run is None:
        raise InputError(
            f"{path} is an export, without the text that it was trained on, which --adapt and "
            "--counts need; give the work directory, or leave them out"
        )
    adaptation = None
    if ADAPT.value:
        given = {"rate": RATE.value, "decay": DECAY.value}
        adaptation = Adaptation(**{name: n for name, n in given.items() if n is not None})
    own = None if corpus is None else own_split(models[0], corpus, run)
    return Judge(models, own or own_text(path)[1], adaptation, COUNTS.value, show_progress)


def show_progress(done: int, of: int) -> None:
    """In one line of a terminal, which is empty again at the end."""
    if sys.stderr is not None and sys.stderr.isatty():
        line = f"{done:,} of {of:,} characters" if done < of else "\x1b[K"
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
