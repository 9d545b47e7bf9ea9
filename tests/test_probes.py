"""Gradients with respect to layers' outputs against finite differences of the NumPy reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Connection, Layer, Network, initial_state, stacked
from jaxrnn.probes import output_gradients
from tests import reference
from tests.networks import CELLS, compiled, random_params
from tests.reference import assert_close

TIME, BATCH = 4, 2
MIXED = Network(
    2,
    [Layer("low", 2, "gru"), Layer("high", 3, "lstm"), Layer("output", 2, "linear")],
    [
        Connection("input", "low"), Connection("low", "low", 1), Connection("low", "high"),
        Connection("high", "high", 2), Connection("high", "low", 1), Connection("high", "output"),
        Connection("low", "output", 3),
    ],
)  # fmt: skip


def perturbed(monkeypatch, network, params, state, inputs, name, time, change):
    """The reference's outputs where one layer's output at one step is changed, and all after it.

    A cell whose carry is its output carries the changed one on.
    """
    calls, order = iter(range(10**6)), [layer.name for layer in reference.in_order(network)]
    original = reference.cell_forward

    def cell_forward(*arguments):
        output, carry = original(*arguments)
        if divmod(next(calls), len(order)) == (time, order.index(name)):
            carry = tuple(kept + change if kept is output else kept for kept in carry)
            output = output + change
        return output, carry

    with monkeypatch.context() as patch:
        patch.setattr(reference, "cell_forward", cell_forward)
        return reference.forward(network, params, state, inputs).outputs


@pytest.mark.parametrize(
    "network",
    [MIXED, *(stacked(2, [2, 3], 2, cell) for cell in dict.fromkeys(CELLS))],
    ids=["mixed", *dict.fromkeys(CELLS)],
)
def test_gradients_are_finite_differences_of_the_reference(monkeypatch, network):
    rng = np.random.default_rng(0)
    params = random_params(network, rng)
    state = jax.tree.map(lambda x: rng.normal(size=x.shape), initial_state(network, BATCH))
    inputs = rng.normal(size=(TIME, BATCH, 2))
    weights = rng.normal(size=(TIME, BATCH, 2))
    with jax.enable_x64(True):
        gradients = compiled(
            lambda params, state, inputs: output_gradients(
                network, params, state, inputs, lambda y: jnp.sum(weights * jnp.tanh(y))
            )
        )(params, state, inputs)
    gradients = jax.tree.map(np.asarray, gradients)
    direction = {name: rng.normal(size=gradient.shape) for name, gradient in gradients.items()}
    assert gradients.keys() == {layer.name for layer in network.layers}
    for name, gradient in gradients.items():
        for time in range(TIME):
            losses = [
                np.sum(weights * np.tanh(perturbed(
                    monkeypatch, network, params, state, inputs, name, time,
                    distance * direction[name][time],
                )))
                for distance in (1e-6, -1e-6)
            ]  # fmt: skip
            slope = (losses[0] - losses[1]) / 2e-6
            assert_close(np.sum(gradient[time] * direction[name][time]), slope, 1e-6)
