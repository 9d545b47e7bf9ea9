"""The benchmark of memory against the size of a text, at a tiny size."""

import json

import pytest

from tests.experiments.launching import assert_refused, launched


def test_every_size_is_encoded_and_measured(tmp_path):
    output = tmp_path / "sizes.json"
    outcome = launched("large_file", "--megabytes=1", f"--output={output}")
    assert outcome.code == 0, outcome.err
    assert "peak memory" in outcome.out
    (row,) = json.loads(output.read_text())
    assert row["megabytes"] == 1
    assert row["symbols"] == 1 + 30 + 24  # unknown, ASCII, Greek
    assert row["bytes_each"] == 1
    assert row["peak_megabytes"] >= row["floor_megabytes"] > 0


@pytest.mark.parametrize("size", ["many", "0", "-1"])
def test_a_size_that_is_no_positive_number_is_refused(size):
    assert_refused(launched("large_file", f"--megabytes={size}"), size)
