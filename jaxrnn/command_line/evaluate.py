"""Says how well a trained model predicts text: its probability, bits per character, perplexity.

Every character is scored, given those before it, and before the first one stands a line end. Only
a run's own splits are read as in training: in lanes, every character but the first.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, tee
from pathlib import Path
from typing import cast, get_args

from absl import flags

from jaxrnn.command_line.launch import group, launch
from jaxrnn.command_line.lists import define_list, define_texts
from jaxrnn.command_line.prime import typed
from jaxrnn.command_line.score_table import Scored, json_lines, table
from jaxrnn.command_line.terminal import harmless
from jaxrnn.core.errors import InputError
from jaxrnn.storage.files import user_path
from jaxrnn.text import Corpus, EncodedText, encode_corpus, open_corpus
from jaxrnn.text.encoding import divided, normalised_blocks
from jaxrnn.text.from_settings import read_text
from jaxrnn.text.language_model import LanguageModel, load_language_model
from jaxrnn.text.own_cells import HELP, load_cells
from jaxrnn.text.reading.blocks import between, lines
from jaxrnn.text.reading.corpora import Markup
from jaxrnn.text.reading.decoding import UTF_8, as_read, check_encoding
from jaxrnn.text.saved_run import WHICH_HELP, WHICHES, read_run
from jaxrnn.text.scoring import Tally
from jaxrnn.text.settings import TextSettings
from jaxrnn.text.unknown import unknown_symbols
from jaxrnn.text.vocabulary import Text

WORKDIR = flags.DEFINE_string("workdir", "runs/quick", "A work directory, or an exported model.")
OWN_CELLS = define_list("cells", [], HELP)
WHICH = flags.DEFINE_enum("which", None, WHICHES, WHICH_HELP)
CORPUS = define_list(
    "corpus",
    None,
    "Texts, as for training; of the run's own, wherever it lies, each split by"
    " itself [the run's own; an export has none].",
)
ENCODING = flags.DEFINE_string(
    "encoding", None, "How the files of --corpus are encoded, as for training, or what was typed as"
    " --text [files as the run's own; else utf-8]."
)  # fmt: skip
MARKUP = flags.DEFINE_enum(
    "markup", None, get_args(Markup), "What is read of a MediaWiki dump, as for training [as of the"
    " run's own; of an export's, wiki]."
)  # fmt: skip
TEXT = define_texts(
    "text", "A text to score instead of a corpus. May be given more than once, for several texts."
)
BY = flags.DEFINE_enum(
    "by", "text", ["text", "line"], "Score the text as a whole, or each line on its own: from the"
    " zero state, after a line end, its own line end included; then all lines together."
)  # fmt: skip
UNKNOWN = flags.DEFINE_boolean(
    "unknown", False, "Say what the model does not know: which characters, how often, and what they"
    " cost."
)  # fmt: skip
JSON = flags.DEFINE_boolean(
    "json", False, "Print JSON, one object a line, instead of a table; null where there is no"
    " number."
)  # fmt: skip

group("The model", WORKDIR, WHICH, OWN_CELLS)
group("What is evaluated", CORPUS, ENCODING, MARKUP, TEXT, BY)
group("What is shown", UNKNOWN, JSON)


def main() -> int:
    if TEXT.value is not None and CORPUS.value is not None:
        raise InputError("--text and --corpus both say what is evaluated; give one of them")
    if CORPUS.value is None:
        for how in (MARKUP,) if TEXT.value is not None else (ENCODING, MARKUP):
            if how.value is not None:
                raise InputError(
                    f"--{how.name}={how.value} says how a --corpus is read; give one, or leave it "
                    "out"
                )
    path = user_path(WORKDIR.value)
    load_cells(OWN_CELLS.value)
    model = load_language_model(path, WHICH.value)
    total = None
    if BY.value == "line":
        what, rows = scored_lines(model, path)
        total = Scored("all", Tally(), None, Counter() if UNKNOWN.value else None)
    elif TEXT.value is not None:
        what, rows = scored_texts(model)
    else:
        what, rows = scored_corpus(model, path)
    if JSON.value:
        shown = json_lines(rows, total)
    else:
        state = f" ({model.state})" if model.state else ""
        title = f"{harmless(str(path))}{state} on {harmless(what)}:"
        shown = chain([title], table(rows, model.vocabulary.level, total))
    for line in shown:
        print(line)
    return 0


def scored_lines(model: LanguageModel, path: Path) -> tuple[str, Iterator[Scored]]:
    """What is read, and its lines, scored."""
    is_bytes = model.vocabulary.level == "byte"
    end = b"\n" if is_bytes else "\n"
    if TEXT.value is not None:
        what = "--text"
        found = chain.from_iterable(lines([text], end) for text in texts_given(model))
    else:
        corpus = corpus_given(model, path) if CORPUS.value is not None else own_text(path)[0]
        what = corpus.description
        found = lines(corpus.byte_blocks() if is_bytes else corpus.text_blocks(), end)
    first = next(found, None)
    if first is None:
        raise InputError(f"{what} has no text in it; give one that has")
    return what, scored(model, chain([first], found), are_lines=True)


def scored_texts(model: LanguageModel) -> tuple[str, Iterator[Scored]]:
    """Each --text as a whole."""
    rows = scored(model, iter(texts_given(model)), are_lines=False)
    return "--text", (row._replace(part=f"text {row.part}") for row in rows)


def texts_given(model: LanguageModel) -> list[Text]:
    """Each --text, as it would be read from a file."""
    level, encoding = model.vocabulary.level, ENCODING.value or UTF_8
    check_encoding(encoding)
    texts = [typed(text, level, encoding, "text") for text in TEXT.value or ()]
    texts = [as_read(text) if isinstance(text, str) else text for text in texts]
    if not all(texts):
        raise InputError("a --text has nothing in it; give it a character or more")
    return texts


def scored(model: LanguageModel, texts: Iterator[Text], *, are_lines: bool) -> Iterator[Scored]:
    """Numbered texts, or lines without their ends, each as soon as it is scored."""
    vocabulary = model.vocabulary
    texts, kept = tee(texts)
    scores = model.scores(texts, lines=are_lines)
    for number, (text, found) in enumerate(zip(kept, scores, strict=True), 1):
        unknown = (
            Counter(vocabulary.unknown_in(vocabulary.normalise(text))) if UNKNOWN.value else None
        )
        shown = text.decode(errors="backslashreplace") if isinstance(text, bytes) else text
        yield Scored(number, Tally.of(found), shown, unknown)


def scored_corpus(model: LanguageModel, path: Path) -> tuple[str, Iterator[Scored]]:
    """What is read, scored: by its splits where it is the run's own text, else as a whole."""
    if CORPUS.value is None:
        corpus, text = own_text(path)
        return corpus.description, scored_parts(model, corpus, text, True)
    corpus, run = corpus_given(model, path), read_run(path)
    text = encode_corpus(corpus, split=[1.0, 0.0, 0.0], vocabulary=model.vocabulary)
    is_own = run is not None and text.sha256 == run.sha256
    if run is not None and is_own:
        text = divided(text, run.settings.text.split)
    return corpus.description, scored_parts(model, corpus, text, is_own)


def corpus_given(model: LanguageModel, path: Path) -> Corpus:
    """--corpus, read as the run's own text was unless flags say how."""
    if ENCODING.value is not None and model.vocabulary.level == "byte":
        raise InputError(
            "the model reads bytes as they are, in no encoding; leave "
            f"--encoding={ENCODING.value} out"
        )
    run = read_run(path)
    own = TextSettings() if run is None else run.settings.text
    encoding = ENCODING.value or own.encoding
    if MARKUP.value is not None:
        markup = cast(Markup, MARKUP.value)
        return open_corpus(CORPUS.value or [], encoding=encoding, markup=markup)
    # What is evaluated need not be a dump because the run's own text was one.
    return open_corpus(CORPUS.value or [], encoding=encoding).with_markup(cast(Markup, own.markup))


def own_text(path: Path) -> tuple[Corpus, EncodedText]:
    """The text that a run was trained on, if it is still there and still the same."""
    run = read_run(path)
    if run is None:
        raise InputError(
            f"{path} is an export, which has no text of its own; give a --corpus or a --text"
        )
    try:
        corpus, text = read_text(run.settings.text, run.origin)
    except InputError as mistake:
        raise InputError(
            f"the text that {path} was trained on cannot be read ({mistake}); say with --corpus "
            "where it is now, or give another text"
        ) from None
    if text.sha256 != run.sha256:
        raise InputError(
            f"{corpus.description} has changed since {path} was trained on it; give --corpus, with "
            "the text as it was to evaluate it split by split, or any other to evaluate it whole"
        )
    return corpus, text


def scored_parts(
    model: LanguageModel, corpus: Corpus, text: EncodedText, is_split: bool
) -> Iterator[Scored]:
    """The splits of a text, or the whole."""
    parts = {"whole text": text.tokens}
    if is_split:
        parts = {"training": text.train, "validation": text.valid, "test": text.test}
    end = 0
    for name, part in parts.items():
        start, end = end, end + len(part)
        if is_split and len(part) < 2:
            continue
        unknown = None
        if UNKNOWN.value:
            read = normalised_blocks(corpus, model.vocabulary)
            unknown = unknown_symbols(between(read, start + is_split, end), model.vocabulary)
        yield Scored(
            name, model.tally_split(part) if is_split else model.tally(part), None, unknown
        )


def begin() -> None:
    """Runs the program on the command line's flags, and exits."""
    launch(main, __doc__ or "")
