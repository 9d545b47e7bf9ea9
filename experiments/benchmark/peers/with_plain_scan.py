"""The same network as one `lax.scan` over all of it, differentiated by JAX.

What one writes by hand for a network that no library's stack of layers can express.
"""

import jax
import jax.numpy as jnp
import optax

import jaxrnn
from experiments.benchmark.peers.training_in_jax import JaxTrainer, trainer
from experiments.benchmark.shapes import Data, Params, Shape
from jaxrnn import Options, State, initial_state, unroll


def open_trainer(shape: Shape, params: Params, data: Data) -> JaxTrainer:
    network, options = shape.network(), Options(plain_autodiff=True, stepwise=True)

    def loss(
        params: jaxrnn.Params, state: State, inputs: jax.Array, targets: jax.Array
    ) -> tuple[jax.Array, State]:
        logits, state = unroll(network, params, state, inputs, options=options)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
        return nats.mean(), state

    arrays = jax.tree.map(jnp.array, params)
    return trainer(loss, arrays, initial_state(network, shape.batch), data)
