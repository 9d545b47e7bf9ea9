"""A PyTorch LSTM goes on in JAX: its weights are taken over, its outputs stay, and it goes back.

The arrays have the names and shapes of a `state_dict`, of which PyTorch makes NumPy's by
`{name: tensor.numpy() for name, tensor in model.state_dict().items()}`.
"""

import jax
import numpy as np

from jaxrnn import from_torch, initial_state, to_torch, unroll

SYMBOLS, EMBEDDED, HIDDEN = 11, 3, 5


def state_dict() -> dict[str, np.ndarray]:
    """Of a character model: Embedding `encoder`, LSTM `rnn`, Linear `decoder`."""
    shapes = {
        "encoder.weight": (SYMBOLS, EMBEDDED),
        "rnn.weight_ih_l0": (4 * HIDDEN, EMBEDDED),
        "rnn.weight_hh_l0": (4 * HIDDEN, HIDDEN),
        "rnn.bias_ih_l0": (4 * HIDDEN,),
        "rnn.bias_hh_l0": (4 * HIDDEN,),
        "decoder.weight": (SYMBOLS, HIDDEN),
        "decoder.bias": (SYMBOLS,),
    }
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def by_formula(arrays: dict[str, np.ndarray], symbols: np.ndarray) -> np.ndarray:
    """What torch.nn.LSTM's documentation says, between the two other modules."""

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    hidden = memory = np.zeros((symbols.shape[1], HIDDEN))
    outputs = []
    for x in arrays["encoder.weight"][symbols]:
        sums = x @ arrays["rnn.weight_ih_l0"].T + hidden @ arrays["rnn.weight_hh_l0"].T
        sums = sums + arrays["rnn.bias_ih_l0"] + arrays["rnn.bias_hh_l0"]
        i, f, g, o = np.split(sums, 4, axis=1)
        memory = sigmoid(f) * memory + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(memory)
        outputs.append(hidden @ arrays["decoder.weight"].T + arrays["decoder.bias"])
    return np.stack(outputs)


def main() -> None:
    arrays, modules = state_dict(), ["encoder", "rnn", "decoder"]  # from the input up
    network, params = from_torch(arrays, modules)
    print(network)
    symbols = np.random.default_rng(1).integers(SYMBOLS, size=(7, 2))  # [time, batch]
    outputs, _ = jax.jit(unroll, static_argnums=0)(
        network, params, initial_state(network, 2), symbols
    )
    np.testing.assert_allclose(outputs, by_formula(arrays, symbols), rtol=1e-4, atol=1e-5)

    # After training here: model.load_state_dict({n: torch.from_numpy(x) for n, x in back.items()})
    back = to_torch(network, params, modules)
    assert {n: x.shape for n, x in back.items()} == {n: x.shape for n, x in arrays.items()}
    np.testing.assert_array_equal(back["rnn.weight_hh_l0"], arrays["rnn.weight_hh_l0"])
    np.testing.assert_allclose(by_formula(back, symbols), outputs, rtol=1e-4, atol=1e-5)
    print(f"equal outputs for {symbols.size} symbols, and the same {len(back)} arrays back")


if __name__ == "__main__":
    main()
