from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import init, initial_state, unroll
from jaxrnn.text import contiguous_lanes
from tests.experiments.launching import EXPERIMENTS

ngram = EXPERIMENTS["ngram"].module


def test_networks_and_counts_are_compared(study):
    workdir, results = study
    summary, sizes = results["summary"], ngram.QUICK
    names = [row["name"] for row in summary["networks"]]
    assert names == ["sees 2", "tanh"]
    assert all(len(row["bits"]) == 2 for row in summary["networks"])
    assert np.shape(summary["counts"]) == (2, sizes["longest"] + 1)
    # More text, and a longer look back at so little of it, tell more.
    assert summary["whole_counts"][4] < np.mean(summary["counts"], axis=0)[4]
    assert summary["whole_counts"] == sorted(summary["whole_counts"], reverse=True)
    assert (workdir / "table.md").read_text(encoding="utf-8").count("\n") > sizes["longest"]


def test_the_network_sees_as_many_symbols_as_it_says_and_puts_them_through_one_layer():
    network = ngram.delayed_inputs(5, 3, 4)
    params = init(network, jax.random.key(0))
    symbols = [3, 1, 4, 1, 0, 2]
    outputs, _ = unroll(network, params, initial_state(network, 1), jnp.array(symbols)[:, None])
    hidden, output = (
        {name: np.asarray(array, np.float64) for name, array in params[layer].items()}
        for layer in ("hidden", "output")
    )
    total = hidden["bias"] + sum(hidden[f"input@{k}"][symbols[5 - k]] for k in range(3))
    expected = output["bias"] + np.tanh(total) @ output["hidden@0"]
    np.testing.assert_allclose(outputs[5, 0], expected, rtol=1e-4, atol=1e-6)


def test_counted_is_what_a_network_reads_lane_after_lane():
    train = np.arange(40_000, dtype=np.int32)
    read_text = ngram.text_read(train, seed=3, steps=2)
    batches = [
        contiguous_lanes(train, batch=ngram.BATCH, chunk=ngram.CHUNK, seed=3, step=step)
        for step in range(2)
    ]
    assert len(read_text) == 2 * ngram.BATCH * ngram.CHUNK
    assert sorted(read_text) == sorted(np.concatenate([b.inputs for b in batches]).ravel())
    lanes = read_text.reshape(ngram.BATCH, 2 * ngram.CHUNK)
    assert np.all(np.diff(lanes, axis=1) % len(train) == 1)  # within a lane the text reads on


def made_up(networks: dict[str, Any], counts: list[list[float]]) -> dict[str, Any]:
    rows = [
        {"name": name, "hidden": 8, "parameters": 3000, "rate": 0.001, "bits": bits}
        for name, bits in networks.items()
    ]
    return {
        "settings": {"longest": 1, "seen": [1, 2], "cells": ["gru"], "parameters": 3000},
        "summary": {"characters": 20_000, "whole": 50_000, "networks": rows, "counts": counts,
                    "whole_counts": [4.5, 2.1]},
    }  # fmt: skip


def test_the_answer_says_what_can_be_told_apart_and_by_how_much():
    counts = [[4.5, 2.6], [4.5, 2.601]]
    near = made_up({"sees 1": [3.5, 3.51], "sees 2": [2.5, 2.7], "gru": [2.5, 2.6]}, counts)
    answer = ngram.answer(near)
    assert "the one that sees 2 back needs the fewest bits per character (2.600)" in answer
    assert "a recurrent gru network (2.550) cannot be told from it" in answer
    exact = {"sees 1": [3.5, 3.5001], "sees 2": [2.9, 2.9001], "gru": [2.5, 2.5001]}
    answer = ngram.answer(made_up(exact, counts))
    assert "a recurrent gru network needs 0.400 bits fewer" in answer
    assert "1 back, reaches 2.100; the best network here 2.500" in answer


def test_what_did_not_end_well_is_left_out():
    results = made_up({"sees 1": [3.5, 3.6], "sees 2": [None, 2.7], "gru": [None, None]},
                      [[4.5, 2.6], [4.5, 2.7]])  # fmt: skip
    assert "sees 1 back" in ngram.answer(results)
    assert ngram.draw(results).axes
    assert "-" in ngram.table(results).markdown()
