"""A model that hears n-grams, by the commands: trained, resumed, judged, written with, gone on."""

import json
import os
import signal
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import initial_state, step
from jaxrnn.running import fitting
from jaxrnn.text.language_model import load_language_model
from tests.experiments.launching import (
    assert_refused,
    but,
    last_state,
    launched,
    network_of,
    result,
    settings_of,
)

NGRAMS = ("--ngrams=2,3", "--ngram_rows=400", "--ngram_size=5")
SHORT = ("--steps=20", "--evaluate_every=10", "--checkpoint_every=10")


@pytest.fixture(scope="module")
def trained(command, tmp_path_factory):
    """The flags of a run, and its work directory; do not change it."""
    # As many devices when it goes on, in whichever process.
    flags = but(command, *NGRAMS, *SHORT, "--data_parallel=1")
    workdir = tmp_path_factory.mktemp("ngrams") / "run"
    outcome = launched("char_lm", *flags, f"--workdir={workdir}")
    assert (outcome.code, outcome.err) == (0, "")
    return flags, workdir


def test_a_run_with_n_grams_that_is_stopped_goes_on_to_the_bit(trained, tmp_path, monkeypatch):
    flags, workdir = trained
    again = f"--workdir={tmp_path / 'run'}"
    with monkeypatch.context() as patch:
        patch.setattr(
            fitting, "_count_skipped", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
        )  # at the end of the first call
        assert launched("char_lm", *flags, again).code == 143
    assert launched("char_lm", *flags, again).code == 0
    (steps, arrays), (expected_steps, others) = map(last_state, (tmp_path / "run", workdir))
    assert steps == expected_steps
    for array, expected in zip(arrays, others, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_its_network_has_a_layer_that_hears_a_table_for_each_length(trained):
    network = network_of(trained[1])
    assert [(x.name, x.length, x.size) for x in network.ngrams] == [
        ("2-grams", 2, 400), ("3-grams", 3, 400),
    ]  # fmt: skip
    assert [str(c) for c in network.connections if "grams" in str(c)] == [
        "2-grams -> ngrams", "3-grams -> ngrams", "ngrams -> hidden1",
    ]  # fmt: skip
    assert result(trained[1])["parameters"] == network.parameter_count


def test_its_best_state_is_judged_and_writes_alike_as_a_run_and_as_an_export(trained, tmp_path):
    _, workdir = trained
    model = load_language_model(workdir)
    model.save(tmp_path / "export")
    assert load_language_model(tmp_path / "export").network == network_of(workdir)
    greedy = ("--temperature=0", "--length=30", "--prime=the sun")
    for what in (("sample", *greedy), ("evaluate", "--text=the moon rose")):
        one, other = (
            launched(*what, f"--workdir={path}") for path in (workdir, tmp_path / "export")
        )
        assert (one.code, one.err, other.code) == (0, "", 0)
        assert one.out == other.out.replace(str(tmp_path / "export"), str(workdir))
    text = launched("sample", *greedy, f"--workdir={workdir}").out
    symbols, state = model.vocabulary.encode("the sun"), initial_state(model.network, 1)
    take, expected = jax.jit(partial(step, model.network)), []
    for symbol in symbols:
        logits, state = take(model.params, state, jnp.asarray([symbol], jnp.int32))
    for _ in range(10):
        expected.append(1 + int(np.argmax(logits[0, 1:])))  # never the unknown symbol
        logits, state = take(model.params, state, jnp.asarray(expected[-1:], jnp.int32))
    assert f"the sun{model.vocabulary.text(np.array(expected))}" in text


def test_a_run_goes_on_from_it_on_a_text_whose_symbols_move_its_own(trained, corpus, tmp_path):
    text = corpus.read_text(encoding="utf-8").replace("moon", "floor").replace("sun", "gulf")
    (tmp_path / "other.txt").write_text(text, encoding="utf-8")
    run = f"--workdir={tmp_path / 'run'}"
    flags = (f"--corpus={tmp_path / 'other.txt'}", "--batch=4", "--chunk=8", *SHORT, run)
    start = f"--init_from={trained[1]}"
    assert_refused(launched("char_lm", *flags, start, "--ngrams=2,4"), "--ngrams=2,4")
    outcome = launched("char_lm", *flags, start, *NGRAMS)
    assert (outcome.code, outcome.err) == (0, "")
    network, old = network_of(tmp_path / "run"), load_language_model(trained[1])
    codes = network.ngrams[0].codes
    assert codes is not None
    assert any(a > b for a, b in pairwise(codes))
    new = load_language_model(tmp_path / "run").vocabulary
    known = new.numbers_of(old.vocabulary)
    assert [codes[n] for n in known] == list(range(old.vocabulary.size))
    onwards = f"--init_from={tmp_path / 'run'}"
    again = launched(
        "char_lm", *but(flags, f"--workdir={tmp_path / 'more'}"), onwards, *NGRAMS
    )  # fmt: skip
    assert (again.code, again.err) == (0, "")


def test_0_takes_the_n_grams_away_and_a_file_may_hold_them(command, trained, tmp_path):
    _, workdir = trained
    record = network_of(workdir).to_dict()
    (tmp_path / "net.json").write_text(json.dumps(record), encoding="utf-8")
    plain = tuple(
        flag for flag in but(command, "--steps=10") if not flag.startswith(("--hidden", "--ngrams"))
    )
    file = f"--network={tmp_path / 'net.json'}"
    assert launched("char_lm", *plain, file, f"--workdir={tmp_path / 'file'}").code == 0
    assert network_of(tmp_path / "file") == network_of(workdir)
    both = launched("char_lm", *plain, file, "--ngrams=2", f"--workdir={tmp_path / 'both'}")
    assert_refused(both, "--network gives the whole graph", "--ngrams")
    flags = but(command, *NGRAMS[1:], "--ngrams=0", "--steps=10")
    assert launched("char_lm", *flags, f"--workdir={tmp_path / 'none'}").code == 0
    assert settings_of(tmp_path / "none").network.ngrams == ()
    assert network_of(tmp_path / "none").ngrams == ()
    assert_refused(launched("char_lm", *but(command, "--ngrams=2,0")), "--ngrams=2,0")
    twice = launched("char_lm", *but(command, "--ngrams=2,2"), f"--workdir={tmp_path / 'two'}")
    assert_refused(twice, "'2-grams' shares its name")
