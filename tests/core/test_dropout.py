"""Dropout of single connections, and rates that are traced."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Connection, Dropout, InputError, Layer, Network, Options, stacked, unroll
from tests import reference
from tests.core.test_unroll import by_reference, run_and_differentiate
from tests.networks import Case, made, random_params
from tests.reference import assert_close

EDGES = [
    Connection("input", "low"), Connection("low", "low", 1), Connection("low", "low", 3),
    Connection("low", "output"), Connection("input", "output", 2),
    Connection("low", "output", 1, "identity"),
]  # fmt: skip
LAYERS = [Layer("low", 3, "gru"), Layer("output", 3, "linear")]
NETWORK = Network(2, LAYERS, EDGES)


def test_dropout_by_connection_touches_those_named_alone_delayed_ones_and_identities_too():
    dropout = {
        ("low", "low", 3): Dropout(0.5, locked=True),
        Connection("low", "output", 0): Dropout(0.2),
        ("low", "output", 1): Dropout(0.4),
        ("input", "low"): Dropout(0.0),
    }
    rng = np.random.default_rng(0)
    _, state = made(NETWORK, 3)
    case = Case(
        network=NETWORK, params=random_params(NETWORK, rng),
        state=jax.tree.map(lambda x: rng.normal(size=x.shape), state),
        inputs=rng.normal(size=(6, 3, 2)), symbols=rng.integers(2, size=(6, 3)),
        resets=rng.random((6, 3)) < 0.2, dropout=dropout, rng=rng,
    )  # fmt: skip
    arguments = case.params, case.state, case.inputs
    with jax.enable_x64(True):
        masks = case.masks()
        tape = by_reference(case, *arguments)
        cotangents = case.noise((tape.outputs, tape.state))
        result, gradients = run_and_differentiate(case)(arguments, cotangents)
    assert set(map(str, masks)) == {
        "low -> low (delay 3)", "low -> output", "low -> output (delay 1, identity)"
    }  # fmt: skip
    assert_close(result, (tape.outputs, tape.state))
    assert_close(gradients, reference.backward(tape, *cotangents))


@pytest.mark.parametrize("segment", [0, 2])
@pytest.mark.parametrize("locked", [False, True])
def test_a_traced_rate_is_that_rate(locked, segment):
    params, state = made(NETWORK, 3)
    inputs = jnp.ones((6, 3, 2))

    def run(rate):
        dropout = Dropout(rate, locked, recurrent=True)
        return unroll(
            NETWORK, params, state, inputs, dropout=dropout, dropout_key=jax.random.key(0),
            options=Options(segment=segment),
        )  # fmt: skip

    known = jax.jit(partial(run, 0.3))()
    assert_close(jax.jit(run)(jnp.float32(0.3)), known, 1e-5)
    without, _ = unroll(NETWORK, params, state, inputs)
    assert_close(jax.jit(run)(jnp.float32(0))[0], without, 1e-5)


def test_dropout_of_a_connection_that_there_is_not_is_refused():
    network = stacked(2, [3], 2)
    params, state = made(network)
    with pytest.raises(InputError, match=r"dropout .*'input', 'output'.* no connection"):
        unroll(
            network, params, state, jnp.ones((1, 2, 2)),
            dropout={("input", "output"): Dropout(0.5)}, dropout_key=jax.random.key(0),
        )  # fmt: skip
