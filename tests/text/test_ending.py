"""Where texts end, against a search through the whole text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.core.errors import InputError
from jaxrnn.text import Vocabulary
from jaxrnn.text.ending import Cut, Ending
from tests.networks import examples

AB = Vocabulary("\nab")
letters = st.sampled_from("ab\n")


def expected(text: str, ending: Ending) -> str:
    """As soon as a symbol makes an ending true, the text ends."""
    for end in range(len(text) + 1):
        written = text[:end]
        stopped = [written.removesuffix(stop) for stop in ending.stop if written.endswith(stop)]
        if stopped:
            return min(stopped, key=len)
        if end == ending.length or written.count("\n") == ending.lines:
            return written
    return text


@given(
    text=st.text(letters, max_size=30),
    ending=st.builds(
        Ending,
        length=st.none() | st.integers(0, 30),
        stop=st.lists(st.text(letters, min_size=1, max_size=4), max_size=3).map(tuple),
        lines=st.none() | st.integers(1, 4),
    ),
    cuts=st.lists(st.integers(0, 30), max_size=6),
    as_bytes=st.booleans(),
)
@examples(200)
def test_a_text_ends_at_the_first_ending_however_it_comes_in_pieces(text, ending, cuts, as_bytes):
    right, longest = expected(text, ending), max(map(len, ending.stop), default=1)
    given = ""
    if as_bytes:
        ending = ending._replace(stop=tuple(stop.encode() for stop in ending.stop))
    cut = Cut(ending)
    for start, end in pairwise([0, *sorted(cuts), len(text)]):
        if not cut.ended:
            piece = cut.add(text[start:end].encode() if as_bytes else text[start:end])
            given += piece if isinstance(piece, str) else piece.decode()
    assert given == (right if cut.ended else text[: max(0, len(text) - longest + 1)])
    assert cut.ended or right == text


def test_stop_texts_are_normalised_as_what_the_model_reads():
    vocabulary = Vocabulary(" ab", lowercase=True, collapse_whitespace=True)
    assert Ending(stop=("A\r\nB",)).checked(vocabulary).stop == ("a b",)
    assert Ending(stop=("é",)).checked(Vocabulary(bytes(range(256)))).stop == (b"\xc3\xa9",)


@pytest.mark.parametrize(
    ("ending", "vocabulary", "message"),
    [
        (Ending(length=-1), AB, "the length is -1"),
        (Ending(lines=0), AB, "the number of lines is 0"),
        (Ending(lines=1), Vocabulary("ab"), "no line end among the symbols"),
        (Ending(lines=1), Vocabulary(" ab", collapse_whitespace=True), "line ends as spaces"),
        (Ending(stop=("a", "")), AB, "a stop text is empty"),
        (Ending(stop=("aXb",)), AB, "the model never writes 'X', so that the stop text 'aXb'"),
    ],
)
def test_an_ending_that_never_comes_is_refused(ending, vocabulary, message):
    with pytest.raises(InputError, match=message):
        ending.checked(vocabulary)
