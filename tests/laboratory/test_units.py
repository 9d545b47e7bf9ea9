"""Activations of units against unroll, correlations against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.laboratory import units as units_module
from experiments.laboratory.features import Reading
from experiments.laboratory.units import activations, best_units, correlations
from jaxrnn import init, initial_state, stacked, unroll, unroll_layers

TOKENS = np.array([1, 4, 2, 0, 3, 3, 1, 2])


@pytest.fixture(scope="module")
def lstm():
    network = stacked(5, [3, 2], 5, "lstm")
    return network, init(network, jax.random.key(1)), *_found(network)


def _found(network):
    return activations(network, init(network, jax.random.key(1)), TOKENS)


def test_outputs_are_those_of_a_chunk(lstm):
    network, params, names, found = lstm
    chunk = jnp.array(TOKENS)[:, None]
    outputs = unroll_layers(network, params, initial_state(network, 1), chunk).outputs
    for name, size in (("hidden1", 3), ("hidden2", 2)):
        for i in range(size):
            column = found[:, names.index(f"{name} unit {i}")]
            np.testing.assert_allclose(column, outputs[name][:, 0, i], rtol=1e-5, atol=1e-7)


def test_carries_are_those_of_the_state_after_as_many_steps(lstm):
    network, params, names, found = lstm
    for count in (1, 5):
        chunk = jnp.array(TOKENS[:count])[:, None]
        _, state = unroll(network, params, initial_state(network, 1), chunk)
        for i in range(3):
            carry = found[count - 1, names.index(f"hidden1 carry {i}")]
            np.testing.assert_allclose(carry, state["hidden1"].carry[0][0, i], rtol=1e-5)


def test_a_carry_that_is_the_output_is_not_listed_twice():
    names, found = _found(stacked(5, [3], 5, "gru"))
    assert names == ["hidden1 unit 0", "hidden1 unit 1", "hidden1 unit 2"]
    assert found.shape == (len(TOKENS), 3)


def test_the_output_layer_has_no_units_to_look_at(lstm):
    assert not [name for name in lstm[2] if name.startswith("output")]


def test_correlations_are_those_of_numpy():
    random = np.random.default_rng(0)
    units, features = random.normal(size=(200, 4)), random.normal(size=(200, 3)) + 5
    units[:, 1] += features[:, 2]
    expected = np.corrcoef(units, features, rowvar=False)[:4, 4:]
    np.testing.assert_allclose(correlations(units, features), expected, atol=1e-12)
    # float32, and an offset that would swamp it
    close = correlations(units.astype(np.float32) + 100, features)
    np.testing.assert_allclose(close, expected, atol=1e-4)


def test_a_constant_correlates_with_nothing():
    units, features = np.ones((10, 2)), np.arange(10.0)[:, None]
    np.testing.assert_array_equal(correlations(units, features), np.zeros((2, 1)))
    np.testing.assert_array_equal(correlations(features, units), np.zeros((1, 2)))


def test_a_unit_is_judged_on_text_on_which_it_was_not_searched(monkeypatch):
    random = np.random.default_rng(0)
    feature = random.normal(size=2000)
    lucky = np.concatenate([-feature[:1000], random.normal(size=1000)])
    honest = feature + random.normal(size=2000)
    units = np.stack([honest, lucky], axis=1)
    monkeypatch.setattr(units_module, "activations", lambda *_: (["honest", "lucky"], units))
    reading = Reading(np.arange(2000), "", {"f": feature}, slice(1500, 1503))
    (found,) = best_units(None, None, reading)  # pyright: ignore
    assert found["name"] == "lucky"
    assert found["searched"] == 1.0  # the sign is turned,
    judged = -np.corrcoef(lucky[1000:], feature[1000:])[0, 1]  # here as well
    assert found["judged"] == pytest.approx(judged, abs=1e-4)
    assert abs(judged) < 0.1
    deviations = -(lucky[1500:1503] - lucky[1000:].mean()) / lucky[1000:].std()
    np.testing.assert_allclose([float(x) for x in found["shown"].split()], deviations, atol=0.006)
