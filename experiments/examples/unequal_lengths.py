"""Sequences of unequal length, side by side: told apart by what each leaves behind at its own end.

Each begins with one of three symbols, its class, and goes on with noise. Shorter ones are padded on
the right, with anything.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn import Connection, Layer, Network, init, initial_state, unroll

CLASSES, SYMBOLS, TIME, BATCH = 3, 6, 10, 32
# The classes' scores are the state itself: three units that hear themselves.
NETWORK = Network(
    SYMBOLS,
    [Layer("hidden", 12, "gru"), Layer("output", CLASSES, "linear")],
    [Connection("input", "hidden"), Connection("hidden", "hidden", 1),
     Connection("hidden", "output"), Connection("output", "output", 1)],
)  # fmt: skip


def last_scores(params: Any, symbols: np.ndarray, lengths: np.ndarray | None) -> jax.Array:
    state = initial_state(NETWORK, symbols.shape[1])
    _, state = unroll(NETWORK, params, state, symbols, lengths=lengths)
    return state["output"].past[0]  # [batch, classes], each lane's at its end


def main() -> None:
    rng = np.random.default_rng(0)
    symbols, lengths = rng.integers(CLASSES, SYMBOLS, (TIME, BATCH)), rng.integers(1, TIME, BATCH)
    symbols[0] = targets = rng.integers(CLASSES, size=BATCH)
    padded = np.where(np.arange(TIME)[:, None] < lengths, symbols, -1)  # no symbol at all

    def loss(params: Any) -> jax.Array:
        scores = last_scores(params, padded, lengths)
        return optax.softmax_cross_entropy_with_integer_labels(scores, targets).mean()

    optimizer = optax.adam(0.03)
    params: Any = init(NETWORK, jax.random.key(0))
    optimizer_state = optimizer.init(params)
    gradient = jax.jit(jax.grad(loss))
    for _ in range(80):
        updates, optimizer_state = optimizer.update(gradient(params), optimizer_state)
        params = optax.apply_updates(params, updates)
    scores = last_scores(params, padded, lengths)
    right = np.mean(scores.argmax(axis=1) == targets)
    print(f"{right:.0%} of the sequences are told apart by their last state")
    assert right > 0.9

    for lane, length in enumerate(lengths[:4]):  # each as if it were alone
        alone = last_scores(params, symbols[:length, lane : lane + 1], None)
        np.testing.assert_allclose(scores[lane], alone[0], rtol=1e-4, atol=1e-4)
    read_on = last_scores(params, np.where(padded < 0, 0, padded), None)
    assert float(jnp.abs(read_on - scores).max()) > 0.1
    print("padding that is read moves the state: without lengths the scores are others")


if __name__ == "__main__":
    main()
