import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.core.errors import InputError
from jaxrnn.text.vocabulary import UNKNOWN, Vocabulary, lower

characters = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def of(text: str | bytes, **options) -> Vocabulary:
    symbols = sorted(set(text))
    return Vocabulary("".join(symbols) if isinstance(text, str) else bytes(symbols), **options)


@given(known=characters, text=characters)
def test_encoding_characters_is_looking_them_up_one_by_one(known, text):
    vocabulary = of(known)
    numbers = {symbol: number for number, symbol in enumerate(sorted(set(known)), start=1)}
    tokens = vocabulary.encode(text)
    assert tokens.tolist() == [numbers.get(character, UNKNOWN) for character in text]
    assert tokens.dtype == vocabulary.dtype
    shown = "".join(character if character in numbers else "\ufffd" for character in text)
    assert vocabulary.decode(tokens) == shown
    assert vocabulary.unknown_in(text) == "".join(dict.fromkeys(c for c in text if c not in known))


@given(known=st.binary(max_size=40), text=st.binary(max_size=40))
def test_encoding_bytes_is_looking_them_up_one_by_one(known, text):
    vocabulary = of(known)
    numbers = {symbol: number for number, symbol in enumerate(sorted(set(known)), start=1)}
    assert vocabulary.encode(text).tolist() == [numbers.get(byte, UNKNOWN) for byte in text]


@given(characters)
def test_what_is_encoded_in_bytes_decodes_to_itself_in_pieces_of_any_size(text):
    vocabulary = of(text.encode())
    tokens = vocabulary.encode(text)
    assert vocabulary.decode(tokens) == text
    decode = vocabulary.incremental_decoder()
    pieces = [decode(tokens[i : i + 1], False) for i in range(len(tokens))]
    assert "".join(pieces) + decode(tokens[:0], True) == text
    assert all(len(piece) <= 1 and piece != "\ufffd" for piece in pieces) or "\ufffd" in text


def test_a_character_cut_off_at_the_end_of_a_stream_of_bytes_shows_as_unknown():
    vocabulary = of("é".encode())
    tokens = vocabulary.encode("é")[:1]
    assert vocabulary.decode(tokens) == "\ufffd"
    assert vocabulary.incremental_decoder()(tokens, False) == ""


def test_characters_are_known_at_byte_level_if_all_their_bytes_are():
    assert of("aé".encode()).unknown_in("aèéb") == "èb"


@pytest.mark.parametrize(
    ("symbols", "dtype"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, "u4")]
)
def test_the_integer_type_is_the_smallest_that_holds_every_number(symbols, dtype):
    # From U+E000 on, past the surrogates.
    vocabulary = Vocabulary("".join(map(chr, range(0xE000, 0xE000 + symbols))))
    assert vocabulary.size == symbols + 1
    assert vocabulary.dtype == dtype
    assert vocabulary.encode(vocabulary.symbols).tolist() == list(range(1, symbols + 1))


def test_all_256_bytes_and_the_unknown_symbol_fit():
    vocabulary = Vocabulary(bytes(range(256)))
    assert vocabulary.encode(bytes(range(256))).tolist() == list(range(1, 257))


def test_an_empty_vocabulary_knows_nothing():
    assert Vocabulary("").encode("ab").tolist() == [0, 0]
    assert Vocabulary(b"").encode("ab").tolist() == [0, 0]


def test_vocabularies_with_the_same_symbols_and_options_are_equal_and_hash_alike():
    one, other = of("abc"), of("cba")
    one.encode("abc")  # tables are made on demand and do not take part
    assert one == other
    assert hash(one) == hash(other)
    assert one != of("abc", lowercase=True)


@pytest.mark.parametrize(
    ("options", "normalised"),
    [
        ({}, "The \r\n\t quick\u2003Fox "),
        ({"lowercase": True}, "the \r\n\t quick\u2003fox "),
        ({"collapse_whitespace": True}, "The quick Fox "),
        ({"lowercase": True, "collapse_whitespace": True}, "the quick fox "),
    ],
)
def test_normalising_does_what_the_options_say(options, normalised):
    assert Vocabulary("", **options).normalise("The \r\n\t quick\u2003Fox ") == normalised


@given(st.text(st.sampled_from("aA \u03a3\u0130\U00010400")))
def test_lower_case_of_parts_is_the_part_of_lower_case(text):
    assert lower(text) == "".join(lower(character) for character in text)
    if "\u03a3" not in text:
        assert lower(text) == text.lower()


@pytest.mark.parametrize(
    "vocabulary",
    [of("aé\n\U0001f600", lowercase=True), of(b"\x00\xff"), of("x", collapse_whitespace=True)],
)
def test_json_gives_the_same_vocabulary_back(vocabulary):
    assert Vocabulary.from_dict(json.loads(json.dumps(vocabulary.to_dict()))) == vocabulary


@pytest.mark.parametrize(
    "change",
    [
        {"level": "word"},
        {"level": "byte"},
        {"level": "byte", "symbols": 3},
        {"level": "byte", "symbols": [300]},
        {"level": "byte", "symbols": ["a"]},
        {"symbols": [97, 98]},
        {"symbols": "ba"},
        {"symbols": "aa"},
        {"symbols": None},
        {"lowercase": "yes"},
    ],
)
def test_json_that_is_no_vocabulary_is_refused(change):
    with pytest.raises(InputError, match="vocabulary"):
        Vocabulary.from_dict({**of("ab").to_dict(), **change})


@pytest.mark.parametrize("data", [None, [], "ab", {}, {"level": "character"}])
def test_json_of_another_shape_is_refused(data):
    with pytest.raises(InputError, match="not a jaxrnn vocabulary"):
        Vocabulary.from_dict(data)


def test_bytes_cannot_be_normalised():
    with pytest.raises(InputError, match="level is byte"):
        Vocabulary(b"ab", lowercase=True)
