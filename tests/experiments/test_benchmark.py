"""The benchmark at tiny sizes, with whatever peers are installed; and its arithmetic."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from experiments.benchmark import agreement, growth, peers, startup
from experiments.benchmark.children import Child
from experiments.benchmark.peers.with_jaxrnn import draw_params, open_trainer
from experiments.benchmark.shapes import Shape, random_data
from experiments.laboratory.stopwatch import Contender, Spread, take_turns
from tests.experiments.launching import Outcome, assert_refused, launched

SUITES = ("train", "sample", "growth", "corpus", "scale")  # startup trains the main job thrice
GRU = Shape("gru", (8, 8), 2, 4)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Path]:
    folder = tmp_path_factory.mktemp("benchmark") / "figures"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(peers.PACKAGES, "theano", "no_such_package")
        outcome = launched(
            "benchmark", "--quick", f"--suite={','.join(SUITES)}", f"--output={folder}"
        )
    return outcome, folder


@pytest.fixture(scope="module")
def measured(quick: tuple[Outcome, Path]) -> dict[str, Any]:
    outcome, folder = quick
    assert outcome.code == 0, outcome.err
    return json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))


def test_every_suite_leaves_a_table_figures_and_a_picture(quick, measured):
    outcome, folder = quick
    for suite in SUITES:
        assert measured[suite]
        assert (folder / f"{suite}.png").stat().st_size > 0
    for title in (
        "Training step",
        "Writing",
        "Growth",
        "A long chunk",
        "Encoding",
        "Devices",
    ):
        assert title in outcome.out


def test_every_installed_peer_takes_part_in_what_it_can_express(measured):
    for shape in {record["shape"] for record in measured["train"]}:
        found = [r["contender"] for r in measured["train"] if r["shape"] == shape]
        others = ["plain_scan"] if "skips" in shape else peers.installed()
        assert found == ["jaxrnn", *others]


def test_times_speeds_and_ratios_fit_each_other(measured):
    shares = [record["share_of_limit"]["median"] for record in measured["train"]]
    assert all(0 < share < 1 for share in shares)
    for record in measured["train"]:
        ratio, time = record["jaxrnn_is_times_as_fast"], record["milliseconds"]
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
        assert 0 < time["low"] <= time["median"] <= time["high"]
        if record["contender"] == "jaxrnn":
            assert ratio == {"median": 1, "low": 1, "high": 1}
            characters = 4 * 8  # batch and chunk of the tiny networks
            median = 1e3 * characters / time["median"]
            assert record["characters_per_second"]["median"] == pytest.approx(median)


def test_encoding_is_measured_in_a_process_of_its_own(measured):
    (row,) = measured["corpus"]
    assert row["symbols"] == 1 + 30 + 24  # unknown, ASCII, Greek
    assert row["bytes_each"] == 1
    assert row["peak_megabytes"] >= row["floor_megabytes"] > 0


def test_losses_that_differ_are_not_timed():
    losses = {"jaxrnn": [4.2, 4.1], "torch": [4.2, 4.101]}
    with pytest.raises(agreement.Disagreement, match=r"torch .*nothing was timed"):
        agreement.check_losses(GRU, {}, random_data(GRU), losses)


def test_logits_that_differ_are_not_timed():
    logits = {"jaxrnn": np.zeros((1, 3)), "torch": np.array([[0, 0, 0.01]])}
    with pytest.raises(agreement.Disagreement, match="torch"):
        agreement.check_logits(GRU, logits)


def test_the_formula_for_the_other_gru_is_ours_where_the_reset_gate_is_open_and_only_there():
    params, data = jax.tree.map(lambda x: 3 * x, draw_params(GRU)), random_data(GRU)
    ours = open_trainer(GRU, params, data).losses(1)
    with pytest.raises(agreement.Disagreement):
        agreement.check_losses(GRU, params, data, {"jaxrnn": ours, "haiku": ours})
    for layer in ("hidden1", "hidden2"):
        params[layer]["bias"][:8] = 50
    ours = open_trainer(GRU, params, data).losses(1)
    agreement.check_losses(GRU, params, data, {"jaxrnn": ours, "haiku": ours})


def test_turns_are_taken_in_rounds_and_the_first_round_does_not_count():
    asked = []

    def timer(name):
        return lambda seconds: asked.append(name) or len(asked)

    figures = take_turns({"a": timer("a"), "b": timer("b")}, 3, 0.0)
    assert asked == ["a", "b"] * 4
    np.testing.assert_array_equal(figures["a"], [3, 5, 7])
    np.testing.assert_array_equal(figures["b"], [4, 6, 8])


def test_a_contender_runs_as_often_as_fills_the_time(monkeypatch):
    now, counts = [0.0], []

    class TenthOfASecond(Contender):
        def run(self, count: int) -> None:
            counts.append(count)
            now[0] += 0.1 * count

    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    contender = TenthOfASecond()
    assert contender.seconds_each(1.0) == pytest.approx(0.1)
    counts.clear()
    assert contender.seconds_each(1.0) == pytest.approx(0.1)
    assert counts == [1, 10]  # the first wakes it up, and is not timed


def test_a_childs_failure_is_told_with_its_traceback():
    child = Child("experiments.benchmark.peers.with_jaxrnn")
    try:
        with pytest.raises(RuntimeError, match=r"with_jaxrnn:\n(.*\n)+.*open_nothing"):
            child.ask("open_nothing")
    finally:
        child.close()


def test_spread_is_median_and_outer_tenths():
    assert Spread.of(np.arange(11)) == (5, 1, 9)


def test_operations_are_two_for_each_weight_and_character_three_times():
    weights = 4 * (4 + 65) + 4 + 65  # recurrent and output matrices, and their biases
    assert Shape("tanh", (4,), 2, 3).operations == 6 * weights * 2 * 3


def test_the_exponent_is_that_of_a_power_law():
    records = [{"size": size, "megabytes": 3 * size**1.5} for size in (1, 4, 64)]
    assert growth.exponent(records, "megabytes") == pytest.approx(1.5)


def test_time_outside_of_calls_is_what_lies_between_them_after_the_first():
    calls = [(0.0, 10.0), (11.0, 14.0), (14.0, 17.0), (18.0, 20.0)]
    assert startup.outside(calls) == pytest.approx(2 / 10)
    overlapping = [(0.0, 10.0), (9.0, 15.0), (14.0, 20.0)]  # asked for before the last was done
    assert startup.outside(overlapping) == pytest.approx(0)


def test_a_peer_that_is_not_installed_is_left_out_and_said(quick):
    first, _, _ = quick[0].out.partition("\n")
    assert first.startswith("Left out, as not installed:")
    assert "theano" in first


def test_a_peer_that_is_asked_for_and_not_installed_is_refused(monkeypatch):
    monkeypatch.setitem(peers.PACKAGES, "theano", "no_such_package")
    assert_refused(launched("benchmark", "--quick", "--peers=theano"), "theano", "not installed")


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--suite=training", "training"),
        ("--peers=jax", "--peers has 'jax'"),
        ("--only=transformer", "--only=transformer"),
        ("--megabytes=many", "many"),
        ("--megabytes=0", "0"),
        ("--megabytes=-1", "-1"),
    ],
)
def test_what_cannot_be_measured_is_refused(flag, named):
    assert_refused(launched("benchmark", "--quick", flag), named)
