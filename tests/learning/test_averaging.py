"""The average of the parameters, against NumPy's of the iterates that training goes through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import InputError, init, stacked
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.optimizers import make_optimizer
from jaxrnn.learning.training import make_training_steps, start
from tests.reference import assert_close

NETWORK = stacked(4, [3], 4)
OPTIMIZER = make_optimizer("momentum")
RATES = [0.5, 0.2, np.inf, 0.3, 0.4, 0.1]  # the third is skipped
DECAY = 0.3  # reached after four steps


def begun(average: bool):
    return start(NETWORK, init(NETWORK, jax.random.key(0)), OPTIMIZER, 2, average=average)


def taken(steps, state, count: int, begin: int = 0):
    rng = np.random.default_rng(0)
    inputs, targets = rng.integers(4, size=(2, len(RATES), 5, 2))[:, begin : begin + count]
    rates = jnp.array(RATES[begin : begin + count])
    keys = jax.random.split(jax.random.key(0), count)
    return steps(state, Batch(inputs, targets, np.zeros(inputs.shape, bool)), keys, rates)


def test_the_average_is_numpys_and_the_iterate_that_of_a_training_without_one():
    """A skipped step leaves both as they were; and calls may be cut anywhere."""
    plain = jax.jit(make_training_steps(NETWORK, OPTIMIZER))
    averaging = jax.jit(make_training_steps(NETWORK, OPTIMIZER, average=DECAY))
    state, expected, count = begun(False), init(NETWORK, jax.random.key(0)), 0
    expected = jax.tree.map(np.float64, expected)
    for step, rate in enumerate(RATES):
        state, report = taken(plain, state, 1, step)
        assert bool(report.finite[0]) == np.isfinite(rate)
        if report.finite[0]:
            decay = min(DECAY, (1 + count) / (10 + count))
            count += 1
            expected = jax.tree.map(
                lambda average, now, decay=decay: decay * average + (1 - decay) * np.float64(now),
                expected, state.params,
            )  # fmt: skip
    for cuts in ([6], [1, 1, 1, 1, 1, 1]):
        found, begin = begun(True), 0
        for cut in cuts:
            found, _ = taken(averaging, found, cut, begin)
            begin += cut
        assert_close(found.params, expected, 1e-5)
        assert found.iterate is not None
        assert_close(found.iterate.params, state.params, 1e-5)
        assert found.iterate.steps == len(RATES) - 1


def test_tables_that_are_trained_by_rows_stand_as_they_are():
    """By an optimiser that does the same by rows as otherwise."""
    sgd = make_optimizer("sgd")
    params = init(NETWORK, jax.random.key(0))
    found = []
    for tables in ((), ("input",)):
        steps = jax.jit(make_training_steps(NETWORK, sgd, average=DECAY, tables=tables))
        state = start(NETWORK, jax.tree.map(jnp.array, params), sgd, 2, average=True, tables=tables)
        found.append(taken(steps, state, 4)[0])
    whole, by_rows = found
    assert by_rows.iterate.params["hidden1"].pop("input@0") is None
    table = by_rows.params["hidden1"].pop("input@0")
    assert_close(table, whole.iterate.params["hidden1"].pop("input@0"), 1e-5)
    assert not np.array_equal(table, whole.params["hidden1"].pop("input@0"))
    assert_close(by_rows.params, whole.params, 1e-5)
    assert_close(by_rows.iterate, whole.iterate, 1e-5)


@pytest.mark.parametrize(
    ("begun_with", "decay", "sentence"),
    [
        (False, 0.5, "started without an average and the steps were made with one"),
        (True, 0.0, "started with an average and the steps were made without one"),
        (True, 1.0, "decay is 1.0; it must be at least 0 and below 1"),
    ],
)
def test_steps_with_an_average_take_a_state_with_one(begun_with, decay, sentence):
    with pytest.raises(InputError, match=sentence):
        taken(make_training_steps(NETWORK, OPTIMIZER, average=decay), begun(begun_with), 1)
