"""Gradients with respect to layers' outputs against finite differences of the NumPy reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Cell, Connection, InputError, Layer, Network, initial_state, stacked
from jaxrnn.core import cells
from jaxrnn.core.engine.probes import output_gradients
from tests import reference
from tests.networks import CELLS, made, random_params
from tests.reference import assert_close

TIME, BATCH = 4, 2
# By their published formulas.
CARRY_THEIR_OUTPUT = ("gru", "gru_recurrent_bias", "mi_gru", "min_gru", "min_lstm", "rg_lru")
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

    What such a cell carries to the next step is changed with it.
    """
    calls, order = iter(range(10**6)), [layer.name for layer in reference.in_order(network)]
    original = reference.cell_forward

    def cell_forward(cell, *arguments):
        output, carry = original(cell, *arguments)
        if divmod(next(calls), len(order)) == (time, order.index(name)):
            carry = tuple(kept + change if cell in CARRY_THEIR_OUTPUT else kept for kept in carry)
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
        gradients = jax.jit(
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


def copying_gru(feedforward, recurrent, carry):
    """A GRU whose carry is a number of its own, equal to its output."""
    output, _ = cells.find("gru").apply(feedforward, recurrent, carry)
    return output, (output * 1.0,)


def gradients_of(cell):
    network = stacked(2, [3, 2], 2, cell)
    rng = np.random.default_rng(0)
    params = jax.tree.map(jnp.float32, random_params(network, rng))
    inputs = jnp.float32(rng.normal(size=(TIME, BATCH, 2)))
    return jax.jit(
        lambda params: output_gradients(
            network, params, initial_state(network, BATCH), inputs, lambda y: jnp.sum(y**2)
        )
    )(params)


GRU = {"gates": 3, "carries": 1, "separate_sums": True}


def test_what_counts_is_what_a_cell_says_that_it_carries():
    """Not whether output and carry are one array."""
    copying = Cell("copying", copying_gru, **GRU, carries_output=True)
    assert_close(gradients_of(copying), gradients_of("gru"), 1e-6)


def plus_one(feedforward, recurrent, carry):
    output, _ = copying_gru(feedforward, recurrent, carry)
    return output, (output + 1,)


def second(sums, carry):
    output = jnp.tanh(sums[0] + carry[0])
    return output, (carry[0] + 0.5 * sums[0], 1 * output)


def mostly_its_carry(sums, carry):
    memory = carry[0] + sums[0]
    return jax.nn.relu(memory), (memory,)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Cell("silent", copying_gru, **GRU), r"'silent' has its output as its first carry; say"),
        (Cell("false", plus_one, **GRU, carries_output=True), r"'false' says .* is not its output"),
        (Cell("late", second, carries=2), r"'late' has its output as carry 2; make it the first"),
        (Cell("memory", mostly_its_carry, carries=1, carries_output=True), r"'memory' says"),
    ],
)
def test_a_cell_that_says_something_else_than_it_does_is_refused(cell, message):
    with pytest.raises(InputError, match=message) as refusal:
        gradients_of(cell)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", cells.CELLS)
def test_every_cell_of_jaxrnn_s_says_what_it_carries(name):
    assert cells.find(name).carries_output == (name in CARRY_THEIR_OUTPUT)


def test_layers_that_run_backward_are_refused():
    layers = [Layer("back", 3, "tanh", backward=True), Layer("output", 2, "linear")]
    network = Network(2, layers, [("input", "back"), ("back", "back", 1), ("back", "output")])
    params, state = made(network, 2)
    with pytest.raises(InputError, match="backward layers cannot be stepped"):
        output_gradients(network, params, state, jnp.ones((4, 2, 2)), jnp.sum)
