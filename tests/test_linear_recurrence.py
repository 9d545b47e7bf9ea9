"""Recurrences that are linear in their carry: as a loop, as a prefix sum, and inside a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import stacked, unroll
from jaxrnn.cells import CELLS
from jaxrnn.linear_recurrence import _as_prefix_sum, _in_a_loop, linear_recurrence
from tests.networks import compiled, made
from tests.reference import LINEAR, assert_close

RNG = np.random.default_rng(0)
TIME, BATCH, SIZE = 7, 2, 3


def terms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decays, two of them 0 as after a reset; drives; and the carry before the first step."""
    decay, drive = RNG.uniform(size=(TIME, BATCH, SIZE)), RNG.normal(size=(TIME, BATCH, SIZE))
    decay[2, 0] = decay[5, 1] = 0
    return decay, drive, RNG.normal(size=(BATCH, SIZE))


def in_numpy(decay, drive, carry):
    carries = []
    for a, b in zip(decay, drive, strict=True):
        carry = a * carry + b
        carries.append(carry)
    return np.stack(carries)


@pytest.mark.parametrize("run", [_in_a_loop, _as_prefix_sum, linear_recurrence])
def test_every_way_to_run_it_is_the_recurrence(run):
    with jax.enable_x64(True):
        arguments = terms()
        assert_close(compiled(run)(*map(jnp.asarray, arguments)), in_numpy(*arguments))


def test_its_rule_for_gradients_is_autodiff_of_the_prefix_sum():
    with jax.enable_x64(True):
        arguments = tuple(map(jnp.asarray, terms()))
        weights = jnp.asarray(RNG.normal(size=(TIME, BATCH, SIZE)))

        def gradients(run):
            loss = lambda *a: (run(*a) * weights).sum()  # noqa: E731
            return compiled(jax.grad(loss, argnums=(0, 1, 2)))(*arguments)

        assert_close(gradients(linear_recurrence), gradients(_as_prefix_sum))


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_cell_is_its_published_formula(name):
    cell = CELLS[name]
    total, previous = RNG.normal(size=(BATCH, cell.gates * SIZE)), RNG.normal(size=(BATCH, SIZE))
    with jax.enable_x64(True):
        sums = tuple(jnp.split(jnp.asarray(total), cell.gates, axis=-1))
        output, carry = cell.apply(sums, (jnp.asarray(previous),))
    assert_close(output, LINEAR[name][0](total, previous))
    assert_close(carry, (output,))


@pytest.mark.parametrize("name", LINEAR)
def test_extreme_sums_leave_a_linear_cell_and_its_gradient_finite(name):
    cell = CELLS[name]
    sums = tuple(jnp.array([[-200.0, 0.0, 200.0]]) for _ in range(cell.gates))
    gradients = jax.grad(lambda s: cell.apply(s, (jnp.ones((1, 3)),))[0].sum())(sums)
    assert all(np.isfinite(x).all() for x in gradients)


@pytest.mark.parametrize("name", LINEAR)
def test_without_recurrent_connections_it_has_no_matrix_product_inside_a_loop(name):
    network = stacked(5, [4, 4], 5, cell=name)
    params, state = made(network)
    jaxpr = jax.make_jaxpr(lambda p: unroll(network, p, state, jnp.zeros((6, 2), int))[0])(params)
    assert "scan" in str(jaxpr)
    assert "dot_general" in str(jaxpr)
    assert not [e for e in jaxpr.eqns if "scan" in str(e) and "dot_general" in str(e)]
