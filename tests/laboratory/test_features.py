"""Features of a play against what a person marks, and the passage that shows them."""

import numpy as np
import pytest

from experiments.laboratory import features

LINES = ("ROMEO:\n", "Ah, it's me!\n", "\n", "[Exit]\n", "\n", "First Man:\n", "Oh")


@pytest.mark.parametrize(
    ("feature", "marks"),
    [
        (features.in_name, "1111110 0000000000000 0 0000000 0 11111111110 00"),
        (features.in_direction, "0000000 0000000000000 0 1111100 0 00000000000 00"),
        (features.upper_case, "1111100 1000000000000 0 0100000 0 10000010000 10"),
        (features.line_position, "0123450 123456789abc0 0 1234560 0 123456789a0 12"),
        (features.word_position, "0123400 1200123401200 0 0123400 0 12345012300 12"),
    ],
)
def test_features_are_what_a_person_marks(feature, marks):
    assert [len(line) for line in LINES] == [len(mark) for mark in marks.split()]
    expected = [int(mark, 16) for mark in marks.replace(" ", "")]
    np.testing.assert_array_equal(feature("".join(LINES)), expected)


def test_a_speech_is_as_long_as_what_follows_the_speakers_name():
    text = "A:\nBut soft:\nwho\n\nB:\nI"  # a colon inside a speech begins no other
    counts = np.expm1(features.speech_length(text))
    np.testing.assert_allclose(counts, [0, 0, *range(1, 17), 17, 0, 1, 2], atol=1e-9)


def test_a_passage_begins_at_a_paragraph_and_shows_every_feature():
    text = "plain words\n\n" * 3 + "A:\n[Exit]\n\n" + "plain words\n\n" * 9
    marks = [feature(text) for feature in (features.in_name, features.in_direction)]
    start = features.passage(text, marks, length=60, first=20)
    assert text[:start].endswith("\n\n")
    assert "A:\n[Exit]" in text[start : start + 20]
