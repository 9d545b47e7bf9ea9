import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.text.reading.blocks import lines, regroup

TEXTS = ["", "\n", "a", "a\n", "\na\n\n", "one\x0b\x0c\x85\u2028two\n\nthree\r", "a\nb"]


@given(pieces=st.lists(st.text(max_size=5)), block=st.integers(1, 12))
def test_regrouping_keeps_the_text_and_fills_every_block_but_the_last(pieces, block):
    blocks = list(regroup(pieces, block))
    assert "".join(blocks) == "".join(pieces)
    assert all(len(text) >= block for text in blocks[:-1])


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_lines_are_those_of_a_file_however_it_is_cut_into_blocks(text, size):
    expected = [line.removesuffix("\n") for line in io.StringIO(text, newline="\n")]
    assert list(lines([text[i : i + size] for i in range(0, len(text), size)], "\n")) == expected
    data = text.encode()
    found = list(lines([data[i : i + size] for i in range(0, len(data), size)], b"\n"))
    assert found == [line.encode() for line in expected]
