"""Several inputs: symbols, and beside them features that say at each step who speaks.

Inputs are given by name, each as symbols or as features. One network learns two ways to count on, a
step up or a step down, and which of them holds is told by the side input alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn import Network, init, initial_state, unroll

SYMBOLS, STEPS, LANES = 7, 12, 16


def draw(rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs by name, and the symbols that come next."""
    symbols = rng.integers(SYMBOLS, size=(STEPS, LANES))
    up = rng.random((STEPS, LANES)) < 0.5
    speaker = np.stack([up, ~up], axis=-1).astype(np.float32)
    return {"symbols": symbols, "speaker": speaker}, (symbols + np.where(up, 1, -1)) % SYMBOLS


def main() -> None:
    network = Network(
        {"symbols": SYMBOLS, "speaker": 2},
        [("hidden", 32, "gru"), ("output", SYMBOLS, "linear")],
        [("symbols", "hidden"), ("speaker", "hidden"), ("hidden", "hidden", 1),
         ("hidden", "output")],
    )  # fmt: skip
    print(network)
    params, adam = init(network, jax.random.key(0)), optax.adam(3e-2)
    state = initial_state(network, LANES)

    def loss(params, inputs, targets):
        outputs, _ = unroll(network, params, state, inputs)
        losses = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
        return losses.mean(), jnp.mean(outputs.argmax(axis=-1) == targets)

    @jax.jit
    def train(params, moments, inputs, targets):
        gradients, right = jax.grad(loss, has_aux=True)(params, inputs, targets)
        updates, moments = adam.update(gradients, moments)
        return optax.apply_updates(params, updates), moments, right

    rng, moments = np.random.default_rng(0), adam.init(params)
    for _ in range(150):
        params, moments, right = train(params, moments, *draw(rng))
    print(f"{right:.0%} of the next symbols are right; without the side input, half can be.")
    assert right > 0.9


if __name__ == "__main__":
    main()
