"""neurons: its features, its search, and what it writes."""

import numpy as np
import pytest

from tests.experiments.launching import EXPERIMENTS, assert_refused, launched, read

neurons = EXPERIMENTS["neurons"].module
LINES = ("ROMEO:\n", "Ah, it's me!\n", "\n", "[Exit]\n", "\n", "First Man:\n", "Oh")


@pytest.mark.parametrize(
    ("feature", "marks"),
    [
        (neurons.in_name, "1111110 0000000000000 0 0000000 0 11111111110 00"),
        (neurons.in_direction, "0000000 0000000000000 0 1111100 0 00000000000 00"),
        (neurons.upper_case, "1111100 1000000000000 0 0100000 0 10000010000 10"),
        (neurons.line_position, "0123450 123456789abc0 0 1234560 0 123456789a0 12"),
        (neurons.word_position, "0123400 1200123401200 0 0123400 0 12345012300 12"),
    ],
)
def test_features_are_what_a_person_marks(feature, marks):
    assert [len(line) for line in LINES] == [len(mark) for mark in marks.split()]
    expected = [int(mark, 16) for mark in marks.replace(" ", "")]
    np.testing.assert_array_equal(feature("".join(LINES)), expected)


def test_a_speech_is_as_long_as_what_follows_the_speakers_name():
    text = "A:\nBut soft:\nwho\n\nB:\nI"  # a colon inside a speech begins no other
    counts = np.expm1(neurons.speech_length(text))
    np.testing.assert_allclose(counts, [0, 0, *range(1, 17), 17, 0, 1, 2], atol=1e-9)


def test_a_unit_is_judged_on_text_on_which_it_was_not_searched(monkeypatch):
    random = np.random.default_rng(0)
    feature = random.normal(size=2000)
    lucky = np.concatenate([-feature[:1000], random.normal(size=1000)])
    honest = feature + random.normal(size=2000)
    units = np.stack([honest, lucky], axis=1)
    monkeypatch.setattr(neurons, "activations", lambda *_: (["honest", "lucky"], units))
    reading = neurons.Reading(np.arange(2000), "", {"f": feature}, slice(1500, 1503))
    (found,) = neurons.best_units(None, None, reading)  # pyright: ignore
    assert found["name"] == "lucky"
    assert found["searched"] == 1.0  # the sign is turned,
    judged = -np.corrcoef(lucky[1000:], feature[1000:])[0, 1]  # here as well
    assert found["judged"] == pytest.approx(judged, abs=1e-4)
    assert abs(judged) < 0.1
    deviations = -(lucky[1500:1503] - lucky[1000:].mean()) / lucky[1000:].std()
    np.testing.assert_allclose([float(x) for x in found["shown"].split()], deviations, atol=0.006)


def test_a_passage_begins_at_a_paragraph_and_shows_every_feature():
    text = "plain words\n\n" * 3 + "A:\n[Exit]\n\n" + "plain words\n\n" * 9
    features = [feature(text) for feature in (neurons.in_name, neurons.in_direction)]
    start = neurons.passage(text, features, length=60, first=20)
    assert text[:start].endswith("\n\n")
    assert "A:\n[Exit]" in text[start : start + 20]


def test_units_are_found_for_every_feature_and_shown_on_a_page(study):
    workdir, results = study
    summary = results["summary"]
    assert len(summary["bits"]) == 2
    assert {row["feature"] for row in summary["rows"]} <= set(neurons.FEATURES)
    for row in summary["rows"]:
        assert len(row["trained"]) == len(row["untrained"]) == 2
        assert row["correlation"] in row["trained"]
        assert max(map(abs, row["trained"] + row["untrained"])) <= 1
        assert len(row["shown"].split()) == len(summary["passage"])
    assert (workdir / "table.md").read_text().count("\n| ") == len(summary["rows"])
    page = (workdir / "neurons.html").read_text(encoding="utf-8")
    assert page.count("<pre>") == len(summary["rows"])


def test_a_model_of_char_lm_is_taken_instead(run, corpus, tmp_path):
    workdir = tmp_path / "neurons"
    outcome = launched("neurons", "--quick", f"--run={run}", f"--corpus={corpus}", "--seeds=2",
                       f"--workdir={workdir}")  # fmt: skip
    assert outcome.code == 0, outcome
    summary = read((workdir / "results.json").read_text(encoding="utf-8"))["summary"]
    assert all(len(row["trained"]) == 1 for row in summary["rows"])
    assert "cannot be told" in outcome.out  # from one run


def test_a_text_without_any_of_the_features_is_refused(tmp_path):
    text = tmp_path / "dots.txt"
    text.write_text("." * 5000)
    outcome = launched("neurons", "--quick", f"--corpus={text}", f"--workdir={tmp_path / 'run'}")
    assert_refused(outcome, "nothing")
    assert not (tmp_path / "run").exists()
