"""Writes with a trained model, from a work directory or an exported one.

`--length=0` writes until it is stopped, or until `--stop` or `--lines` ends the text.
"""

from typing import Any

from absl import flags

from jaxrnn.command_line.launch import group, launch
from jaxrnn.command_line.lists import define_list, define_texts
from jaxrnn.command_line.prime import known, read_file, typed
from jaxrnn.command_line.terminal import Output
from jaxrnn.core.errors import InputError
from jaxrnn.running.exits import tell
from jaxrnn.storage.files import user_path
from jaxrnn.text.language_model import LanguageModel, load_language_model
from jaxrnn.text.own_cells import HELP, load_cells
from jaxrnn.text.reading.decoding import check_encoding
from jaxrnn.text.sampling import Choice
from jaxrnn.text.saved_run import WHICH_HELP, WHICHES
from jaxrnn.text.vocabulary import Text

WORKDIR = flags.DEFINE_string("workdir", "runs/quick", "A work directory, or an exported model.")
OWN_CELLS = define_list("cells", [], HELP)
PRIME = flags.DEFINE_string("prime", "", "Text to go on from; it is written first.")
PRIME_FILE = flags.DEFINE_string(
    "prime_file", None, "A file of text to go on from, instead; -: standard input."
)
UNKNOWN = flags.DEFINE_enum(
    "unknown", "refuse", ["refuse", "drop"], "What to do with a text to go on from that has"
    " characters which the model does not know: refuse it, or drop them. A model of bytes refuses"
    " none: it reads them as unknown.",
)  # fmt: skip
ENCODING = flags.DEFINE_string(
    "encoding", "utf-8", "What bytes stand for: in --prime_file; and, for a model of bytes, in"
    " --prime, in --stop and on a terminal. One of Python's, as latin-1.",
)  # fmt: skip
LENGTH = flags.DEFINE_integer(
    "length", 1000, "Characters to write at most (bytes, by a model of bytes); 0: no end.",
    lower_bound=0,
)  # fmt: skip
STOP = define_texts(
    "stop", "End where the model writes this text, which is left out. May be given more than once:"
    " the first that comes ends it.",
)  # fmt: skip
LINES = flags.DEFINE_integer(
    "lines", None, "End after so many lines; the prime text's do not count.", lower_bound=1
)
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
group("What it goes on from", PRIME, PRIME_FILE, UNKNOWN, ENCODING)
group("The text", LENGTH, STOP, LINES, STREAMS, POPULATION, SEED)
group("How each character is chosen", TEMPERATURE, TOP_K, TOP_P)


def main() -> int:
    path = user_path(WORKDIR.value)
    load_cells(OWN_CELLS.value)
    if EXPORT.value is None:
        check_flags()
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
    prime = read_prime(model)
    choice = Choice(TEMPERATURE.value, TOP_K.value, TOP_P.value)
    output = Output(model.vocabulary.level, ENCODING.value)
    if POPULATION.value:
        write_likeliest(model, prime, choice, output)
    elif STREAMS.value > 1:
        write_texts(model, prime, choice, output)
    else:
        write_stream(model, prime, choice, output)
    return 0


def check_flags() -> None:
    """Refuses what no model makes sense of, before one is loaded."""
    check_encoding(ENCODING.value)
    if PRIME.value and PRIME_FILE.value is not None:
        raise InputError("--prime and --prime_file both say what to go on from; give one of them")
    ends = bool(STOP.value) or LINES.value is not None
    if POPULATION.value and ends:
        raise InputError("--population compares texts of one length; leave --stop and --lines out")
    if not LENGTH.value and POPULATION.value:
        raise InputError("--population compares texts that end; give a --length other than 0")
    if not LENGTH.value and STREAMS.value > 1 and not ends:
        raise InputError(
            "--length=0 writes one text without end; leave --streams out, or give --stop or --lines"
        )
    if STREAMS.value > 1 and POPULATION.value:
        raise InputError("--population writes the likeliest text only; leave --streams out")


def read_prime(model: LanguageModel) -> Text:
    """The text to go on from, as the model reads it."""
    vocabulary, encoding = model.vocabulary, ENCODING.value
    flag = "prime" if PRIME_FILE.value is None else "prime_file"
    if PRIME_FILE.value is None:
        text = typed(PRIME.value, vocabulary.level, encoding, flag)
    else:
        text = read_file(PRIME_FILE.value, vocabulary.level, encoding)
    return known(vocabulary, text, drop=UNKNOWN.value == "drop", flag=flag)


def write_stream(model: LanguageModel, prime: Text, choice: Choice, output: Output) -> None:
    """One text, shown while it is written."""
    pieces = model.stream(LENGTH.value or None, prime=prime, choice=choice, **ending(model))
    piece = prime
    output.write(prime)
    for piece in filter(None, pieces):
        output.write(piece)
    output.say(line_end_after(piece))


def write_texts(model: LanguageModel, prime: Text, choice: Choice, output: Output) -> None:
    length, streams = LENGTH.value or None, STREAMS.value
    texts = model.texts(length, prime=prime, streams=streams, choice=choice, **ending(model))
    for i, text in enumerate(texts, 1):
        output.say(f"--- text {i} of {len(texts)} ---\n")
        output.write(prime)
        output.write(text)
        output.say(line_end_after(text) + "\n")


def write_likeliest(model: LanguageModel, prime: Text, choice: Choice, output: Output) -> None:
    """The likeliest text; how likely it is, is no part of it."""
    text, bits = model.likeliest_text(
        LENGTH.value, prime=prime, population=POPULATION.value, choice=choice, seed=SEED.value
    )
    output.write(prime)
    output.write(text)
    output.say("\n")
    unit = model.vocabulary.level
    tell(f"{bits:.3f} bits per {unit} in the model's own eyes")


def ending(model: LanguageModel) -> dict[str, Any]:
    """What the flags say of a text but its beginning and its length."""
    level = model.vocabulary.level
    stop = [typed(text, level, ENCODING.value, "stop") for text in STOP.value or ()]
    return {"stop": stop, "lines": LINES.value, "seed": SEED.value}


def line_end_after(piece: Text) -> str:
    """What ends the last line, which whole lines have ended already."""
    has_one = piece[-1:] in ("\n", b"\n")
    return "" if LINES.value is not None and has_one else "\n"


def begin() -> None:
    """Runs the program on the command line's flags, and exits."""
    launch(main, __doc__ or "")
