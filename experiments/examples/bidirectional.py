"""A bidirectional layer: one that hears the past beside one that hears the future.

`backward=True` runs a layer from each lane's last step to its first, at its own end where lanes are
of different lengths. The same numbers come from two networks, one of them on reversed data.
"""

import jax
import numpy as np

from jaxrnn import Connection, Layer, Network, init, initial_state, unroll

INPUTS, SIZE, CLASSES = 8, 16, 3
LENGTHS = np.array([20, 13, 7])


def one_way(name: str) -> Network:
    """A layer of the bidirectional network, by itself and running forward."""
    layers = [Layer(name, SIZE, "lstm"), Layer("output", CLASSES, "linear", bias=False)]
    return Network(INPUTS, layers, [("input", name), (name, name, 1), (name, "output")])


def reversed_lanes(sequence: np.ndarray) -> np.ndarray:
    result = np.array(sequence)
    for lane, length in enumerate(LENGTHS):
        result[:length, lane] = result[:length, lane][::-1]
    return result


def main() -> None:
    layers = [Layer("past", SIZE, "lstm"), Layer("future", SIZE, "lstm", backward=True)]
    edges = [Connection("input", x.name) for x in layers]
    edges += [Connection(x.name, x.name, 1) for x in layers]
    edges += [Connection(x.name, "output") for x in layers]
    network = Network(INPUTS, [*layers, Layer("output", CLASSES, "linear", bias=False)], edges)
    print(network)
    params = init(network, jax.random.key(0))
    inputs = np.asarray(jax.random.normal(jax.random.key(1), (LENGTHS.max(), 3, INPUTS)))
    outputs, _ = unroll(network, params, initial_state(network, 3), inputs, lengths=LENGTHS)

    expected = 0
    for name, turn in (("past", np.asarray), ("future", reversed_lanes)):
        alone = one_way(name)
        its_own = {name: params[name], "output": {f"{name}@0": params["output"][f"{name}@0"]}}
        added, _ = unroll(
            alone, its_own, initial_state(alone, 3), turn(inputs), lengths=LENGTHS
        )  # fmt: skip
        expected = expected + turn(np.asarray(added))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    print("Two networks that run forward, one of them on reversed lanes, give the same outputs.")


if __name__ == "__main__":
    main()
