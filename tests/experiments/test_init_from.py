"""A run that starts from a trained model, on another text."""

import random
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxrnn.storage.export import save_model
from jaxrnn.text.language_model import load_language_model
from tests.experiments.conftest import WORDS
from tests.experiments.launching import (
    Outcome,
    assert_refused,
    assert_same_state,
    launched,
    read,
    records,
    restored,
    result,
)

HOW = (
    "--optimizer=adam",
    "--batch=4",
    "--chunk=8",
    "--schedule=constant",
    "--evaluate_every=30",
)


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """A text with symbols that the hills lack, one of them once, and without one of theirs."""
    choose = random.Random(2).choice
    words = ["grünen", "flüsse", *WORDS.replace("q", "").split()]
    lines = [" ".join(choose(words) for _ in range(7)) for _ in range(60)]
    path = tmp_path_factory.mktemp("other") / "other.txt"
    path.write_text("ß" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def further(finished, other, tmp_path_factory) -> tuple[Path, Outcome]:
    """The work directory of a run that started from the finished one; do not change it."""
    workdir = tmp_path_factory.mktemp("further") / "run"
    return workdir, launched(
        "char_lm", f"--corpus={other}", f"--init_from={finished[0]}", *HOW, "--steps=60",
        f"--workdir={workdir}",
    )  # fmt: skip


def test_it_says_what_the_model_knows_and_how_well_it_does_before_training(
    further, finished, other
):
    workdir, outcome = further
    assert (outcome.code, outcome.err) == (0, "")
    step = restored(finished[0], "best").step
    assert (
        f"{finished[0]}, step {step:,}: it knows 18 symbols; 4 new ones ('f', 'g', 'ß', 'ü') get "
        "fresh parameters; 1 of its own does not occur in the training split."
    ) in outcome.out
    text = other.read_text(encoding="utf-8")
    start = load_language_model(finished[0]).extended(text, jax.random.key(0))
    ends = round(0.9 * len(text)), round((0.9 + 0.05) * len(text))
    figure = start.bits_per_character(start.vocabulary.encode(text)[slice(*ends)])
    first, *_ = records(workdir)
    assert (first["step"], first["valid_bits_per_character"]) == (0, pytest.approx(figure))
    assert f"before training: {figure:.4f} bits per character on" in outcome.out
    assert result(workdir)["valid_bits_per_character"] < figure


def test_it_goes_on_although_the_model_is_gone(further, finished, other, tmp_path):
    source = Path(shutil.copytree(finished[0], tmp_path / "source"))
    workdir = tmp_path / "run"
    flags = (
        f"--corpus={other}", f"--init_from={source}", "--hidden=8", *HOW, f"--workdir={workdir}"
    )  # fmt: skip
    assert launched("char_lm", *flags, "--steps=30").code == 0
    shutil.rmtree(source)
    outcome = launched("char_lm", *flags, "--steps=60")
    assert (outcome.code, outcome.err) == (0, "")
    assert "before training" not in outcome.out
    assert_same_state(workdir, further[0])
    assert_same_state(workdir, further[0], "best")
    assert launched("evaluate", f"--workdir={workdir}").code == 0


def test_exports_and_other_precisions_are_models_to_start_from(finished, corpus, tmp_path):
    """Without a single step, so that what is best is the model that was given."""
    exported, source = tmp_path / "exported", finished[0]
    assert launched("sample", f"--workdir={source}", f"--export={exported}").code == 0
    expected = load_language_model(source)
    for given, dtype in ((exported, "float64"), (tmp_path / "float64", "float32")):
        workdir = tmp_path / dtype
        flags = (f"--corpus={corpus}", f"--init_from={given}", f"--dtype={dtype}", *HOW)
        rate = ("--learning_rate=1e30", "--clip_norm=0", "--optimizer=sgd", "--steps=1")
        assert launched("char_lm", *flags, *rate, f"--workdir={workdir}").code in (0, 3)
        found = load_language_model(workdir)
        jax.config.update("jax_enable_x64", False)
        assert found.vocabulary == expected.vocabulary
        for one, same in zip(*map(jax.tree.leaves, (found.params, expected.params)), strict=True):
            assert one.dtype == dtype
            np.testing.assert_array_equal(np.asarray(one), np.asarray(same))


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--hidden=9",), "--hidden=9 is not the network of the model in"),
        (("--cell=lstm", "--hidden=8"), "--cell=lstm --hidden=8 is not the network"),
        (("--lowercase",), "--lowercase is not how the model in"),
        (("--bytes",), "it was trained with --nobytes, so leave the flag out"),
        (("--init_from=nowhere",), "nowhere: there is no directory"),
        (("--init_from=",), "--init_from= is empty"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(flags, named, finished, corpus, tmp_path):
    outcome = launched(
        "char_lm", f"--corpus={corpus}", f"--init_from={finished[0]}", *HOW, "--steps=10",
        f"--workdir={tmp_path / 'run'}", *flags,
    )  # fmt: skip
    assert_refused(outcome, named)
    assert not (tmp_path / "run").exists()


def test_a_model_that_predicts_nothing_finite_is_refused(finished, corpus, tmp_path):
    model = load_language_model(finished[0])
    huge = {**model.params, "output": {"bias": np.zeros(19), "hidden1@0": np.full((8, 19), 3e38)}}
    huge = jax.tree.map(np.float32, huge)
    save_model(
        tmp_path / "model", params=huge, network=model.network.to_dict(),
        vocabulary=model.vocabulary.to_dict(), facts={},
    )  # fmt: skip
    outcome = launched(
        "char_lm", f"--corpus={corpus}", f"--init_from={tmp_path / 'model'}", *HOW, "--steps=30",
        f"--workdir={tmp_path / 'run'}",
    )  # fmt: skip
    assert_refused(outcome, "has no finite bits per character, as after a training that diverged")


def test_another_run_in_the_work_directory_stays_as_it_is(finished, further, other, run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    flags = (f"--corpus={other}", *HOW, f"--workdir={run}")
    assert_refused(
        launched("char_lm", *flags, f"--init_from={run}"), "is this run's own work directory"
    )
    assert_refused(
        launched("char_lm", *flags, f"--init_from={finished[0]}"), "holds a run of another config"
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_rare_characters_are_read_as_unknown_and_said_so(other, tmp_path):
    flags = (f"--corpus={other}", "--hidden=8", "--ngrams=0", *HOW, "--steps=10")
    workdir = tmp_path / "run"
    outcome = launched("char_lm", *flags, "--minimum_count=2", f"--workdir={workdir}")
    assert (outcome.code, outcome.err) == (0, "")
    assert (
        "1 symbol that occurs fewer than 2 times in the training split, 1 occurrence, is read as "
        "unknown" in outcome.out
    )
    assert "ß" not in read((workdir / "config.json").read_text("utf-8"))["vocabulary"]["symbols"]
    for mistake in (("--minimum_count=100000",), ("--minimum_count=2", "--bytes")):
        refused = launched("char_lm", *flags, *mistake, f"--workdir={tmp_path / 'other'}")
        assert_refused(refused, "minimum_count")
