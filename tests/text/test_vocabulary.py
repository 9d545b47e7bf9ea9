import json
from collections import Counter

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
    assert vocabulary.text(tokens) == shown
    unknown = [character for character in text if character not in known]
    assert list(vocabulary.unknown_in(text).items()) == list(Counter(unknown).items())
    assert vocabulary.without_unknown(text) == "".join(c for c in text if c in known)


@given(known=st.binary(max_size=40), text=st.binary(max_size=40))
def test_encoding_bytes_is_looking_them_up_one_by_one(known, text):
    vocabulary = of(known)
    numbers = {symbol: number for number, symbol in enumerate(sorted(set(known)), start=1)}
    assert vocabulary.encode(text).tolist() == [numbers.get(byte, UNKNOWN) for byte in text]
    left = bytes(byte for byte in text if byte in known)
    assert vocabulary.without_unknown(text) == left
    assert vocabulary.text(vocabulary.encode(left)) == left
    assert vocabulary.decode(vocabulary.encode(left)) == left.decode(errors="replace")
    assert sum(vocabulary.unknown_in(text).values()) == len(text) - len(left)


def test_text_is_taken_in_utf_8_at_byte_level():
    vocabulary = of(bytes(range(256)))
    assert vocabulary.normalise("é\udcff\r\n") == b"\xc3\xa9\xff\r\n"
    with pytest.raises(InputError, match="was given bytes"):
        of("é").normalise(b"\xe9")


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
        ({}, "The \n\n\n\t quick\u2003Fox "),
        ({"lowercase": True}, "the \n\n\n\t quick\u2003fox "),
        ({"collapse_whitespace": True}, "The quick Fox "),
        ({"lowercase": True, "collapse_whitespace": True}, "the quick fox "),
    ],
)
def test_normalising_does_what_the_options_say(options, normalised):
    given = "\ufeffThe \r\n\r\n\r\t quick\u2003Fox "
    assert Vocabulary("", **options).normalise(given) == normalised


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
