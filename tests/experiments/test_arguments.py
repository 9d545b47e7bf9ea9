"""What the words of a command line come to."""

import pytest
from absl import flags

from jaxrnn.command_line.arguments import parse
from tests.experiments.launching import EXPERIMENTS


def values(*words: str) -> dict[str, object]:
    """The flags of char_lm that a command line sets."""
    experiment = EXPERIMENTS["char_lm"]
    with experiment.installed():
        parse(["program", *words], experiment.flags)
        return {n: flags.FLAGS[n].value for n in experiment.flags if flags.FLAGS[n].present}


@pytest.mark.parametrize(
    ("words", "corpus"),
    [
        (["--corpus=a.txt,b.txt"], ["a.txt", "b.txt"]),
        (["--corpus", "a.txt, b.txt"], ["a.txt", "b.txt"]),
        (["--corpus", "a.txt", "b.txt"], ["a.txt", "b.txt"]),
        (["--corpus=a.txt", "b.txt"], ["a.txt", "b.txt"]),
        (["--corpus=a.txt", "--bytes", "--corpus=b.txt"], ["a.txt", "b.txt"]),
        (["-corpus", "a.txt", "--bytes"], ["a.txt"]),
        (["--corpus", "-", "b.txt"], ["-", "b.txt"]),
        (["--corpus=-x.txt", "--", "--steps=5"], ["-x.txt", "--steps=5"]),
        (["--corpus=key=value"], ["key=value"]),
        (["--corpus=one two\nthree.txt"], ["one two\nthree.txt"]),
        (['--corpus="a",b'], ['"a"', "b"]),
        (["--corpus=\udcff.txt"], ["\udcff.txt"]),
        # Those that are there, each by its own name.
        (["--corpus=plays, 1,2.txt"], ["plays, 1,2.txt"]),
        (["--corpus=a.txt,plays, 1,2.txt,b.txt"], ["a.txt", "plays, 1,2.txt", "b.txt"]),
        (["--corpus", "plays, 1,2.txt", "ends,"], ["plays, 1,2.txt", "ends,"]),
        (["--corpus=ends,"], ["ends,"]),
        (["--corpus= begins.txt"], [" begins.txt"]),
    ],
)
def test_names_stand_between_commas_or_are_words(words, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("plays, 1,2.txt", "ends,", " begins.txt"):
        (tmp_path / name).touch()
    assert values(*words)["corpus"] == corpus


def test_numbers_are_a_list_and_of_a_scalar_the_last_one_counts(tmp_path):
    (tmp_path / "some.flags").write_text("# mine\n--split=0.5,.25,25e-2\n\n--steps=4\n--bytes\n")
    told = values(f"--flagfile={tmp_path / 'some.flags'}", "--hidden", "64", "32", "--nobytes")
    assert told == {"hidden": [64, 32], "split": [0.5, 0.25, 0.25], "steps": 4, "bytes": False}
    assert values("--steps", "4", "-steps=5", "--epochs", "-1") == {"steps": 5, "epochs": -1.0}
