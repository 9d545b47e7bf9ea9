"""A sequence to a class: which of two letters came first, in words of unequal length.

A word ends where its length says; the answer is asked for at its last letter, and is judged by how
many are right.
"""

import numpy as np

from jaxrnn import stacked
from jaxrnn.learning import ACCURACY, Batch, Problem, Recipe
from jaxrnn.running import train

LETTERS, SHORTEST, LONGEST, BATCH = 6, 5, 20, 32


def words(seed: int, step: int, lanes: slice = slice(None)) -> Batch:
    """Of letters 2 to 5, but the first is 0 or 1: the class. What lies beyond the end is junk."""
    random = np.random.default_rng([seed, step])
    classes = random.integers(2, size=BATCH)
    letters = random.integers(2, LETTERS, size=(LONGEST, BATCH))
    letters[0] = classes
    lengths = random.integers(SHORTEST, LONGEST + 1, size=BATCH)
    asked = np.arange(LONGEST)[:, None] == lengths - 1
    resets = np.zeros(letters.shape, bool)
    resets[0] = True  # every chunk is a word of its own
    return Batch(
        inputs=letters[:, lanes],
        targets=np.broadcast_to(classes, letters.shape)[:, lanes],
        resets=resets[:, lanes],
        weights=asked.astype(np.float32)[:, lanes],
        lengths=lengths[lanes],
    )


def main() -> None:
    problem = Problem(
        data=words,
        batch=BATCH,
        held_out=lambda: [words(seed=1, step=step) for step in range(8)],
        metric=ACCURACY,
    )
    network = stacked(LETTERS, [32], 2, "gru")
    fitted = train(network, problem, Recipe(learning_rate=1e-2), steps=300)
    found = problem.evaluate(network, fitted.best)
    print(f"{found:.1%} {ACCURACY.unit}")
    assert found > 0.95


if __name__ == "__main__":
    main()
