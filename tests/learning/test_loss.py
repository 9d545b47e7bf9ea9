"""Losses against NumPy in float64, and their gradients against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Layer, Network, init
from jaxrnn.learning.loss import bits_per_character, cross_entropy, weight_penalty
from tests.reference import one_hot

TIME, BATCH, SYMBOLS = 3, 2, 5


def logits_and_targets(scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = scale * rng.normal(size=(TIME, BATCH, SYMBOLS))
    return logits, rng.integers(SYMBOLS, size=(TIME, BATCH))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def picked(table: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.take_along_axis(table, targets[..., None], axis=-1)[..., 0]


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4, 1e30])
def test_cross_entropy_is_the_negative_log_softmax_of_the_target_however_large_the_logits(scale):
    logits, targets = logits_and_targets(scale)
    logits = logits.astype(np.float32)
    nats = cross_entropy(jnp.asarray(logits), jnp.asarray(targets))
    assert nats.dtype == jnp.float32
    np.testing.assert_allclose(nats, -picked(log_softmax(logits), targets), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [1e4, 1e8, 1e38, -1e38])
def test_symbols_that_are_equally_likely_are_never_free_however_large_their_logits(size):
    logits = np.full((TIME, BATCH, SYMBOLS), size, np.float32)
    _, targets = logits_and_targets()
    np.testing.assert_allclose(
        cross_entropy(jnp.asarray(logits), jnp.asarray(targets)), np.log(SYMBOLS), 1e-6
    )


def test_adding_a_number_to_all_logits_of_a_symbol_changes_nothing():
    logits, targets = (jnp.asarray(x) for x in logits_and_targets())
    moved = cross_entropy(logits + 100, targets)
    np.testing.assert_allclose(moved, cross_entropy(logits, targets), atol=1e-4)


def test_cross_entropy_of_bfloat16_logits_is_computed_in_float32():
    logits, targets = logits_and_targets(4.0)
    half = jnp.asarray(logits, jnp.bfloat16)
    nats = cross_entropy(half, jnp.asarray(targets))
    assert nats.dtype == jnp.float32
    expected = -picked(log_softmax(np.asarray(half, np.float64)), targets)
    np.testing.assert_allclose(nats, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "int8", "uint8"])
@pytest.mark.parametrize("wrong", [-1, -SYMBOLS, -100, SYMBOLS, 100])
def test_a_target_out_of_range_costs_nan_and_leaves_the_others_alone(wrong, dtype):
    logits, targets = logits_and_targets()
    expected = -picked(log_softmax(logits), targets)
    expected[1, 1] = np.nan
    targets[1, 1] = wrong
    nats = cross_entropy(jnp.float32(logits), jnp.asarray(targets.astype(dtype)))
    np.testing.assert_allclose(nats, expected, rtol=1e-5)


def test_the_gradient_of_cross_entropy_is_every_finite_difference_in_float64():
    logits, targets = logits_and_targets(3.0)
    weights = np.random.default_rng(1).normal(size=(TIME, BATCH))
    with jax.enable_x64(True):

        def loss(flat):
            nats = cross_entropy(flat.reshape(logits.shape), jnp.asarray(targets))
            return jnp.sum(weights * nats)

        flat = jnp.asarray(logits.ravel())
        nudges = 1e-6 * jnp.eye(flat.size)
        slopes = (jax.vmap(loss)(flat + nudges) - jax.vmap(loss)(flat - nudges)) / 2e-6
        gradient = jax.jit(jax.grad(loss))(flat)
        assert gradient.dtype == jnp.float64
    np.testing.assert_allclose(gradient, slopes, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_the_gradient_of_cross_entropy_is_softmax_minus_one_hot(scale):
    logits, targets = logits_and_targets(scale)
    logits = logits.astype(np.float32)
    gradient = jax.grad(lambda x: cross_entropy(x, jnp.asarray(targets)).sum())(logits)
    expected = np.exp(log_softmax(logits)) - one_hot(targets, SYMBOLS)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_a_uniform_guess_among_eight_symbols_costs_three_bits():
    nats = cross_entropy(jnp.zeros((1, 1, 8)), jnp.zeros((1, 1), jnp.int32))
    assert bits_per_character(float(nats[0, 0])) == pytest.approx(3, rel=1e-6)


def penalised_params() -> dict:
    layers = [Layer("h", 2, "lstm"), Layer("output", 4, "linear")]
    edges = [("input", "h"), ("h", "h", 1, "diagonal"), ("h", "output")]
    params = init(Network(3, layers, edges), jax.random.key(0))
    return jax.tree.map(lambda x: x + 0.1, params)  # biases that are not zero


def matrices_only(params: dict) -> dict:
    return {
        layer: {
            name: np.asarray(x, np.float64) * (name not in ("bias", "h@1"))
            for name, x in arrays.items()
        }
        for layer, arrays in params.items()
    }


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
def test_the_penalty_and_its_gradient_are_of_matrices_alone(l1, l2):
    params = penalised_params()
    penalty, gradient = jax.value_and_grad(weight_penalty)(params, l1, l2)
    weights = matrices_only(params)
    flat = np.concatenate([x.ravel() for x in jax.tree.leaves(weights)])
    expected = l1 * np.abs(flat).sum() + l2 / 2 * (flat**2).sum()
    np.testing.assert_allclose(penalty, expected, rtol=1e-6)
    assert penalty.dtype == jnp.float32
    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(g, l1 * np.sign(w) + l2 * w, rtol=1e-6),
        gradient,
        weights,
    )


def test_biases_and_diagonals_alone_cost_nothing():
    params = penalised_params()
    for arrays in params.values():
        for name in arrays.keys() - {"bias", "h@1"}:
            arrays[name] = jnp.zeros_like(arrays[name])
    assert weight_penalty(params, 1.0, 1.0) == 0
