"""Reports how well a trained model predicts a text: bits per character.

The text is read once, in lanes, with the state carried on; every character but the first counts.
"""

from absl import flags

from jaxrnn.command_line.launch import group, launch
from jaxrnn.command_line.lists import define_list
from jaxrnn.core.errors import InputError
from jaxrnn.storage.files import user_path
from jaxrnn.text import UNKNOWN, encode_corpus, open_corpus
from jaxrnn.text.from_settings import read_text
from jaxrnn.text.language_model import load_language_model
from jaxrnn.text.own_cells import HELP, load_cells
from jaxrnn.text.saved_run import WHICH_HELP, WHICHES, read_run

WORKDIR = flags.DEFINE_string("workdir", "runs/quick", "A work directory, or an exported model.")
OWN_CELLS = define_list("cells", [], HELP)
WHICH = flags.DEFINE_enum("which", None, WHICHES, WHICH_HELP)
CORPUS = define_list(
    "corpus", None, "Texts, as for training [the run's own, split by split; none for an export]."
)

group("What is evaluated", WORKDIR, WHICH, OWN_CELLS, CORPUS)


def main() -> int:
    path = user_path(WORKDIR.value)
    load_cells(OWN_CELLS.value)
    model = load_language_model(path, WHICH.value)
    run = read_run(path)
    if CORPUS.value is not None:
        corpus = open_corpus(CORPUS.value)
        text = encode_corpus(corpus, split=[1.0, 0.0, 0.0], vocabulary=model.vocabulary)
        parts = {"the whole text": text.train}
    elif run is not None:
        corpus, text = read_text(run.settings.text)
        if text.sha256 != run.sha256:
            raise InputError(
                f"{corpus.description} has changed since {path} was trained on it; give it as "
                "--corpus to evaluate it as a whole"
            )
        parts = {"training": text.train, "validation": text.valid, "test": text.test}
    else:
        raise InputError(f"{path} is an export, which has no text of its own; give a --corpus")
    unit = model.vocabulary.level
    print(f"{path} on {corpus.description}:")
    for name, part in parts.items():
        if len(part) > 1 or CORPUS.value:
            bits, unknown = model.bits_per_character(part), (part == UNKNOWN).mean()
            print(
                f"  {name:14}  {bits:.4f} bits per {unit}  ({len(part):,} {unit}s, "
                f"{unknown:.2%} unknown to the model)"
            )
    return 0


def begin() -> None:
    """Runs the program on the command line's flags, and exits."""
    launch(main, __doc__ or "")
