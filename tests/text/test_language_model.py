import json
import math
import shutil
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import Layer, Network, init, initial_state, stacked
from jaxrnn.core.errors import InputError
from jaxrnn.core.keys import derive
from jaxrnn.learning import recipe
from jaxrnn.learning.training import TrainingState
from jaxrnn.storage.checkpoints import Checkpoints
from jaxrnn.storage.fields import to_dict
from jaxrnn.text import Vocabulary
from jaxrnn.text.language_model import LanguageModel, check_predicts, load_language_model
from jaxrnn.text.problem import CUT
from jaxrnn.text.sampling import BLOCK, Choice, write
from jaxrnn.text.settings import Settings


def language_model(symbols: str | bytes, **options: bool) -> LanguageModel:
    vocabulary = Vocabulary(symbols, **options)
    network = stacked(vocabulary.size, [4], vocabulary.size)
    return LanguageModel(network, init(network, jax.random.key(1)), vocabulary)


HEARD = [("input", "output")]
ABC = language_model("\n abc")


def test_a_uniform_model_needs_the_logarithm_of_the_number_of_symbols():
    zeros = jax.tree.map(jnp.zeros_like, ABC.params)
    uniform = LanguageModel(ABC.network, zeros, ABC.vocabulary)
    for length in (2, CUT[1], 3 * CUT[1] + 7):
        bits = uniform.bits_per_character(np.ones(length, np.uint8))
        assert bits == pytest.approx(math.log2(6), rel=1e-5)


def test_streams_and_texts_write_the_same():
    options = {"choice": Choice(), "seed": 5}
    (text,) = ABC.texts(100, **options)
    stream = ABC.stream(**options)
    assert "".join(next(stream) for _ in range(4))[:100] == text
    assert [len(text) for text in ABC.texts(70, streams=3, **options)] == [70] * 3


def test_the_unknown_symbol_is_never_written():
    (text,) = ABC.texts(500, choice=Choice(temperature=5.0), seed=0)
    assert set(text) == set("\n abc")


def test_a_model_of_bytes_writes_as_many_bytes_as_it_is_asked_for():
    model = language_model(bytes(range(256)))
    (text,) = model.texts(50, prime=b"\xff\x00", choice=Choice(), seed=0)
    assert isinstance(text, bytes)
    assert len(text) == 50
    assert b"".join(model.stream(50, prime=b"\xff\x00", choice=Choice(), seed=0)) == text
    text, bits = model.likeliest_text(31, population=4, choice=Choice(), seed=0)
    assert bits > 0
    assert len(text) == 31


@pytest.mark.parametrize("symbols", ["a", " ab", "\n", "日本", b"\x80\xe3"])
def test_a_model_can_start_whatever_its_symbols_are(symbols):
    model = language_model(symbols)
    assert len(model.texts(10, choice=Choice(), seed=0)[0]) == 10


def test_each_stream_ends_for_itself_and_across_the_borders_of_blocks():
    options = {"prime": "ca", "choice": Choice(), "seed": 0}
    whole = ABC.texts(1000, streams=3, **options)
    stop = whole[0][BLOCK - 2 : BLOCK + 6]  # at a border
    ended = ABC.texts(1000, streams=3, stop=[stop], **options)
    assert len(ended[0]) <= BLOCK - 2
    assert ended == [text.split(stop)[0] for text in whole]
    lines = ABC.texts(1000, streams=3, stop=["ca"], lines=2, **options)
    for text, line in zip(whole, lines, strict=True):
        assert line == "".join(text.split("ca")[0].splitlines(keepends=True)[:2])
    assert "".join(ABC.stream(70, **options)) == ABC.texts(70, **options)[0]


def test_the_prime_text_is_normalised_as_the_model_was_trained():
    model = language_model(" abc", lowercase=True, collapse_whitespace=True)
    options = {"choice": Choice(), "seed": 0}
    assert model.texts(30, prime="A\n\nB", **options) == model.texts(30, prime="a b", **options)


def test_unknown_characters_of_the_prime_text_are_named():
    with pytest.raises(InputError, match=r"'x' \(2 times\), 'y' of the prime text"):
        ABC.texts(10, prime="axbyx", choice=Choice(), seed=0)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: ABC.texts(None, choice=Choice(), seed=0), "nothing ends the texts"),
        (lambda: ABC.texts(9, streams=0, choice=Choice(), seed=0), "0 texts"),
        (lambda: ABC.stream(stop=["x"], choice=Choice(), seed=0), "never writes 'x'"),
        (lambda: ABC.stream(choice=Choice(-1.0), seed=0), "the temperature is -1.0"),
        (lambda: ABC.likeliest_text(0, population=2, choice=Choice(), seed=0), "the length is 0"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(attempt, message):
    with pytest.raises(InputError, match=message):
        attempt()


def test_a_form_of_unicode_that_is_known_is_told():
    model = language_model("ae\u0301")
    with pytest.raises(InputError, match=r"Unicode's decomposed form \(NFD\)"):
        model.texts(9, prime="a\u00e9", choice=Choice(), seed=0)


def test_a_saved_model_is_the_same_to_the_bit(tmp_path):
    ABC.save(tmp_path / "model")
    loaded = load_language_model(tmp_path / "model")
    assert loaded.network == ABC.network
    assert loaded.vocabulary == ABC.vocabulary
    leaves = zip(jax.tree.leaves(loaded.params), jax.tree.leaves(ABC.params), strict=True)
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in leaves)


def trained(path, optimizer_state) -> LanguageModel:
    """A work directory as of a run, whose optimiser's state is this."""
    config = {
        "settings": to_dict(Settings()), "network": ABC.network.to_dict(),
        "vocabulary": ABC.vocabulary.to_dict(), "text": {"sha256": "", "length": 9},
    }  # fmt: skip
    (path / "config.json").write_text(json.dumps(config))
    state = TrainingState(ABC.params, optimizer_state, initial_state(ABC.network, 2))
    Checkpoints(path).save(1, state, metrics={})
    return ABC


def test_a_model_is_loaded_whatever_its_optimiser_called_its_state(tmp_path, monkeypatch):
    """And no optimiser is made for it."""
    monkeypatch.setattr(recipe, "make_optimizer", None)
    expected = trained(tmp_path, {"momenta": jnp.ones(3), "nothing": jnp.zeros((0, 2))})
    loaded = load_language_model(tmp_path)
    assert jax.tree.structure(loaded.params) == jax.tree.structure(expected.params)
    leaves = zip(jax.tree.leaves(loaded.params), jax.tree.leaves(expected.params), strict=True)
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in leaves)


@pytest.mark.parametrize("name", ["settings", "network", "vocabulary", "text"])
@pytest.mark.parametrize("wrong", [None, 3])
def test_a_run_whose_configuration_is_not_whole_is_refused(name, wrong, tmp_path):
    trained(tmp_path, ())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {name: wrong}))
    with pytest.raises(InputError, match=r"config\.json|network|vocabulary"):
        load_language_model(tmp_path)


def test_parameters_of_another_network_are_refused_in_a_checkpoint_too(tmp_path):
    trained(tmp_path, ())
    config = json.loads((tmp_path / "config.json").read_text())
    config["network"] = stacked(ABC.vocabulary.size, [5], ABC.vocabulary.size).to_dict()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="is of another network"):
        load_language_model(tmp_path)


def test_samples_are_drawn_with_a_key_of_their_own():
    """Not with the one that parameters are drawn from."""
    position, choice = ABC._read("a", 1, Choice())
    key = derive(jax.random.key(3), "samples")
    (first,) = islice(write(ABC.network, ABC.params, position, key, choice), 1)
    expected = ABC.vocabulary.decode(first[:, 0])
    assert ABC.texts(50, prime="a", choice=Choice(), seed=3) == [expected[:50]]


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no directory"):
        load_language_model(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"^/\S*model\.json cannot be read"):
        load_language_model(tmp_path)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            Network(3, [Layer("output", 3, "tanh", backward=True)], HEARD),
            r"layers that run back",
        ),
        (
            Network({"x": 3}, [Layer("output", 3, "tanh")], [("x", "output")]),
            r"inputs or outputs",
        ),
        (Network(4, [Layer("output", 3, "tanh")], HEARD), r"has 4 inputs and 3 outputs but the"),
    ],
)
def test_a_network_that_cannot_predict_the_next_symbol_is_refused(network, message):
    with pytest.raises(InputError, match=message):
        check_predicts(network, 3, "the network", "leave them out")


def ruined(value: float) -> LanguageModel:
    """All parameters are as large, so that the hidden layer is saturated."""
    params = jax.tree.map(lambda x: jnp.full_like(x, value), ABC.params)
    return LanguageModel(ABC.network, params, ABC.vocabulary)


@pytest.mark.parametrize("value", [3e38, float("inf"), float("nan")])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_is_not_finite_is_neither_written_nor_judged_nor_exported(
    value, temperature, tmp_path
):
    """Parameters of 3e38 are finite, but no logit that comes of them is."""
    model, choice = ruined(value), Choice(temperature)
    uses = [
        lambda: model.texts(10, choice=choice, seed=0),
        lambda: model.texts(10, prime="ab", streams=3, choice=choice, seed=0),
        lambda: next(model.stream(choice=choice, seed=0)),
        lambda: model.likeliest_text(10, population=4, choice=choice, seed=0),
        lambda: model.bits_per_character(np.array([1, 2, 3])),
        lambda: model.save(tmp_path / "model"),
    ]
    for use in uses:
        with pytest.raises(InputError, match="not finite"):
            use()
    assert not (tmp_path / "model").exists()


def test_parameters_that_are_not_finite_are_not_loaded(tmp_path):
    trained(tmp_path, ())
    state = TrainingState(ruined(float("nan")).params, (), initial_state(ABC.network, 2))
    Checkpoints(tmp_path).save(2, state, metrics={})
    with pytest.raises(InputError, match="not finite"):
        load_language_model(tmp_path)


def test_a_state_is_loaded_as_asked_for(tmp_path):
    trained(tmp_path, ())
    with pytest.raises(InputError, match="no best state"):
        load_language_model(tmp_path, which="best")
    with pytest.raises(InputError, match="which is 'newest'"):
        load_language_model(tmp_path, which="newest")
    assert load_language_model(tmp_path).facts["which"] == "last"  # not evaluated yet
    kept, state = (
        Checkpoints(tmp_path),
        TrainingState(ABC.params, (), initial_state(ABC.network, 2)),
    )
    kept.save(3, state, metrics={"evaluated": 2, "best": None})
    with pytest.raises(InputError, match="no best state"):
        load_language_model(tmp_path)
    kept.save(4, state, metrics={"evaluated": 4, "best": 2.5, "figure": 2.5}, best=True)
    kept.save(5, state, metrics={"evaluated": 4, "best": 2.5, "figure": 2.5})
    found = [load_language_model(tmp_path, which=which).facts for which in (None, "best", "last")]
    assert [(f["which"], f["step"], f["valid_bits_per_character"]) for f in found] == [
        ("best", 4, 2.5), ("best", 4, 2.5), ("last", 5, None),
    ]  # fmt: skip
    shutil.rmtree(tmp_path / "checkpoints" / "last")
    assert load_language_model(tmp_path).facts["step"] == 4
    with pytest.raises(InputError, match=r"no last state that is intact; .*best one .* of step 4"):
        load_language_model(tmp_path, which="last")  # training would go on from the best one
    (best,) = (tmp_path / "checkpoints" / "best").iterdir()
    (best / "checkpoint.json").write_text("{}")
    with pytest.raises(InputError, match="take the last state instead"):
        load_language_model(tmp_path)
