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
    flags = (f"--workdir={model}", "--population=8", "--length=50", "--prime=sun")
    outcome = launched("sample", *flags)
    assert len(outcome.out) == 54
    assert outcome.err.endswith("bits per character in the model's own eyes\n")
    assert launched("sample", *flags) == outcome


def test_at_temperature_0_the_seed_does_not_matter(model):
    texts = {sample(model, "--temperature=0", "--length=40", f"--seed={seed}") for seed in (0, 1)}
    assert texts == {sample(model, "--top_k=1", "--length=40")}
    assert texts == {sample(model, "--top_p=1e-9", "--length=40")}


def test_an_exported_model_writes_the_same_text(model, exported):
    for flags in (["--length=80"], ["--streams=2", "--length=40"]):
        assert sample(exported, *flags) == sample(model, *flags)
    facts = json.loads((exported / "model.json").read_text())["facts"]
    told = json.loads((model / "result.json").read_text())
    assert (facts["which"], facts["step"]) == ("best", told["best_step"])
    for name in ("valid_bits_per_character", "test_bits_per_character", "parameters", "unit"):
        assert facts[name] == told[name]


def written_bytes(model: Path, *flags: str) -> bytes:
    outcome = launched("sample", f"--workdir={model}", *flags)
    assert outcome.code == 0
    assert ("reads what the model never saw as unknown" in outcome.err) == bool(outcome.err)
    return outcome.out.encode("utf-8", "surrogateescape")


def test_a_model_of_bytes_writes_so_many_bytes_and_nothing_else(byte_model):
    assert len(written_bytes(byte_model, "--length=100")) == 100
    primed = written_bytes(byte_model, "--length=100", "--prime=春は\udcff", "--temperature=0.3")
    prime = "春は".encode() + b"\xff"
    assert primed[: len(prime)] == prime
    assert len(primed) == len(prime) + 100
    streams = written_bytes(byte_model, "--length=30", "--streams=2", "--prime=春は")
    assert streams[:6] == streams[36:42] == "春は".encode()
    assert len(streams) == 2 * 36
    longer = written_bytes(byte_model, "--length=600")
    stop = longer[500:503]
    stopped = written_bytes(byte_model, f"--stop={os.fsdecode(stop)}")
    assert stopped == longer.split(stop)[0]
    assert len((byte_model / "sample.txt").read_bytes()) == 2000


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_bytes_and_text_stand_for_each_other_in_an_encoding(encoding, byte_model, tmp_path):
    typed = written_bytes(byte_model, "--length=9", "--prime=lé", f"--encoding={encoding}")
    content = "lé".encode("utf-16-le" if encoding == "utf-16" else encoding)
    (tmp_path / "prime").write_bytes(content)
    assert typed == written_bytes(byte_model, "--length=9", f"--prime_file={tmp_path / 'prime'}")
    assert typed.startswith(content)
    refused = launched("sample", f"--workdir={byte_model}", "--prime=日", "--encoding=cp1252")
    assert_refused(refused, "--prime", "'日'", "cp1252")


PASTED = "\ufeffthe sun\r\nand moon\rrose"


def test_a_prime_text_is_read_as_a_corpus_is_wherever_it_comes_from(model, tmp_path, monkeypatch):
    text = sample(model, "--length=50", "--prime=the sun\nand moon\nrose")
    assert text.startswith("the sun\nand moon\nrose")
    assert sample(model, "--length=50", f"--prime={PASTED}") == text
    file = tmp_path / "prime.txt"
    file.write_bytes(PASTED.encode())
    assert sample(model, "--length=50", f"--prime_file={file}") == text
    with file.open(encoding="ascii") as opened:
        monkeypatch.setattr(sys, "stdin", opened)
        assert sample(model, "--length=50", "--prime_file=-") == text
    file.write_bytes(PASTED.removeprefix("\ufeff").encode("utf-16"))
    assert sample(model, "--length=50", f"--prime_file={file}", "--encoding=utf-16") == text


def test_what_the_model_does_not_know_is_dropped_and_said_so(model):
    outcome = launched(
        "sample", f"--workdir={model}", "--length=50", "--prime=Zthe sunßß", "--unknown=drop"
    )
    assert outcome.out == sample(model, "--length=50", "--prime=the sun")
    assert "3 of the 10 characters of --prime: 'ß' (2 times), 'Z'" in outcome.err
    nothing = launched("sample", f"--workdir={model}", "--prime=ßZ", "--unknown=drop")
    assert_refused(nothing, "nothing would be left")


def test_a_text_ends_at_a_stop_text_or_after_so_many_lines(model):
    text = sample(model, "--length=2000", "--prime=moon")[len("moon") :]
    to_moon = text[: text.index("moon")]
    assert sample(model, "--length=0", "--prime=moon", "--stop=moon") == f"moon{to_moon}\n"
    early = sample(model, "--length=0", "--prime=moon", "--stop=moon", f"--stop={to_moon[1:4]}")
    assert early == f"moon{to_moon.split(to_moon[1:4])[0]}\n"
    lines = "".join(text.splitlines(keepends=True)[:3])
    assert sample(model, "--length=0", "--prime=moon", "--lines=3") == f"moon{lines}"
    assert sample(model, "--length=9", "--prime=moon", "--lines=3") == f"moon{text[:9]}\n"
    streams = sample(model, "--length=0", "--streams=2", "--lines=1")
    assert [line[:8] for line in streams.splitlines()[::3]] == ["--- text"] * 2


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
        (["--prime=a", "--prime_file=b"], "--prime_file"),
        (["--prime_file=/nowhere/at/all"], "/nowhere/at/all"),
        (["--prime_file=/"], "/ is a directory"),
        (["--encoding=klingon"], "'klingon'"),
        (["--stop=", "--length=0"], "--stop= is empty"),
        (["--stop=Z"], "never writes 'Z'"),
        (["--lines=0"], "--lines=0"),
        (["--population=2", "--stop=a"], "--population"),
        (["--temperature=inf"], "--temperature=inf"),
        (["--length=1e3"], "--length=1e3"),
        (["--prime=日"], "'日'"),
        (["--prime=\udce9"], "'\\udce9'"),
        (["--length=-1"], "--length=-1"),
        (["--length=0", "--streams=2"], "or give --stop or --lines"),
        (["--length=0", "--population=2"], "--length"),
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


def test_what_is_no_model_is_refused(tmp_path, corpus):
    for path in (tmp_path / "nowhere", corpus, tmp_path):
        assert_refused(launched("sample", f"--workdir={path}"), str(path))
    (tmp_path / "config.json").write_text("{}")
    assert_refused(launched("sample", f"--workdir={tmp_path}"), "lacks 'settings'")
    (tmp_path / "config.json").write_text("{")
    assert_refused(launched("sample", f"--workdir={tmp_path}"), "model.json")


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
