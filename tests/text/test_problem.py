"""A text as a problem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import init, stacked
from jaxrnn.text.problem import text_problem

NETWORK = stacked(5, [3], 5)


def test_the_baseline_is_what_a_network_reaches_that_knows_frequencies_alone():
    random = np.random.default_rng(0)
    train, valid = random.integers(5, size=100), random.integers(4, size=77) ** 2 % 5
    problem = text_problem(train, valid, batch=2, chunk=5, cut=(3, 10))
    params = jax.tree.map(jnp.zeros_like, init(NETWORK, jax.random.key(0)))
    counts = np.bincount(valid[1:], minlength=5)
    params["output"]["bias"] = jnp.log(jnp.asarray(counts, jnp.float32) + 1e-30)
    assert problem.evaluate(NETWORK, params) == pytest.approx(problem.baseline, rel=1e-5)


def test_units_are_named_after_the_texts_symbols():
    problem = text_problem(np.zeros(50, int), np.zeros(9, int), batch=2, chunk=5, level="byte")
    assert (problem.judged.unit, problem.counted) == ("bits per byte", "byte")
