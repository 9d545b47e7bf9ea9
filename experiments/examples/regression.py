"""A sequence to numbers: the mean of a noisy signal so far, and how much it swings.

What is judged by is not what is minimised: training goes by the squared error, and the figure is
how far off the answers are, in the signal's own unit.
"""

import jax.numpy as jnp
import numpy as np

from jaxrnn import stacked
from jaxrnn.learning import SQUARED_ERROR, Batch, Measure, Problem, Recipe
from jaxrnn.running import train

TIME, BATCH = 20, 32


def signals(seed: int, step: int, lanes: slice = slice(None)) -> Batch:
    """Signals of different means and swings; the network hears one number at a time."""
    random = np.random.default_rng([seed, step])
    mean, swing = random.uniform(-1, 1, BATCH), random.uniform(0, 1, BATCH)
    heard = (mean + swing * random.normal(size=(TIME, BATCH))).astype(np.float32)
    so_far = np.arange(1, TIME + 1)[:, None]
    means = np.cumsum(heard, axis=0) / so_far
    swings = np.sqrt(np.maximum(np.cumsum(heard**2, axis=0) / so_far - means**2, 0))
    resets = np.zeros((TIME, BATCH), bool)
    resets[0] = True  # every chunk is a signal of its own
    batch = Batch(heard[..., None], np.stack([means, swings], axis=-1), resets)
    return Batch(*(array if array is None else array[:, lanes] for array in batch))


def off_by(outputs, targets):
    return jnp.abs(outputs - targets).mean(axis=-1)


def main() -> None:
    problem = Problem(
        data=signals,
        batch=BATCH,
        held_out=lambda: [signals(seed=1, step=step) for step in range(4)],
        loss=SQUARED_ERROR,
        metric=Measure(off_by, "off"),
    )
    network = stacked(1, [32], 2, "gru")
    fitted = train(network, problem, Recipe(learning_rate=1e-2), steps=600)
    targets = signals(seed=1, step=0).targets
    knowing_nothing = np.abs(targets - targets.mean(axis=(0, 1))).mean()
    found = problem.evaluate(network, fitted.best)
    print(f"off by {found:.3f}, where the same answer for all is off by {knowing_nothing:.3f}")
    assert found < 0.2 * knowing_nothing


if __name__ == "__main__":
    main()
