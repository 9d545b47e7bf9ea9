"""regularisation: on what it chooses and on what it reports, its verdicts, and what it writes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.laboratory.early_stopping import figures_of
from experiments.laboratory.statistics import difference
from jaxrnn import init, stacked
from jaxrnn.text import encode_corpus, open_corpus
from tests.experiments.launching import EXPERIMENTS

regularisation = EXPERIMENTS["regularisation"].module


def test_every_method_has_a_strength_a_rate_and_curves(study):
    workdir, results = study
    rows = results["summary"]["rows"]
    assert [row["method"] for row in rows] == regularisation.QUICK["methods"]
    for row in rows:
        assert min(row["tried"])[1:] == [row["strength"], row["rate"]]
        assert len(row["stopped"]) == len(row["final"]) == 2
        assert row["curve"][-1] == pytest.approx(np.mean(row["final"]), abs=1e-4)
    assert {rate for _, _, rate in rows[1]["tried"]} == {rows[0]["rate"], 2 * rows[0]["rate"]}
    assert "dropout, all" in (workdir / "table.md").read_text(encoding="utf-8")


def test_what_is_reported_is_of_other_text_than_what_is_chosen_by(tmp_path):
    path = tmp_path / "text.txt"
    letters = np.random.default_rng(0).choice(list("abcdefgh"), size=20_000)
    path.write_text("".join(letters), encoding="utf-8")
    text = encode_corpus(open_corpus([str(path)]))
    problems = regularisation.problems_of(text, learned=2000, piece=400)
    network = stacked(text.vocabulary.size, [3], text.vocabulary.size)
    params = init(network, jax.random.key(0))
    # Logits that the bias alone decides: the loss is a sum over the targets' own figures.
    bias = np.linspace(0, 3, text.vocabulary.size, dtype=np.float32)
    params = jax.tree.map(jnp.zeros_like, params)
    params["output"]["bias"] = jnp.asarray(bias)
    bits = np.log2(np.exp(bias.astype(float)).sum()) - bias / math.log(2)
    found = {name: problem.evaluate(network, params) for name, problem in problems.items()}
    pieces = {
        "choosing": text.valid[401:800], "reported": text.valid[1:400],
        "training": text.train[1:400],
    }  # fmt: skip
    for name, targets in pieces.items():
        assert float(found[name]) == pytest.approx(bits[np.asarray(targets)].mean(), rel=1e-5)
    assert len({round(float(figure), 3) for figure in found.values()}) == 3


def test_dropout_is_on_the_input_too_and_where_it_says_so_on_delayed_connections():
    network = stacked(5, [3], 5, "gru")
    forward = {"input -> hidden1", "hidden1 -> output"}
    for method, delayed in (("feed-forward", set()), ("all", {"hidden1 -> hidden1 (delay 1)"})):
        for masks, locked in (("", False), ("locked ", True)):
            recipe = regularisation.METHODS[f"{masks}dropout, {method}"](0.25)
            dropped = recipe.dropout_on(network)
            assert {str(connection) for connection in dropped} == forward | delayed
            assert {(own.rate, own.locked) for own in dropped.values()} == {(0.25, locked)}


def test_dropping_recurrent_connections_is_judged_for_each_kind_of_masks():
    low, high, wide = [2.0, 2.01, 1.99], [2.51, 2.5, 2.49], [1.5, 2.0, 2.6]
    losses = {
        "dropout, feed-forward": low, "dropout, all": high,
        "locked dropout, feed-forward": low, "locked dropout, all": wide,
    }  # fmt: skip
    (verdict,) = regularisation._on_recurrent_dropout(losses)
    assert f"with fresh masks it costs {difference(high, low, 2):.3f} bits" in verdict
    assert "with locked masks it cannot be told from not doing so" in verdict
    swapped = {"dropout, feed-forward": high, "dropout, all": low}
    assert "it gains 0.500" in regularisation._on_recurrent_dropout(swapped)[0]
    assert regularisation._on_recurrent_dropout({"none": low}) == []


def made_up(reported: dict[str, list[list[float | None]]]) -> dict:
    rows = [
        {
            "method": method, "strength": 0.1, "rate": 0.004, "tried": [],
            "characters": [100, 200, 300],
            **figures_of(curves, curves, curves, baseline=4.0),
        }
        for method, curves in reported.items()
    ]  # fmt: skip
    return {"settings": {"text": 1000}, "summary": {"rows": rows}}


def test_runs_that_diverged_are_told_apart():
    well, late = [3.0, 2.0, 2.2], [3.0, 2.1, None]
    lost = [None, None, None]
    results = made_up({"none": [well, late], "L1": [well, lost], "L2": [lost, lost]})
    plain, mixed, _ = results["summary"]["rows"]
    assert (plain["stopped"], plain["final"]) == ([2.0, 2.1], [2.2, None])
    assert (mixed["stops"], mixed["curve"]) == ([1, None], well)
    answer = regularisation.answer(results)
    assert "no regularisation needs the fewest bits per character (2.050" in answer
    assert "Left out, since runs diverged: L1 (1 of 2), L2 (2 of 2)." in answer
    text = regularisation.table(results).markdown()
    assert "2.200, 1 of 2 diverged" in text
    assert "-, 2 of 2 diverged" in text
    assert regularisation.draw(results).axes
    nothing = made_up({"none": [lost, lost], "L1": [lost, well]})
    assert "no setting can be compared" in regularisation.answer(nothing)
    assert regularisation.draw(nothing).axes
    assert "gain" not in regularisation.answer(made_up({"none": [lost, well], "L1": [well, well]}))
