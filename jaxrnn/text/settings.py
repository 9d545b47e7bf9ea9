"""Settings of a language-model run: what its command line sets, its work directory keeps, and a
trained model is loaded by.
"""

from dataclasses import dataclass, field
from typing import Any, get_args

from jaxrnn.core.cells import CELLS
from jaxrnn.core.errors import InputError
from jaxrnn.core.stacks import MOTIFS
from jaxrnn.learning.recipe import Recipe
from jaxrnn.storage.fields import check, replaced, setting
from jaxrnn.text import own_cells
from jaxrnn.text.reading.corpora import NAMES, Markup
from jaxrnn.text.reading.decoding import UTF_8, check_encoding

# What a network file says instead.
GRAPH = ("cell", "hidden", "skip", "feedback", "ngrams", "ngram_rows", "ngram_size")
LENGTHS = ("steps", "epochs", "minutes")


@dataclass(frozen=True)
class TextSettings:
    """Which text is read, and how it is fed.

    A run that goes on may find the text elsewhere: its SHA-256 is compared.
    """

    corpus: tuple[str, ...] = setting(
        ("shakespeare",), f"Texts to read, joined: {', '.join(NAMES)}, or paths of files, pipes"
        " and directories of .txt files; - is the standard input. MediaWiki dumps and compressed"
        " files are known by their content.", changeable=True,
    )  # fmt: skip
    encoding: str = setting(
        UTF_8, "How the files' characters are encoded: any text encoding of Python's, as latin-1.",
        changeable=True,
    )  # fmt: skip
    markup: str = setting(
        "wiki", "What is read of a MediaWiki dump: its articles' wikitext (wiki), their prose"
        " without any markup (plain), or all of it, as it is (xml).",
        choices=get_args(Markup), changeable=True,
    )  # fmt: skip
    split: tuple[float, ...] = setting(
        (0.9, 0.05, 0.05), "Fractions of the text for training, validation, test."
    )
    bytes: bool = setting(False, "Read bytes instead of characters.")
    lowercase: bool = setting(False, "Read the text in lower case.")
    collapse_whitespace: bool = setting(False, "Read each run of white space as one space.")
    minimum_count: int = setting(
        1, "Read characters that occur fewer times in the training split as the unknown symbol.",
        at_least=1,
    )  # fmt: skip
    chunk: int = setting(32, "Time steps that back-propagation through time sees.", at_least=1)
    batch: int = setting(32, "Lanes: chunks in one step.", at_least=1)
    random_chunks: bool = setting(
        False, "Draw chunks at random and start each from the zero state, instead of reading on in"
        " every lane with the state carried.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self)
        check_encoding(self.encoding)
        if self.bytes and self.encoding != UTF_8:
            raise InputError(
                f"bytes are read as they are, in no encoding; leave encoding={self.encoding} out,"
                " or read characters"
            )
        if self.bytes and self.minimum_count > 1:
            raise InputError(
                f"minimum_count is {self.minimum_count}, but bytes are all kept; leave one of the"
                " two out"
            )


@dataclass(frozen=True)
class NetworkSettings:
    """What the network is: a stack of layers, the graph in a file, or that of a trained model.

    A run that goes on may find the files that say it elsewhere: its network itself is compared.
    """

    cells: tuple[str, ...] = setting((), own_cells.HELP, changeable=True)
    cell: str | None = setting(
        "gru", f"What hidden layers are made of: {', '.join([*CELLS, *MOTIFS])}, or one of yours."
    )
    hidden: tuple[int, ...] | None = setting(
        (256,), "Sizes of the hidden layers, from the input up."
    )
    skip: bool | None = setting(False, "Connect the input and the output to every layer.")
    feedback: bool | None = setting(False, "Connect each layer to the one below, delay 1.")
    ngrams: tuple[int, ...] | None = setting(
        (), "Lengths of n-grams: the first layer hears a learned row for the last so many symbols;"
        " 0: none.", at_least=1,
    )  # fmt: skip
    ngram_rows: int | None = setting(
        2**14, "Rows for the n-grams of each length, which share some where they are more.",
        at_least=1, at_most=2**31 - 1,
    )  # fmt: skip
    ngram_size: int | None = setting(
        64, "Size of a layer between n-grams and the first; 0: none, rows are as wide as its sums.",
        at_least=0,
    )  # fmt: skip
    graph: str | None = setting(
        None, "A JSON file with any graph, instead of the flags above from --cell on; sizes of"
        " input and output may be left out.", flag="network", changeable=True,
    )  # fmt: skip

    init_from: str | None = setting(
        None, "A work directory or an export: go on from its trained model, on this text, with its"
        " network and its vocabulary, which new symbols extend.",
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self)
        if self.init_from is not None:  # what else is said has to be true of the model
            return
        for name in GRAPH:
            if (getattr(self, name) is None) != (self.graph is not None):
                raise InputError(
                    f"graph is {self.graph!r} and {name} is {getattr(self, name)!r}; give a graph, "
                    f"or {', '.join(GRAPH)}"
                )


@dataclass(frozen=True)
class LengthSettings:
    """How long to train, and when to look and to save."""

    steps: int | None = setting(8500, "Train for so many steps.", at_least=1, changeable=True)
    epochs: float | None = setting(
        None, "Or train until the training text was read so many times.", above=0, changeable=True
    )
    minutes: float | None = setting(
        None, "Or train for so long; the schedule then follows the clock, so that no two runs are"
        " quite equal.", above=0, changeable=True,
    )  # fmt: skip
    patience: int = setting(
        0, "Stop after so many evaluations in a row without a new best; 0: never.", at_least=0,
        changeable=True,
    )  # fmt: skip
    evaluate_every: int = setting(
        1000, "Steps between two evaluations, rounded up to tens.", at_least=1, changeable=True
    )
    checkpoint_every: int = setting(
        500, "Steps between two checkpoints, rounded up to tens.", at_least=1, changeable=True
    )

    def __post_init__(self) -> None:
        check(self)
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(given) != 1:
            told = " and ".join(given) or "nothing"
            raise InputError(f"how long is said by {told}; give one of {', '.join(LENGTHS)}")

    @property
    def unit(self) -> str:
        """What says how long."""
        return next(name for name in LENGTHS if getattr(self, name) is not None)


@dataclass(frozen=True)
class Settings:
    """All that decides a run."""

    seed: int = setting(
        0, "Decides parameters, chunks, dropout and samples.", at_least=0, at_most=2**32 - 1
    )
    text: TextSettings = field(default_factory=TextSettings)
    network: NetworkSettings = field(
        default_factory=NetworkSettings, metadata={"title": "The network"}
    )
    recipe: Recipe = field(default_factory=Recipe)
    length: LengthSettings = field(default_factory=LengthSettings)

    def __post_init__(self) -> None:
        check(self)

    def but(self, **leaves: Any) -> "Settings":
        """The same, but for some leaves, by name, whichever part they are of."""
        return replaced(self, **leaves)


PLAIN = Settings().but(learning_rate=8e-3)
PRESETS = {
    "quick": PLAIN.but(
        hidden=(320,), ngrams=(2, 3, 4, 5, 6), ngram_rows=2**17, ngram_size=32, ngram_dropout=0.1,
        optimizer="muon", batch=64, chunk=64, steps=1090, evaluate_every=200,
        checkpoint_every=200,
    ),
    "seed": PLAIN.but(
        lowercase=True, collapse_whitespace=True, cell="elu", hidden=(128, 128), chunk=16,
        random_chunks=True, steps=20_000, learning_rate=1e-3, schedule="constant", clip_norm=None,
        evaluate_every=2000,
    ),
    "best": PLAIN.but(
        hidden=(384, 384), skip=True, ngrams=(2, 3, 4, 5, 6), ngram_rows=2**17, ngram_size=32,
        ngram_dropout=0.2, ngram_l2=1e-4, dropout=0.1, optimizer="muon", batch=64, chunk=100,
        steps=2600, evaluate_every=200, checkpoint_every=200,
    ),
    "small": PLAIN.but(
        hidden=(320, 320), skip=True, ngrams=(2, 3, 4), ngram_rows=2**13, ngram_size=48,
        ngram_dropout=0.3, ngram_l2=2e-4, dropout=0.45, locked=True, weight_drop=0.2,
        optimizer="muon", batch=64, chunk=64, steps=None, epochs=8.0, evaluate_every=240,
    ),
}  # fmt: skip
