"""Sampling against NumPy: by formula, by naive loops, and by counting what is written."""

from functools import partial
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chisquare

from jaxrnn import InputError, initial_state, stacked, step
from jaxrnn.core.keys import derive
from jaxrnn.text import sampling
from jaxrnn.text.sampling import (
    BLOCK,
    Choice,
    Position,
    log_probabilities,
    read,
    write,
    write_by_selection,
)
from tests import reference
from tests.networks import examples, random_params
from tests.reference import one_hot

SYMBOLS = 5
NETWORK = stacked(SYMBOLS, [4], SYMBOLS, "lstm")
PARAMS64 = random_params(NETWORK, np.random.default_rng(3))
PARAMS = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), PARAMS64)
PRIME = np.array([1, 4, 2, 0])
ENOUGH = 8_000  # streams, to count what they write

CHOICES = [
    Choice(),
    Choice(temperature=0.5),
    Choice(top_k=2),
    Choice(top_p=0.7),
    Choice(temperature=0.7, top_k=3, top_p=0.8, banned=(2,)),
]


def logits_after(symbols: np.ndarray) -> np.ndarray:
    """Of each next symbol, by the reference in float64: [time, symbols]."""
    state = jax.tree.map(np.asarray, initial_state(NETWORK, 1))
    inputs = one_hot(symbols, SYMBOLS)[:, None]
    return reference.forward(NETWORK, PARAMS64, state, inputs).outputs[:, 0]


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max())
    return raised / raised.sum()


def chances(logits: np.ndarray, choice: Choice) -> np.ndarray:
    """Each symbol's chance of being written; symbol by symbol, from the likeliest down."""
    allowed = [i for i in range(len(logits)) if i not in choice.banned]
    allowed.sort(key=lambda i: -logits[i])
    if choice.top_k is not None:
        allowed = [i for i in allowed if sum(logits[allowed] > logits[i]) < choice.top_k]
    weights = np.zeros(len(logits))
    with np.errstate(over="ignore", invalid="ignore"):
        tempered = (logits[allowed] - max(logits[allowed])) / choice.temperature
    weights[allowed] = softmax(np.where(np.isneginf(logits[allowed]), -np.inf, tempered))
    if choice.top_p is not None:
        kept, total = [], 0.0
        for i in allowed:
            if total < choice.top_p or logits[i] == logits[kept[-1]]:
                kept.append(i)
            total += weights[i]
        weights[[i for i in allowed if i not in kept]] = 0
    return weights / weights.sum()


def blocks(choice=Choice(), seed=0, streams=3, count=1, position=None) -> np.ndarray:  # noqa: B008
    """What is written in the first few blocks: [time, streams]."""
    if position is None:
        position = read(NETWORK, PARAMS, PRIME, streams)
    pieces = write(NETWORK, PARAMS, position, jax.random.key(seed), choice)
    return np.concatenate(list(islice(pieces, count)))


def assert_drawn_from(symbols: np.ndarray, expected: np.ndarray) -> None:
    counts = np.bincount(symbols, minlength=SYMBOLS)
    assert (counts[expected == 0] == 0).all()
    possible = expected > 0
    if possible.sum() > 1:
        assert chisquare(counts[possible], counts.sum() * expected[possible]).pvalue > 0.01


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_symbols_are_written_as_often_as_the_softmax_says(choice):
    first, second = blocks(choice, streams=ENOUGH)[:2]
    assert_drawn_from(first, chances(logits_after(PRIME)[-1], choice))
    # And so is the next one, after what was written.
    said = np.bincount(first).argmax()
    expected = chances(logits_after(np.append(PRIME, said))[-1], choice)
    assert_drawn_from(second[first == said], expected)


def test_the_chi_square_test_tells_temperatures_and_truncations_apart():
    written = {choice: blocks(choice, streams=ENOUGH)[0] for choice in CHOICES}
    logits = logits_after(PRIME)[-1]
    for choice, symbols in written.items():
        for other in CHOICES:
            if np.abs(chances(logits, other) - chances(logits, choice)).max() > 0.05:
                with pytest.raises(AssertionError):
                    assert_drawn_from(symbols, chances(logits, other))


@st.composite
def logits_and_choices(draw):
    """Logits that are often equal, and a choice whose `top_p` no rounding decides."""
    count = draw(st.sampled_from([1, 5]))
    whole = st.integers(-4, 4)
    logits = np.array([draw(st.lists(whole, min_size=count, max_size=count)) for _ in range(2)]) / 2
    choice = Choice(
        temperature=draw(st.sampled_from([0.25, 0.5, 1.0, 3.0])),
        top_k=draw(st.none() | st.integers(1, 8)),
        top_p=draw(st.none() | st.floats(0.01, 1.0)),
        banned=tuple(draw(st.sets(st.integers(0, count - 1), max_size=count - 1))),
    )
    if choice.top_p is not None and choice.top_p < 1:
        for row in logits:
            before_top_p = chances(row, choice._replace(top_p=None))
            reached = np.cumsum(np.sort(before_top_p)[::-1])
            assume(np.abs(reached - choice.top_p).min() > 1e-5)
    return logits, choice


@given(case=logits_and_choices())
@examples(80)
def test_chances_are_those_of_the_truncated_softmax(case):
    logits, choice = case
    ours = log_probabilities(jnp.asarray(logits, jnp.float32), choice)
    for ours_row, row in zip(np.asarray(ours, np.float64), logits, strict=True):
        np.testing.assert_allclose(softmax(ours_row), chances(row, choice), atol=1e-6)


def kept(logits, **options) -> list[int]:
    ours = log_probabilities(jnp.asarray([logits], jnp.float32), Choice(**options))[0]
    return np.flatnonzero(np.isfinite(ours)).tolist()


TENTHS = np.log([0.1, 0.4, 0.3, 0.2])


@pytest.mark.parametrize(
    ("top_p", "symbols"),
    [
        (0.01, [1]), (0.39, [1]), (0.41, [1, 2]), (0.69, [1, 2]), (0.71, [1, 2, 3]),
        (0.89, [1, 2, 3]), (0.91, [0, 1, 2, 3]), (1.0, [0, 1, 2, 3]),
    ],
)  # fmt: skip
def test_top_p_keeps_the_fewest_likeliest_symbols_that_reach_it(top_p, symbols):
    assert kept(TENTHS, top_p=top_p) == symbols


def test_top_k_keeps_the_k_likeliest_symbols():
    assert [kept(TENTHS, top_k=k) for k in (1, 2, 3, 4, 9)] == [
        [1], [1, 2], [1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3],
    ]  # fmt: skip


def test_symbols_as_likely_as_the_last_one_kept_are_kept_too():
    assert kept([1.0, 0.0, 0.0, -1.0], top_k=2) == [0, 1, 2]
    assert kept(np.log([0.4, 0.25, 0.25, 0.1]), top_p=0.5) == [0, 1, 2]


def test_top_p_is_measured_on_what_top_k_and_bans_leave():
    assert kept(TENTHS, top_k=2, top_p=0.5) == [1]  # 4/7
    assert kept(TENTHS, banned=(1,), top_p=0.45) == [2]  # 3/6


ROWS = np.array([
    [1.5, -0.25, 1.5, 0.5, -3.0],
    [1e30, -1e30, 0.0, 1e30, 1.0],
    [3e38, -3e38, 3e38, 0.0, 1e38],
    [0.0, -np.inf, 2.0, -np.inf, 1.0],
    [1e-30, 0.0, 2e-30, 1e-30, 0.0],
    [-1e30, -2e30, -3e30, -1e30, -np.inf],
])  # fmt: skip
TEMPERATURES = [
    5e-324, 1e-310, 1e-45, 1e-38, 1e-30, 1e-6, 0.7, 1.0, 1e6, 1e30, 1e38, 1e39, 1e300, 1e308,
    float("inf"),
]  # fmt: skip
REST = [{}, {"top_k": 2}, {"top_k": 10**12}, {"banned": (0,)}, {"top_k": 3, "banned": (2, 4)}]
NUCLEI = [{"top_p": 1e-9}, {"top_p": 0.4}, {"top_p": 1 - 1e-16}, {"top_p": 1.0, "top_k": 1}]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("options", [*REST, *NUCLEI], ids=str)
def test_chances_are_those_of_the_truncated_softmax_at_any_temperature(options):
    """Down to greedy, equals drawn evenly, and up to uniform over what is left."""
    for temperature in TEMPERATURES:
        choice = Choice(temperature, **options)
        ours = log_probabilities(jnp.asarray(ROWS, jnp.float32), choice)
        for ours_row, row in zip(np.asarray(ours, np.float64), ROWS, strict=True):
            expected = chances(np.asarray(row, np.float32).astype(np.float64), choice)
            np.testing.assert_allclose(softmax(ours_row), expected, atol=1e-6, err_msg=str(choice))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_chances_are_of_at_least_single_precision(dtype):
    logits = jnp.asarray([[0.0, 1.0, 2.0]], dtype)
    for temperature in (5e-324, 1e-6, 1.0, 1e6, 1e308):
        choice = Choice(temperature, top_p=0.99)
        ours = np.asarray(log_probabilities(logits, choice)[0], np.float64)
        np.testing.assert_allclose(softmax(ours), chances(np.arange(3.0), choice), atol=1e-6)


def test_temperature_0_leaves_the_first_of_the_likeliest():
    assert kept([1.0, 2.0, 2.0, -np.inf], temperature=0.0) == [1]
    assert kept([1.0, 2.0, 2.0, 0.0], temperature=0.0, banned=(1,), top_k=1, top_p=1e-9) == [2]


def test_a_text_written_at_almost_no_temperature_is_the_greedy_one():
    greedy = blocks(Choice(0.0, banned=(0,)))
    written = blocks(Choice(1e-38, banned=(0,), top_k=3, top_p=0.9))
    np.testing.assert_array_equal(written, greedy)


def test_a_prime_text_of_any_length_is_read_by_one_program():
    read(NETWORK, PARAMS, PRIME, 3)
    before = sampling._read._cache_size()
    rng = np.random.default_rng(0)
    for length in (1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7):
        prime = rng.integers(0, SYMBOLS, length)
        logits = read(NETWORK, PARAMS, prime, 2).logits
        expected = logits_after(prime)[-1]
        np.testing.assert_allclose(logits, [expected, expected], rtol=1e-3, atol=1e-4)
    assert sampling._read._cache_size() == before


@pytest.mark.parametrize("banned", [(), (1,), (0, 2)])
def test_temperature_0_always_takes_the_likeliest_symbol_that_is_not_banned(banned):
    written = blocks(Choice(temperature=0, banned=banned), count=2)
    first = written[:, 0]
    logits = logits_after(np.append(PRIME, first[:-1]))[len(PRIME) - 1 :]
    logits[:, list(banned)] = -np.inf
    np.testing.assert_array_equal(first, logits.argmax(axis=1))
    assert (written == first[:, None]).all()


def test_banned_symbols_are_never_written():
    written = blocks(Choice(float("inf"), banned=(1, 3)), streams=300)
    assert set(written.ravel()) == {0, 2, 4}


@pytest.mark.parametrize("choice", [Choice(), Choice(0.7, top_k=4, top_p=0.9, banned=(2,))])
def test_reading_and_writing_is_a_loop_of_single_steps_with_the_same_noise(choice):
    streams, key = 3, jax.random.key(5)
    state = initial_state(NETWORK, streams)
    take = jax.jit(partial(step, NETWORK))
    for symbol in PRIME:
        logits, state = take(PARAMS, state, jnp.full(streams, symbol))
    position = read(NETWORK, PARAMS, PRIME, streams)
    reference.assert_close(position, Position(state, logits), 1e-5)
    written = []
    for block in range(2):
        shape = BLOCK, streams, SYMBOLS
        for noise in np.asarray(jax.random.gumbel(jax.random.fold_in(key, block), shape)):
            rows = [chances(row, choice) for row in np.asarray(logits, np.float64)]
            with np.errstate(divide="ignore"):
                symbols = (np.log(rows) + noise).argmax(axis=1)
            written.append(symbols)
            logits, state = take(PARAMS, state, jnp.asarray(symbols))
    np.testing.assert_array_equal(blocks(choice, 5, position=position, count=2), written)


def test_the_same_seed_writes_the_same_text_and_another_seed_another():
    np.testing.assert_array_equal(blocks(seed=1), blocks(seed=1))
    assert (blocks(seed=1) != blocks(seed=2)).any(axis=0).all()


def test_a_longer_text_begins_with_the_shorter_one():
    longer = blocks(count=3)
    assert longer.shape == (3 * BLOCK, 3)
    np.testing.assert_array_equal(longer[:BLOCK], blocks())


def test_no_two_streams_and_no_two_blocks_are_alike():
    streams = blocks(count=2).T
    assert len({row.tobytes() for row in (*streams[:, :BLOCK], *streams[:, BLOCK:])}) == 6


def test_a_position_can_be_written_on_from_more_than_once():
    position = read(NETWORK, PARAMS, PRIME, 3)
    np.testing.assert_array_equal(blocks(position=position), blocks(position=position))


def rescored(symbols: np.ndarray) -> float:
    """The log-likelihood of a text after the prime text, by the reference in float64."""
    if not len(symbols):
        return 0.0
    logits = logits_after(np.concatenate([PRIME, symbols[:-1]]))[len(PRIME) - 1 :]
    return float(sum(np.log(softmax(row)[s]) for row, s in zip(logits, symbols, strict=True)))


def selected(length, seed=0, streams=8, **options):
    position = read(NETWORK, PARAMS, PRIME, streams)
    return write_by_selection(NETWORK, PARAMS, position, jax.random.key(seed), length, **options)


@pytest.mark.parametrize(
    ("length", "interval", "streams", "choice"),
    [
        (12, 4, 8, Choice()),
        (11, 4, 3, Choice(0.5, top_k=3, banned=(1,))),
        (5, 1, 3, Choice(2.0)),
        (3, 8, 2, Choice(0)),
        (0, 8, 4, Choice()),
    ],
)
def test_the_winner_has_the_length_and_the_likelihood_that_are_told(
    length, interval, streams, choice
):
    symbols, nats = selected(length, streams=streams, choice=choice, interval=interval)
    assert symbols.shape == (length,)
    assert nats == pytest.approx(rescored(symbols), rel=1e-4, abs=1e-5)
    assert not np.isin(symbols, choice.banned).any()


def test_a_population_without_comparisons_returns_the_likeliest_of_its_streams():
    position = read(NETWORK, PARAMS, PRIME, 8)
    _, nats = selected(BLOCK, interval=BLOCK)
    write_key = derive(jax.random.fold_in(jax.random.key(0), 0), "symbols")
    noise = jax.random.gumbel(write_key, (BLOCK, 8, SYMBOLS))
    take, texts = jax.jit(partial(step, NETWORK)), []
    logits, state = position.logits, position.state
    for row in noise:
        texts.append(np.asarray(logits + row).argmax(axis=1))
        logits, state = take(PARAMS, state, jnp.asarray(texts[-1]))
    assert nats == pytest.approx(max(map(rescored, np.transpose(texts))), rel=1e-4)


def test_comparisons_make_the_winner_likelier_than_independent_streams():
    length, seeds = BLOCK, range(6)
    alone = [[rescored(text) for text in blocks(seed=seed, streams=8).T] for seed in seeds]
    winners = [selected(length, seed, interval=4)[1] for seed in seeds]
    assert (np.array(winners) >= np.median(alone, axis=1)).all()
    assert np.mean(winners) > np.mean(np.max(alone, axis=1))


def test_the_same_key_gives_the_same_winner():
    (first, _), (second, _), (other, _) = (selected(12, seed, interval=4) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(temperature=-0.5), "the temperature is -0.5; it must be at least 0"),
        (Choice(temperature=float("nan")), "the temperature is nan; it must be at least 0"),
        (Choice(top_k=0), "top_k is 0; it must be at least 1"),
        (Choice(top_p=0.0), "top_p is 0.0; it must be above 0 and at most 1"),
        (Choice(top_p=1.1), "top_p is 1.1; it must be above 0 and at most 1"),
        (Choice(top_p=float("nan")), "top_p is nan; it must be above 0 and at most 1"),
        (Choice(banned=(4, 3, 2, 1, 0)), "all 5 symbols are banned; leave at least one"),
    ],
)
def test_a_choice_that_leaves_nothing_is_refused_in_one_sentence(choice, message):
    for attempt in (blocks, lambda choice: selected(4, choice=choice)):
        with pytest.raises(InputError) as refusal:
            attempt(choice)
        assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (
            lambda: read(NETWORK, PARAMS, np.zeros(0, int), 1),
            "the prime text is empty; give at least one symbol to start from",
        ),
        (
            lambda: read(NETWORK, PARAMS, np.array([0, SYMBOLS]), 1),
            f"the prime text's symbols hold {SYMBOLS}, but those of the network are 0 to "
            f"{SYMBOLS - 1}; encode them with the vocabulary that it was made for",
        ),
        (
            lambda: read(NETWORK, PARAMS, np.array([0, -1]), 1),
            "the prime text's symbols hold -1, but those of the network are 0 to "
            f"{SYMBOLS - 1}; encode them with the vocabulary that it was made for",
        ),
        (
            lambda: selected(4, streams=1),
            "a population of 1 leaves nothing to choose from; take 2 or more",
        ),
        (
            lambda: selected(4, interval=0),
            "the interval between comparisons is 0; it must be at least 1",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_sentence(attempt, message):
    with pytest.raises(InputError) as refusal:
        attempt()
    assert str(refusal.value) == message
