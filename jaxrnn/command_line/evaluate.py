"""Says how well a trained model predicts text: its probability, bits per character, perplexity.

Every character is scored, given those before it, and before the first one stands a line end. Only
a run's own splits are read as in training: in lanes, every character but the first.

Figures are static, of the trained parameters alone, unless --adapt or --counts makes them of
another kind, which is said.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, tee
from pathlib import Path

from absl import flags

from jaxrnn.command_line.judged_text import (
    CORPUS,
    ENCODING,
    MARKUP,
    WHOLE,
    corpus_given,
    own_split,
    own_text,
)
from jaxrnn.command_line.judges import ADAPT, COUNTS, DECAY, RATE, check_mode, judge_of
from jaxrnn.command_line.launch import group, launch
from jaxrnn.command_line.lists import define_list, define_texts
from jaxrnn.command_line.prime import typed
from jaxrnn.command_line.score_table import Scored, json_lines, table
from jaxrnn.command_line.terminal import harmless
from jaxrnn.core.errors import InputError
from jaxrnn.storage.files import user_path
from jaxrnn.text import Corpus, EncodedText, encode_corpus
from jaxrnn.text.encoding import normalised_blocks
from jaxrnn.text.judging import Judge
from jaxrnn.text.language_model import LanguageModel, load_language_model
from jaxrnn.text.own_cells import HELP, load_cells
from jaxrnn.text.reading.blocks import between, lines
from jaxrnn.text.reading.decoding import UTF_8, as_read, check_encoding
from jaxrnn.text.saved_run import WHICH_HELP, WHICHES, read_run
from jaxrnn.text.scoring import Tally
from jaxrnn.text.unknown import unknown_symbols
from jaxrnn.text.vocabulary import Text

WORKDIR = define_list(
    "workdir", ["runs/quick"], "A work directory, or an exported model. Of several, the mean of"
    " their probabilities is evaluated, on the text of the first."
)  # fmt: skip
OWN_CELLS = define_list("cells", [], HELP)
WHICH = flags.DEFINE_enum("which", None, WHICHES, WHICH_HELP)
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
group("How", ADAPT, RATE, DECAY, COUNTS)
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
    check_mode(by_line=BY.value == "line")
    paths = [user_path(workdir) for workdir in WORKDIR.value]
    load_cells(OWN_CELLS.value)
    models = [load_language_model(path, WHICH.value) for path in paths]
    corpus = None if CORPUS.value is None else corpus_given(models[0], paths[0])
    judge = judge_of(models, paths[0], corpus)
    total = None
    if BY.value == "line":
        what, rows = scored_lines(judge, paths[0], corpus)
        total = Scored("all", Tally(), None, Counter() if UNKNOWN.value else None)
    elif TEXT.value is not None:
        what, rows = scored_texts(judge)
    else:
        what, rows = scored_corpus(judge, paths[0], corpus)
    if JSON.value:
        shown = json_lines(rows, judge.mode, total)
    else:
        title = titled(judge, paths, what)
        shown = chain([title], table(rows, judge.models[0].vocabulary.level, total))
    for line in shown:
        print(line)
    return 0


def titled(judge: Judge, paths: list[Path], what: str) -> str:
    """What the table shows: which models in which state, on which text, in which mode."""
    names = [
        harmless(str(path)) + (f" ({model.state})" if model.state else "")
        for path, model in zip(paths, judge.models, strict=True)
    ]
    title = f"{', '.join(names)} on {harmless(what)}, {judge.mode}:"
    if not judge.counts:
        return title
    return f"{title}\n(weights fitted on the validation split; each half of that by the other half)"


def scored_lines(judge: Judge, path: Path, corpus: Corpus | None) -> tuple[str, Iterator[Scored]]:
    """What is read, and its lines, scored."""
    model = judge.models[0]
    is_bytes = model.vocabulary.level == "byte"
    end = b"\n" if is_bytes else "\n"
    if TEXT.value is not None:
        what = "--text"
        found = chain.from_iterable(lines([text], end) for text in texts_given(model))
    else:
        corpus = corpus or own_text(path)[0]
        what = corpus.description
        found = lines(corpus.byte_blocks() if is_bytes else corpus.text_blocks(), end)
    first = next(found, None)
    if first is None:
        raise InputError(f"{what} has no text in it; give one that has")
    return what, scored(judge, chain([first], found), are_lines=True)


def scored_texts(judge: Judge) -> tuple[str, Iterator[Scored]]:
    """Each --text as a whole."""
    rows = scored(judge, iter(texts_given(judge.models[0])), are_lines=False)
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


def scored(judge: Judge, texts: Iterator[Text], *, are_lines: bool) -> Iterator[Scored]:
    """Numbered texts, or lines without their ends, each as soon as it is scored."""
    vocabulary = judge.models[0].vocabulary
    texts, kept = tee(texts)
    tallies = judge.of_texts(texts, lines=are_lines)
    for number, (text, tally) in enumerate(zip(kept, tallies, strict=True), 1):
        unknown = (
            Counter(vocabulary.unknown_in(vocabulary.normalise(text))) if UNKNOWN.value else None
        )
        shown = text.decode(errors="backslashreplace") if isinstance(text, bytes) else text
        yield Scored(number, tally, shown, unknown)


def scored_corpus(judge: Judge, path: Path, corpus: Corpus | None) -> tuple[str, Iterator[Scored]]:
    """What is read, scored: by its splits where it is the run's own text, else as a whole."""
    if corpus is None:
        corpus, text = own_text(path)
        return corpus.description, scored_splits(judge, corpus, text)
    model, run = judge.models[0], read_run(path)
    own = None if run is None else own_split(model, corpus, run)
    if own is not None:
        return corpus.description, scored_splits(judge, corpus, own)
    text = encode_corpus(corpus, split=WHOLE, vocabulary=model.vocabulary)
    whole = Scored("whole text", judge.of_whole(text.tokens))
    return corpus.description, iter([with_unknown(whole, model, corpus, 0, text.length)])


def scored_splits(judge: Judge, corpus: Corpus, text: EncodedText) -> Iterator[Scored]:
    """The splits of the text that was trained on; the first character of each is none's target."""
    ends = {"training": (0, text.train_end), "validation": (text.train_end, text.valid_end),
            "test": (text.valid_end, text.length)}  # fmt: skip
    if judge.mode != "static":
        del ends["training"]  # of which more is known than of any text to be predicted
    ends = {name: (start, end) for name, (start, end) in ends.items() if end - start > 1}
    tallies = judge.of_splits([text.tokens[start:end] for start, end in ends.values()])
    for (name, (start, end)), tally in zip(ends.items(), tallies, strict=True):
        yield with_unknown(Scored(name, tally), judge.models[0], corpus, start + 1, end)


def with_unknown(
    scored: Scored, model: LanguageModel, corpus: Corpus, start: int, end: int
) -> Scored:
    """With what the model does not know of a part of a corpus, if that was asked for."""
    if not UNKNOWN.value:
        return scored
    read = normalised_blocks(corpus, model.vocabulary)
    return scored._replace(unknown=unknown_symbols(between(read, start, end), model.vocabulary))


def begin() -> None:
    """Runs the program on the command line's flags, and exits."""
    launch(main, __doc__ or "")
