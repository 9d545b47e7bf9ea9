"""A text as a problem."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Connection, Layer, Network, init, initial_state, stacked, unroll
from jaxrnn.core.parameters import Params
from jaxrnn.learning.evaluation import evaluate
from jaxrnn.learning.loss import cross_entropy
from jaxrnn.text import Vocabulary
from jaxrnn.text.batches import evaluation_batches
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


def remembering(symbols: int) -> tuple[Network, Params]:
    """A network whose predictions hang on the last hundred symbols, and more."""
    layers = [Layer("traces", 16, "linear"), Layer("output", symbols, "linear")]
    recurrent = Connection("traces", "traces", 1, kind="diagonal")
    upward = [Connection("input", "traces"), Connection("traces", "output")]
    network = Network(symbols, layers, [*upward, recurrent])
    params = init(network, jax.random.key(0))
    params["traces"]["traces@1"] = jnp.full(16, 0.97)
    return network, params


def test_a_figure_hardly_depends_on_how_many_lanes_its_text_is_cut_into():
    source = inspect.getsource(inspect).encode("ascii")[: 64 * 128]
    text = Vocabulary(bytes(range(128))).encode(source)
    network, params = remembering(129)

    def bits(lanes: int, **heard: int) -> float:
        batches = evaluation_batches(text, batch=lanes, chunk=128, **heard)
        return evaluate(network, params, batches) / math.log(2)

    symbols = jnp.asarray(text, jnp.int32)[:, None]
    outputs, _ = unroll(network, params, initial_state(network, 1), symbols[:-1])
    whole = float(cross_entropy(outputs, symbols[1:]).mean()) / math.log(2)
    assert bits(1) == pytest.approx(whole, abs=1e-4)
    for lanes in (8, 64):
        assert bits(lanes) == pytest.approx(whole, abs=0.001)
        assert abs(bits(lanes, heard=0) - whole) > 0.003  # so much does no past change
