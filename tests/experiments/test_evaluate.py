"""The figures that evaluate reports."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxrnn.command_line.score_table import shortened
from jaxrnn.text.language_model import load_language_model
from tests.experiments.launching import assert_refused, launched, read, result

HOSTILE = "the \x1b]0;title\x07 sun\t日本\n\nZ"


def evaluated(*flags: object) -> list[dict[str, Any]]:
    """What is printed as JSON, one object a line, and nothing else."""
    outcome = launched("evaluate", *flags, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    return [read(line) for line in outcome.out.splitlines()]


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model"
    assert launched("sample", f"--workdir={finished[0]}", f"--export={path}").code == 0
    return path


def test_the_figures_of_a_runs_own_text_are_those_of_its_result_wherever_it_lies(
    finished, corpus, tmp_path
):
    elsewhere = tmp_path / "moved.txt"
    elsewhere.write_bytes(corpus.read_bytes())
    told = result(finished[0])
    for flags in ([], [f"--corpus={elsewhere}"]):
        parts = {part["part"]: part for part in evaluated(f"--workdir={finished[0]}", *flags)}
        assert parts.keys() == {"training", "validation", "test"}
        for part, name in (("validation", "valid"), ("test", "test")):
            bits = told[f"{name}_bits_per_character"]
            assert parts[part]["bits_per_character"] == pytest.approx(bits, abs=1e-4)
            assert parts[part]["unknown"] == 0
        characters = sum(part["characters"] for part in parts.values())
        assert characters == len(corpus.read_text()) - 3  # the first of each


def test_every_line_is_scored_on_its_own_and_the_table_says_the_same(finished, tmp_path):
    lines = ["the sun", "", "the hills and moon", "a"]
    for text, name in (
        ("\n".join(lines), "unended"),
        ("\ufeff" + "\r\n".join([*lines, ""]), "crlf"),
    ):
        path = tmp_path / f"{name}.txt"
        path.write_bytes(text.encode())
        flags = f"--workdir={finished[0]}", "--by=line", f"--corpus={path}"
        *found, total = evaluated(*flags)
        assert [line["text"] for line in found] == lines
        assert [line["line"] for line in found] == [1, 2, 3, 4]
        for line in found:
            alone = f"--text={line['text']}\n"
            (whole,) = evaluated(f"--workdir={finished[0]}", alone)
            assert line["log2_probability"] == pytest.approx(whole["log2_probability"], rel=1e-5)
            assert line["characters"] == len(line["text"]) + 1  # and its end
            bits = line["bits_per_character"]
            assert bits == pytest.approx(-line["log2_probability"] / line["characters"])
            assert line["perplexity"] == pytest.approx(2**bits)
    rows = launched("evaluate", *flags).out.splitlines()[2:]
    assert [row.split()[:2] for row in rows] == [
        ["1", "8"], ["2", "1"], ["3", "19"], ["4", "2"], ["all", "30"],
    ]  # fmt: skip
    assert (total["part"], total["characters"]) == ("all", 30)
    log2 = sum(line["log2_probability"] for line in found)
    assert total["log2_probability"] == pytest.approx(log2)
    assert total["perplexity"] == pytest.approx(2 ** (-log2 / 30))
    assert float(rows[-1].split()[2]) == pytest.approx(log2, abs=0.01)


def test_the_lines_of_a_runs_own_text_are_scored_where_no_other_is_given(finished, corpus):
    *found, _ = evaluated(f"--workdir={finished[0]}", "--by=line")
    assert [line["text"] for line in found] == corpus.read_text().splitlines()


def test_a_text_is_scored_from_its_first_character_to_its_last(finished, tmp_path, exported):
    text = "the sun\nand moon"
    (tmp_path / "text.txt").write_text(text)
    (scores,) = load_language_model(finished[0]).scores([text])
    expected = scores.log_probabilities.sum() / math.log(2)
    for workdir in (finished[0], exported):
        for given in (f"--text={text}", f"--corpus={tmp_path / 'text.txt'}"):
            (whole,) = evaluated(f"--workdir={workdir}", given)
            assert whole["log2_probability"] == pytest.approx(expected, rel=1e-5)
            assert whole["characters"] == len(text)
    texts = evaluated(f"--workdir={exported}", "--text=the sun", "--text=a")
    assert [(text["text"], text["characters"]) for text in texts] == [("the sun", 7), ("a", 1)]
    assert_refused(launched("evaluate", f"--workdir={exported}"), "--corpus", str(exported))


def test_what_the_model_does_not_know_is_counted_named_and_priced(finished, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("the ZZ sun\n" * 10 + "\x1b")
    flags = f"--workdir={finished[0]}", f"--corpus={path}", "--unknown"
    (whole,) = evaluated(*flags)
    assert (whole["characters"], whole["unknown"]) == (111, 21)
    assert list(whole["unknown_symbols"].items()) == [("Z", 20), ("\x1b", 1)]
    bits = 21 * whole["bits_per_unknown"] + 90 * whole["bits_per_known"]
    assert bits == pytest.approx(-whole["log2_probability"])
    *lines, total = evaluated(*flags, "--by=line")
    assert total["unknown_symbols"] == {"Z": 20, "\x1b": 1}
    assert [line["unknown_symbols"] for line in lines] == [{"Z": 2}] * 10 + [{"\x1b": 1}]
    for more in ([], ["--by=line"]):
        told = launched("evaluate", *flags, *more).out
        assert f"{21 / 111:.2%} of the characters of" in told or more
        assert "'Z' 20, '\\x1b' 1" in told
    unasked = launched("evaluate", *flags[:2]).out
    assert "18.92%" in unasked
    assert "'Z'" not in unasked
    assert "knows every character" in launched("evaluate", flags[0], "--unknown").out


def test_a_text_is_read_in_the_encoding_that_is_given(finished, tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"the \xe9 sun")
    flags = f"--workdir={finished[0]}", f"--corpus={path}"
    (whole,) = evaluated(*flags, "--encoding=latin-1", "--unknown")
    assert (whole["characters"], whole["unknown_symbols"]) == (9, {"é": 1})
    assert_refused(launched("evaluate", *flags), str(path), "utf-8")


def test_no_text_reaches_a_terminal_raw_or_wider_than_it_is(finished, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = launched("evaluate", f"--workdir={finished[0]}", "--by=line", f"--text={HOSTILE}").out
    assert set(map(ord, out)) - {10} >= {ord("…")}
    assert all(character.isprintable() or character == "\n" for character in out)
    assert shortened("日本語日本語", 12) == "日本語日本語"
    assert shortened("日本語日本語", 11) == "日本語日本…"
    assert shortened("a\x1b[2J", 20) == "a\\x1b[2J"
    assert shortened("x" * 10**7, 5) == "xxxx…"


@pytest.mark.parametrize("lost", [True, False])
def test_a_corpus_that_is_gone_or_has_changed_is_refused(run, corpus, lost):
    text = corpus.read_text()
    try:
        if lost:
            corpus.unlink()
        else:
            corpus.write_text(text + "the moon\n")
        outcome = launched("evaluate", f"--workdir={run}")
    finally:
        corpus.write_text(text)
    assert_refused(outcome, str(corpus), "trained on", "--corpus")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--corpus=nowhere.txt"], "nowhere.txt"),
        (["--text=a", "--corpus=nowhere.txt"], "one of them"),
        (["--text="], "--text= is empty"),
        (["--text=\ufeff"], "nothing in it"),
        (["--encoding=latin-1"], "--encoding=latin-1"),
        (["--by=word"], "text, line"),
        (["--text=\udcff"], "utf-8"),
        (["--unknown=drop"], "unknown"),
        (["--by=line", "--corpus={}"], "no text in it"),
        (["--corpus={}"], "no text in it"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(finished, tmp_path, flags, named):
    path = tmp_path / "mark.txt"
    path.write_text("\ufeff")
    flags = [flag.format(path) for flag in flags]
    assert_refused(launched("evaluate", f"--workdir={finished[0]}", *flags), named)


MODES = {
    "dynamic": ["--adapt", "--adapt_rate=0.01"],
    "static with counts": ["--counts"],
    "dynamic with counts": ["--adapt", "--counts"],
}


@pytest.mark.parametrize("mode", MODES)
def test_figures_of_every_mode_are_said_to_be_of_it(mode, finished, corpus, tmp_path):
    elsewhere = tmp_path / "moved.txt"
    elsewhere.write_bytes(corpus.read_bytes())
    workdir, flags = f"--workdir={finished[0]}", MODES[mode]
    _, *static = evaluated(workdir)
    rows = evaluated(workdir, *flags)
    assert [row["part"] for row in rows] == ["validation", "test"]
    assert {row["mode"] for row in static} == {"static"}
    for row, as_trained in zip(rows, static, strict=True):
        assert (row["mode"], row["characters"]) == (mode, as_trained["characters"])
        assert row["bits_per_character"] != pytest.approx(as_trained["bits_per_character"])
    assert evaluated(workdir, *flags, f"--corpus={elsewhere}") == rows
    told = launched("evaluate", workdir, *flags, "--text=the sun", "--text=the moon").out
    assert told.partition("\n")[0].endswith(f" on --text, {mode}:")
    assert ("fitted on the validation split" in told) == ("counts" in mode)


def test_of_several_models_the_mean_of_their_probabilities_is_evaluated(
    finished, exported, command, tmp_path
):
    paths = [finished[0], tmp_path / "other"]
    assert (
        launched("char_lm", *command, "--steps=20", "--seed=1", f"--workdir={paths[1]}").code == 0
    )
    workdir = f"--workdir={paths[0]},{paths[1]}"
    text = "the sun\nand"
    models = [load_language_model(path) for path in paths]
    scores = [list(model.scores(text.split("\n"), lines=True)) for model in models]
    *lines, total = evaluated(workdir, "--by=line", f"--text={text}")
    for line, *both in zip(lines, *scores, strict=True):
        mean = np.mean([np.exp(own.log_probabilities) for own in both], axis=0)
        assert line["log2_probability"] == pytest.approx(np.log2(mean).sum(), rel=1e-5)
    assert total["mode"] == "static"
    alone = {row["part"]: row["bits_per_character"] for row in evaluated(f"--workdir={paths[0]}")}
    twice = evaluated(f"--workdir={paths[0]},{exported}")
    assert {row["part"]: row["bits_per_character"] for row in twice} == pytest.approx(
        alone, rel=1e-4
    )
    title = launched("evaluate", workdir, "--text=sea").out.partition("\n")[0]
    assert f"{paths[0]} (" in title
    assert f", {paths[1]} (" in title


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--adapt", "--by=line"], "--by=line"),
        (["--counts", "--by=line"], "--by=line"),
        (["--adapt_rate=0.1"], "--adapt"),
        (["--adapt", "--adapt_rate=0"], "above 0"),
        (["--adapt", "--adapt_decay=2"], "from 0 to 1"),
        (["--adapt", "--adapt_rate=1e38"], "give a lower one"),
        (["--adapt", "--text=sea", "--workdir={}"], "export"),
        (["--counts", "--text=sea", "--workdir={}"], "export"),
    ],
)
def test_modes_that_cannot_be_are_refused(finished, exported, flags, named):
    flags = [f"--workdir={finished[0]}", *flags]
    if "{}" in flags[-1]:
        flags = [*flags[1:-1], f"--workdir={exported}"]
    assert_refused(launched("evaluate", *flags), named)


def test_what_is_no_model_is_refused(tmp_path):
    assert_refused(launched("evaluate", f"--workdir={tmp_path}"), str(tmp_path))


def test_a_run_says_before_and_after_how_much_of_a_split_it_does_not_know(
    command, corpus, tmp_path
):
    text, foreign = corpus.read_text(), "日本 the sun\n" * 20
    path, length = tmp_path / "foreign.txt", len(text) + len(foreign)
    path.write_text(text + foreign)
    split = [(len(text) - 100) / length, 100 / length, len(foreign) / length]
    workdir = tmp_path / "run"
    flags = f"--corpus={path}", f"--split={','.join(map(str, split))}", f"--workdir={workdir}"
    outcome = launched("char_lm", *command[1:], "--steps=20", *flags)
    assert outcome.code == 0, outcome
    told = result(workdir)
    share = 39 / 219  # the first is not predicted
    assert told["test_unknown_share"] == pytest.approx(share)
    assert (told["valid_unknown_share"], told["valid_bits_per_known_character"]) == (0, None)
    test = evaluated(f"--workdir={workdir}", "--unknown")[-1]
    assert test["unknown_symbols"] == {"本": 20, "日": 19}
    assert told["test_bits_per_known_character"] == pytest.approx(test["bits_per_known"], rel=1e-5)
    before = f"{2 / 11:.2%} of the test split"
    after = f"{share:.2%} of the characters of the test split are unknown"
    assert outcome.out.index(before) < outcome.out.index("step ") < outcome.out.index(after)
