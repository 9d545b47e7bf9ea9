"""Which text is evaluated: a corpus that is given, or the one that a run was trained on."""

from pathlib import Path
from typing import cast, get_args

from absl import flags

from jaxrnn.command_line.lists import define_list
from jaxrnn.core.errors import InputError
from jaxrnn.text import Corpus, EncodedText, encode_corpus, open_corpus
from jaxrnn.text.encoding import divided
from jaxrnn.text.from_settings import read_text
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.reading.corpora import Markup
from jaxrnn.text.saved_run import SavedRun, read_run
from jaxrnn.text.settings import TextSettings

WHOLE = (1.0, 0.0, 0.0)  # as a split

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


def own_split(model: LanguageModel, corpus: Corpus, run: SavedRun) -> EncodedText | None:
    """A corpus in a run's splits; None if it is not the run's own text."""
    text = encode_corpus(corpus, split=WHOLE, vocabulary=model.vocabulary)
    return divided(text, run.settings.text.split) if text.sha256 == run.sha256 else None


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
