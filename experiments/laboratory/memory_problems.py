"""The classic problems that need a long memory: sequences drawn from a seed and a step's number.

Each sequence starts from the zero state and is judged at the steps that have a weight. The baseline
is the mean loss of the best answer that remembers nothing.
"""

import math
from collections.abc import Callable

import numpy as np

from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import generator
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.loss import NATS, SQUARED_ERROR, Measure
from jaxrnn.learning.problem import Problem

BATCH, HELD_OUT = 16, 256  # sequences of a step, and of those that are judged by
HELD_OUT_SEED = 2_000_000  # of no run

# Features or symbols that come in, and outputs, by a problem's name.
SIZES = {"adding": (2, 1), "copying": (10, 9), "temporal order": (8, 4), "first symbol": (6, 2)}


def adding(length: int, *, batch: int = BATCH, held_out: int = HELD_OUT) -> Problem:
    """Adds the two marked ones of many numbers, and says the sum at the last step.

    Hochreiter and Schmidhuber 1997, Long short-term memory, section 5.4, as simplified by Le,
    Jaitly and Hinton 2015, A simple way to initialize recurrent networks of rectified linear units:
    numbers are uniform in [0, 1], and one in each half of the sequence is marked by a 1 in the
    second feature. The loss is the squared error; always to answer 1 leaves the variance of a sum
    of two uniform numbers, 1/6.
    """
    _at_least(length, 2, "an adding problem's length")

    def draw(random: np.random.Generator, batch: int) -> Batch:
        lanes, half = np.arange(batch), length // 2
        numbers = random.random((length, batch), np.float32)
        first = random.integers(half, size=batch)
        second = random.integers(half, length, size=batch)
        marks = np.zeros_like(numbers)
        marks[first, lanes] = marks[second, lanes] = 1
        targets = np.zeros_like(numbers)
        targets[-1] = numbers[first, lanes] + numbers[second, lanes]
        judged = np.arange(length)[:, None] == length - 1
        return _from_the_start(np.stack([numbers, marks], axis=-1), targets, judged)

    return _problem("adding", draw, batch, held_out, SQUARED_ERROR, 1 / 6)


COPIED, COPYING_SYMBOLS = 10, 8  # how many symbols are copied, and of how many kinds


def copying(delay: int, *, batch: int = BATCH, held_out: int = HELD_OUT) -> Problem:
    """Repeats the ten symbols that it began with once it is told to.

    Arjovsky, Shah and Bengio 2016, Unitary evolution recurrent neural networks, section 4.1: ten
    symbols of eight kinds, `delay` - 1 blanks, a delimiter, and ten blanks more, during which the
    symbols are to be repeated; before that a blank is the right answer. All steps count. Who knows
    the time but not the symbols loses ln 8 nats at ten of the `delay` + 20 steps.
    """
    _at_least(delay, 1, "a copying problem's delay")
    blank, delimiter, length = COPYING_SYMBOLS, COPYING_SYMBOLS + 1, delay + 2 * COPIED

    def draw(random: np.random.Generator, batch: int) -> Batch:
        symbols = random.integers(COPYING_SYMBOLS, size=(COPIED, batch), dtype=np.int32)
        inputs = np.full((length, batch), blank, np.int32)
        targets = inputs.copy()
        inputs[:COPIED] = targets[-COPIED:] = symbols
        inputs[COPIED + delay - 1] = delimiter
        return _from_the_start(inputs, targets, np.ones(inputs.shape, bool))

    baseline = COPIED * math.log(COPYING_SYMBOLS) / length
    return _problem("copying", draw, batch, held_out, NATS, baseline)


def temporal_order(*, batch: int = BATCH, held_out: int = HELD_OUT) -> Problem:
    """Tells in which order two relevant symbols came, out of XX, XY, YX and YY.

    Hochreiter and Schmidhuber 1997, section 5.6, task 6a: the start symbol E; distractors a, b, c
    and d at random, but X or Y at one of the steps 10 to 20 and at one of 50 to 60 (E's is step 0);
    the end symbol B. The whole has 100 to 110 symbols, at the last of which the class is asked for.
    """
    distractors, (x, _, begin, end), longest = 4, range(4, 8), 110

    def draw(random: np.random.Generator, batch: int) -> Batch:
        lanes = np.arange(batch)
        relevant = random.integers(2, size=(2, batch))
        inputs = random.integers(distractors, size=(longest, batch), dtype=np.int32)
        inputs[0] = begin
        for which, (low, high) in enumerate([(10, 20), (50, 60)]):
            inputs[random.integers(low, high + 1, size=batch), lanes] = x + relevant[which]
        last = random.integers(100, longest + 1, size=batch) - 1
        inputs[np.arange(longest)[:, None] >= last] = end  # what comes after the last has no weight
        targets = np.broadcast_to((2 * relevant[0] + relevant[1]).astype(np.int32), inputs.shape)
        return _from_the_start(inputs, targets, np.arange(longest)[:, None] == last)

    return _problem("temporal order", draw, batch, held_out, NATS, math.log(4))


def first_symbol(length: int, *, batch: int = BATCH, held_out: int = HELD_OUT) -> Problem:
    """Says at the last step which of two symbols came first, `length` steps before.

    A latch that has to hold one bit: Bengio, Simard and Frasconi 1994, Learning long-term
    dependencies with gradient descent is difficult; here with symbols, the distractors drawn from
    four others, as in Hochreiter and Schmidhuber 1997, section 5.2, task 2c.
    """
    _at_least(length, 1, "a first symbol's distance")

    def draw(random: np.random.Generator, batch: int) -> Batch:
        first = random.integers(2, size=batch, dtype=np.int32)
        inputs = random.integers(2, 6, size=(length + 1, batch), dtype=np.int32)
        inputs[0] = first
        targets = np.broadcast_to(first, inputs.shape)
        return _from_the_start(inputs, targets, np.arange(length + 1)[:, None] == length)

    return _problem("first symbol", draw, batch, held_out, NATS, math.log(2))


def _problem(
    name: str,
    draw: Callable[[np.random.Generator, int], Batch],
    batch: int,
    held_out: int,
    loss: Measure,
    baseline: float,
) -> Problem:
    """The problem of sequences that are drawn so; the name decides their random numbers too."""

    def data(seed: int, step: int, lanes: slice) -> Batch:
        drawn = draw(generator(seed, step, name), batch)
        return Batch(*(None if array is None else array[:, lanes] for array in drawn))

    def judged() -> list[Batch]:
        return [draw(generator(HELD_OUT_SEED, 0, name), held_out)]

    return Problem(data, batch, judged, loss, baseline=baseline)


def _from_the_start(inputs: np.ndarray, targets: np.ndarray, judged: np.ndarray) -> Batch:
    """Sequences that begin at the chunk's first step."""
    resets = np.zeros(targets.shape, np.bool_)
    resets[0] = True
    weights = np.broadcast_to(judged, targets.shape).astype(np.float32)
    return Batch(inputs, targets, resets, weights)


def _at_least(number: int, least: int, what: str) -> None:
    if number < least:
        raise InputError(f"{what} is {number}; it must be at least {least}")
