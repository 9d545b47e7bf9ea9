"""Chunks of a text for training and evaluation: pure functions, so that resuming needs a number.

Every array is time-major, `[time, batch]`, with `time` steps to a chunk and one lane a column.
A target is the symbol that follows its input: a text of n symbols has n - 1 such pairs.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Int64, Integer

from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import generator
from jaxrnn.learning.batch import Batch

HEARD = 256  # symbols of a text that are read before a part of it is scored


def contiguous_lanes(
    tokens: Integer[np.ndarray, " length"],
    *,
    batch: int,
    chunk: int,
    step: int,
    seed: int | None = None,
    lanes: slice = slice(None),
) -> Batch:
    """Lanes that read on: in each, this step's chunk starts where the last step's ended.

    An epoch is `steps_per_epoch` steps, one reading of the text; then the lanes start anew. With a
    seed, the first begins at a place drawn from it, and reads around the end of the text (where a
    reset is set); the others begin less than a chunk further on, drawn too, so that the cuts fall
    elsewhere each time, and yet what is read was last read an epoch ago: to meet again what was
    just learned by heart teaches nothing. Without a seed every epoch is the same. The pairs left
    over, less than one step's, are skipped.
    `lanes` are those of the batch that are wanted. Raises `InputError` if the text is too short for
    one step.
    """
    steps = steps_per_epoch(len(tokens), batch=batch, chunk=chunk)
    epoch, step_in_epoch = divmod(step, steps)
    pairs = len(tokens) - 1
    start = _epoch_start(seed, epoch, pairs, chunk) + step_in_epoch * chunk
    positions = (_lanes(batch, chunk, steps)[:, lanes] + start) % pairs
    resets = positions == 0 if seed is not None else np.zeros(positions.shape, np.bool_)
    resets[0] |= step_in_epoch == 0
    tokens = np.asarray(tokens)  # a plain view: a memmap costs ten times as much to index
    return Batch(tokens[positions].astype(np.int32), tokens[positions + 1].astype(np.int32), resets)


def steps_per_epoch(length: int, *, batch: int, chunk: int) -> int:
    """How many steps `contiguous_lanes` takes to read a text of `length` symbols once.

    Raises `InputError` if there is not enough text for one.
    """
    steps = (length - 1) // (batch * chunk)
    if steps < 1:
        raise InputError(
            f"{batch} lanes with a chunk of {chunk} need a text of at least {batch * chunk + 1}"
            f" symbols, but this one has {length}; take fewer lanes, a shorter chunk or more text"
        )
    return steps


def random_chunks(
    tokens: Integer[np.ndarray, " length"],
    *,
    batch: int,
    chunk: int,
    seed: int,
    step: int,
    lanes: slice = slice(None),
) -> Batch:
    """Chunks from places drawn uniformly and independently, each a start from the zero state.

    `lanes` are those of the batch that are wanted. Raises `InputError` if the text is shorter than
    one chunk and its last target.
    """
    places = len(tokens) - chunk
    if places < 1:
        raise InputError(
            f"a chunk of {chunk} needs a text of at least {chunk + 1} symbols, but this one has"
            f" {len(tokens)}; take a shorter chunk or more text"
        )
    starts = generator(seed, step, "random chunks").integers(places, size=batch)[lanes]
    text = np.asarray(tokens)[starts + np.arange(chunk + 1)[:, None]].astype(np.int32)
    resets = np.zeros((chunk, len(starts)), np.bool_)
    resets[0] = True
    return Batch(text[:-1], text[1:], resets)


def evaluation_batches(
    tokens: Integer[np.ndarray, " length"], *, batch: int, chunk: int, heard: int = HEARD
) -> Iterator[Batch]:
    """All of a text, cut into lanes: every symbol but the first is a target of weight 1 once.

    The state is to be carried from each batch to the next. All lanes are of equal length. The first
    one begins with the text; each other hears the `heard` symbols before those that it scores, so
    that it does not begin without a past: their targets have the weight 0. So have those at the end
    of the last lanes, which may run out of text. All batches have the same shape. Raises
    `InputError` if the text has fewer than two symbols.
    """
    pairs = len(tokens) - 1
    if pairs < 1:
        raise InputError(
            f"a text to evaluate needs at least 2 symbols, but this one has {len(tokens)};"
            " give that split a larger part, or take more text"
        )
    return _evaluation_batches(np.asarray(tokens), pairs, batch, chunk, heard)


def _evaluation_batches(
    tokens: Integer[np.ndarray, " length"], pairs: int, batch: int, chunk: int, heard: int
) -> Iterator[Batch]:
    # The first lane scores what the others hear, and what they score.
    apart = -(-max(0, pairs - heard) // batch)
    lane = min(apart + heard, pairs)
    begins = np.arange(batch) * apart
    scored = begins + heard * (np.arange(batch) > 0)
    ends = np.minimum(begins + lane, pairs)
    for start in range(0, lane, chunk):
        positions = np.arange(start, start + chunk)[:, None] + begins
        weights = ((scored <= positions) & (positions < ends)).astype(np.float32)
        positions = np.minimum(positions, pairs - 1)
        yield Batch(
            tokens[positions].astype(np.int32), tokens[positions + 1].astype(np.int32),
            weights=weights,
        )  # fmt: skip


@lru_cache(maxsize=8)
def _lanes(batch: int, chunk: int, steps: int) -> Int64[np.ndarray, "time batch"]:
    lanes = np.arange(chunk)[:, None] + np.arange(batch) * (steps * chunk)
    lanes.flags.writeable = False
    return lanes


@lru_cache(maxsize=8)
def _epoch_start(seed: int | None, epoch: int, pairs: int, chunk: int) -> int:
    if seed is None:
        return 0

    def drawn(epoch: int, below: int) -> int:
        return int(generator(seed, epoch, "start of an epoch").integers(below))

    return drawn(0, pairs) + (drawn(epoch, chunk) if epoch else 0)
