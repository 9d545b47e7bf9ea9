"""A trained network that learns new symbols, against the definition of a network in NumPy."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn import Layer, Network, init, initial_state, stacked, unroll
from jaxrnn.core.layers import DIAGONAL, IDENTITY
from jaxrnn.learning import Recipe
from jaxrnn.text import Vocabulary
from jaxrnn.text.extending import extended_network, extended_params
from jaxrnn.text.language_model import LanguageModel
from tests import reference
from tests.networks import CELLS, examples, networks, random_left_alone, random_params
from tests.reference import assert_close, one_hot

# Those that normalise a layer mix the new units with the old ones.
UNMIXED = tuple(cell for cell in CELLS if "norm" not in cell)


def joined_one_to_one(network: Network) -> set[str]:
    """Where a unit can belong to a symbol, found from every end of every connection in turn."""
    ends = [c for c in network.connections if c.kind in (DIAGONAL, IDENTITY)]
    found = {"input", "output"}
    for _ in network.layers:
        for c in ends:
            if {c.source, c.target} & found:
                found |= {c.source, c.target}
    return found


@given(network=networks(cells=UNMIXED), seed=st.integers(0, 2**32 - 1))
@examples(150)
def test_old_symbols_are_predicted_as_before_and_all_else_is_fresh(network, seed):
    rng = np.random.default_rng(seed)
    before, after = int(rng.integers(1, 5)), int(rng.integers(5, 8))
    numbers = np.sort(rng.choice(after, before, replace=False))
    with random_left_alone():
        old = extended_network(network, before, np.arange(network.input_size))
        new = extended_network(old, after, numbers)
    members = joined_one_to_one(network)
    assert {layer.name for layer in new.layers if layer.size == after} <= members
    params, fresh = random_params(old, rng), random_params(new, rng)
    # What new units say to old ones would change these at once.
    unheard = np.delete(np.arange(after), numbers)
    for c in new.connections:
        if c.kind == "full" and c.source in members - {"input"}:
            fresh[c.target][c.key][unheard] = 0
    with random_left_alone():
        found = extended_params(old, params, fresh, numbers)
        marks = extended_params(
            old, jax.tree.map(np.ones_like, params), jax.tree.map(np.zeros_like, fresh), numbers
        )
        states = [initial_state(each, 2) for each in (old, new)]
    assert sum(array.sum() for array in jax.tree.leaves(marks)) == old.parameter_count
    for mark, array, drawn in zip(*map(jax.tree.leaves, (marks, found, fresh)), strict=True):
        np.testing.assert_array_equal(array[mark == 0], drawn[mark == 0])
    symbols = rng.integers(before, size=(5, 2))
    states = [jax.tree.map(lambda x: np.asarray(x, np.float64), state) for state in states]
    expected = reference.forward(old, params, states[0], one_hot(symbols, before)).outputs
    outputs = reference.forward(new, found, states[1], one_hot(numbers[symbols], after)).outputs
    assert_close(outputs[..., numbers], expected)


def test_a_hidden_layer_as_large_as_the_vocabulary_stays_as_it_is():
    network = extended_network(stacked(5, [5], 5, "gru"), 7, np.arange(5))
    assert [(layer.name, layer.size) for layer in network.layers] == [("hidden1", 5), ("output", 7)]


def test_what_normalises_predictions_grows_with_them_and_keeps_its_scales():
    layers = [Layer("scores", 3, "linear"), Layer("output", 3, "layer_norm", bias=False)]
    network = Network(3, layers, [("input", "scores"), ("scores", "output", 0, "identity")])
    numbers = np.array([0, 1, 4])
    params, larger = init(network, jax.random.key(0)), extended_network(network, 5, numbers)
    params["output"]["bias"] = np.array([1, 2, 3, -1, -2, -3], np.float32)
    fresh = jax.tree.map(np.zeros_like, init(larger, jax.random.key(0)))
    found = extended_params(network, params, fresh, numbers)
    assert found["output"]["bias"].tolist() == [1, 2, 0, 0, 3, -1, -2, 0, 0, -3]


@pytest.mark.parametrize(("symbols", "more"), [(" abd", "cé\n"), (b"abd", b"\x00c")])
def test_a_model_keeps_its_scores_when_its_vocabulary_is_extended(symbols, more):
    vocabulary = Vocabulary(symbols)
    network = stacked(vocabulary.size, [4], vocabulary.size, "gru")
    model = LanguageModel(network, init(network, jax.random.key(1)), vocabulary)
    key = jax.random.key(2)
    for same in (model.extended(symbols[:0], key), model.extended(symbols, key)):
        assert (same.network, same.vocabulary) == (network, vocabulary)
        for one, other in zip(*map(jax.tree.leaves, (same.params, model.params)), strict=True):
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    larger = model.extended(more, key, Recipe(initializer="gaussian"))
    assert set(larger.vocabulary.symbols) == set(symbols) | set(more)
    numbers = larger.vocabulary.numbers_of(vocabulary)
    drawn = Recipe(initializer="gaussian").init(larger.network, key)
    new = np.delete(np.arange(larger.vocabulary.size), numbers)
    rows = [np.asarray(params["hidden1"]["input@0"]) for params in (larger.params, drawn)]
    np.testing.assert_array_equal(rows[0][new], rows[1][new])
    text = symbols * 3
    scores = [
        reference.forward(
            each.network, jax.tree.map(lambda x: np.asarray(x, np.float64), each.params),
            jax.tree.map(np.asarray, initial_state(each.network, 1)),
            one_hot(each.vocabulary.encode(text)[:, None].astype(int), each.vocabulary.size),
        ).outputs
        for each in (model, larger)
    ]  # fmt: skip
    assert_close(scores[1][..., numbers], scores[0])


def test_n_grams_of_old_symbols_keep_their_rows_however_often_the_vocabulary_grows():
    vocabulary = Vocabulary("bdf")
    network = stacked(4, [3], 4, "gru", ngrams=(2, 3), ngram_rows=30, ngram_size=2)
    params = jax.tree.map(np.float32, random_params(network, np.random.default_rng(0)))
    model, text = LanguageModel(network, params, vocabulary), "bdfdbbfddfb"

    def logits(model: LanguageModel) -> np.ndarray:
        symbols = model.vocabulary.encode(text)[:, None].astype(np.int32)
        outputs, _ = unroll(model.network, model.params, initial_state(model.network, 1), symbols)
        return np.asarray(outputs)[..., model.vocabulary.numbers_of(vocabulary)]

    expected, same = logits(model), model.extended("", jax.random.key(1))
    assert same.network == network
    for more, codes in (("ac", (0, 4, 1, 5, 2, 3)), ("eg", (0, 4, 1, 5, 2, 6, 3, 7))):
        model = model.extended(more, jax.random.key(1))
        assert {ngram.codes for ngram in model.network.ngrams} == {codes}
        assert_close(logits(model), expected, 1e-5)
    at_the_end = LanguageModel(network, params, vocabulary).extended("g", jax.random.key(1))
    assert at_the_end.network.ngrams == network.ngrams
