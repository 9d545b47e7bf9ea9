"""The one rule, at its edges."""

import pytest

from experiments.laboratory.divergence import finals, has_diverged

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("figures", "diverged"),
    [
        ([3.0, None], True),
        ([3.0, NAN], True),
        ([3.0, INF], True),
        ([None, 3.0], False),  # it came back
        ([4.4], False),  # a tenth above the baseline
        ([4.41], True),
        ([4.5, 4.1], True),  # it blew up before it was looked at
        ([4.5, 4.0], False),
        ([4.0, 4.0], False),  # it learned nothing, which is no divergence
        ([9.0, 2.0, 2.4], False),  # a tenth of the baseline above its own best
        ([9.0, 2.0, 2.41], True),
        ([2.0, 3.5, 2.3], False),
    ],
)
def test_a_run_has_diverged_by_what_it_ends_at_the_baseline_and_its_own_best(figures, diverged):
    assert has_diverged(figures, baseline=4.0) == diverged


def test_a_run_that_diverged_has_no_figure():
    assert finals([[3.0, 2.0], [2.0, 4.0], [None]], baseline=4.0) == [2.0, None, None]
