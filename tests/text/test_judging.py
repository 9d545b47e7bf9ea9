"""Probabilities in each mode, against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Layer, Network, init, initial_state, unroll
from jaxrnn.core.errors import InputError
from jaxrnn.text import EncodedText, adapting, mixing
from jaxrnn.text.adapting import Adaptation, adapted, root_mean_squares
from jaxrnn.text.encoded import Rare
from jaxrnn.text.judging import Judge
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.mixing import Sources, cross_fitted, fitted, mixed, with_counts
from jaxrnn.text.scoring import Tally
from tests.text.test_counts import SYMBOLS, Counted, drawn
from tests.text.test_scoring import ABC, texts_of

OTHER = LanguageModel(ABC.network, jax.tree.map(lambda a: -a, ABC.params), ABC.vocabulary)
ADAPTATION = Adaptation(rate=0.2, decay=0.1)
MODES = [
    ([ABC], None, False),
    ([ABC], None, True),
    ([ABC], ADAPTATION, False),
    ([ABC, OTHER], ADAPTATION, True),
]


def own_text() -> EncodedText:
    (text,) = texts_of([900])
    tokens = ABC.vocabulary.encode(text)
    return EncodedText(tokens, ABC.vocabulary, "", 700, 800, Rare())


@pytest.mark.parametrize(("models", "adaptation", "counts"), MODES)
def test_probabilities_of_all_symbols_add_up_to_one_in_every_mode(models, adaptation, counts):
    judge = Judge(models, own_text(), adaptation, counts)
    (before,) = texts_of([77])
    texts = [before, *(before + symbol for symbol in "X\n abc")]  # X is unknown
    start, *after = (tally.nats for tally in judge.of_texts(texts, lines=False))
    assert sum(np.exp(start - nats) for nats in after) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("lines", [False, True])
def test_several_models_give_the_mean_of_their_probabilities(lines):
    texts = texts_of([9, 0, 300])
    scores = [list(model.scores(texts, lines=lines)) for model in (ABC, OTHER)]
    judge = Judge([ABC, OTHER])
    for tally, *both in zip(judge.of_texts(texts, lines=lines), *scores, strict=True):
        mean = np.mean([np.exp(own.log_probabilities.astype(float)) for own in both], axis=0)
        assert tally.nats == pytest.approx(-np.log(mean).sum(), rel=1e-6)
        assert tally.symbols == len(both[0].symbols)


def test_a_model_beside_itself_is_itself_and_one_alone_is_judged_as_ever():
    tokens = own_text().tokens
    assert next(Judge([ABC]).of_splits([tokens])) == ABC.tally_split(tokens)
    assert Judge([ABC]).of_whole(tokens) == ABC.tally(tokens)
    twice = Judge([ABC, ABC])
    for found, expected in (
        (next(twice.of_splits([tokens])), ABC.tally_split(tokens)),
        (twice.of_whole(tokens), ABC.tally(tokens)),
    ):
        assert found == pytest.approx(expected, rel=1e-5)


def plain_nats(params, state, chunk):
    logits, state = unroll(ABC.network, params, state, jnp.asarray(chunk[:-1, None], jnp.int32))
    logs = jax.nn.log_softmax(logits[:, 0])
    nats = -logs[np.arange(len(chunk) - 1), chunk[1:]]
    return nats.mean(), (nats, state)


gradient_of = jax.jit(jax.grad(plain_nats, has_aux=True))


@pytest.mark.parametrize("most", [0.7, 8.0])
def test_dynamic_evaluation_is_that_of_a_plain_loop_that_scores_before_it_learns(monkeypatch, most):
    for name, size in {"CHUNK": 6, "CALL": 2, "SAMPLED": (3, 2), "MOST": most}.items():
        monkeypatch.setattr(adapting, name, size)
    adapting._adapted.clear_cache()  # whose programs hold these sizes
    train, heard = (ABC.vocabulary.encode(text) for text in texts_of([61, 34]))
    found = root_mean_squares(ABC.network, ABC.params, train)
    squares = []
    for begin in (0, 20, 40):
        state = initial_state(ABC.network, 1)
        for start in (begin, begin + 6):
            gradient, (_, state) = gradient_of(ABC.params, state, train[start : start + 7])
            squares.append(jax.tree.map(np.square, gradient))
    rms = jax.tree.map(lambda *each: np.sqrt(np.mean(each, axis=0)), *squares)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4), found, rms)

    numbers = np.concatenate([array.ravel() for array in jax.tree.leaves(rms)])
    mean = numbers.mean()
    divisors = numbers + adapting.EPSILON * mean
    params, state, nats, sizes = ABC.params, initial_state(ABC.network, 1), [], []
    for start in range(0, 33, 6):
        gradient, (own, state) = gradient_of(params, state, heard[start : start + 7])
        nats += own.tolist()
        steep = np.concatenate([array.ravel() for array in jax.tree.leaves(gradient)]) ** 2
        falls = [(squares / divisors).sum() for squares in (numbers**2, steep)]
        sizes.append((0.2 / falls[0], 0.2 * most / falls[1]))
        size = min(sizes[-1])
        params = jax.tree.map(
            lambda p, g, trained, r, size=size: (
                p - size * g / (r + adapting.EPSILON * mean)
                + np.minimum(0.1 * r / mean, 1) * (trained - p)
            ),
            params, gradient, ABC.params, rms,
        )  # fmt: skip
    pieces = list(adapted(ABC.network, ABC.params, found, heard, ADAPTATION))
    np.testing.assert_allclose(np.concatenate(pieces), -np.array(nats), rtol=1e-3)
    assert any(usual < most for usual, most in sizes) or most < 1
    assert any(usual > most for usual, most in sizes) or most > 1
    static = ABC.tally_split(heard).nats
    assert abs(static - sum(nats)) > 0.1  # the parameters did change


def test_what_is_learned_from_a_text_leaves_tables_of_n_grams_as_they_are(monkeypatch):
    monkeypatch.setattr(adapting, "CHUNK", 6)
    layers = [Layer("output", 3, "linear")]
    network = Network(3, layers, [("single", "output")], ngrams=[("single", 1, 10)])
    params = init(network, jax.random.key(0))
    table, trained = (np.asarray(params["output"][n], np.float64) for n in ("single@0", "bias"))
    heard = np.random.default_rng(0).integers(3, size=13)
    bias, nats = trained.copy(), []
    for chunk in (heard[:7], heard[6:13]):  # a symbol's row is that of its number and one
        logits = table[chunk[:-1] + 1] + bias
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        nats += [-np.log(row[symbol]) for row, symbol in zip(shares, chunk[1:], strict=True)]
        gradient = (shares - np.eye(3)[chunk[1:]]).mean(axis=0)
        falls = 3 * 0.5**2, (gradient**2).sum() / adapting.MOST  # but for the divisor of both
        bias += 0.1 * (trained - bias) - 0.2 * gradient / max(falls)
    rms = {"output": {"bias": jnp.full(3, 0.5)}}
    found = np.concatenate(list(adapted(network, params, rms, heard, ADAPTATION)))
    np.testing.assert_allclose(found, -np.array(nats), rtol=1e-4)
    assert list(root_mean_squares(network, params, heard)["output"]) == ["bias"]


def test_a_model_mixed_with_counts_is_that_of_dictionaries_and_plain_sums(monkeypatch):
    monkeypatch.setattr(mixing, "LONGEST", 3)
    train, text, random = drawn(0, 300), drawn(1, 30), np.random.default_rng(0)
    model, logs = Counted(train, 3), np.log(random.uniform(0.1, 0.9, 29))
    weights = random.dirichlet(np.ones(5), size=4)
    (sources,) = with_counts([logs], [text], train, symbols=SYMBOLS)
    expected = []
    for i in range(1, 30):
        contexts = [tuple(["none", *map(int, text[:i])][-n:]) if n else () for n in range(4)]
        contexts = [("none",) * (n - len(c)) + c for n, c in enumerate(contexts)]
        seen = max(
            n for n, context in enumerate(contexts)
            if any((*context, v) in model.occurrences[n + 1] for v in range(SYMBOLS))
        )  # fmt: skip
        each = [np.exp(logs[i - 1]), *(model.probability(c, int(text[i])) for c in contexts)]
        expected.append(np.log(weights[seen] @ each))
    np.testing.assert_allclose(mixed(sources, weights), expected, rtol=1e-10)


def test_fitted_weights_make_the_text_likelier_than_any_others_of_a_grid(monkeypatch):
    monkeypatch.setattr(mixing, "LONGEST", 1)
    monkeypatch.setattr(mixing, "LEANING", 0.0)
    random = np.random.default_rng(1)
    sources = Sources(random.uniform(0.01, 1, (3, 400)), random.integers(0, 2, 400))
    sources.probabilities[0, sources.seen == 1] *= 1.5
    weights = fitted(sources)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    best = mixed(sources, weights).sum()
    grid = [np.array([a, b, 20 - a - b]) / 20 for a in range(21) for b in range(21 - a)]
    for n in (0, 1):
        for other in grid:
            changed = weights.copy()
            changed[n] = other
            assert mixed(sources, changed).sum() < best + 1e-3


def test_no_half_of_the_validation_split_has_a_part_in_its_own_weights():
    random = np.random.default_rng(2)
    sources = Sources(random.uniform(0.01, 1, (3, 200)), random.integers(0, 4, 200))
    changed = Sources(sources.probabilities.copy(), sources.seen)
    changed.probabilities[:, 50] = 1e-9
    before, after = cross_fitted(sources), cross_fitted(changed)
    np.testing.assert_array_equal(np.delete(before[:100], 50), np.delete(after[:100], 50))
    assert (before[100:] != after[100:]).all()


def test_what_cannot_judge_is_refused():
    different = LanguageModel(ABC.network, ABC.params, ABC.vocabulary.extended("z"))
    with pytest.raises(InputError, match="different symbols"):
        Judge([ABC, different])
    with pytest.raises(InputError, match="needs the text"):
        Judge([ABC], counts=True)
    text = own_text()
    without = EncodedText(text.tokens, text.vocabulary, "", 900, 900, Rare())
    with pytest.raises(InputError, match="validation split"):
        Judge([ABC], without, counts=True)
    assert next(Judge([ABC], without, ADAPTATION).of_splits([text.tokens[:1]])) == Tally()
