"""What is made of a network whose gradients are known."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.laboratory.gradients import gradients_back, passages, reach, relative_norms
from experiments.laboratory.statistics import listed
from jaxrnn import init, stacked


def test_a_matrix_that_halves_halves_the_gradient_at_each_step():
    network = stacked(3, [4, 4], 3, "linear")
    params = init(network, jax.random.key(0))
    for layer in ("hidden1", "hidden2"):
        params[layer][f"{layer}@1"] = jnp.eye(4) / 2
    inputs, targets = np.random.default_rng(0).integers(3, size=(2, 12, 5))
    gradients = jax.jit(lambda *arrays: gradients_back(network, *arrays, 3))(
        params, jnp.asarray(inputs), jnp.asarray(targets[0])
    )
    ks = np.arange(9)
    upper = relative_norms(gradients["hidden2"][None])
    np.testing.assert_allclose(upper, [ks * np.log10(0.5)], atol=1e-4)
    # Of k steps back to the lower layer, any number may lead through the upper one: k + 1 ways.
    lower = relative_norms(gradients["hidden1"][None])
    np.testing.assert_allclose(lower, [ks * np.log10(0.5) + np.log10(ks + 1)], atol=1e-4)
    assert reach(upper[0]) == 6  # 1 / 64 is above 1%, 1 / 128 is not


def test_a_gradient_may_fall_below_the_threshold_and_rise_again():
    assert reach([0, -1, -3, -1.9, -2.1]) == 3


def test_passages_are_spread_over_the_text_and_followed_by_their_targets():
    text = np.arange(100)
    inputs, targets = passages(text, {"warmup": 3, "reach": 6, "places": 4})
    assert inputs.shape == (10, 4)
    assert np.asarray(inputs[0]).tolist() == [0, 29, 59, 89]
    np.testing.assert_array_equal(targets, inputs[-1] + 1)


def test_a_layer_without_a_gradient_has_no_reach_and_an_infinite_one_has_one():
    gradients = np.ones((3, 4, 2, 5))
    gradients[0] = 0
    gradients[1, 2:] = np.inf
    norms = listed(relative_norms(gradients))
    assert norms == [[None] * 4, [0, 0, 40, 40], [0] * 4]
    assert [reach(own) for own in norms] == [None, 3, 3]
