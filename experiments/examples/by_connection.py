"""One connection is treated unlike another: drawn, dropped, or left as it was drawn.

An echo state network (Jaeger 2001): what enters the layer and its loop stay as they were drawn,
and only the connection out of it learns.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn import Connection, Dropout, Layer, Network, init
from jaxrnn.learning import Batch, make_training_steps, start

NETWORK = Network(
    1,
    [Layer("reservoir", 50, "tanh"), Layer("output", 1, "linear")],
    [Connection("input", "reservoir"), Connection("reservoir", "reservoir", 1),
     Connection("reservoir", "output")],
)  # fmt: skip
STEPS, TIME, BATCH = 300, 20, 16


def squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return jnp.square(outputs - targets).sum(axis=-1)


def main() -> None:
    initializers = {("input", "reservoir"): "gaussian", ("reservoir", "reservoir", 1): "orthogonal"}
    drawn = init(NETWORK, jax.random.key(0), initializers=initializers)
    # Frozen by optax's own means: every array has the name of what updates it.
    labels = {"reservoir": "frozen", "output": "learned"}
    updates: dict[Any, Any] = {"frozen": optax.set_to_zero(), "learned": optax.adam(0.005)}
    optimizer = optax.multi_transform(updates, labels)
    training_steps = make_training_steps(
        NETWORK, optimizer, loss=squared_error,
        dropout={("reservoir", "output"): Dropout(0.1)},  # and on no other connection
    )  # fmt: skip

    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, (STEPS, TIME, BATCH, 1)).astype(np.float32)
    targets = np.roll(inputs, 2, axis=1)  # what came two steps ago
    targets[:, :2] = 0
    resets = np.zeros((STEPS, TIME, BATCH), bool)
    resets[:, 0] = True
    state = start(NETWORK, jax.tree.map(jnp.copy, drawn), optimizer, BATCH)
    keys = jax.random.split(jax.random.key(1), STEPS)
    state, report = training_steps(state, Batch(inputs, targets, resets), keys)
    first, last = report.losses[:20].mean(), report.losses[-20:].mean()
    print(f"mean squared error: {first:.3f} at first, {last:.3f} in the end")
    assert last < 0.5 * first
    for name, array in drawn["reservoir"].items():
        np.testing.assert_array_equal(state.params["reservoir"][name], array)
    assert not np.array_equal(state.params["output"]["bias"], drawn["output"]["bias"])


if __name__ == "__main__":
    main()
