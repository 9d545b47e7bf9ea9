"""Weight drop: which entries of which matrices, and the gradient through what is left."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import Connection, InputError, Layer, Network, init, initial_state, stacked, unroll
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.training import make_training_steps, start
from jaxrnn.learning.weight_drop import drop_weights

NETWORK = Network(
    4,
    [Layer("low", 30, "tanh"), Layer("output", 4, "linear")],
    [
        Connection("input", "low"), Connection("input", "low", 1), Connection("low", "low", 1),
        Connection("low", "low", 2, "diagonal"), Connection("low", "output"),
        Connection("low", "output", 1),
    ],
)  # fmt: skip
RECURRENT = {("low", "low@1"), ("output", "low@1")}


def test_recurrent_matrices_lose_their_share_and_what_is_left_grows_by_as_much():
    params = init(NETWORK, jax.random.key(0))
    dropped = drop_weights(NETWORK, params, 0.25, jax.random.key(1))
    for layer, arrays in params.items():
        for name, array in arrays.items():
            if (layer, name) in RECURRENT:
                kept = dropped[layer][name] != 0
                np.testing.assert_allclose(dropped[layer][name], kept * array / 0.75, rtol=1e-6)
                deviation = (0.25 * 0.75 / array.size) ** 0.5
                assert abs(1 - kept.mean() - 0.25) < 4 * deviation
            else:
                np.testing.assert_array_equal(dropped[layer][name], array)
    again = drop_weights(NETWORK, params, 0.25, jax.random.key(2))
    assert not np.array_equal(dropped["low"]["low@1"], again["low"]["low@1"])


def test_a_step_takes_the_gradient_through_its_own_mask_against_finite_differences():
    """Of a loss with a penalty, which is of all entries."""
    rng, key = np.random.default_rng(0), jax.random.key(5)
    inputs, targets = rng.integers(4, size=(2, 1, 5, 2))
    batch = Batch(inputs, targets, np.zeros(inputs.shape, bool))
    with jax.enable_x64(True):
        params = init(NETWORK, jax.random.key(0), dtype=jnp.float64)
        optimizer = optax.sgd(1.0)
        steps = make_training_steps(NETWORK, optimizer, weight_drop=0.5, l2=0.01)
        state = start(NETWORK, jax.tree.map(jnp.array, params), optimizer, 2)
        after, report = steps(state, batch, key[None])

        @jax.jit
        def loss(params):
            dropped = drop_weights(NETWORK, params, 0.5, key)
            logits, _ = unroll(NETWORK, dropped, initial_state(NETWORK, 2, jnp.float64), inputs[0])
            nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets[0]).mean()
            matrices = (x for x in jax.tree.leaves(params) if x.ndim == 2)
            return nats, nats + 0.01 / 2 * sum(jnp.square(x).sum() for x in matrices)

        np.testing.assert_allclose(report.losses[0], loss(params)[0], rtol=1e-12)
        step = 1e-6
        for layer, name in [*RECURRENT, ("low", "input@0")]:
            at = tuple(rng.integers(n) for n in params[layer][name].shape)
            for direction in (jnp.zeros_like(params[layer][name]).at[at].set(1),
                              jnp.asarray(rng.normal(size=params[layer][name].shape))):  # fmt: skip
                moved = [
                    loss(params | {layer: params[layer] | {name: params[layer][name] + by}})[1]
                    for by in (step * direction, -step * direction)
                ]
                slope = (moved[0] - moved[1]) / (2 * step)
                found = jnp.sum(direction * (params[layer][name] - after.params[layer][name]))
                np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("cell", "rate", "sentence"),
    [
        ("min_gru", 0.5, "the network has no recurrent matrix; leave it out"),
        ("gru", 1.0, "rate is 1.0; it must be a number, at least 0 and below 1"),
    ],
)
def test_what_cannot_be_dropped_is_refused(cell, rate, sentence):
    with pytest.raises(InputError, match=sentence):
        make_training_steps(stacked(4, [3], 4, cell), optax.sgd(0.1), weight_drop=rate)
