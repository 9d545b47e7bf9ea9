"""Layer normalisation: a layer that normalises another's output, and a normalised LSTM.

Normalising is an identity connection into a layer of the cell "layer_norm" or "rms_norm". The LSTM
of Ba, Kiros and Hinton (2016, Layer normalization) normalises its sums instead: so weights that are
ten times as large give the same outputs, where a plain LSTM saturates.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import Connection, Layer, Network, init, initial_state, unroll, unroll_layers


def main() -> None:
    inputs = jax.random.normal(jax.random.key(1), (20, 4, 8))
    network = Network(
        8,
        [Layer("hidden", 32, "tanh"), Layer("norm", 32, "layer_norm", bias=False),
         Layer("output", 2, "linear")],
        [Connection("input", "hidden"), Connection("hidden", "hidden", 1),
         Connection("hidden", "norm", kind="identity"), Connection("norm", "output")],
    )  # fmt: skip
    print(network)
    params = init(network, jax.random.key(0))
    normal = unroll_layers(network, params, initial_state(network, 4), inputs).outputs["norm"]
    np.testing.assert_allclose(normal.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(axis=-1), 1, atol=1e-3)

    moved = {}
    for cell in ("lstm", "layer_norm_lstm"):
        layers = [Layer("hidden", 32, cell, bias=False), Layer("output", 2, "linear")]
        edges = [("input", "hidden"), ("hidden", "hidden", 1), ("hidden", "output")]
        network = Network(8, layers, edges)
        params = init(network, jax.random.key(0))
        large = {"input@0": 10 * params["hidden"]["input@0"]}
        outputs, wide = (
            unroll(network, params | {"hidden": params["hidden"] | change}, state, inputs)[0]
            for change in ({}, large)
            for state in [initial_state(network, 4)]
        )
        moved[cell] = float(jnp.abs(wide - outputs).mean() / jnp.abs(outputs).mean())
        print(f"{cell}: outputs change by {moved[cell]:.1%} with weights ten times as large")
    assert moved["layer_norm_lstm"] < 0.01 < moved["lstm"]


if __name__ == "__main__":
    main()
