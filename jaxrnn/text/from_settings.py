"""What the settings of a run describe: its text, its network, its problem, and when it ends."""

import math
from pathlib import Path
from typing import cast

from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.stacks import stacked
from jaxrnn.learning.problem import Problem
from jaxrnn.running.stopping import Stopping
from jaxrnn.text.batches import steps_per_epoch
from jaxrnn.text.encoded import EncodedText
from jaxrnn.text.encoding import encode_corpus
from jaxrnn.text.extending import extended_network
from jaxrnn.text.language_model import check_predicts
from jaxrnn.text.own_cells import naming_the_flag
from jaxrnn.text.problem import text_problem
from jaxrnn.text.reading.corpora import Corpus, Markup, open_corpus
from jaxrnn.text.saved_run import Origin
from jaxrnn.text.settings import NetworkSettings, Settings, TextSettings
from jaxrnn.text.vocabulary import Vocabulary


def read_text(settings: TextSettings, origin: Origin | None = None) -> tuple[Corpus, EncodedText]:
    """The text; of a run that started from a model, in what extends that one's vocabulary."""
    corpus = open_corpus(
        settings.corpus, encoding=settings.encoding, markup=cast(Markup, settings.markup)
    )
    text = encode_corpus(
        corpus, split=settings.split, level="byte" if settings.bytes else "character",
        lowercase=settings.lowercase, collapse_whitespace=settings.collapse_whitespace,
        vocabulary=None if origin is None else origin.vocabulary, extend=True,
        minimum_count=settings.minimum_count,
    )  # fmt: skip
    return corpus, text


def make_network(
    settings: NetworkSettings, vocabulary: Vocabulary, origin: Origin | None = None
) -> Network:
    """A network that reads and predicts a vocabulary; of a run that started from a model, its.

    Raises:
      InputError: there is no such network, or its file cannot be read or has other sizes.
    """
    symbols = vocabulary.size
    if origin is not None:
        return extended_network(origin.network, symbols, vocabulary.numbers_of(origin.vocabulary))
    if settings.graph is not None:
        return network_in(settings.graph, symbols)
    assert settings.hidden is not None
    assert settings.cell is not None
    assert settings.ngrams is not None
    assert settings.ngram_rows is not None
    assert settings.ngram_size is not None
    with naming_the_flag():
        return stacked(
            symbols, settings.hidden, symbols, settings.cell,
            skip=bool(settings.skip), feedback=bool(settings.feedback), ngrams=settings.ngrams,
            ngram_rows=settings.ngram_rows, ngram_size=settings.ngram_size,
        )  # fmt: skip


def make_problem(settings: TextSettings, text: EncodedText) -> Problem:
    """To predict the text, in the lanes and chunks of the settings."""
    return text_problem(
        text.train, text.valid, batch=settings.batch, chunk=settings.chunk,
        carried=not settings.random_chunks, level=text.vocabulary.level,
    )  # fmt: skip


def make_stopping(settings: Settings, text: EncodedText) -> Stopping:
    """When to stop; also where a text too short for its chunks or for evaluation is refused."""
    length, batch = settings.length, settings.text.batch
    lanes = 1 if settings.text.random_chunks else batch  # random chunks may overlap
    readings = steps_per_epoch(len(text.train), batch=lanes, chunk=settings.text.chunk)
    if len(text.valid) < 2:
        raise InputError(
            f"the validation split has {len(text.valid)} characters; give --split a larger second "
            "fraction, or more text"
        )
    steps = length.steps
    if length.epochs is not None:
        steps = math.ceil(length.epochs * readings / (batch // lanes))
    return Stopping(steps, length.minutes, length.patience)


def network_in(file: str, symbols: int) -> Network:
    """The network of a JSON file.

    Raises:
      InputError: it cannot be read, or does not read and predict so many symbols.
    """
    network = read_network(file, symbols)
    check_predicts(network, symbols, f"the network of {file}", "leave both sizes out")
    return network


def read_network(file: str, symbols: int | None = None) -> Network:
    """Likewise, whatever it reads; sizes that it leaves out are the number of symbols.

    Raises:
      InputError: it cannot be read.
    """
    try:
        with naming_the_flag():
            return Network.from_json(Path(file).read_text(encoding="utf-8"), symbols)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--network={file} cannot be read ({error})") from None
    except InputError as mistake:
        raise InputError(f"--network={file}: {mistake}") from None
