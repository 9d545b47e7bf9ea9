"""To predict the next character of a text, as a problem that any network can be trained on."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Integer

from jaxrnn.learning.batch import Batch
from jaxrnn.learning.loss import BITS_PER_CHARACTER
from jaxrnn.learning.problem import Problem
from jaxrnn.text.batches import HEARD, contiguous_lanes, evaluation_batches, random_chunks

# How a text that is judged by is cut: lanes at most, and time steps. More lanes are faster, but
# each one reads more than it scores.
CUT = (64, 128)


def text_problem(
    train: Integer[np.ndarray, " length"],
    valid: Integer[np.ndarray, " valid"],
    *,
    batch: int,
    chunk: int,
    carried: bool = True,
    level: str = "character",
    cut: tuple[int, int] = CUT,
) -> Problem:
    """Judged in bits per character; the baseline is of the validation text's own frequencies.

    Args:
      train: the text to learn from.
      valid: the text to be judged by.
      batch: lanes.
      chunk: time steps of one training step.
      carried: read on in each lane, the state carried from chunk to chunk; otherwise chunks are
        drawn at random and start from the zero state.
      level: what the text's symbols are called.
      cut: as for `held_out`.
    """
    read = contiguous_lanes if carried else random_chunks
    return Problem(
        data=lambda seed, step, lanes: read(
            train, batch=batch, chunk=chunk, seed=seed, step=step, lanes=lanes
        ),
        batch=batch,
        held_out=lambda: held_out(valid, cut),
        loss=BITS_PER_CHARACTER._replace(unit=f"bits per {level}"),
        baseline=entropy(valid[1:]) if len(valid) > 1 else None,  # the first one is no target
        counted=level,
    )


def held_out(text: Integer[np.ndarray, " length"], cut: tuple[int, int] = CUT) -> Iterator[Batch]:
    """All of a text, as `evaluation_batches`: lanes of a chunk at least, and at most so many.

    `cut` says how many lanes at most, and how many time steps a chunk has.
    """
    most, chunk = cut
    lanes = max(1, min(most, (len(text) - HEARD) // chunk))
    return evaluation_batches(text, batch=lanes, chunk=chunk)


def entropy(symbols: Integer[np.ndarray, " length"]) -> float:
    """Bits per symbol of whoever knows how frequent each symbol is, and nothing else."""
    counts = np.bincount(symbols)
    shares = counts[counts > 0] / len(symbols)
    return float(-(shares * np.log2(shares)).sum())
