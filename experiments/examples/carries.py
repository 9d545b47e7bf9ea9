"""What cells carry, at every step: an LSTM whose memory counts, seen while it does.

An output shows the memory only as far as the output gate lets it: here, not at all.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import Connection, Layer, Network, initial_state, unroll_layers


def counter() -> tuple[Network, dict]:
    """One unit that counts the symbol 1, and keeps it to itself."""
    layers = [Layer("counter", 1, "lstm"), Layer("output", 1, "linear")]
    edges = [Connection("input", "counter"), Connection("counter", "output")]
    shut, still, opened = -30.0, 0.0, 30.0
    params = {
        # Input gate and forget gate are open, the output gate is shut.
        "counter": {
            "bias": jnp.array([opened, opened, still, shut]),
            "input@0": jnp.zeros((2, 4)).at[1, 2].set(opened),  # the symbol 1 adds tanh(30) = 1
        },
        "output": {"bias": jnp.zeros(1), "counter@0": jnp.ones((1, 1))},
    }
    return Network(2, layers, edges), params


def main() -> None:
    network, params = counter()
    symbols = np.array([0, 1, 1, 0, 1, 0, 0, 1])
    outputs, carries, state = unroll_layers(
        network, params, initial_state(network, 1), symbols[:, None]
    )
    (memory,) = carries["counter"]  # [time, batch, size]
    print("symbols", symbols)
    print("memory ", memory[:, 0, 0])
    np.testing.assert_allclose(memory[:, 0, 0], np.cumsum(symbols), atol=1e-5)
    np.testing.assert_allclose(outputs["counter"], 0, atol=1e-5)
    np.testing.assert_allclose(state["counter"].carry[0], memory[-1])

    def last_count(params: dict) -> jax.Array:
        start = initial_state(network, 1)
        (memory,) = unroll_layers(network, params, start, symbols[:, None]).carries["counter"]
        return memory[-1].sum()

    # Each of the eight steps adds its share of the candidate's bias: 1 where no symbol pushes it.
    slope = jax.grad(last_count)(params)["counter"]["bias"][2]
    np.testing.assert_allclose(slope, np.sum(symbols == 0), atol=1e-4)


if __name__ == "__main__":
    main()
