"""The figures that evaluate reports."""

import re

import pytest

from tests.experiments.launching import assert_refused, launched, result


def figures(out: str) -> dict[str, float]:
    found = re.findall(r"^  (\S.*?) +(\d+\.\d+) bits per character", out, flags=re.MULTILINE)
    return {name: float(bits) for name, bits in found}


def test_the_figures_of_a_runs_own_text_are_those_of_its_result(finished):
    outcome = launched("evaluate", f"--workdir={finished[0]}")
    assert (outcome.code, outcome.err) == (0, "")
    found, told = figures(outcome.out), result(finished[0])
    assert found.keys() == {"training", "validation", "test"}
    assert found["validation"] == pytest.approx(told["valid_bits_per_character"], abs=1e-4)
    assert found["test"] == pytest.approx(told["test_bits_per_character"], abs=1e-4)
    assert "0.00% unknown" in outcome.out


def test_another_text_is_read_as_a_whole(finished, corpus, tmp_path):
    text = corpus.read_text()
    path = tmp_path / "other.txt"
    path.write_text(text[round(0.9 * len(text)) : round(0.95 * len(text))])
    outcome = launched("evaluate", f"--workdir={finished[0]}", f"--corpus={path}")
    assert outcome.code == 0, outcome.err
    told = result(finished[0])["valid_bits_per_character"]
    assert figures(outcome.out) == {"the whole text": pytest.approx(told, abs=1e-4)}
    exported = tmp_path / "exported"
    assert launched("sample", f"--workdir={finished[0]}", f"--export={exported}").code == 0
    again = launched("evaluate", f"--workdir={exported}", f"--corpus={path}")
    assert figures(again.out) == figures(outcome.out)
    assert_refused(launched("evaluate", f"--workdir={exported}"), "--corpus", str(exported))


def test_unknown_characters_are_reported(finished, tmp_path):
    (tmp_path / "other.txt").write_text("the ZZ sun\n" * 10)
    outcome = launched("evaluate", f"--workdir={finished[0]}", f"--corpus={tmp_path / 'other.txt'}")
    assert f"(110 characters, {2 / 11:.2%} unknown to the model)" in outcome.out


def test_a_corpus_that_has_changed_since_is_refused(run, corpus):
    text = corpus.read_text()
    try:
        corpus.write_text(text + "the moon\n")
        outcome = launched("evaluate", f"--workdir={run}")
    finally:
        corpus.write_text(text)
    assert_refused(outcome, str(corpus), "has changed")


def test_what_cannot_be_evaluated_is_refused(finished, tmp_path):
    (tmp_path / "one.txt").write_text("a")
    flag = f"--workdir={finished[0]}"
    assert_refused(launched("evaluate", flag, f"--corpus={tmp_path / 'one.txt'}"), "2 symbols")
    assert_refused(launched("evaluate", flag, "--corpus=nowhere.txt"), "nowhere.txt")
    assert_refused(launched("evaluate", f"--workdir={tmp_path}"), str(tmp_path))
