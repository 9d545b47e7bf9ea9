from collections import Counter

import numpy as np
import pytest

from jaxrnn import InputError
from jaxrnn.text.counts import counted, discounts

SYMBOLS = 5


def drawn(seed: int, length: int) -> np.ndarray:
    """Symbols, each of which follows from the two before it more often than not."""
    random = np.random.default_rng(seed)
    symbols = [0, 1]
    for _ in range(length - 2):
        expected = (2 * symbols[-1] + symbols[-2]) % SYMBOLS
        symbols.append(expected if random.random() < 0.7 else int(random.integers(SYMBOLS)))
    return np.array(symbols, np.uint8)


class Counted:
    """The same model by dictionaries, one symbol at a time."""

    def __init__(self, train: np.ndarray, longest: int) -> None:
        text = tuple(map(int, train))
        self.occurrences = [
            Counter(text[i : i + length] for i in range(len(text) - length + 1))
            for length in range(longest + 2)
        ]
        self.preceded = [
            Counter(string[1:] for string in longer) for longer in self.occurrences[1:]
        ]

    def probability(self, context: tuple, symbol: int, counts: Counter | None = None) -> float:
        if counts is None:
            counts = self.occurrences[len(context) + 1]
        times = np.array([counts[(*context, v)] for v in range(SYMBOLS)])
        if context:
            below = self.preceded[len(context)]
            shorter = self.probability(context[1:], symbol, below)
        else:
            shorter = 1 / SYMBOLS
        if not times.sum():
            return shorter
        taken = discounts(np.array(list(counts.values())))[np.minimum(times, 3)]
        return (times[symbol] - taken[symbol] + taken.sum() * shorter) / times.sum()


@pytest.mark.parametrize("length", [30, 2000])
def test_probabilities_are_those_of_a_model_by_dictionaries(length):
    train, text, longest = drawn(0, length), drawn(1, 40), 6
    model, alone = Counted(train, longest), [*["none"] * longest, *map(int, text)]
    contexts = [
        [tuple(alone[longest + i - n : longest + i]) for i in range(len(text))]
        for n in range(longest + 1)
    ]
    expected = [
        [model.probability(context, int(symbol)) for context, symbol in zip(own, text, strict=True)]
        for own in contexts
    ]
    other, found = counted(train, [text[5:20], text], symbols=SYMBOLS, longest=longest)
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-12)
    followed = [
        [any((*context, v) in model.occurrences[n + 1] for v in range(SYMBOLS)) for context in own]
        for n, own in enumerate(contexts)
    ]
    np.testing.assert_array_equal(found.seen, np.sum(followed, axis=0) - 1)
    (alone,) = counted(train, [text[5:20]], symbols=SYMBOLS, longest=longest)
    np.testing.assert_array_equal(other.probabilities, alone.probabilities)


def test_probabilities_of_all_symbols_add_up_to_one_after_contexts_seen_and_unseen():
    train = drawn(2, 500)
    for context in (train[100:104], np.array([4, 4, 4, 4])):
        texts = [np.array([*context, s]) for s in range(SYMBOLS)]
        found = counted(train, texts, symbols=SYMBOLS, longest=4)
        after = [own.probabilities[:, -1] for own in found]
        np.testing.assert_allclose(np.sum(after, axis=0), 1, rtol=1e-12)
        assert np.min(after) > 0


def test_what_follows_from_two_symbols_is_predicted_from_two_and_not_from_one():
    (found,) = counted(drawn(3, 20_000), [drawn(4, 2000)], symbols=SYMBOLS, longest=3)
    bits = -np.log2(found.probabilities).mean(axis=1)
    rest = 0.3 / SYMBOLS
    chances = np.array([0.7 + rest, *[rest] * (SYMBOLS - 1)])
    assert bits[1] > bits[2] + 0.4
    assert bits[2] == pytest.approx(-np.log2(chances) @ chances, abs=0.05)


def test_discounts_are_those_of_the_paper():
    counts = np.repeat([1, 2, 3, 4, 9], [40, 20, 10, 5, 3])
    y = 40 / (40 + 2 * 20)
    expected = [0, 1 - 2 * y * 20 / 40, 2 - 3 * y * 10 / 20, 3 - 4 * y * 5 / 10]
    np.testing.assert_allclose(discounts(counts), expected)
    np.testing.assert_allclose(discounts(np.array([7, 8])), [0, 0.5, 1, 1.5])


def test_a_text_shorter_than_a_context_is_refused():
    with pytest.raises(InputError, match="contexts of 4 symbols"):
        counted(drawn(0, 4), [drawn(1, 9)], symbols=SYMBOLS, longest=4)
