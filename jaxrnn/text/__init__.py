"""Text on the host side: corpora, vocabularies, encoded texts and batches."""

from jaxrnn.text.batches import (
    contiguous_lanes,
    evaluation_batches,
    random_chunks,
    steps_per_epoch,
)
from jaxrnn.text.encoded import EncodedText
from jaxrnn.text.encoding import encode_corpus
from jaxrnn.text.reading.corpora import NAMES, Corpus, open_corpus
from jaxrnn.text.vocabulary import UNKNOWN, Level, Vocabulary

__all__ = [
    "NAMES",
    "UNKNOWN",
    "Corpus",
    "EncodedText",
    "Level",
    "Vocabulary",
    "contiguous_lanes",
    "encode_corpus",
    "evaluation_batches",
    "open_corpus",
    "random_chunks",
    "steps_per_epoch",
]
