"""A learned initial state: resets return to it, and gradients flow to it.

Here the network is known, and the state in which it began is found from what it put out.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn import Connection, Layer, Network, init, initial_state, unroll

# With a delay of 3 there are three steps to remember.
NETWORK = Network(
    1,
    [Layer("hidden", 6, "tanh"), Layer("output", 4, "linear")],
    [Connection("input", "hidden"), Connection("hidden", "hidden", 1),
     Connection("hidden", "hidden", 3), Connection("hidden", "output")],
)  # fmt: skip
TIME, BATCH = 8, 5


def main() -> None:
    params = init(NETWORK, jax.random.key(0))
    inputs = jnp.zeros((TIME, BATCH, 1))
    # A lane begins where it is reset: at the first step, and the later lanes once more.
    resets = np.zeros((TIME, BATCH), bool)
    resets[0] = resets[3, 2:] = True

    def outputs(initial: Any) -> jax.Array:
        state = initial_state(NETWORK, BATCH)
        return unroll(NETWORK, params, state, inputs, resets=resets, reset_state=initial)[0]

    key = jax.random.key(1)
    hidden = jax.tree.map(lambda x: jax.random.normal(key, x.shape), initial_state(NETWORK, 1))
    told = outputs(hidden)

    def loss(initial: Any) -> jax.Array:
        return jnp.mean((outputs(initial) - told) ** 2)

    learned: Any = initial_state(NETWORK, 1)  # a parameter like others; one for all lanes
    optimizer = optax.adam(0.05)
    optimizer_state, before = optimizer.init(learned), loss(learned)
    gradient = jax.jit(jax.grad(loss))
    for _ in range(400):
        updates, optimizer_state = optimizer.update(gradient(learned), optimizer_state)
        learned = optax.apply_updates(learned, updates)
    print(f"mean squared error: {before:.4f} from zeros, {loss(learned):.2e} from what was learned")
    assert loss(learned) < 0.001 * before
    np.testing.assert_allclose(outputs(learned)[3:6, 2], outputs(learned)[:3, 0], rtol=1e-4)


if __name__ == "__main__":
    main()
