"""Files after a crash, compared with what plain Python reads of them."""

import json
import os

import pytest

from jaxrnn.storage.files import append_record, read_records, replace, to_json

RECORDS = [
    {"trial": "one", "figure": 0.5},
    {"trial": "zwö"},
    {"trial": "three", "deep": [{"a": 1}]},
]


def lines(path) -> list[dict]:
    """Every line of a file, all of which must be whole objects of strict JSON."""
    content = path.read_text(encoding="utf-8")
    assert content.endswith("\n")
    return [json.loads(line, parse_constant=pytest.fail) for line in content.splitlines()]


def test_wherever_a_crash_cut_the_last_line_the_next_record_is_kept(tmp_path):
    whole, path = tmp_path / "whole", tmp_path / "cut"
    for record in RECORDS:
        append_record(whole, record)
    content = whole.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    for end in range(start, len(content) + 1):
        path.write_bytes(content[:end])
        append_record(path, {"trial": "next"})
        kept = RECORDS if end >= len(content) - 1 else RECORDS[:-1]  # its end alone was missing
        assert read_records(path) == lines(path) == [*kept, {"trial": "next"}]


@pytest.mark.parametrize(
    "torn", [b"\xff\xfe{", b"\0" * 40, b'{"trial": "zw\xc3', b"7", b"[" * 10_000, b'"text', b"\xe9"]
)
def test_whatever_a_crash_left_last_is_left_out_and_written_over(tmp_path, torn):
    path = tmp_path / "trials"
    append_record(path, RECORDS[0])
    with path.open("ab") as file:
        file.write(torn)
    assert read_records(path) == [RECORDS[0]]
    append_record(path, RECORDS[1])
    assert lines(path) == RECORDS[:2]


@pytest.mark.parametrize("bad", [b"\xff", b"7", b"null", b"[1]", b'{"trial"', b"[" * 10_000, b""])
def test_a_line_in_the_middle_that_is_no_object_takes_no_other_with_it(tmp_path, bad):
    path = tmp_path / "trials"
    path.write_bytes(b'{"trial": "a"}\n' + bad + b'\n{"trial": "b"}\n')
    assert read_records(path) == [{"trial": "a"}, {"trial": "b"}]


def test_zeros_of_a_power_cut_do_not_hide_the_record_after_them(tmp_path):
    path = tmp_path / "trials"
    path.write_bytes(b'{"trial": "a"}\n' + bytes(50) + b'{"trial": "b"}\n')
    assert read_records(path) == [{"trial": "a"}, {"trial": "b"}]


def test_objects_without_the_fields_asked_for_are_left_out(tmp_path):
    path = tmp_path / "trials"
    for record in ({"trial": "a", "seconds": 1}, {"trial": 3, "seconds": 1}, {"seconds": 2.0}, {}):
        append_record(path, record)
    assert read_records(path, trial=str, seconds=(int, float)) == [{"trial": "a", "seconds": 1}]
    assert read_records(tmp_path / "nothing") == []


def test_a_record_is_on_the_disk_when_append_returns(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append(os.fstat(file).st_size))
    append_record(tmp_path / "trials", {"a": 1})
    assert flushed == [len('{"a": 1}\n')]


def test_a_record_is_returned_as_it_will_be_read_and_is_strict_json(tmp_path):
    path = tmp_path / "trials"
    record = {"bits": [1.5, float("inf"), float("nan")], "pair": (1, 2), "worst": -float("inf")}
    returned = append_record(path, record)
    assert returned == {"bits": [1.5, None, None], "pair": [1, 2], "worst": None}
    assert lines(path) == read_records(path) == [returned]
    assert json.loads(to_json({"a": {"b": float("nan")}}), parse_constant=pytest.fail) == {
        "a": {"b": None}
    }


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    replace(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]
