"""An encoded text, and how it is kept on disk: an array file and a sidecar that describes it."""

import hashlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt

from jaxrnn.text.reading.files import workshop
from jaxrnn.text.reading.hashes import content_hashes
from jaxrnn.text.vocabulary import Vocabulary


class Rare(NamedTuple):
    """What the training split has and its vocabulary lacks, since it is too rare."""

    symbols: str = ""
    count: int = 0  # how often they occur there, all together


@dataclass(frozen=True, eq=False)
class EncodedText:
    """A text as numbers from a vocabulary, in three contiguous splits.

    The arrays are read-only views of a file. `sha256` is that of the normalised text (in UTF-8).
    """

    tokens: UInt[np.ndarray, " length"]
    vocabulary: Vocabulary
    sha256: str
    train_end: int
    valid_end: int
    rare: Rare

    @property
    def length(self) -> int:
        """The number of symbols in the three splits together."""
        return len(self.tokens)

    @property
    def train(self) -> UInt[np.ndarray, " train"]:
        """The first split, from which the vocabulary was taken."""
        return self.tokens[: self.train_end]

    @property
    def valid(self) -> UInt[np.ndarray, " valid"]:
        """The second split."""
        return self.tokens[self.train_end : self.valid_end]

    @property
    def test(self) -> UInt[np.ndarray, " test"]:
        """The third split."""
        return self.tokens[self.valid_end :]

    def preview(self, lines: int = 10) -> str:
        """The first lines of the text, of at most 200 symbols a line on average."""
        text = self.vocabulary.decode(self.tokens[: 200 * lines])
        return "\n".join(text.split("\n")[:lines])


def write_encoded(
    folder: Path,
    key: str,
    blocks: Iterable[str | bytes],
    *,
    vocabulary: Vocabulary,
    length: int,
    sha256: str,
    boundaries: tuple[int, int],
    rare: Rare = Rare(),  # noqa: B008 (frozen)
) -> EncodedText | None:
    """Encodes normalised text, `length` symbols in all, into the entry `key` of a cache folder.

    Returns it as `read_encoded` will; None if it turns out to have another length. Any number of
    processes may write the same entry at once. Raises `OSError`.
    """
    # Written to files of this process's own, then renamed: a reader sees a whole file or none. The
    # sidecar comes last, so where there is one, its tokens are there too.
    with workshop(folder) as temporary:
        tokens, sidecar = temporary / "tokens", temporary / "sidecar"
        written = hashlib.sha256()
        with tokens.open("wb") as file:
            # Ordinary writes: a full disk would answer a memory map by killing the process.
            tokens_of = (vocabulary.encode(block).data for block in blocks)
            for data in chain([_header(vocabulary, length)], tokens_of):
                file.write(data)
                written.update(data)
            file.flush()
            os.fsync(file.fileno())  # before it takes its name
        facts = {
            "key": key,
            "tokens_sha256": written.hexdigest(),
            "length": length,
            "sha256": sha256,
            "train_end": boundaries[0],
            "valid_end": boundaries[1],
            "vocabulary": vocabulary.to_dict(),
            "rare": rare._asdict(),
        }
        sidecar.write_text(json.dumps({"sha256": _digest(facts), "facts": facts}))
        tokens.replace(folder / f"{key}.npy")
        sidecar.replace(folder / f"{key}.json")
    return _mapped(folder / f"{key}.npy", facts)


def read_encoded(folder: Path, key: str) -> EncodedText | None:
    """The entry `key` of a cache folder; None if there is none, or a damaged one.

    Both files are compared with their SHA-256: the tokens are read for it, unless the folder
    remembers the hash (`hashes.content_hashes`).
    """
    try:
        sidecar = json.loads((folder / f"{key}.json").read_text())
        facts = sidecar["facts"]
        if sidecar["sha256"] != _digest(facts) or facts["key"] != key:
            return None
        path = folder / f"{key}.npy"
        if content_hashes([path], folder) != [facts["tokens_sha256"]]:
            return None
        return _mapped(path, facts)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError):
        return None  # InputError is a ValueError, and so is what json and numpy raise


def _header(vocabulary: Vocabulary, length: int) -> bytes:
    header = {"descr": vocabulary.dtype.str, "fortran_order": False, "shape": (length,)}
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _mapped(path: Path, facts: dict[str, Any]) -> EncodedText | None:
    vocabulary = Vocabulary.from_dict(facts["vocabulary"])
    tokens = np.load(path, mmap_mode="r", allow_pickle=False)
    is_whole = path.stat().st_size - tokens.offset == tokens.nbytes
    if tokens.dtype != vocabulary.dtype or tokens.shape != (facts["length"],) or not is_whole:
        return None
    return EncodedText(
        np.asarray(tokens), vocabulary, facts["sha256"], facts["train_end"], facts["valid_end"],
        Rare(**facts["rare"]),
    )  # fmt: skip
