import json
from collections import Counter
from pathlib import Path

import jax
import pytest

from jaxrnn import stacked
from jaxrnn.core.errors import InputError
from jaxrnn.storage.fields import from_dict, leaves, to_dict
from jaxrnn.text.from_settings import make_network
from jaxrnn.text.settings import PRESETS, LengthSettings, NetworkSettings, Settings
from jaxrnn.text.vocabulary import Vocabulary


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_kept_in_json(name):
    record = json.loads(json.dumps(to_dict(PRESETS[name])))
    assert from_dict(Settings, record, Path("config.json")) == PRESETS[name]


def test_the_small_preset_has_at_most_four_million_parameters_with_300_symbols():
    """Tables counted."""
    vocabulary = Vocabulary("".join(map(chr, range(32, 331))))
    assert make_network(PRESETS["small"].network, vocabulary).parameter_count <= 4_000_000


def test_a_name_means_one_setting():
    """So that it can be a flag."""
    for names in (
        [leaf.name for leaf in leaves(Settings)],
        [leaf.flag for leaf in leaves(Settings)],
    ):
        assert max(Counter(names).values()) == 1


OUT_OF_BOUNDS = {
    "seed": (-1, 2**32), "chunk": (0,), "batch": (0,), "learning_rate": (0.0,), "muon_rate": (0.0,),
    "ngram_rate": (0.0,),
    "clip_norm": (0.0,), "clip_value": (0.0,), "dropout": (-0.1, 1.0), "input_dropout": (1.0,),
    "ngram_dropout": (1.0,), "output_dropout": (1.0,), "recurrent_dropout": (1.0,),
    "weight_drop": (1.0,),
    "l1": (-0.1,), "l2": (-0.1,), "ngram_l2": (-0.1,), "segment": (-1,),
    "optimizer": ("sdg",), "schedule": ("linear",), "initializer": ("ones",),
    "recurrent_initializer": ("ones",), "dtype": ("float16",), "steps": (0,),
    "epochs": (0.0,), "minutes": (0.0,), "patience": (-1,),
    "evaluate_every": (0,), "checkpoint_every": (0,), "ngram_rows": (0,), "ngram_size": (-1,),
}  # fmt: skip


@pytest.mark.parametrize("name", OUT_OF_BOUNDS)
def test_what_cannot_be_trained_with_is_refused(name):
    for value in OUT_OF_BOUNDS[name]:
        with pytest.raises(
            InputError, match=f"^{name} is {value}; it must be|^{name} is '{value}'"
        ):
            PRESETS["quick"].but(**{name: value})
    for length in ("epochs", "minutes"):
        with pytest.raises(InputError, match=f"{length} is 0.0; it must be above 0"):
            PRESETS["quick"].but(steps=None, **{length: 0.0})


def test_what_does_not_decide_what_is_trained_may_change_in_a_run():
    assert {leaf.flag for leaf in leaves(Settings) if leaf.meaning.changeable} == {
        "steps", "epochs", "minutes", "patience", "evaluate_every", "checkpoint_every", "cells",
        "network", "corpus", "encoding", "markup",
    }  # fmt: skip


def test_what_may_be_overridden_leaves_every_array_of_a_checkpoint_what_it_is():
    others = {
        "learning_rate": 0.1, "muon_rate": 0.1, "ngram_rate": 0.1,
        "schedule": "constant", "clip_norm": None,
        "clip_value": 0.5, "dropout": 0.5, "input_dropout": 0.5, "ngram_dropout": 0.5,
        "output_dropout": 0.5, "recurrent_dropout": 0.5, "locked": True, "weight_drop": 0.5,
        "l1": 0.1, "l2": 0.1, "segment": 8,
    }  # fmt: skip
    assert {leaf.name for leaf in leaves(Settings) if leaf.meaning.overridable} == others.keys()

    def arrays(settings):
        network = stacked(3, [4], 3, "gru")
        state = jax.eval_shape(
            lambda: settings.recipe.start(network, settings.text.batch, jax.random.key(0))
        )
        found = jax.tree_util.tree_leaves_with_path(state)
        return {jax.tree_util.keystr(path): (leaf.shape, leaf.dtype) for path, leaf in found}

    for name, value in others.items():
        assert arrays(Settings().but(**{name: value})) == arrays(Settings()), name
    for name, value in (("optimizer", "momentum"), ("average", 0.9), ("batch", 7)):
        assert arrays(Settings().but(**{name: value})) != arrays(Settings()), name


def test_one_thing_says_how_long():
    assert LengthSettings(None, minutes=2.0).unit == "minutes"
    with pytest.raises(InputError, match="said by steps and epochs; give one of steps, epochs,"):
        PRESETS["quick"].but(epochs=1.0)
    with pytest.raises(InputError, match="said by nothing"):
        PRESETS["quick"].but(steps=None)


def test_a_network_is_a_stack_or_a_graph():
    graph = NetworkSettings((), *[None] * 7, "graph.json")
    assert graph.graph == "graph.json"
    with pytest.raises(InputError, match="give a graph, or cell, hidden, skip, feedback"):
        PRESETS["quick"].but(graph="graph.json")
    with pytest.raises(InputError, match="give a graph, or cell, hidden, skip, feedback"):
        PRESETS["quick"].but(hidden=None)
