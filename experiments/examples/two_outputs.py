"""Two outputs: a policy and a value that share the layers below them, as an agent has them."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import Network, init, initial_state, step, unroll


def main() -> None:
    network = Network(
        5,
        [("memory", 16, "gru"), ("policy", 3, "linear"), ("value", 1, "linear")],
        [("input", "memory"), ("memory", "memory", 1), ("memory", "policy"), ("memory", "value")],
        outputs=("policy", "value"),
    )
    print(network)
    params = init(network, jax.random.key(0))
    observations = jax.random.normal(jax.random.key(1), (10, 4, 5))
    outputs, _ = unroll(network, params, initial_state(network, 4), observations)
    print({name: array.shape for name, array in outputs.items()})

    state, values = initial_state(network, 4), []
    for observation in observations:  # acting: one step at a time
        now, state = step(network, params, state, observation)
        values.append(now["value"])
    np.testing.assert_allclose(jnp.stack(values), outputs["value"], rtol=1e-4, atol=1e-5)

    def loss(params: dict, name: str) -> jax.Array:
        outputs, _ = unroll(network, params, initial_state(network, 4), observations)
        return jnp.sum(outputs[name] ** 2)

    # Either output teaches what they share, and its own layer alone besides.
    for name, other in (("policy", "value"), ("value", "policy")):
        gradient = jax.grad(loss)(params, name)
        assert jnp.any(gradient["memory"]["memory@1"] != 0)
        assert not jnp.any(gradient[other]["memory@0"])


if __name__ == "__main__":
    main()
