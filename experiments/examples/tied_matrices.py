"""Tied matrices: the output reads with the rows that the input is embedded by.

Press and Wolf 2017, Using the output embedding to improve language models. What is learned lacks
the output's matrix; a function makes the network's parameters of it, for training and evaluation.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn import Connection, Layer, Network, Params, init, initial_state, unroll
from jaxrnn.learning import Batch, cross_entropy, make_training_steps, start

SYMBOLS, SIZE, STEPS, TIME, BATCH = 12, 8, 60, 16, 8
NETWORK = Network(
    SYMBOLS,
    [Layer("embedding", SIZE, "linear"), Layer("hidden", SIZE, "gru"),
     Layer("output", SYMBOLS, "linear")],
    [Connection("input", "embedding"), Connection("embedding", "hidden"),
     Connection("hidden", "hidden", 1), Connection("hidden", "output")],
)  # fmt: skip


def tied(learned: Params) -> Params:
    """The network's parameters; any pure function would do."""
    matrix = learned["embedding"]["input@0"].T
    return learned | {"output": learned["output"] | {"hidden@0": matrix}}


def loss_of(params: Params, batch: Batch) -> jax.Array:
    outputs, _ = unroll(NETWORK, params, initial_state(NETWORK, BATCH), batch.inputs)
    return cross_entropy(outputs, batch.targets).mean()


def main() -> None:
    learned = init(NETWORK, jax.random.key(0))
    del learned["output"]["hidden@0"]
    # A walk: each symbol is followed by the next one, or by the one after that.
    moves = np.random.default_rng(0).integers(1, 3, (STEPS, TIME + 1, BATCH))
    walks = moves.cumsum(axis=1) % SYMBOLS
    batches = Batch(walks[:, :-1], walks[:, 1:], np.zeros((STEPS, TIME, BATCH), bool))
    held_out = Batch(*(jnp.asarray(array[-1]) for array in batches[:3]))

    # One matrix at two places gets the sum of both gradients.
    gradient = jax.grad(lambda x: loss_of(tied(x), held_out))(learned)
    apart = jax.grad(loss_of)(tied(learned), held_out)
    both = apart["embedding"]["input@0"] + apart["output"]["hidden@0"].T
    np.testing.assert_allclose(gradient["embedding"]["input@0"], both, atol=1e-5)

    optimizer = optax.adam(0.03)
    training_steps = make_training_steps(NETWORK, optimizer, transform=tied)
    before = float(loss_of(tied(learned), held_out))
    state = start(NETWORK, learned, optimizer, BATCH)
    state, _ = training_steps(state, batches, jax.random.split(jax.random.key(1), STEPS))
    after = float(loss_of(tied(state.params), held_out))
    print(f"{before:.2f} nats a symbol at first, {after:.2f} in the end; ln 2 = {np.log(2):.2f}")
    assert after < 0.5 * before
    assert "hidden@0" not in state.params["output"]
    assert sum(x.size for x in jax.tree.leaves(state.params)) == (
        NETWORK.parameter_count - SIZE * SYMBOLS
    )


if __name__ == "__main__":
    main()
