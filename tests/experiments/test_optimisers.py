"""optimisers: which learning rates are good enough, its verdicts, and what it writes."""

import numpy as np
import pytest

from tests.experiments.launching import EXPERIMENTS

optimisers = EXPERIMENTS["optimisers"].module


def test_every_optimiser_runs_with_and_without_clipping(study):
    workdir, results = study
    rows = results["summary"]["rows"]
    assert [row["name"] for row in rows] == ["sgd", "sgd with clipping"]
    for row in rows:
        rates, bits = zip(*row["tried"], strict=True)
        assert row["rate"] == rates[int(np.argmin(bits))]
        assert row["curve"][-1] == pytest.approx(np.mean(row["bits"]), abs=1e-4)
        assert max(row["bits"]) < np.log2(79) + 0.1  # no worse than knowing nothing
    assert (workdir / "table.md").read_text(encoding="utf-8").count("| sgd") == 2


def test_the_rates_tried_lie_around_the_usual_one_by_equal_factors():
    rates = optimisers.rates_around(0.05, 9)
    assert np.prod(rates) ** (1 / 9) == pytest.approx(0.05)
    np.testing.assert_allclose(np.divide(rates[1:], rates[:-1]), 2)


@pytest.mark.parametrize("seed", range(5))
def test_good_rates_end_where_the_curve_first_rises_above_the_limit(seed):
    random = np.random.default_rng(seed)
    rates = optimisers.rates_around(0.01, 9)
    bits = 3 + 0.06 * (np.arange(9) - random.uniform(2, 6)) ** 2 + random.uniform(0, 0.05, 9)
    low, high = optimisers.good_rates(list(zip(rates, bits.tolist(), strict=True)))
    dense = np.linspace(np.log(rates[0]), np.log(rates[-1]), 100_001)
    good = np.interp(dense, np.log(rates), bits) <= bits.min() + optimisers.GOOD
    best = int(np.argmin(np.abs(dense - np.log(rates[int(np.argmin(bits))]))))
    bad = np.flatnonzero(~good)
    below, above = bad[bad < best], bad[bad > best]
    expected = np.exp([
        dense[below[-1] + 1] if below.size else dense[0],
        dense[above[0] - 1] if above.size else dense[-1],
    ])  # fmt: skip
    np.testing.assert_allclose([low, high], expected, rtol=1e-3)


def test_a_rate_that_diverges_is_no_good_one():
    assert optimisers.good_rates([(1.0, 3.05), (2.0, 3.0), (4.0, None)]) == (1.0, 2.0)
    assert optimisers.good_rates([(1.0, None), (2.0, 3.0), (4.0, 3.5)])[0] == 2.0


def test_clipping_helps_or_harms_only_where_seeds_agree():
    near, far = [2.0, 2.01, 1.99], [2.5, 2.51, 2.49]
    losses = {
        "sgd": far, "sgd with clipping": near, "adam": near, "adam with clipping": far,
        "rmsprop": [2.0, 2.5, 3.0], "rmsprop with clipping": near,
    }  # fmt: skip
    (verdict,) = optimisers._on_clipping(losses)
    assert verdict == (
        "Clipping the gradient's norm helps sgd by 0.500 (0.468 to 0.532) bits; it harms adam by "
        "0.500 (0.468 to 0.532) bits; it makes no difference that can be told to the rest."
    )
    same = dict.fromkeys(losses, near)
    assert "no difference that can be told, for any" in optimisers._on_clipping(same)[0]
    assert "none of the others can be told" in optimisers._on_the_best(same)


def test_what_diverged_has_no_place_in_the_answer():
    def row(name: str, bits: list[float | None]) -> dict:
        tried = [(1.0, 3.0), (2.0, 3.5)]
        return {"name": name, "bits": bits, "tried": tried}

    rows = [row("sgd", [2.0, None]), row("adam", [2.5, 2.4]), row("adamw", [2.6, 2.7])]
    answer = optimisers.answer({"summary": {"rows": rows}})
    assert "lowest loss is that of adam " in answer
    assert answer.endswith("Left out, since runs diverged: sgd (1 of 2).")
    assert "Clipping" not in answer
    nothing = {"summary": {"rows": rows[:1]}}
    assert optimisers.answer(nothing).startswith("No optimiser trained the network")


def test_a_study_all_of_whose_runs_diverged_has_a_table_and_a_picture():
    rows = [
        {
            "name": name, "optimizer": "sgd", "clipped": clipped, "rate": 1.0,
            "tried": [[1.0, None], [2.0, None]], "bits": [None, None], "characters": [1, 2],
            "curve": [None, None],
        }
        for name, clipped in (("sgd", False), ("sgd with clipping", True))
    ]  # fmt: skip
    results = {"summary": {"rows": rows}, "settings": {"optimizers": ["sgd"]}}
    assert optimisers.table(results).markdown().count("2 of 2 diverged") == 2
    assert optimisers.draw(results).axes
