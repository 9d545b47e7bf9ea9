"""Adagrad by rows, against a loop in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import Layer, Network, init
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.row_adagrad import scale_by_row_adagrad


def test_each_row_is_divided_by_the_root_of_the_mean_squares_it_has_had():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(5, 7, 4)) * rng.integers(0, 2, (5, 7, 1))
    gradients[:, 3] = 0  # of a row that is never touched
    optimizer = scale_by_row_adagrad()
    state = optimizer.init(jnp.zeros((7, 4)))
    sums = np.zeros(7)
    for gradient in gradients:
        update, state = optimizer.update(jnp.asarray(gradient, jnp.float32), state)
        for row in range(7):
            sums[row] += np.mean(gradient[row] ** 2)
            expected = gradient[row] / np.sqrt(sums[row]) if sums[row] else np.zeros(4)
            np.testing.assert_allclose(update[row], expected, rtol=1e-5)


def test_it_keeps_one_number_a_row():
    state = scale_by_row_adagrad().init(jnp.ones((9, 64)))
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [(9, 1)]


def test_with_a_penalty_rows_settle_where_it_and_their_loss_are_least():
    """Each pulled to 1, but by half a square every 1, 3, 20 steps: to 1 / (1 + every * l2)."""
    every, l2, rate = np.array([1, 3, 20]), 0.1, 0.2
    optimizer = scale_by_row_adagrad(l2, rate)
    rows = jnp.full((3, 2), 5.0)
    state = optimizer.init(rows)

    @jax.jit
    def after(i, rows, state):
        comes = i % every[:, None] == 0
        update, new = optimizer.update(jnp.where(comes, rows - 1, 0), state, rows)

        def kept(array, old):  # of a row that does not come up nothing is changed
            return jnp.where(comes, array, old) if old.shape == (3, 1) else array

        return jnp.where(comes, rows - rate * update, rows), jax.tree.map(kept, new, state)

    for i in range(1, 3001):
        rows, state = after(i, rows, state)
    np.testing.assert_allclose(rows, np.repeat(1 / (1 + every * l2), 2).reshape(3, 2), rtol=0.02)


def test_no_penalty_makes_a_row_overshoot():
    """A step is proximal: where there is no gradient, at most to zero."""
    optimizer = scale_by_row_adagrad(1e9, 0.5)
    rows = jnp.array([[1.0, -2.0], [3.0, 0.0]])
    update, _ = optimizer.update(jnp.zeros((2, 2)), optimizer.init(rows), rows)
    np.testing.assert_allclose(rows - 0.5 * update, jnp.zeros((2, 2)), atol=1e-6)


def test_a_recipe_moves_tables_by_it_at_a_rate_of_their_own():
    layers = [Layer("hidden", 3, "linear"), Layer("output", 4, "linear")]
    connections = [("pairs", "hidden"), ("input", "hidden"), ("hidden", "output")]
    network = Network(4, layers, connections, ngrams=[("pairs", 2, 25)])
    params = init(network, jax.random.key(0))
    for name in ("adam", "muon"):
        recipe = Recipe(optimizer=name, learning_rate=0.01, ngram_rate=0.5, clip_norm=None)
        optimizer = recipe.make_optimizer(network)
        gradient = jax.tree.map(jnp.ones_like, params)
        state = optimizer.init(params)
        updates, _ = optimizer.update(gradient, state, params, learning_rate=0.005)  # half way
        np.testing.assert_allclose(updates["hidden"]["pairs@0"], -0.25, rtol=1e-5)
        np.testing.assert_allclose(updates["hidden"]["bias"], -0.005, rtol=1e-4)
