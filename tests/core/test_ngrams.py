"""N-grams against windows of plain Python, and networks that hear them against explicit inputs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jaxrnn import (
    Connection,
    Dropout,
    InputError,
    Network,
    NGram,
    Options,
    init,
    initial_state,
    step,
    unroll,
    unroll_layers,
)
from jaxrnn.core.engine.delays import ages_since
from jaxrnn.core.engine.ngrams import NO_SYMBOL, ngram_symbols
from tests.networks import made
from tests.reference import assert_close

SYMBOLS, TIME, BATCH = 5, 9, 3
LENGTHS = {"1-grams": 1, "2-grams": 2, "4-grams": 4}
SIZES = {"1-grams": 7, "2-grams": 36, "4-grams": 50}  # the last one has fewer than 6 ** 4
NGRAMS = [NGram(name, length, SIZES[name]) for name, length in LENGTHS.items()]
LAYERS = [("h", 4, "gru"), ("output", SYMBOLS, "linear")]
WITHIN = [("input", "h"), ("h", "h", 1), ("h", "output"), ("1-grams", "output"),
          ("2-grams", "h"), ("4-grams", "h")]  # fmt: skip
NETWORK = Network(SYMBOLS, LAYERS, WITHIN, ngrams=NGRAMS)
EXPLICIT = Network({"input": SYMBOLS} | SIZES, LAYERS, WITHIN)
OUTPUT = [("output", 2, "linear")]
NONE = -1  # in windows: nothing was read yet


def windows(symbols, length, resets=None, before=None):
    """The last symbols at each step, the earliest first; `before` are those before the chunk."""
    found = np.empty((*symbols.shape, length), int)
    for lane in range(symbols.shape[1]):
        window = [NONE] * length if before is None else list(before[-length:, lane])
        for t, symbol in enumerate(symbols[:, lane]):
            if resets is not None and resets[t, lane]:
                window = [NONE] * length
            window = [*window, symbol][-length:]
            found[t, lane] = window
    return found


def mixed(word):
    word = (word ^ (word >> 16)) * 0x85EBCA6B % 2**32
    word = (word ^ (word >> 13)) * 0xC2B2AE35 % 2**32
    return word ^ (word >> 16)


def symbol_of(window, size):
    """In Python's integers: the number in a radix, or the hash."""
    digits = [int(symbol) + 1 for symbol in window]
    radix = max(r for r in range(1, size + 1) if r ** len(digits) <= size)
    if max(digits) < radix:
        return sum(digit * radix**i for i, digit in enumerate(digits[::-1]))
    word = 0
    for digit in digits:
        word = mixed(word ^ digit)
    return word % size


def expected_symbols(symbols, resets=None):
    return {
        x.name: np.apply_along_axis(
            symbol_of, -1, windows(symbols, x.length, resets), size=x.size
        )
        for x in NGRAMS
    }  # fmt: skip


@pytest.fixture
def chunk():
    rng = np.random.default_rng(0)
    symbols = rng.integers(SYMBOLS, size=(TIME, BATCH)).astype(np.int32)
    return symbols, rng.random((TIME, BATCH)) < 0.2


def symbols_in(network, symbols, state=None, resets=None):
    """Of each n-gram."""
    state = initial_state(network, symbols.shape[1]) if state is None else state

    def find(symbols, state, resets):
        return ngram_symbols(network, {"input": symbols}, state, ages_since(resets))

    return jax.jit(find)(jnp.asarray(symbols), state, resets)


def run(network, params, state, inputs, **given):
    return jax.jit(partial(unroll, network))(params, state, inputs, **given)


def test_ngrams_are_those_of_the_text_whose_pieces_are_cut_and_reset_anywhere(chunk):
    symbols, resets = chunk
    expected = expected_symbols(symbols, resets)
    for cut in (1, 4):
        (params, state), found = made(NETWORK, BATCH), []
        for piece in np.s_[:cut], np.s_[cut:]:
            found.append(symbols_in(NETWORK, symbols[piece], state, resets[piece]))
            _, state = run(NETWORK, params, state, symbols[piece], resets=resets[piece])
        for name, whole in expected.items():
            np.testing.assert_array_equal(np.concatenate([x[name] for x in found]), whole)


def test_features_that_are_one_hot_vectors_make_the_n_grams_of_their_symbols(chunk):
    symbols, _ = chunk
    vectors = np.eye(SYMBOLS, dtype=np.float32)[symbols]
    of_both = [symbols_in(NETWORK, x) for x in (symbols, vectors)]
    assert all(np.array_equal(of_both[0][name], of_both[1][name]) for name in LENGTHS)
    nothing = symbols_in(NETWORK, 0 * vectors)
    assert not any(np.any(x) for x in nothing.values())


@pytest.mark.parametrize(("symbols", "length", "size"), [(3, 3, 64), (1, 5, 32), (9, 2, 100)])
def test_no_two_n_grams_share_a_symbol_where_there_are_enough(symbols, length, size):
    every = np.stack(np.meshgrid(*[np.arange(symbols)] * length), -1).reshape(-1, length)
    network = Network(symbols, [("output", 1, "linear")], [("n", "output")],
                      ngrams=[("n", length, size)])  # fmt: skip
    found = symbols_in(network, every.T)["n"]
    begun = [len({tuple(w) for w in every[:, : t + 1]}) for t in range(length)]
    assert [len(np.unique(row)) for row in found] == begun
    assert len(np.unique(found)) == sum(begun)  # of those that begin with nothing too
    assert 0 <= found.min() <= found.max() < size


@pytest.mark.parametrize("size", [2**12, 5000])
def test_the_hash_spreads_n_grams_as_chance_would(size):
    time = 3 * size
    text = np.random.default_rng(0).integers(2000, size=(time, 1))
    network = Network(2000, [("output", 1, "linear")], [("n", "output")], ngrams=[("n", 3, size)])
    found = symbols_in(network, text)
    occupied = len(np.unique(found["n"]))
    chance = size * (1 - (1 - 1 / size) ** time)
    assert abs(occupied - chance) < 4 * np.sqrt(size) / 4


def test_n_grams_know_symbols_by_their_codes(chunk):
    symbols, _ = chunk
    codes = (4, 0, 7, 1, 2)
    known = Network(SYMBOLS, LAYERS, WITHIN, ngrams=[(*_fields(x), "input", codes) for x in NGRAMS])
    larger = Network(8, LAYERS, WITHIN, ngrams=NGRAMS)
    found, expected = symbols_in(known, symbols), symbols_in(larger, np.array(codes)[symbols])
    assert all(np.array_equal(found[name], expected[name]) for name in LENGTHS)
    assert Network.from_json(known.to_json()) == known != NETWORK


def _fields(ngram):
    return ngram.name, ngram.length, ngram.size


@pytest.mark.parametrize(
    "options",
    [Options(), Options(plain_autodiff=True), Options(stepwise=True), Options(segment=2),
     Options("bfloat16")],
    ids=["as it comes", "plain autodiff", "stepwise", "in segments", "half precision"],
)  # fmt: skip
def test_a_network_with_n_grams_is_one_that_is_given_them_as_inputs(chunk, options):
    symbols, resets = chunk
    params, _ = made(NETWORK)
    explicit = {"input": symbols} | expected_symbols(symbols, resets)

    def loss(network, params, inputs):
        state = initial_state(network, BATCH)
        outputs, after = unroll(network, params, state, inputs, resets=resets, options=options)
        return jnp.sum(outputs**2), (outputs, after["h"])

    found, expected = (
        jax.jit(jax.value_and_grad(partial(loss, network), has_aux=True))(params, inputs)
        for network, inputs in ((NETWORK, symbols), (EXPLICIT, explicit))
    )
    assert_close(found, expected, 1e-5)


def test_stepping_one_symbol_at_a_time_is_the_chunk(chunk):
    symbols, resets = chunk
    params, state = made(NETWORK, BATCH)
    whole, end = run(NETWORK, params, state, symbols, resets=resets)
    take = jax.jit(partial(step, NETWORK))
    for t in range(TIME):
        output, state = take(params, state, symbols[t], resets=resets[t])
        assert_close(output, whole[t], 1e-5)
    assert_close(state, end, 1e-5)


def test_of_lanes_that_end_early_the_n_grams_go_on_after_their_ends(chunk):
    symbols, _ = chunk
    lengths, (params, _) = np.array([TIME, 1, 0]), made(NETWORK)
    outputs, state = run(NETWORK, params, initial_state(NETWORK, BATCH), symbols, lengths=lengths)
    more, _ = run(NETWORK, params, state, symbols)
    for lane, length in enumerate(lengths):
        joined = np.concatenate([symbols[:length, lane], symbols[:, lane]])[:, None]
        alone, _ = run(NETWORK, params, initial_state(NETWORK, 1), joined)
        both = np.concatenate([outputs[:length, lane], more[:, lane]])
        assert_close(both, alone[:, 0], 1e-5)


def test_a_reset_returns_to_the_past_of_the_state_that_is_given(chunk):
    symbols, _ = chunk
    params, start = made(NETWORK, 1)
    _, returned = run(NETWORK, params, start, symbols[:4, :1])
    resets = np.zeros((TIME, BATCH), bool)
    resets[3] = True
    found, _ = run(
        NETWORK, params, initial_state(NETWORK, BATCH), symbols, resets=resets, reset_state=returned
    )
    for lane in range(BATCH):
        expected, _ = run(NETWORK, params, returned, symbols[3:, lane : lane + 1])
        assert_close(found[3:, lane], expected[:, 0], 1e-5)


def test_what_is_no_symbol_makes_its_lane_nan_until_a_reset_and_the_last_that_holds_it():
    symbols = jnp.array([[1, 1], [2, 2], [-1, SYMBOLS], [3, 3], [0, 0], [1, 1], [2, 2]])
    network = Network(SYMBOLS, [("output", 2, "linear")], [("n", "output")], ngrams=[("n", 3, 99)])
    found = symbols_in(network, symbols)["n"]
    wrong = np.array([0, 0, 1, 1, 1, 0, 0], bool)[:, None] & np.ones(2, bool)
    np.testing.assert_array_equal(found == NO_SYMBOL, wrong)
    (params, state), outputs = made(network), []
    for piece in np.s_[:3], np.s_[3:]:
        output, state = run(network, params, state, symbols[piece])
        outputs.append(output)
    np.testing.assert_array_equal(np.isnan(np.concatenate(outputs)[..., 0]), wrong)


@pytest.mark.parametrize("locked", [False, True])
def test_dropout_drops_rows_of_n_grams_whole(chunk, locked):
    symbols, _ = chunk
    network = Network(SYMBOLS, [("output", 3, "linear", False)], [("2-grams", "output")],
                      ngrams=[("2-grams", 2, 36)])  # fmt: skip
    params = {"output": {"2-grams@0": jnp.ones((36, 3))}}
    text = np.tile(symbols, (20, 1))
    found, _ = unroll(
        network, params, initial_state(network, BATCH), text, dropout=Dropout(0.5, locked=locked),
        dropout_key=jax.random.key(0),
    )  # fmt: skip
    found = np.asarray(found)
    assert np.array_equal(np.ptp(found, axis=-1), np.zeros(text.shape))
    assert set(np.unique(found)) == {0, 2}
    heard = {}
    for t in range(TIME, len(text)):
        for lane in range(BATCH):
            heard.setdefault((*text[t - 1 : t + 1, lane], lane), set()).add(
                float(found[t, lane, 0])
            )
    assert all(len(x) == 1 for x in heard.values()) == locked


def test_backward_layers_hear_the_n_grams_of_the_text_as_it_is_read(chunk):
    symbols, _ = chunk
    layers = [("back", 3, "gru", True, True), ("output", 2, "linear")]
    edges = [("n", "back"), ("back", "back", 1), ("back", "output")]
    network = Network(SYMBOLS, layers, edges, ngrams=[("n", 2, 36)])
    explicit = Network({"n": 36}, layers, edges)
    params, _ = made(network)
    given = {"n": expected_symbols(symbols)["2-grams"]}
    found, expected = (
        jax.jit(partial(unroll_layers, each))(
            params, initial_state(each, BATCH), inputs, lengths=np.array([4, TIME, 2])
        )
        for each, inputs in ((network, symbols), (explicit, given))
    )
    assert_close(found.outputs, expected.outputs, 1e-5)


def test_a_network_with_n_grams_can_be_exported_for_chunks_of_any_length(chunk):
    symbols, _ = chunk
    params, state = made(NETWORK, BATCH)
    time, *_ = export.symbolic_shape("time")
    run_any = partial(unroll, NETWORK)
    shape = jax.ShapeDtypeStruct((time, BATCH), jnp.int32)
    program = export.export(jax.jit(run_any))(params, state, shape)
    restored = export.deserialize(program.serialize())
    for length in (1, TIME):
        given = params, state, jnp.asarray(symbols[:length])
        assert_close(restored.call(*given), run(NETWORK, *given), 1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint32"])
def test_n_grams_are_the_same_whatever_the_symbols_type_and_with_64_bits(chunk, dtype):
    symbols, _ = chunk
    with jax.enable_x64(True):
        state = initial_state(NETWORK, BATCH, jnp.float64)
        with jax.numpy_dtype_promotion("strict"):
            found = symbols_in(NETWORK, symbols.astype(dtype), state)
    for name, expected in expected_symbols(symbols).items():
        assert found[name].dtype == jnp.int32
        np.testing.assert_array_equal(found[name], expected)


def test_rows_of_n_grams_are_drawn_small_however_many_there_are():
    for size in (64, 40_000):
        network = Network(3, [("output", 16, "gru")], [("n", "output")], ngrams=[("n", 2, size)])
        matrix = init(network, jax.random.key(0), initializer="orthogonal")["output"]["n@0"]
        assert matrix.shape == (size, 48)
        assert np.std(matrix) == pytest.approx(0.05, rel=0.05)
        chosen = init(network, jax.random.key(0), initializers={("n", "output"): "gaussian"})
        assert np.std(chosen["output"]["n@0"]) == pytest.approx(size**-0.5, rel=0.05)


def test_networks_with_n_grams_say_so_and_those_without_are_written_as_before():
    assert Network.from_json(NETWORK.to_json()) == NETWORK
    assert hash(Network.from_json(NETWORK.to_json())) == hash(NETWORK)
    assert Network(SYMBOLS, LAYERS, WITHIN[:3]).to_dict().keys() == {
        "input", "layers", "connections"
    }  # fmt: skip
    assert NETWORK.to_dict()["ngrams"][1] == {"name": "2-grams", "length": 2, "size": 36}
    line = next(row for row in str(NETWORK).splitlines() if row.startswith("4-grams"))
    assert line.split() == ["4-grams", "50", "last", "4", "input"]
    edges = [("input", "output"), ("n", "output")]
    several = Network({"input": 2, "by": 3}, OUTPUT, edges, ngrams=[("n", 2, 9, "by")])
    assert several.to_dict()["ngrams"] == [{"name": "n", "length": 2, "size": 9, "source": "by"}]
    assert Network.from_dict(several.to_dict()) == several
    assert several.memory("by") == 1
    assert several.memory("input") == several.memory("n") == 0


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("ngrams", "connections", "message"),
    [
        ([("n", 2, 9, "output")], [("n", "output")], r"n-gram 'n' is made of 'output'; .* input"),
        ([("n", 0, 9)], [("n", "output")], r"n-gram 'n' has length 0 and size 9; .* at least 1"),
        ([("n", 2, 0)], [("n", "output")], r"n-gram 'n' has length 2 and size 0"),
        ([("n", 2, 2**31)], [("n", "output")], r"size 2147483648; .* at most 2147483647"),
        ([("n", 2.5, 9)], [("n", "output")], r"the length of n-gram 'n' is 2.5; .* whole number"),
        ([("n", 2)], [("n", "output")], r"\('n', 2\) is no n-gram; give NGram"),
        ([("a@b", 2, 9)], [("a@b", "output")], r"'a@b' cannot name an n-gram"),
        ([("input", 2, 9)], [("input", "output")], r"n-gram 'input' shares its name"),
        ([("output", 2, 9)], [("input", "output")], r"n-gram 'output' shares its name"),
        ([("n", 2, 9), ("n", 3, 9)], [("n", "output")], r"n-gram 'n' shares its name"),
        ([("n", 2, 9)], [("input", "output")], r"no layer hears the n-gram 'n'"),
        ([("n", 2, 9)], [("n", "output"), ("output", "n", 1)],
         r"output -> n \(delay 1\) leads into an n-gram"),
        ([("n", 2, 9)], [("n", "output", 2)], r"n -> output \(delay 2\) .* its delay 0"),
        ([("n", 2, 2)], [("n", "output", 0, "identity")], r"n -> output \(identity\) .* it full"),
        ([("n", 2, 9, "input", [0, 1])], [("n", "output")], r"'n' has 2 codes, .* 3 symbols"),
        ([("n", 2, 9, "input", [0, 1, 1])], [("n", "output")], r"3 codes, 2 of them different"),
        ([("n", 2, 9, "input", [0, 1, -1])], [("n", "output")], r"codes from -1 to 1; .* least 0"),
        ("n", [("input", "output")], r"n-grams are 'n'; give a list of them"),
    ],
)  # fmt: skip
def test_what_is_no_n_gram_of_the_network_is_refused_in_one_sentence(ngrams, connections, message):
    with pytest.raises(InputError, match=message) as refusal:
        Network(3, OUTPUT, connections, ngrams=ngrams)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("ngram", "message"),
    [
        ({"name": "n", "length": 2}, r"lacks 'size'; .* of 'ngrams' each 'name', 'length'"),
        (
            {"name": "n", "length": 2, "size": 9, "rows": 1},
            r"unknown 'rows'; expected name",
        ),
        ({"name": "n", "length": "2", "size": 9}, r"'2' where a whole number is expected"),
        ({"name": "n", "length": 2, "size": 9, "codes": 3}, r"cannot be read"),
    ],
)
def test_json_that_says_no_n_gram_is_refused_in_one_sentence(ngram, message):
    record = Network(3, OUTPUT, [("input", "output")]).to_dict() | {"ngrams": [ngram]}
    with pytest.raises(InputError, match=message):
        Network.from_dict(record)


def test_a_delayed_connection_beside_n_grams_still_hears_its_source(chunk):
    symbols, resets = chunk
    edges = [("input", "output", 3), ("n", "output")]
    network = Network(SYMBOLS, OUTPUT, edges, ngrams=[("n", 2, 36)])
    explicit = Network({"input": SYMBOLS, "n": 36}, OUTPUT, [Connection(*edge) for edge in edges])
    params, _ = made(network)
    given = {"input": symbols, "n": expected_symbols(symbols, resets)["2-grams"]}
    found, _ = run(network, params, initial_state(network, BATCH), symbols, resets=resets)
    expected, _ = run(explicit, params, initial_state(explicit, BATCH), given, resets=resets)
    assert_close(found, expected, 1e-5)
