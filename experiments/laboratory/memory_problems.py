"""The classic tasks that need a long memory, as sequences drawn from a seed and a step's number.

Each sequence starts from the zero state and is judged at the steps that have a weight. A task's
baseline is the mean loss of the best answer that remembers nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Shaped

from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import generator
from jaxrnn.learning.loss import cross_entropy


class Sequences(NamedTuple):
    """The fields of `Chunks` for one step: inputs are features, or symbols."""

    inputs: Shaped[np.ndarray, "time batch *features"]
    targets: Shaped[np.ndarray, "time batch"]
    resets: Bool[np.ndarray, "time batch"]
    weights: Float32[np.ndarray, "time batch"]


@dataclass(frozen=True)
class Task:
    """What is to be remembered, and for how long.

    Attributes:
      name: of the kind of task.
      length: what the task is named for in the literature: time steps, or the delay.
      input_size, output_size: features or symbols, and outputs.
      loss: `(outputs, targets)` -> loss of each time step in each lane.
      baseline: the mean loss, over the steps that have a weight, of the best answer without memory.
      draw: `(random, batch)` -> sequences.
    """

    name: str
    length: int
    input_size: int
    output_size: int
    loss: Callable[[Array, Array], Array]
    baseline: float
    draw: Callable[[np.random.Generator, int], Sequences]

    def sequences(self, *, batch: int, seed: int, step: int) -> Sequences:
        """One training step's sequences, as many as the batch has lanes."""
        return self.draw(generator(seed, step, self.name), batch)


def adding(length: int) -> Task:
    """Adds the two marked ones of many numbers, and says the sum at the last step.

    Hochreiter and Schmidhuber 1997, Long short-term memory, section 5.4, as simplified by Le,
    Jaitly and Hinton 2015, A simple way to initialize recurrent networks of rectified linear units:
    numbers are uniform in [0, 1], and one in each half of the sequence is marked by a 1 in the
    second feature. The loss is the squared error; always to answer 1 leaves the variance of a sum
    of two uniform numbers, 1/6.
    """
    _at_least(length, 2, "an adding problem's length")

    def draw(random: np.random.Generator, batch: int) -> Sequences:
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

    return Task("adding", length, 2, 1, squared_error, 1 / 6, draw)


COPIED, COPYING_SYMBOLS = 10, 8  # how many symbols are copied, and of how many kinds


def copying(delay: int) -> Task:
    """Repeats the ten symbols that it began with once it is told to.

    Arjovsky, Shah and Bengio 2016, Unitary evolution recurrent neural networks, section 4.1: ten
    symbols of eight kinds, `delay` - 1 blanks, a delimiter, and ten blanks more, during which the
    symbols are to be repeated; before that a blank is the right answer. All steps count. Who knows
    the time but not the symbols loses ln 8 nats at ten of the `delay` + 20 steps.
    """
    _at_least(delay, 1, "a copying problem's delay")
    blank, delimiter, length = COPYING_SYMBOLS, COPYING_SYMBOLS + 1, delay + 2 * COPIED

    def draw(random: np.random.Generator, batch: int) -> Sequences:
        symbols = random.integers(COPYING_SYMBOLS, size=(COPIED, batch), dtype=np.int32)
        inputs = np.full((length, batch), blank, np.int32)
        targets = inputs.copy()
        inputs[:COPIED] = targets[-COPIED:] = symbols
        inputs[COPIED + delay - 1] = delimiter
        return _from_the_start(inputs, targets, np.ones(inputs.shape, bool))

    baseline = COPIED * math.log(COPYING_SYMBOLS) / length
    return Task(
        "copying", delay, COPYING_SYMBOLS + 2, COPYING_SYMBOLS + 1, cross_entropy, baseline, draw
    )


def temporal_order() -> Task:
    """Tells in which order two relevant symbols came, out of XX, XY, YX and YY.

    Hochreiter and Schmidhuber 1997, section 5.6, task 6a: the start symbol E; distractors a, b, c
    and d at random, but X or Y at one of the steps 10 to 20 and at one of 50 to 60 (E's is step 0);
    the end symbol B. The whole has 100 to 110 symbols, at the last of which the class is asked for.
    """
    distractors, (x, _, begin, end), longest = 4, range(4, 8), 110

    def draw(random: np.random.Generator, batch: int) -> Sequences:
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

    return Task("temporal order", 100, 8, 4, cross_entropy, math.log(4), draw)


def first_symbol(length: int) -> Task:
    """Says at the last step which of two symbols came first, `length` steps before.

    A latch that has to hold one bit: Bengio, Simard and Frasconi 1994, Learning long-term
    dependencies with gradient descent is difficult; here with symbols, the distractors drawn from
    four others, as in Hochreiter and Schmidhuber 1997, section 5.2, task 2c.
    """
    _at_least(length, 1, "a first symbol's distance")

    def draw(random: np.random.Generator, batch: int) -> Sequences:
        first = random.integers(2, size=batch, dtype=np.int32)
        inputs = random.integers(2, 6, size=(length + 1, batch), dtype=np.int32)
        inputs[0] = first
        targets = np.broadcast_to(first, inputs.shape)
        return _from_the_start(inputs, targets, np.arange(length + 1)[:, None] == length)

    return Task("first symbol", length, 6, 2, cross_entropy, math.log(2), draw)


def squared_error(
    outputs: Float[Array, "time batch 1"], targets: Float[Array, "time batch"]
) -> Float[Array, "time batch"]:
    """Of one output a step."""
    return jnp.square(outputs[..., 0] - targets)


def _from_the_start(inputs: np.ndarray, targets: np.ndarray, judged: np.ndarray) -> Sequences:
    """Sequences that begin at the chunk's first step."""
    resets = np.zeros(targets.shape, np.bool_)
    resets[0] = True
    weights = np.broadcast_to(judged, targets.shape).astype(np.float32)
    return Sequences(inputs, targets, resets, weights)


def _at_least(number: int, least: int, what: str) -> None:
    if number < least:
        raise InputError(f"{what} is {number}; it must be at least {least}")
