"""A deep stack without loops: pre-norm residual blocks, x + recurrent(norm(x)).

A block is no new kind of layer: it is a layer that normalises, a recurrent one, and one that adds
up, joined by identity connections. `stacked` puts them together; here the same is done by hand.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import init, initial_state, stacked, unroll

DEPTH, SIZE = 6, 16


def main() -> None:
    network = stacked(
        8, [SIZE] * DEPTH, 4, "min_gru", normalised=True, residual=True
    )  # fmt: skip
    print(network)
    params = init(network, jax.random.key(0))
    inputs = jax.random.normal(jax.random.key(1), (10, 3, 8))
    outputs, _ = unroll(network, params, initial_state(network, 3), inputs)

    def linear(layer, x, source):
        return x @ params[layer][f"{source}@0"] + params[layer]["bias"]

    def norm(layer, x):
        root = jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-5)
        return params[layer]["bias"] * x / root  # the bias of its own gate is its gain

    stream = linear("embedding", inputs, "input")
    for block in range(1, DEPTH + 1):
        sums = linear(f"hidden{block}", norm(f"norm{block}", stream), f"norm{block}")
        update, candidate = jax.nn.sigmoid(sums[..., :SIZE]), sums[..., SIZE:]
        hidden, recurrent = jnp.zeros((3, SIZE)), []
        for z, c in zip(update, candidate, strict=True):
            hidden = (1 - z) * hidden + z * c
            recurrent.append(hidden)
        stream += jnp.stack(recurrent)
    expected = linear("output", norm("norm", stream), "norm")
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    print(f"{DEPTH} blocks give what the formulas give.")


if __name__ == "__main__":
    main()
