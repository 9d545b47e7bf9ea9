"""Intervals against published tables of Student's t, SciPy's tests, and many samples."""

import numpy as np
import pytest
import scipy.stats

from experiments.laboratory.statistics import (
    best_of,
    difference,
    listed,
    listing,
    mean_of,
    shown,
    told_apart,
    verdict,
)


def test_the_interval_of_a_mean_is_that_of_students_t():
    # t of 4 degrees of freedom at 97.5%: 2.776 (any printed table).
    values = [2.1, 2.3, 2.2, 2.6, 2.4]
    half = 2.776 * np.std(values, ddof=1) / np.sqrt(5)
    interval = mean_of(values)
    np.testing.assert_allclose(interval, [2.32, 2.32 - half, 2.32 + half], rtol=1e-3)


@pytest.mark.parametrize("comparisons", [1, 7])
def test_a_difference_is_that_of_the_paired_t_test(comparisons):
    a, b = np.random.default_rng(0).normal(size=(2, 6)).tolist()
    bounds = scipy.stats.ttest_rel(a, b).confidence_interval(1 - 0.05 / comparisons)
    gap = np.mean(a) - np.mean(b)
    np.testing.assert_allclose(difference(a, b, comparisons), [gap, *bounds])


def test_seeds_of_which_either_run_diverged_are_left_out_of_a_difference():
    assert difference([1.0, None, 3.0, 5.0], [0.5, 2.0, None, 4.0]) == difference([1, 5], [0.5, 4])


def test_intervals_of_differences_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = {1: 0, 4: 0}
    for _ in range(1000):
        data = rng.normal(0, 1, 5)  # what the runs of a seed have in common
        a, b = (data + rng.normal(m, s, 5) for m, s in ((1.0, 0.3), (0.8, 0.1)))
        a, b = a.tolist(), b.tolist()
        for comparisons in hits:
            interval = difference(a, b, comparisons)
            hits[comparisons] += interval.low < 0.2 < interval.high
    assert hits[1] / 1000 == pytest.approx(0.95, abs=0.02)
    assert hits[4] / 1000 == pytest.approx(1 - 0.05 / 4, abs=0.012)


def test_one_value_has_no_interval_and_decides_nothing():
    assert f"{mean_of([2.5]):.2f}" == "2.50"
    assert best_of({"a": [2.0], "b": [3.0]}) == ("a", ["b"])


def test_what_cannot_be_told_from_the_best_is_named():
    losses = {"near": [2.0, 2.2, 2.4], "far": [3.0, 3.01, 3.02], "best": [1.9, 2.3, 2.1]}
    assert best_of(losses) == ("best", ["near"])
    assert f"{mean_of(losses['far']):.2f}" == "3.01 (2.99 to 3.03)"


def test_a_verdict_says_by_how_much_only_where_one_is_best():
    far = {"a": [2.0, 2.01, 2.02], "b": [3.0, 3.01, 3.02], "c": [4.0, 4.01, 4.02]}
    gap = difference(far["b"], far["a"], 2)
    assert verdict(far) == (
        f"a needs the fewest bits per character (2.010); the next, b, needs {gap:.3f} more."
    )
    assert verdict({"a": [2.0], "b": [3.0]}, "steps") == (
        "a needs the fewest steps (2.000), but b cannot be told from it."
    )
    assert verdict({"a": [2.0, 2.1]}) == "a needs the fewest bits per character (2.050)."
    many = {str(i): [2.0 + i] for i in range(9)}
    assert ", but 8 of 8 others cannot be told" in verdict(many)


NAN, INF = float("nan"), float("inf")


def test_settings_with_a_run_that_diverged_are_told_apart_and_not_compared():
    losses = {"a": [1.0, None], "b": [2.0, 2.1], "c": [3.0, INF], "d": [2.5, 2.6], "e": [None, NAN]}
    whole, lost = told_apart(losses)
    assert whole == {"b": [2.0, 2.1], "d": [2.5, 2.6]}
    assert lost == "Left out, since runs diverged: a (1 of 2), c (1 of 2), e (2 of 2)."
    assert best_of(losses)[0] == "b"
    assert verdict(losses).startswith("b needs the fewest bits per character (2.050)")
    assert verdict(losses).endswith(lost)
    assert verdict({"a": [None]}).startswith("no setting can be compared. Left out, since")
    assert verdict({"a": [1.0], "b": [None]}).startswith("a needs the fewest")


def test_a_table_says_how_many_runs_diverged():
    assert shown([2.0, 2.0, None]) == "2.000 (2.000 to 2.000), 1 of 3 diverged"
    assert shown([None, NAN]) == "-, 2 of 2 diverged"
    assert shown([2.5]) == "2.500"


def test_names_are_listed_as_in_prose():
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"


def test_arrays_are_listed_for_json():
    array = np.array([[1.0, NAN], [INF, 0.123456]])
    assert listed(array, 3) == [[1.0, None], [None, 0.123]]
