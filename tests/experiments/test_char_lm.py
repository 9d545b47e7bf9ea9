"""What a run of char_lm leaves behind, and what its settings do."""

import itertools
import json
import math
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import initial_state, step
from jaxrnn.text.from_settings import read_text
from jaxrnn.text.language_model import LanguageModel
from jaxrnn.text.settings import PRESETS
from tests.experiments.launching import (
    assert_refused,
    launched,
    network_of,
    read,
    records,
    restored,
    result,
    settings_of,
)


def test_a_run_leaves_everything_in_its_work_directory(finished):
    workdir, outcome = finished
    assert (outcome.code, outcome.err) == (0, "")
    names = {path.name for path in workdir.iterdir() if not path.name.startswith(".")}
    assert names == {
        "config.json", "metrics.jsonl", "checkpoints", "learning_curve.png", "sample.txt",
        "result.json",
    }  # fmt: skip
    assert {path.name for path in (workdir / "checkpoints").iterdir()} == {"last", "best"}
    assert (workdir / "learning_curve.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert len((workdir / "sample.txt").read_text(encoding="utf-8")) > 1900
    assert str(workdir) in outcome.out


def test_the_configuration_is_resolved_and_says_what_computed(finished, corpus):
    config = read((finished[0] / "config.json").read_text(encoding="utf-8"))
    [computed] = config["surroundings"]
    assert (computed["from"], computed["devices"], computed["processes"]) == (0, 1, 1)
    assert (computed["platform"], computed["cores"]) == ("cpu", len(os.sched_getaffinity(0)))
    assert computed["versions"]["jax"] == jax.__version__
    assert config.keys() == {"settings", "network", "vocabulary", "text", "surroundings"}
    assert settings_of(finished[0]) == PRESETS["quick"].but(
        corpus=(str(corpus),), hidden=(8,), batch=4, chunk=8, steps=300, evaluate_every=100,
        checkpoint_every=50, ngrams=(), optimizer="adam",
    )  # fmt: skip
    assert config["text"]["length"] == len(corpus.read_text())
    assert config["vocabulary"]["symbols"] == "".join(sorted(set(corpus.read_text())))


def test_metrics_are_json_lines_with_steps_that_increase(finished):
    logged = records(finished[0])
    for kind in ("train_bits_per_character", "valid_bits_per_character"):
        assert [record["step"] for record in logged if kind in record] == [100, 200, 300]
    assert all(record["characters"] == 32 * record["step"] for record in logged)


def test_the_result_holds_the_figures(finished):
    figures = result(finished[0])
    assert figures["steps"] == 300
    assert figures["stopped_because"] == "steps"
    assert figures["characters_trained"] == 300 * 4 * 8
    assert figures["parameters"] == 3 * 8 * (19 + 8 + 1) + 19 * (8 + 1)
    assert figures["steps_skipped"] == 0
    assert figures["characters_per_second"] == pytest.approx(9600 / figures["seconds"], rel=0.1)
    assert 0 < figures["valid_bits_per_character"] < math.log2(19)
    assert 0 < figures["test_bits_per_character"] < math.log2(19)


def test_the_figures_equal_those_computed_step_by_step_on_the_best_checkpoint(finished, corpus):
    network = network_of(finished[0])
    best = restored(finished[0], "best")
    text = corpus.read_text()
    symbols = sorted(set(text))
    start, end = round(0.9 * len(text)), round(0.95 * len(text))
    one_step = jax.jit(step, static_argnums=0)
    for name, part in (("valid", text[start:end]), ("test", text[end:])):
        assert len(part) < 2 * 128  # so that the evaluation has one lane
        state, bits = initial_state(network, 1), 0.0
        for character, following in itertools.pairwise(part):
            symbol = jnp.array([1 + symbols.index(character)])
            logits, state = one_step(network, best.state.params, state, symbol)
            scores = np.asarray(logits[0], np.float64)
            bits += math.log2(np.exp(scores).sum()) - scores[
                1 + symbols.index(following)
            ] / math.log(2)
        assert result(finished[0])[f"{name}_bits_per_character"] == pytest.approx(
            bits / (len(part) - 1), rel=1e-5
        )


def test_what_a_model_learns_shows(finished):
    """300 steps beat a model that knows nothing but the frequencies of characters."""
    _, text = read_text(settings_of(finished[0]).text)
    counts = np.bincount(text.valid)
    entropy = -sum(p * math.log2(p) for p in counts[counts > 0] / counts.sum())
    assert result(finished[0])["valid_bits_per_character"] < entropy


def test_minutes_end_a_run(command, tmp_path):
    flags = [flag for flag in command if not flag.startswith("--steps")]
    outcome = launched("char_lm", *flags, "--minutes=0.02", f"--workdir={tmp_path / 'run'}")
    assert outcome.code == 0, outcome.err
    figures = result(tmp_path / "run")
    assert figures["stopped_because"] == "minutes"
    assert figures["seconds"] >= 1.2
    again = launched("char_lm", *flags, "--minutes=0.02", f"--workdir={tmp_path / 'run'}")
    assert "finished; give it more --minutes" in again.out


def test_patience_ends_a_run_that_learns_no_more(command, tmp_path):
    flags = (
        *command, f"--workdir={tmp_path / 'run'}", "--patience=2", "--evaluate_every=10",
        "--learning_rate=1e-30", "--schedule=constant",
    )  # fmt: skip
    assert launched("char_lm", *flags).code == 0
    figures = result(tmp_path / "run")
    assert (figures["stopped_because"], figures["steps"]) == ("patience", 30)
    again = launched("char_lm", *flags)
    assert "finished; give it a higher --patience" in again.out
    assert launched("char_lm", *flags, "--patience=3").code == 0
    assert result(tmp_path / "run")["steps"] == 40


@pytest.mark.parametrize(("random_chunks", "steps"), [(False, 114), (True, 114)])
def test_epochs_are_readings_of_the_training_text(
    random_chunks, steps, command, tmp_path, monkeypatch
):
    monkeypatch.setattr(LanguageModel, "texts", lambda *_, **__: ["text"])
    flags = [flag for flag in command if not flag.startswith("--steps")]
    outcome = launched(
        "char_lm", *flags, "--epochs=1.5", f"--random_chunks={random_chunks}",
        f"--workdir={tmp_path / 'run'}",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert result(tmp_path / "run")["steps"] == steps  # 1.5 * 2,432 pairs / (4 * 8)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_other_dtypes_train(dtype, command, finished, tmp_path):
    outcome = launched("char_lm", *command, f"--dtype={dtype}", f"--workdir={tmp_path / 'run'}")
    assert (outcome.code, outcome.err) == (0, "")
    figure = result(tmp_path / "run")["valid_bits_per_character"]
    expected = result(finished[0])["valid_bits_per_character"]
    assert figure != expected
    assert figure == pytest.approx(expected, abs=0.3)  # JAX draws other numbers in float64
    if dtype == "float64":  # written and read again, as it was
        lines = launched("sample", f"--workdir={tmp_path / 'run'}", "--length=80").out
        exported = tmp_path / "exported"
        assert launched("sample", f"--workdir={tmp_path / 'run'}", f"--export={exported}").code == 0
        assert launched("sample", f"--workdir={exported}", "--length=80").out == lines


def test_a_network_from_a_file_may_have_feedback_and_leave_sizes_out(command, tmp_path):
    """Cells of all kinds, each hearing the input and the one before, the last fed back."""
    names = ["tanh", "lstm", "gru", "rg_lru"]
    connections = [
        *({"source": "input", "target": name} for name in names),
        *({"source": a, "target": b, "delay": 1} for a, b in itertools.pairwise(names)),
        {"source": names[-1], "target": names[0], "delay": 2},
        *({"source": name, "target": "output"} for name in names),
    ]
    layers = [{"name": name, "size": 3, "cell": name} for name in names]
    graph = {"layers": [*layers, {"name": "output", "cell": "linear"}], "connections": connections}
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    flags = [flag for flag in command if not flag.startswith(("--hidden", "--ngrams"))]
    flags += [f"--network={tmp_path / 'graph.json'}", f"--workdir={tmp_path / 'run'}"]
    outcome = launched("char_lm", *flags, "--steps=20")
    assert outcome.code == 0, outcome.err
    assert network_of(tmp_path / "run").input_size == 19
    assert result(tmp_path / "run")["steps_skipped"] == 0
    assert len(launched("sample", f"--workdir={tmp_path / 'run'}", "--length=7").out) == 8
    (tmp_path / "graph.json").unlink()  # the run itself knows its network
    outcome = launched("char_lm", f"--workdir={tmp_path / 'run'}", "--steps=30")
    assert outcome.code == 0, outcome.err
    assert result(tmp_path / "run")["steps"] == 30


def test_the_preset_seed_runs_on_ones_own_text(corpus, tmp_path):
    outcome = launched(
        "char_lm", "--preset=seed", f"--corpus={corpus}", "--steps=2",
        f"--workdir={tmp_path / 'run'}",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    expected = PRESETS["seed"].but(corpus=(str(corpus),), steps=2)
    assert settings_of(tmp_path / "run") == expected


def test_a_run_that_diverges_stops_and_keeps_finite_parameters(command, tmp_path):
    workdir = tmp_path / "run"
    flags = (
        *command, "--cell=relu", "--learning_rate=1e30", "--schedule=constant", "--clip_norm=0",
        "--optimizer=sgd", f"--workdir={workdir}",
    )  # fmt: skip
    outcome = launched("char_lm", *flags)
    assert outcome.code == 3
    assert "steps in a row" in outcome.out
    assert "--learning_rate" in outcome.out
    records(workdir)  # strict JSON, although losses are not finite
    assert not (workdir / "result.json").exists()
    assert not list(workdir.rglob("checkpoint.json"))  # no step left behind anything good
    for name in ("sample", "evaluate"):
        assert_refused(launched(name, f"--workdir={workdir}"), "there is no checkpoint")


def test_a_run_that_ends_without_a_finite_evaluation_says_so_and_has_no_best_state(
    command, tmp_path
):
    workdir = tmp_path / "run"
    flags = ("--cell=relu", "--learning_rate=1e30", "--schedule=constant", "--clip_norm=0",
             "--optimizer=sgd", "--steps=20", f"--workdir={workdir}")  # fmt: skip
    for _ in range(2):
        outcome = launched("char_lm", *command, *flags)
        assert outcome.code == 3, outcome.err
        assert "at the end: no finite bits per character" in outcome.out
        assert "No evaluation was finite" in outcome.out
    assert {path.name for path in workdir.iterdir() if not path.name.startswith(".")} == {
        "config.json", "metrics.jsonl", "learning_curve.png",
    }  # fmt: skip
    assert_refused(launched("sample", f"--workdir={workdir}", "--which=best"), "no checkpoint")


def test_a_run_that_diverges_late_keeps_what_it_had(command, tmp_path):
    """And goes no further from there than from a state that no step was skipped after."""
    workdir = tmp_path / "run"
    flags = (*command, f"--workdir={workdir}", "--cell=relu", "--optimizer=sgd", "--clip_norm=0",
             "--schedule=constant")  # fmt: skip
    assert launched("char_lm", *flags, "--steps=100", "--learning_rate=0.1").code == 0
    outcome = launched("char_lm", *flags, "--learning_rate=1e30", "--override")
    assert outcome.code == 3
    assert "keeps the state of step 100, and as the best one that of step 100" in outcome.out
    assert {which: restored(workdir, which).step for which in ("last", "best")} == {
        "last": 100, "best": 100,
    }  # fmt: skip
    assert launched("sample", f"--workdir={workdir}").code == 0
    outcome = launched("char_lm", *flags, "--learning_rate=0.1", "--override", "--steps=200")
    assert outcome.code == 0, outcome.err
    assert "Going on from step 100." in outcome.out
    assert result(workdir)["best_step"] == 200


def test_a_result_names_the_best_state_and_the_last_one(run, command):
    """A rate that is too high makes the run worse, so that the two differ."""
    before = result(run)
    assert (before["best_step"], before["best_characters_trained"]) == (300, 9600)
    assert before["last_valid_bits_per_character"] == before["valid_bits_per_character"]
    flags = (*command, f"--workdir={run}", "--steps=400", "--learning_rate=100", "--override")
    outcome = launched("char_lm", *flags)
    assert outcome.code == 0, outcome.err
    figures = result(run)
    for name in ("valid_bits_per_character", "test_bits_per_character", "best_step",
                 "best_characters_trained"):  # fmt: skip
        assert figures[name] == before[name]
    assert (figures["steps"], figures["characters_trained"]) == (400, 12_800)
    valid = [r["valid_bits_per_character"] for r in records(run) if "valid_bits_per_character" in r]
    assert figures["last_valid_bits_per_character"] == valid[-1] > valid[-2]
    assert f"best: {valid[-2]:.4f} bits per character on the validation split" in outcome.out
    assert "after 9,600 characters (step 300); at the end:" in outcome.out
    assert f"{valid[-1]:.4f} bits per character on the validation split after 12,800" in outcome.out
    assert "What the best state, of step 300, writes:" in outcome.out

    found = {
        which: launched("evaluate", f"--workdir={run}", f"--which={which}").out
        for which in ("best", "last")
    }
    for which, bits in (("best", valid[-2]), ("last", valid[-1])):
        step = 300 if which == "best" else 400
        assert f"({which} state, step {step}) on " in found[which]
        assert f"{bits:.4f}" in found[which]
        exported = run.parent / which
        model = f"--workdir={run}", f"--which={which}"
        assert launched("sample", *model, f"--export={exported}").code == 0
        facts = json.loads((exported / "model.json").read_text())["facts"]
        assert (facts["which"], facts["valid_bits_per_character"]) == (which, bits)
        assert (facts["step"], facts["characters_trained"]) == (
            (300, 9600) if which == "best" else (400, 12_800)
        )
        assert ("test_bits_per_character" in facts) == (which == "best")
        text = launched("sample", *model, "--length=80").out
        assert launched("sample", f"--workdir={exported}", "--length=80").out == text
    assert_refused(
        launched("sample", f"--workdir={run.parent / 'best'}", "--which=last"), "holds one state"
    )
    assert launched("sample", f"--workdir={run.parent / 'best'}", "--which=best").code == 0


def test_a_picture_that_cannot_be_drawn_costs_nothing(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as where it is broken
    outcome = launched("char_lm", *command, "--steps=20", f"--workdir={tmp_path / 'run'}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "There is no learning_curve.png" in outcome.out
    assert result(tmp_path / "run")["steps"] == 20


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_finished_run_does_not_need_its_result(content, run, command):
    told = result(run)
    (run / "result.json").write_text(content)
    outcome = launched("char_lm", *command, f"--workdir={run}")
    assert outcome.code == 0, outcome.err
    assert result(run) == told
