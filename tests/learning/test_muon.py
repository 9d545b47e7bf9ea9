"""Muon against NumPy's singular value decomposition: which matrices, each gate's by itself."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Connection, Layer, Network, NGram, init
from jaxrnn.learning.muon import muon, orthogonalised
from jaxrnn.learning.optimizers import make_optimizer
from jaxrnn.learning.recipe import Recipe
from tests.networks import random_params
from tests.reference import assert_close

NETWORK = Network(
    4,
    [
        Layer("embedding", 5, "linear"), Layer("low", 3, "gru"), Layer("high", 6, "tanh"),
        Layer("output", 4, "linear"),
    ],
    [
        Connection("input", "embedding"), Connection("pairs", "low"), Connection("input", "high"),
        Connection("embedding", "low"), Connection("low", "low", 1), Connection("low", "high", 2),
        Connection("high", "low", 1), Connection("high", "high", 1, "diagonal"),
        Connection("output", "low", 1), Connection("high", "output"),
        Connection("low", "output", 1),
    ],
    ngrams=[NGram("pairs", 2, 16)],
)  # fmt: skip
GATES = {
    ("low", "embedding@0"): 3, ("low", "low@1"): 3, ("low", "high@1"): 3, ("low", "output@1"): 3,
    ("high", "low@2"): 1,
}  # fmt: skip


def quintic(values: np.ndarray) -> np.ndarray:
    """What five steps make of singular values."""
    values = values / np.sqrt(np.square(values).sum())
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return values


def by_numpy(matrix: np.ndarray, gates: int) -> np.ndarray:
    parts = []
    for part in np.split(np.float64(matrix), gates, axis=1):
        left, values, right = np.linalg.svd(part, full_matrices=False)
        scale = np.sqrt(max(1, part.shape[1] / part.shape[0]))
        parts.append(scale * (left * quintic(values)) @ right)
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("shape", [(2, 4, 9), (2, 9, 4), (1, 6, 6)])
def test_singular_vectors_stay_and_singular_values_come_near_1(shape):
    matrices = np.random.default_rng(0).normal(size=shape)
    found = np.asarray(jax.jit(orthogonalised)(jnp.asarray(matrices, jnp.float32)))
    for matrix, made in zip(matrices, found, strict=True):
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        assert_close(made, (left * quintic(values)) @ right, 1e-4)
        made_values = np.linalg.svd(made, compute_uv=False)
        assert made_values.min() > 0.6
        assert made_values.max() < 1.3


def test_nothing_stays_nothing():
    assert not orthogonalised(jnp.zeros((1, 3, 3))).any()


def test_matrices_between_layers_go_gate_by_gate_and_all_else_as_by_adamw():
    rng, rate = np.random.default_rng(0), 0.1
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), random_params(NETWORK, rng))
    ours, adamw = make_optimizer(muon(NETWORK, factor=3.0)), make_optimizer("adamw")
    states = [optimizer.init(params) for optimizer in (ours, adamw)]
    updates = [jax.jit(partial(o.update, learning_rate=rate)) for o in (ours, adamw)]
    momenta: dict[Any, Any] = dict.fromkeys(GATES, 0.0)
    for _ in range(2):
        gradient = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), params)
        (found, states[0]), (expected, states[1]) = (
            update(gradient, state, params) for update, state in zip(updates, states, strict=True)
        )
        for (layer, name), gates in GATES.items():
            own = np.float64(gradient[layer][name])
            momenta[layer, name] = own + 0.95 * momenta[layer, name]
            direction = by_numpy(own + 0.95 * momenta[layer, name], gates)
            expected[layer][name] = -3 * rate * direction
        assert_close(found, expected, 1e-3)


def test_a_recipe_gives_both_their_own_rate():
    recipe = Recipe(optimizer="muon", learning_rate=0.01, muon_rate=0.05, clip_norm=None)
    params = init(NETWORK, jax.random.key(0))
    gradient = jax.tree.map(jnp.ones_like, params)
    optimizer = recipe.make_optimizer(NETWORK)

    @jax.jit
    def first_updates(rate: jax.Array) -> Any:
        return optimizer.update(gradient, optimizer.init(params), params, learning_rate=rate)[0]

    updates = first_updates(recipe.make_schedule()(0.02))
    # Of a matrix of ones all is along one singular vector.
    value = quintic(np.ones(1)).item() * np.sqrt(6 / 3)
    assert_close(updates["high"]["low@2"], np.full((3, 6), -0.05 * value / np.sqrt(18)), 1e-3)
    assert_close(updates["output"]["bias"], np.full(4, -0.01), 1e-3)
