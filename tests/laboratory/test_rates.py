"""Which learning rates are good enough, against a fine grid."""

import numpy as np
import pytest

from experiments.laboratory.rates import GOOD, good_rates, rates_around


def test_the_rates_tried_lie_around_the_usual_one_by_equal_factors():
    rates = rates_around(0.05, 9)
    assert np.prod(rates) ** (1 / 9) == pytest.approx(0.05)
    np.testing.assert_allclose(np.divide(rates[1:], rates[:-1]), 2)


@pytest.mark.parametrize("seed", range(5))
def test_good_rates_end_where_the_curve_first_rises_above_the_limit(seed):
    random = np.random.default_rng(seed)
    rates = rates_around(0.01, 9)
    bits = 3 + 0.06 * (np.arange(9) - random.uniform(2, 6)) ** 2 + random.uniform(0, 0.05, 9)
    low, high = good_rates(list(zip(rates, bits.tolist(), strict=True)))
    dense = np.linspace(np.log(rates[0]), np.log(rates[-1]), 100_001)
    good = np.interp(dense, np.log(rates), bits) <= bits.min() + GOOD
    best = int(np.argmin(np.abs(dense - np.log(rates[int(np.argmin(bits))]))))
    bad = np.flatnonzero(~good)
    below, above = bad[bad < best], bad[bad > best]
    expected = np.exp([
        dense[below[-1] + 1] if below.size else dense[0],
        dense[above[0] - 1] if above.size else dense[-1],
    ])  # fmt: skip
    np.testing.assert_allclose([low, high], expected, rtol=1e-3)


def test_a_rate_that_diverges_is_no_good_one():
    assert good_rates([(1.0, 3.05), (2.0, 3.0), (4.0, None)]) == (1.0, 2.0)
    assert good_rates([(1.0, None), (2.0, 3.0), (4.0, 3.5)])[0] == 2.0
