"""Recurrences that are linear in their carry: as a loop, as a prefix sum, and inside a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Connection, Layer, Network, init, initial_state, stacked, unroll
from jaxrnn.core.cells import CELLS
from jaxrnn.core.engine.linear_recurrence import _as_prefix_sum, _in_a_loop, linear_recurrence
from jaxrnn.core.formulas import _root
from tests.networks import made
from tests.reference import LINEAR, assert_close

RNG = np.random.default_rng(0)
TIME, BATCH, SIZE = 7, 2, 3


def terms(resets: bool) -> tuple:
    """Decays, drives, the carry before the first step, and where all of that is forgotten."""
    decay, drive = RNG.uniform(size=(TIME, BATCH, SIZE)), RNG.normal(size=(TIME, BATCH, SIZE))
    flags = np.zeros((TIME, BATCH), bool)
    flags[[0, 2, 5, 6], [0, 0, 1, 1]] = True
    return decay, drive, RNG.normal(size=(BATCH, SIZE)), flags if resets else None


def in_numpy(decay, drive, carry, resets):
    carries = []
    for t, (a, b) in enumerate(zip(decay, drive, strict=True)):
        if resets is not None:
            carry = np.where(resets[t][:, None], 0, carry)
        carry = a * carry + b
        carries.append(carry)
    return np.stack(carries)


WAYS = [_in_a_loop, _as_prefix_sum, linear_recurrence]


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("run", WAYS)
def test_every_way_to_run_it_is_the_recurrence(run, resets):
    with jax.enable_x64(True):
        arguments = terms(resets)
        assert_close(jax.jit(run)(*jax.tree.map(jnp.asarray, arguments)), in_numpy(*arguments))


def gradients(run, decay, drive, initial, resets, weights):
    def loss(decay, drive, initial):
        return (run(decay, drive, initial, resets) * weights).sum()

    return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(decay, drive, initial)


@pytest.mark.parametrize("resets", [False, True])
def test_its_rule_for_gradients_is_autodiff_of_the_loop_and_of_the_prefix_sum(resets):
    with jax.enable_x64(True):
        arguments = jax.tree.map(jnp.asarray, terms(resets))
        weights = jnp.asarray(RNG.normal(size=(TIME, BATCH, SIZE)))
        by_rule, by_loop, by_sum = (
            gradients(run, *arguments, weights)
            for run in (linear_recurrence, _in_a_loop, _as_prefix_sum)
        )
    assert_close(by_rule, by_loop)
    assert_close(by_rule, by_sum)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("run", WAYS)
def test_a_reset_forgets_what_is_not_finite(run, bad):
    """Values, and gradients of what comes after: those of a run that was clean from the start."""
    with jax.enable_x64(True):
        decay, drive, initial, resets = map(jnp.asarray, terms(True))
        weights = jnp.asarray(RNG.normal(size=(TIME, BATCH, SIZE))).at[:2, 0].set(0)
        clean = decay, drive, initial, resets
        dirty = decay, drive.at[1, 0].set(bad), initial.at[0].set(bad), resets
        values = jax.jit(run)(*dirty)
        assert_close(values[2:], jax.jit(run)(*clean)[2:])
        assert_close(values[:, 1], jax.jit(run)(*clean)[:, 1])
        assert not np.isfinite(values[1, 0]).any()
        assert np.isfinite(values[0]).all()  # of a lane that forgets its initial carry
        for got, expected in zip(
            gradients(run, *dirty, weights), gradients(run, *clean, weights), strict=True
        ):
            if got.ndim == 3:
                assert_close(got[2:], expected[2:])
            else:
                assert_close(got, expected)


@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_cell_is_its_published_formula(name):
    cell = CELLS[name]
    total, previous = RNG.normal(size=(BATCH, cell.gates * SIZE)), RNG.normal(size=(BATCH, SIZE))
    with jax.enable_x64(True):
        sums = tuple(jnp.split(jnp.asarray(total), cell.gates, axis=-1))
        before = (jnp.asarray(previous), jnp.ones((BATCH, SIZE)))[: cell.carries]
        output, carry = cell.apply(sums, before)
    assert_close(output, LINEAR[name][0](total, previous))
    assert_close(carry[0], output)


@pytest.mark.parametrize("name", LINEAR)
def test_extreme_sums_leave_a_linear_cell_and_its_gradient_finite(name):
    cell = CELLS[name]
    sums = tuple(jnp.array([[-200.0, 0.0, 200.0]]) for _ in range(cell.gates))
    carry = (jnp.ones((1, 3)),) * cell.carries
    gradients = jax.grad(lambda s: cell.apply(s, carry)[0].sum())(sums)
    assert all(np.isfinite(x).all() for x in gradients)


@pytest.mark.parametrize("internal", [False, True])
def test_rg_lru_does_not_scale_down_the_first_step_of_a_sequence(internal):
    """At the start and after a reset, with and without a loop; the decay is about 0.997."""
    edges = [Connection("input", "output")]
    edges += [Connection("output", "output", 1)] if internal else []
    network = Network(1, [Layer("output", 1, "rg_lru")], edges)
    params = jax.tree.map(jnp.zeros_like, init(network, jax.random.key(0)))
    params["output"]["bias"] = jnp.array([0.0, 0, 1, 7])  # gates half open, the value is 1
    resets = jnp.zeros((4, 2), bool).at[2, 1].set(True)
    inputs = jnp.zeros((4, 2, 1))
    outputs, state = unroll(network, params, initial_state(network, 2), inputs, resets=resets)
    decay = (1 + np.exp(-7)) ** -4
    drive = np.sqrt(1 - decay**2) / 2
    second = decay / 2 + drive
    third = decay * second + drive
    np.testing.assert_allclose(outputs[:, 0, 0], [0.5, second, third, decay * third + drive], 1e-5)
    np.testing.assert_allclose(outputs[:, 1, 0], [0.5, second, 0.5, second], 1e-5)
    after, _ = unroll(network, params, state, inputs)  # it goes on
    np.testing.assert_allclose(after[0, 1, 0], decay * second + drive, 1e-5)


def test_the_root_in_rg_lru_has_the_slope_of_its_authors():
    """1 / sqrt(max(4 x, 1e-6)): as of the square root, but at most 1000."""
    x = jnp.array([0.0, 1e-9, 2.5e-7, 1e-4, 0.25])
    assert_close(jax.vmap(_root)(x), jnp.sqrt(x), 1e-6)
    slopes = [1000.0, 1000, 1000, 50, 1]
    assert_close(jax.vmap(jax.grad(_root))(x), jnp.array(slopes), 1e-5)
    assert_close(jax.jvp(jax.vmap(_root), (x,), (jnp.ones(5),))[1], jnp.array(slopes), 1e-5)


@pytest.mark.parametrize("name", LINEAR)
def test_without_recurrent_connections_it_has_no_matrix_product_inside_a_loop(name):
    network = stacked(5, [4, 4], 5, cell=name)
    params, state = made(network)
    jaxpr = jax.make_jaxpr(lambda p: unroll(network, p, state, jnp.zeros((6, 2), int))[0])(params)
    assert "scan" in str(jaxpr)
    assert "dot_general" in str(jaxpr)
    assert not [e for e in jaxpr.eqns if "scan" in str(e) and "dot_general" in str(e)]
