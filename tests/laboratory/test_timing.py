import numpy as np

from experiments.laboratory.timing import milliseconds_per_step
from jaxrnn import stacked
from jaxrnn.learning.recipe import Recipe
from jaxrnn.text.problem import text_problem


def test_a_network_with_ten_thousand_times_the_work_takes_longer():
    text = np.arange(1000) % 5
    problem = text_problem(text, text[:100], batch=32, chunk=8)
    networks = [stacked(5, [units], 5) for units in (256, 2)]
    large, small = milliseconds_per_step(networks, Recipe(), problem, [0], rounds=5)
    assert large > 2 * small > 0
