"""Forgetting against a plain loop that reads a text in pieces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.laboratory.forgetting import bits, passages, resets_every
from jaxrnn import init, initial_state, stacked
from tests import reference


@pytest.mark.parametrize("k", [1, 3, None])
def test_who_forgets_every_k_characters_reads_pieces_of_k(k):
    network = stacked(5, [3], 5)
    params = init(network, jax.random.key(0))
    lanes = np.random.default_rng(0).integers(5, size=(13, 2))
    figure = jax.jit(lambda p, x: bits(network, p, x, resets_every(12, k), 6))(
        params, jnp.asarray(lanes)
    )
    pieces = []
    state = jax.tree.map(np.asarray, initial_state(network, 2))
    weights = jax.tree.map(lambda x: np.asarray(x, float), params)
    for start in range(0, 12, k or 12):
        piece = reference.one_hot(lanes[start : min(start + (k or 12), 12)], 5)
        pieces.append(reference.forward(network, weights, state, piece).outputs)
    logits = np.concatenate(pieces)
    log = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(log, lanes[1:, :, None], axis=-1)[6:]
    np.testing.assert_allclose(figure, -chosen.mean() / np.log(2), rtol=1e-5)


def test_lanes_of_validation_text_lie_next_to_each_other():
    lanes = passages(np.arange(100), {"forget": [1, 4], "scored": 6, "lanes": 3})
    np.testing.assert_array_equal(lanes, np.arange(11)[:, None] + [0, 10, 20])
