"""What sample writes, and what it refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.experiments.launching import ROOT, assert_refused, launched

JAPANESE = (
    "春はあけぼの。やうやう白くなりゆく山ぎは、すこしあかりて、紫だちたる雲のほそくたなびきたる。"
)


def sample(model: Path, *flags: str) -> str:
    outcome = launched("sample", f"--workdir={model}", *flags)
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out


@pytest.fixture(scope="module")
def model(finished) -> Path:
    return finished[0]


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "exported"
    assert str(folder) in sample(model, f"--export={folder}")
    return folder


@pytest.fixture
def export(exported, tmp_path) -> Path:
    """An exported model, to be changed."""
    return Path(shutil.copytree(exported, tmp_path / "export"))


@pytest.fixture(scope="module")
def byte_model(command, tmp_path_factory) -> Path:
    """A model of bytes, none of which is an ASCII character."""
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "spring.txt").write_text(JAPANESE * 12, encoding="utf-8")
    flags = (f"--corpus={folder / 'spring.txt'}", "--bytes", f"--workdir={folder / 'run'}")
    outcome = launched("char_lm", *command, *flags, "--steps=20")
    assert outcome.code == 0, outcome.err
    return folder / "run"


def test_the_same_seed_writes_the_same_text(model):
    text = sample(model, "--length=80", "--seed=3")
    assert sample(model, "--length=80", "--seed=3") == text
    assert sample(model, "--length=80", "--seed=4") != text


@pytest.mark.parametrize("length", [1, 31, 32, 33, 100])
def test_a_text_has_exactly_the_length_asked_for(length, model):
    text = sample(model, f"--length={length}")
    assert len(text) == length + 1  # and a line end
    assert sample(model, "--length=100").startswith(text[:-1])


def test_the_prime_text_is_written_first(model):
    text = sample(model, "--prime=the moon", "--length=20")
    assert text.startswith("the moon")
    assert len(text) == len("the moon") + 20 + 1


def test_streams_are_several_texts(model):
    out = sample(model, "--streams=3", "--length=50", "--prime=rose")
    texts = [part.split(" ---\n")[1].removesuffix("\n\n") for part in out.split("--- text ")[1:]]
    assert [len(text) for text in texts] == [54, 54, 54]
    assert len(set(texts)) == 3
    assert all(text.startswith("rose") for text in texts)


def test_a_population_writes_its_likeliest_text_and_says_how_likely(model):
    out = sample(model, "--population=8", "--length=50", "--prime=sun")
    text, note = out.rsplit("\n\n", 1)
    assert len(text) == 53
    assert note.endswith("bits per character in the model's own eyes)\n")
    assert sample(model, "--population=8", "--length=50", "--prime=sun") == out


def test_at_temperature_0_the_seed_does_not_matter(model):
    texts = {sample(model, "--temperature=0", "--length=40", f"--seed={seed}") for seed in (0, 1)}
    assert texts == {sample(model, "--top_k=1", "--length=40")}
    assert texts == {sample(model, "--top_p=1e-9", "--length=40")}


def test_an_exported_model_writes_the_same_text(model, exported):
    for flags in (
        ["--length=80"],
        ["--streams=2", "--length=40"],
        ["--population=4", "--length=40"],
    ):
        assert sample(exported, *flags) == sample(model, *flags)
    facts = json.loads((exported / "model.json").read_text())["facts"]
    told = json.loads((model / "result.json").read_text())
    assert (facts["which"], facts["step"]) == ("best", told["best_step"])
    for name in ("valid_bits_per_character", "test_bits_per_character", "parameters", "unit"):
        assert facts[name] == told[name]


def test_bytes_are_written_as_characters(byte_model):
    """A character has three bytes, so the ends of blocks of 32 bytes cut some of them."""
    for flags in (["--length=100"], ["--length=100", "--temperature=0"]):
        text = sample(byte_model, *flags)
        assert len(text) == 101
    primed = sample(byte_model, "--length=100", "--prime=春は", "--temperature=0.3")
    assert primed.startswith("春は")
    assert len(primed) == 103
    streams = sample(byte_model, "--length=30", "--streams=2", "--prime=春は", "--temperature=0.3")
    texts = [part.split(" ---\n")[1] for part in streams.split("--- text ")[1:]]
    assert [len(text) for text in texts] == [2 + 30 + 2] * 2
    assert sample(byte_model, "--length=30", "--population=2")


@pytest.mark.parametrize(
    ("characters", "flags"), [(2000, ["--length=0"]), (0, ["--length=50", "--streams=2"])]
)
def test_writing_stops_without_complaint_when_nobody_reads_on(characters, flags, model):
    with sampling(model, *flags) as process:
        assert process.stdout is not None
        assert len(process.stdout.read(characters)) == characters
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_a_stream_without_end_stops_at_ctrl_c(model):
    with sampling(model, "--length=0") as process:
        assert process.stdout is not None
        process.stdout.read(200)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert err == b"\nexperiments.sample: stopped\n"


def sampling(model: Path, *flags: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "experiments.sample", f"--workdir={model}", *flags]
    # With a buffer, as a user has it: what is left in it at the end is harder to get right.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        command, cwd=ROOT, env=buffered, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--prime=Zebra"], "'Z'"),
        (["--prime=日"], "'日'"),
        (["--prime=\udce9"], "'\\udce9'"),
        (["--length=-1"], "--length=-1"),
        (["--length=0", "--streams=2"], "--length=0"),
        (["--length=0", "--population=2"], "--length=0"),
        (["--population=2", "--streams=2"], "--population"),
        (["--population=1"], "population of 1"),
        (["--streams=0"], "--streams=0"),
        (["--temperature=-1"], "--temperature=-1"),
        (["--temperature=nan"], "--temperature=nan"),
        (["--top_k=0"], "--top_k=0"),
        (["--top_p=0"], "--top_p=0"),
        (["--top_p=1.5"], "--top_p=1.5"),
        (["--seed=-1"], "--seed=-1"),
        (["--seed=99999999999999999999"], "--seed"),
        (["--lenght=5"], "--lenght"),
        (["hello"], "'hello'"),
    ],
)
def test_what_cannot_be_written_is_refused(flags, named, model):
    assert_refused(launched("sample", f"--workdir={model}", *flags), named)


def test_bytes_that_are_no_text_are_refused_as_a_prime_of_a_byte_model(byte_model):
    assert_refused(launched("sample", f"--workdir={byte_model}", "--prime=\udce9"), "'\\udce9'")


def test_what_is_no_model_is_refused(tmp_path, corpus):
    for path in (tmp_path / "nowhere", corpus, tmp_path):
        assert_refused(launched("sample", f"--workdir={path}"), str(path))
    (tmp_path / "config.json").write_text("{}")
    assert_refused(launched("sample", f"--workdir={tmp_path}"), "lacks 'settings'")
    (tmp_path / "config.json").write_text("{")
    assert_refused(launched("sample", f"--workdir={tmp_path}"), "config.json")


def test_a_run_stopped_before_its_first_evaluation_writes_with_its_last_state(run):
    best = launched("sample", f"--workdir={run}").out
    shutil.rmtree(run / "checkpoints" / "best")
    last = launched("sample", f"--workdir={run}")
    assert last.code == 0, last.err
    assert last.out == best  # of this run, the last state is the best
    shutil.rmtree(run / "checkpoints" / "last")
    assert_refused(launched("sample", f"--workdir={run}"), str(run))


def test_a_damaged_checkpoint_is_refused(run):
    (best,) = (run / "checkpoints" / "best").iterdir()
    (best / "checkpoint.json").write_text("{}")
    assert_refused(launched("sample", f"--workdir={run}"), "checkpoint.json", best.name)


def test_a_damaged_export_is_refused(export):
    content = (export / "model.safetensors").read_bytes()
    (export / "model.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert_refused(launched("sample", f"--workdir={export}"), "model.safetensors")
    (export / "model.safetensors").write_bytes(content[:-10])
    assert_refused(launched("sample", f"--workdir={export}"), "model.safetensors")
    (export / "model.json").write_text("{")
    assert_refused(launched("sample", f"--workdir={export}"), "model.json")


def test_arrays_that_do_not_fit_the_network_are_refused(export):
    import hashlib

    arrays = load_file(export / "model.safetensors")
    arrays["hidden1/bias"] = np.zeros(5, np.float32)
    save_file(arrays, export / "model.safetensors")
    description = json.loads((export / "model.json").read_text())
    content = (export / "model.safetensors").read_bytes()
    description["sha256"] = hashlib.sha256(content).hexdigest()
    (export / "model.json").write_text(json.dumps(description))
    assert_refused(launched("sample", f"--workdir={export}"), "hidden1/bias", "(5,)")


def test_a_vocabulary_that_does_not_fit_the_network_is_refused(export):
    description = json.loads((export / "model.json").read_text())
    description["vocabulary"]["symbols"] = "abc"
    (export / "model.json").write_text(json.dumps(description))
    assert_refused(launched("sample", f"--workdir={export}"), "the vocabulary has 4 symbols")


def test_an_export_does_not_overwrite_other_files(model, corpus, tmp_path):
    (tmp_path / "thesis.tex").touch()
    for path in (tmp_path, corpus, corpus / "below", model):
        assert_refused(launched("sample", f"--workdir={model}", f"--export={path}"), str(path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
