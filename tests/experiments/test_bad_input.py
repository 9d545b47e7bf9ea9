"""A user's mistake: exit code 2, one line that names it, and no work directory."""

import gzip
import json

import pytest

from tests.experiments.launching import EXPERIMENTS, Outcome, assert_refused, but, launched

GRAPH = {
    "layers": [{"name": "low", "size": 6, "cell": "tanh"}, {"name": "output", "cell": "linear"}],
    "connections": [
        {"source": "input", "target": "low"},
        {"source": "low", "target": "output"},
    ],
}


@pytest.fixture
def refused(command, tmp_path):
    """Launches char_lm with the flags of a good run but for some; it must touch nothing."""

    def launch(*flags: object) -> Outcome:
        workdir = tmp_path / "run"
        outcome = launched("char_lm", *but(command, f"--workdir={workdir}", *flags))
        assert not workdir.exists()
        return outcome

    return launch


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--cell=gruu"], "'gruu'"),
        (["--preset=slow"], "preset"),
        (["--optimizer=sdg"], "optimizer"),
        (["--hiden=8"], "no flag --hiden; did you mean --hidden?"),
        (["--learning-rate=1"], "did you mean --learning_rate?"),
        (["-step=5"], "did you mean --steps?"),
        (["--no-bytes"], "did you mean --nobytes?"),
        (["--steps"], "--steps has no value"),
        (["--cell", "--lowercase"], "--cell has no value, but another flag, --lowercase,"),
        (["--steps", "5", "6"], "'6' is not a flag; --steps takes one value"),
        (["--bytes", "yes"], "'yes' is not a flag; --bytes takes no value"),
        (["--bytes=yes"], "--bytes=yes must be true or false"),
        (["--nobytes=1"], "--nobytes takes no value"),
        (["\N{EN DASH}steps=5"], "write --steps=5"),
        (["--workdir="], "--workdir= is empty"),
        (["--steps=1e4"], "--steps=1e4 must be a whole number"),
        (["--learning_rate=1,5"], "--learning_rate=1,5 must be a number"),
        (["--hidden="], "--hidden= is empty"),
        (["--hidden=8,"], "--hidden=8, has an empty entry"),
        (["--split=,0.9,0.1"], "has an empty entry"),
        (["--cells=,"], "has an empty entry"),
        (["--corpus=a.txt,,b.txt"], "has an empty entry"),
        (["--corpus", "a.txt", ""], "--corpus= is empty"),
        (["--hidden=8", "--hidden=8"], "--hidden is given twice"),
        (["--hidden=0"], "size 0"),
        (["--hidden=8x8"], "'8x8' where a whole number is expected"),
        (["--hidden=8.5"], "'8.5' where a whole number is expected"),
        (["--chunk=0"], "--chunk=0 must be at least 1"),
        (["--chunk=many"], "--chunk=many"),
        (["--chunk=100000"], "100000"),
        (["--batch=100000"], "100000 lanes"),
        (["--random_chunks", "--chunk=2433"], "chunk"),
        (["--dropout=1"], "--dropout=1.0 must be at least 0 and below 1"),
        (["--dropout=nan"], "--dropout=nan must be a finite number"),
        (["--learning_rate=0"], "--learning_rate=0.0 must be above 0"),
        (["--learning_rate=inf"], "--learning_rate=inf"),
        (["--learning_rate=fast"], "--learning_rate=fast"),
        (["--clip_norm=-1"], "--clip_norm=-1"),
        (["--seed=99999999999999999999"], "--seed=99999999999999999999"),
        (["--split=0.5,0.5"], "0.5, 0.5"),
        (["--split=0.9,0.2,0.1"], "0.9, 0.2, 0.1"),
        (["--split=1,0,0"], "validation split"),
        (["--split=nan,0.5,0.5"], "nan"),
        (["--split=most,some,few"], "'most' where a number is expected"),
        (["--epochs=0", "--steps=5"], "--epochs=0"),
        (["--minutes=1"], "--steps and --minutes"),
        (["--epochs=1"], "--steps and --epochs"),
        (["--lowercase", "--bytes"], "lowercase"),
        (["--encoding=latin-1", "--bytes"], "leave encoding=latin-1 out"),
        (["--encoding=klingon"], "no text encoding 'klingon'"),
        (["--flagfile=nowhere.flags"], "nowhere.flags"),
        (["--flagfile=/bin/sh"], "no text in UTF-8"),
    ],
)
def test_a_flag_that_is_not_what_it_may_be_is_refused(flags, named, refused):
    assert_refused(refused(*flags), named)


def test_a_word_at_the_beginning_is_no_flag(command):
    assert_refused(launched("char_lm", "a.txt", *command), "'a.txt' is not a flag")


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("missing.txt", None, "no corpus"),
        ("empty.txt", b"", "is empty"),
        ("short.txt", b"to be or not to be\n", "symbols"),
        ("one.txt", b"o", "o"),
        ("latin.txt", "café\n".encode("latin-1") * 200, "not utf-8 text"),
        ("damaged.gz", gzip.compress(b"rivers and hills\n" * 200, mtime=0)[:-20], "damaged"),
        ("wide.txt", ("rivers and hills\n" * 200).encode("utf-16-le"), "give --encoding=utf-16-le"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_refused(name, content, named, refused, tmp_path):
    path = tmp_path / "corpora" / name
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    outcome = refused(f"--corpus={path}")
    assert_refused(outcome, named)
    if name not in ("short.txt", "one.txt"):
        assert str(path) in outcome.err


def without_hidden(command: tuple[str, ...], *flags: str) -> list[str]:
    return [*(flag for flag in command if not flag.startswith(("--hidden", "--ngrams"))), *flags]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b'{"layers": [', "JSON"),
        (b"[]", "JSON"),
        (b"{}", "'layers'"),
        (json.dumps(GRAPH | {"input": 5}).encode(), "5 inputs"),
        (json.dumps(GRAPH | {"input": "many"}).encode(), "'many'"),
        (json.dumps(GRAPH | {"connections": GRAPH["connections"][1:]}).encode(), "'low'"),
        (json.dumps(GRAPH).replace("tanh", "tan").encode(), "'tan'"),
    ],
)
def test_a_network_file_that_cannot_be_used_is_refused(content, named, command, tmp_path):
    path, workdir = tmp_path / "graph.json", tmp_path / "run"
    if content is not None:
        path.write_bytes(content)
    flags = without_hidden(command, f"--network={path}", f"--workdir={workdir}")
    assert_refused(launched("char_lm", *flags), named, str(path))
    assert not workdir.exists()


@pytest.mark.parametrize("flag", ["--cell=gru", "--hidden=8", "--skip", "--nofeedback"])
def test_a_network_file_goes_with_no_other_flag_about_the_graph(flag, command, tmp_path):
    path, workdir = tmp_path / "graph.json", tmp_path / "run"
    path.write_text(json.dumps(GRAPH))
    flags = without_hidden(command, f"--network={path}", f"--workdir={workdir}", flag)
    assert_refused(launched("char_lm", *flags), "--network gives the whole graph")
    assert not workdir.exists()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_help_explains_every_flag_under_a_title(name):
    experiment = EXPERIMENTS[name]
    outcome = launched(name, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert (experiment.module.__doc__ or "?").strip() in outcome.out
    for title, _ in experiment.groups:
        assert f"\n{title}:\n" in outcome.out
    for flag in experiment.flags.values():
        shown = f"  --[no]{flag.name}\n" if flag.boolean else f"  --{flag.name}=...\n"
        assert outcome.out.count(shown) == 1
        assert flag.help.split()[0] in outcome.out.split(shown)[1].splitlines()[0]
        text = flag.help.strip()
        assert text[0].isupper() or text.startswith(("<", "HOST")), text
        assert text.endswith((".", "]")), text  # sentences, and a default that depends on others
    assert max(map(len, outcome.out.splitlines())) <= 100
