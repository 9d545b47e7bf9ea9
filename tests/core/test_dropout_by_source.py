"""Which connections of which networks drop by which rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import (
    Connection,
    Dropout,
    Layer,
    Network,
    NGram,
    dropout_by_source,
    stacked,
    unroll_layers,
)
from tests.networks import made

RATES = {"input_rate": 0.1, "recurrent_rate": 0.2, "output_rate": 0.3}
ENTERS, RECURS, LEAVES = Dropout(0.1), Dropout(0.2, locked=True), Dropout(0.3)
BETWEEN = Dropout(0.4)


def found(network: Network, rate: float = 0.4, **rates) -> dict[str, Dropout]:
    return {str(c): d for c, d in dropout_by_source(network, rate, **RATES, **rates).items()}


def test_a_stack_with_skip_and_feedback_connections():
    assert found(stacked(5, [3, 4], 5, skip=True, feedback=True)) == {
        "input -> hidden1": ENTERS, "input -> hidden2": ENTERS, "hidden1 -> hidden2": BETWEEN,
        "hidden1 -> output": LEAVES, "hidden2 -> output": LEAVES,
        "hidden1 -> hidden1 (delay 1)": RECURS, "hidden2 -> hidden2 (delay 1)": RECURS,
        "hidden2 -> hidden1 (delay 1)": RECURS,
    }  # fmt: skip


def test_what_an_embedding_puts_out_is_dropped_in_place_of_what_it_hears():
    residual = found(stacked(5, [3, 3], 5, residual=True))
    assert "input -> embedding" not in residual
    assert residual["embedding -> hidden1"] == ENTERS
    assert residual["sum1 -> hidden2"] == BETWEEN
    assert not [name for name in residual if "identity" in name]


@pytest.mark.parametrize(
    ("cell", "more"), [("tanh", []), ("linear", [Connection("low", "low", 1)])]
)
def test_a_layer_that_is_not_linear_or_recurs_is_no_embedding(cell, more):
    layers = [Layer("low", 3, cell), Layer("high", 3, "gru"), Layer("output", 2, "linear")]
    edges = [Connection("input", "low"), Connection("low", "high"), Connection("high", "output")]
    rates = found(Network(2, layers, [*edges, Connection("high", "high", 1), *more]))
    assert rates["input -> low"] == ENTERS
    assert rates["low -> high"] == BETWEEN


def test_several_inputs_and_outputs_and_what_is_heard_late():
    network = Network(
        {"words": 5, "speaker": 2},
        [Layer("low", 3, "tanh"), Layer("policy", 2, "linear"), Layer("value", 1, "linear")],
        [
            Connection("words", "low"), Connection("speaker", "low", 2),
            Connection("words", "policy"), Connection("low", "policy"),
            Connection("low", "policy", 1), Connection("low", "value"),
            Connection("low", "low", 1, "diagonal"),
        ],
        ("policy", "value"),
    )  # fmt: skip
    assert found(network) == {
        "words -> low": ENTERS, "speaker -> low (delay 2)": ENTERS, "words -> policy": ENTERS,
        "low -> policy": LEAVES, "low -> policy (delay 1)": RECURS, "low -> value": LEAVES,
        "low -> low (delay 1, diagonal)": RECURS,
    }  # fmt: skip


def test_ngrams_drop_whole_rows_at_each_step_and_what_they_embed_enters():
    network = Network(
        5,
        [Layer("table", 3, "linear"), Layer("high", 4, "gru"), Layer("output", 5, "linear")],
        [
            Connection("pairs", "table"), Connection("input", "high"), Connection("table", "high"),
            Connection("pairs", "high"), Connection("high", "output"),
            Connection("high", "high", 1),
        ],
        ngrams=[NGram("pairs", 2, 36)],
    )  # fmt: skip
    rows = Dropout(0.6)
    assert found(network, ngram_rate=0.6, locked=True) == {
        "pairs -> table": rows, "pairs -> high": rows, "high -> output": LEAVES,
        "table -> high": ENTERS._replace(locked=True),
        "input -> high": ENTERS._replace(locked=True),
        "high -> high (delay 1)": RECURS,
    }  # fmt: skip


def test_locked_masks_are_those_of_what_enters_and_between_layers_but_not_before_the_output():
    rates = found(stacked(5, [3, 4], 5), locked=True)
    assert rates["input -> hidden1"] == Dropout(0.1, locked=True)
    assert rates["hidden1 -> hidden2"] == Dropout(0.4, locked=True)
    assert rates["hidden2 -> output"] == LEAVES


def test_one_rate_is_for_layers_and_the_output_and_leaves_symbols_and_the_past_alone():
    network = stacked(5, [3, 4], 5, "gru")
    dropout = dropout_by_source(network, 0.5)
    assert {str(c) for c, own in dropout.items() if own.rate} == {
        "hidden1 -> hidden2", "hidden2 -> output"
    }  # fmt: skip
    params, state = made(network, 3)
    symbols = jnp.arange(12).reshape(4, 3) % 5
    plain = unroll_layers(network, params, state, symbols).outputs
    dropped = unroll_layers(
        network, params, state, symbols, dropout=dropout, dropout_key=jax.random.key(0)
    ).outputs
    np.testing.assert_array_equal(plain["hidden1"], dropped["hidden1"])
    assert not np.array_equal(plain["hidden2"], dropped["hidden2"])


def test_a_rate_for_what_a_network_does_not_have_drops_nothing():
    network = stacked(5, [3], 5, "min_gru")
    rates = dropout_by_source(network, 0.5, recurrent_rate=0.2, ngram_rate=0.2)
    assert rates == dropout_by_source(network, 0.5)
