"""Writes with a trained model, from a work directory or an exported one.

`--length=0` writes until it is stopped.
"""

from absl import flags

from jaxrnn.command_line.launch import group, launch
from jaxrnn.command_line.lists import define_list
from jaxrnn.core.errors import InputError
from jaxrnn.storage.files import user_path
from jaxrnn.text.language_model import LanguageModel, load_language_model
from jaxrnn.text.own_cells import HELP, load_cells
from jaxrnn.text.sampling import Choice
from jaxrnn.text.saved_run import WHICH_HELP, WHICHES

WORKDIR = flags.DEFINE_string("workdir", "runs/quick", "A work directory, or an exported model.")
OWN_CELLS = define_list("cells", [], HELP)
PRIME = flags.DEFINE_string("prime", "", "Text to go on from; it is written first.")
LENGTH = flags.DEFINE_integer("length", 1000, "Characters to write; 0: no end.", lower_bound=0)
STREAMS = flags.DEFINE_integer("streams", 1, "Texts to write at once.", lower_bound=1)
POPULATION = flags.DEFINE_integer(
    "population", 0, "Write so many texts at once, put copies of the likelier half in the place of"
    " the others every few characters, and show the likeliest; 0: do not.", lower_bound=0,
)  # fmt: skip
SEED = flags.DEFINE_integer(
    "seed", 0, "The same seed writes the same text.", lower_bound=0, upper_bound=2**32 - 1
)
TEMPERATURE = flags.DEFINE_float(
    "temperature", 0.7, "Below 1 keeps to likely characters, above 1 strays from them; 0 always"
    " takes the likeliest.", lower_bound=0,
)  # fmt: skip
TOP_K = flags.DEFINE_integer(
    "top_k", None, "Choose among the k likeliest characters only.", lower_bound=1
)
TOP_P = flags.DEFINE_float(
    "top_p", None, "Choose among the likeliest characters only that together reach this"
    " probability.", lower_bound=1e-9, upper_bound=1,
)  # fmt: skip
WHICH = flags.DEFINE_enum("which", None, WHICHES, WHICH_HELP)
EXPORT = flags.DEFINE_string(
    "export", None, "Write the model to this directory, as safetensors and JSON, and no text."
)

group("The model", WORKDIR, WHICH, OWN_CELLS, EXPORT)
group("The text", PRIME, LENGTH, STREAMS, POPULATION, SEED)
group("How each character is chosen", TEMPERATURE, TOP_K, TOP_P)


def main() -> int:
    path = user_path(WORKDIR.value)
    load_cells(OWN_CELLS.value)
    model = load_language_model(path, WHICH.value)
    if EXPORT.value is not None:
        try:
            model.save(user_path(EXPORT.value))
        except OSError as error:
            raise InputError(
                f"--export={EXPORT.value} cannot be written ({error.strerror})"
            ) from None
        print(f"The model is in {EXPORT.value}; sample it with --workdir={EXPORT.value}")
        return 0
    if not LENGTH.value and (STREAMS.value > 1 or POPULATION.value):
        raise InputError(
            "--length=0 writes one text without end; leave --streams and --population out"
        )
    if STREAMS.value > 1 and POPULATION.value:
        raise InputError("--population writes the likeliest text only; leave --streams out")
    if any("\ud800" <= character <= "\udfff" for character in PRIME.value):
        raise InputError(f"--prime={PRIME.value!r} is not text in UTF-8")
    choice = Choice(TEMPERATURE.value, TOP_K.value, TOP_P.value)
    if POPULATION.value:
        write_likeliest(model, choice)
    elif STREAMS.value > 1:
        write_texts(model, choice)
    else:
        write_stream(model, choice)
    return 0


def write_stream(model: LanguageModel, choice: Choice) -> None:
    """One text, shown while it is written."""
    left = LENGTH.value or float("inf")
    prime = PRIME.value  # shown with the first piece, when the model has accepted it
    for piece in model.stream(prime=PRIME.value, choice=choice, seed=SEED.value):
        print(prime + piece[: int(min(left, len(piece)))], end="", flush=True)
        prime, left = "", left - len(piece)
        if left <= 0:
            break
    print()


def write_texts(model: LanguageModel, choice: Choice) -> None:
    texts = model.texts(
        LENGTH.value, prime=PRIME.value, streams=STREAMS.value, choice=choice, seed=SEED.value
    )
    for i, text in enumerate(texts, 1):
        print(f"--- text {i} of {len(texts)} ---\n{PRIME.value}{text}\n")


def write_likeliest(model: LanguageModel, choice: Choice) -> None:
    text, bits = model.likeliest_text(
        LENGTH.value, prime=PRIME.value, population=POPULATION.value, choice=choice, seed=SEED.value
    )
    unit = model.vocabulary.level
    print(f"{PRIME.value}{text}\n\n({bits:.3f} bits per {unit} in the model's own eyes)")


def begin() -> None:
    """Runs the program on the command line's flags, and exits."""
    launch(main, __doc__ or "")
