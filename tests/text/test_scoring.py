"""Scores of texts, against each text run alone, step by step, in float64 NumPy."""

import jax
import numpy as np
import pytest

from jaxrnn import init, initial_state, stacked
from jaxrnn.core.errors import InputError
from jaxrnn.text import Vocabulary, scoring
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.scoring import Scores, Tally
from tests.reference import forward, one_hot


def language_model(symbols: str | bytes, hidden: int = 4, **options: bool) -> LanguageModel:
    vocabulary = Vocabulary(symbols, **options)
    network = stacked(vocabulary.size, [hidden], vocabulary.size)
    params = jax.tree.map(lambda array: 2 * array, init(network, jax.random.key(1)))
    return LanguageModel(network, params, vocabulary)


ABC = language_model("\n abc")
START = 1  # the line end's number


def alone(heard: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities and ranks of all symbols but the first."""
    params = jax.tree.map(lambda array: np.asarray(array, np.float64), ABC.params)
    state = jax.tree.map(np.asarray, initial_state(ABC.network, 1))
    inputs = one_hot(np.array(heard[:-1])[:, None], ABC.vocabulary.size)
    logits = forward(ABC.network, params, state, inputs).outputs[:, 0]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    own = probabilities[np.arange(len(logits)), heard[1:]]
    return np.log(own), 1 + (probabilities > own[:, None]).sum(axis=1)


def assert_scored(scores: Scores, heard: list[int], unscored: int = 0) -> None:
    nats, ranks = alone(heard)
    np.testing.assert_allclose(scores.log_probabilities, nats[unscored:], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(scores.ranks, ranks[unscored:])


def texts_of(lengths: list[int]) -> list[str]:
    choose = np.random.default_rng(0).choice
    return ["".join(choose(list(" abcX"), length)) for length in lengths]  # X is unknown


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("lengths", [[3], [0], [129, 0, 1, 300, 128, 127, 0], [7, 1] * 40])
def test_each_text_is_scored_as_if_it_were_alone_after_a_line_end(lengths, lines, monkeypatch):
    monkeypatch.setattr(scoring, "GROUP", 100)  # so that there are several
    texts = texts_of(lengths)
    scored = list(ABC.scores(iter(texts), lines=lines))
    assert len(scored) == len(texts)
    for text, scores in zip(texts, scored, strict=True):
        expected = ABC.vocabulary.encode(text + "\n" * lines)
        np.testing.assert_array_equal(scores.symbols, expected)
        if len(expected):
            assert_scored(scores, [START, *expected.tolist()])


def test_parts_of_a_long_text_hear_what_is_before_them(monkeypatch):
    for name, size in {"WHOLE": 50, "PART": 20, "HEARD": 8, "GROUP": 64}.items():
        monkeypatch.setattr(scoring, name, size)
    whole, long = texts_of([50, 111])
    scored = list(ABC.scores([whole, long]))
    assert_scored(scored[0], [START, *ABC.vocabulary.encode(whole).tolist()])
    symbols = ABC.vocabulary.encode(long)
    heard = [START, *symbols.tolist()]
    for begin in range(0, 111, 20):
        part = Scores(*(array[begin : begin + 20] for array in scored[1]))
        first = max(0, begin - 8)
        assert_scored(part, heard[first : begin + 21], unscored=begin - first)
    assert ABC.tally(symbols) == pytest.approx(Tally.of(scored[1]), rel=1e-5)


def test_texts_of_many_lengths_are_scored_by_few_programs():
    before = scoring._chunk._cache_size()
    for count in (1, 2, 5, 9, 20):
        list(ABC.scores(texts_of(list(range(0, 40 * count, count)))))
    assert scoring._chunk._cache_size() - before <= len(scoring.LANES)


def test_the_tally_of_a_split_is_what_training_judges_by_and_tells_unknown_symbols_apart():
    (text,) = texts_of([3000])
    symbols = ABC.vocabulary.encode(text)
    tally = ABC.tally_split(symbols)
    assert tally.bits == pytest.approx(ABC.bits_per_character(symbols), rel=1e-6)
    assert (tally.symbols, tally.unknown) == (2999, int((symbols[1:] == 0).sum()))
    parts = tally.known.bits, tally.bits_per_unknown
    mean = (parts[0] * tally.known.symbols + parts[1] * tally.unknown) / tally.symbols
    assert mean == pytest.approx(tally.bits)
    assert tally.log2_probability == pytest.approx(-tally.bits * tally.symbols)
    assert tally.perplexity == pytest.approx(2**tally.bits)


def test_nothing_has_no_bits_per_symbol_and_the_probability_1():
    nothing = Tally()
    assert (nothing.bits, nothing.perplexity, nothing.bits_per_unknown) == (None, None, None)
    assert (nothing.log2_probability, nothing.unknown_share) == (0, 0)
    assert Tally(1, 1e6).perplexity == float("inf")


@pytest.mark.parametrize(
    ("model", "line", "scored"),
    [
        (language_model(" abc", collapse_whitespace=True), "  a\t b ", "a b "),
        (language_model(" abc", collapse_whitespace=True), "", ""),
        (language_model("\n abc", lowercase=True), "A  b", "a  b\n"),
        (language_model(" abc"), "a b", "a b"),  # which has no line ends
        (language_model(b"\nab"), "äb".encode(), "\ufffd\ufffdb\n"),
    ],
)
def test_lines_are_normalised_as_what_follows_a_line_end(model, line, scored):
    assert model.vocabulary.decode(model.encoded(line, is_line=True)) == scored


def test_a_collapsed_text_is_scored_the_same_as_numbers():
    vocabulary = Vocabulary(" abcd", collapse_whitespace=True)
    model = LanguageModel(ABC.network, ABC.params, vocabulary)
    (scores,) = model.scores(["\t a  b "])
    tokens = vocabulary.encode(vocabulary.normalise("\t a  b "))
    assert model.tally(tokens) == pytest.approx(Tally.of(scores), rel=1e-6)
    assert len(scores.symbols) == 4


def test_a_model_whose_probabilities_are_not_finite_is_refused():
    params = jax.tree.map(lambda array: np.nan * array, ABC.params)
    broken = LanguageModel(ABC.network, params, ABC.vocabulary)
    with pytest.raises(InputError, match="not finite"):
        list(broken.scores(["abc"]))
    with pytest.raises(InputError, match="not finite"):
        broken.tally_split(ABC.vocabulary.encode("abc"))
