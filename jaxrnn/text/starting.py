"""A run that starts from a trained model: what it takes over, and what cannot be set anew."""

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int64, PRNGKeyArray

from jaxrnn.core.errors import InputError
from jaxrnn.core.network import Network
from jaxrnn.core.parameters import Params, parameter_shapes
from jaxrnn.core.stacks import MOTIFS, NGRAMS, stacked
from jaxrnn.learning import parallel
from jaxrnn.learning.recipe import Recipe
from jaxrnn.running.processes import from_writer
from jaxrnn.running.training import sha256_of
from jaxrnn.running.workdir import is_trained
from jaxrnn.storage.fields import leaves
from jaxrnn.text.encoded import EncodedText
from jaxrnn.text.from_settings import network_in
from jaxrnn.text.language_model import LanguageModel, load_language_model
from jaxrnn.text.saved_run import Origin, saved_run
from jaxrnn.text.settings import GRAPH, NetworkSettings, Settings
from jaxrnn.text.unknown import listed
from jaxrnn.text.vocabulary import UNKNOWN, Vocabulary

DESCRIBED = (*GRAPH, "graph")  # what a model to start from says by itself
NORMALISATION = ("bytes", "lowercase", "collapse_whitespace")


class Start(NamedTuple):
    """From which model, and its parameters: those of the writer alone, None in a run that goes on.

    `is_new` says whether the run begins; all processes know that.
    """

    origin: Origin
    is_new: bool
    params: Params | None


def find_start(given: str, workdir: Path, known: Mapping[str, Any] | None) -> Start:
    """The model in a directory; of a run that was begun from it, what it was then.

    Such a run has all that it needs in its own work directory, wherever the model is by now. All
    processes of a run call this; only the writer reads.

    Args:
      given: the directory, as the settings have it.
      workdir: of the run that is to start, which need not exist.
      known: its configuration, if it has one.

    Raises:
      InputError: there is no model that can be trained on, or it is this run's own.
    """
    jax.devices()  # JAX begins in all processes at once, not in the writer while the others wait
    found: list[Params] = []

    def look() -> tuple[dict, bool]:
        if known is not None and "init_from" in known and is_trained(workdir):
            begun = saved_run(workdir, known).origin
            if begun is not None and begun.path == given:
                return begun.to_dict(), False
        origin, params = _read(given, workdir)
        found.append(params)
        return origin.to_dict(), True

    record, is_new = from_writer(look)
    return Start(Origin.from_dict(record), is_new, found[0] if found else None)


def taken_over(base: Settings, origin: Origin) -> Settings:
    """Settings with a model's network and reading of text in place of their own."""
    return base.but(
        init_from=origin.path, **dict.fromkeys(DESCRIBED), **_normalisation(origin.vocabulary)
    )


def agreed(settings: Settings, origin: Origin) -> Settings:
    """The settings, without what only repeats what the model's network is.

    Raises:
      InputError: one of them is said to be another than the model's; names the flag.
    """
    true = _normalisation(origin.vocabulary)
    for leaf in leaves(Settings):
        value = leaf.of(settings)
        if leaf.name in true and value != true[leaf.name]:
            raise InputError(
                f"{leaf.as_flag(value)} is not how the model in {origin.path} reads text; it was "
                f"trained with {leaf.as_flag(true[leaf.name])}, so leave the flag out"
            )
    said = [
        leaf.as_flag(leaf.of(settings))
        for leaf in leaves(Settings)
        if leaf.name in DESCRIBED and leaf.of(settings) is not None
    ]
    if said and not _is_described(origin.network, settings.network):
        raise InputError(
            f"{' '.join(said)} is not the network of the model in {origin.path}, which --init_from "
            "takes as it is; leave such flags out"
        )
    return settings.but(**dict.fromkeys(DESCRIBED))


def first_params(start: Start, text: EncodedText, recipe: Recipe, key: PRNGKeyArray) -> Params:
    """The model's parameters, with fresh ones for what the text adds to its vocabulary.

    All processes of a run call this; all get the writer's.
    """
    origin, params = start.origin, start.params
    dtype = np.float64 if recipe.dtype == "float64" else np.float32
    if params is None:
        shapes = parameter_shapes(origin.network)
        params = {layer: {k: np.zeros(v) for k, v in own.items()} for layer, own in shapes.items()}
    params = jax.tree.map(lambda array: np.asarray(array, dtype), params)
    if jax.process_count() > 1:
        params = parallel.from_first(params)
    model = LanguageModel(origin.network, params, origin.vocabulary)
    return model.extended(text.vocabulary.symbols, key, recipe).params


def describe_start(start: Start, text: EncodedText) -> str:
    """What the model knows of the text, in a sentence."""
    origin = start.origin
    known, now = origin.vocabulary.symbols, text.vocabulary.symbols
    unknown = origin.vocabulary.encode(now) == UNKNOWN
    new = [now[i : i + 1] for i in np.flatnonzero(unknown)]
    absent = int((_counts(text)[1:][~unknown] == 0).sum())
    at = "" if origin.step is None else f", step {origin.step:,}"
    parts = [f"it knows {len(known):,} symbols"]
    parts.append(
        f"{len(new):,} new one{'s' * (len(new) > 1)} ({listed(dict.fromkeys(new, 1))}) get fresh "
        "parameters"
        if new
        else "none is added"
    )
    if absent:
        parts.append(
            f"{absent:,} of its own do{'es' * (absent == 1)} not occur in the training split"
        )
    return f"Starting from the model in {origin.path}{at}: {'; '.join(parts)}."


def _counts(text: EncodedText) -> Int64[np.ndarray, " symbols"]:
    """How often each symbol occurs in the training split."""
    counts = np.zeros(text.vocabulary.size, np.int64)
    for at in range(0, len(text.train), 2**20):
        counts += np.bincount(text.train[at : at + 2**20], minlength=len(counts))
    return counts


def _read(given: str, workdir: Path) -> tuple[Origin, Params]:
    path = Path(given)
    if path.resolve() == workdir.resolve():
        raise InputError(
            f"--init_from={given} is this run's own work directory; give another --workdir to start"
            " a new run from it, or leave --init_from out to go on with it"
        )
    allowed = jax.config.read("jax_enable_x64")
    try:
        model = load_language_model(path)
        params = jax.tree.map(np.asarray, model.params)
    except InputError as mistake:
        raise InputError(f"--init_from={given}: {mistake}") from None
    finally:  # the precision of the run that starts is its own
        jax.config.update("jax_enable_x64", allowed)
    step = model.facts.get("step")
    step = step if isinstance(step, int) else None
    return Origin(given, step, sha256_of(params), model.network, model.vocabulary), params


def _normalisation(vocabulary: Vocabulary) -> dict[str, bool]:
    values = (
        vocabulary.level == "byte", vocabulary.lowercase, vocabulary.collapse_whitespace
    )  # fmt: skip
    return dict(zip(NORMALISATION, values, strict=True))


def _is_described(network: Network, said: NetworkSettings) -> bool:
    """Whether what is said of a network is true of it."""
    network, symbols, own = _without_codes(network), network.input_size, network.ngrams
    if said.graph is not None:
        return _without_codes(network_in(said.graph, symbols)) == network
    hidden = [layer for layer in network.layers if layer.name.startswith("hidden")]
    joined = [layer.size for layer in network.layers if layer.name == NGRAMS]
    ngrams = [x.length for x in own] if said.ngrams is None else said.ngrams
    rows = said.ngram_rows or next((x.size for x in own), 1)
    size = next(iter(joined), 0) if said.ngram_size is None else said.ngram_size
    sizes = said.hidden or tuple(layer.size for layer in hidden)
    cells = [said.cell] if said.cell else [hidden[0].cell if hidden else "tanh", *MOTIFS]
    ways = [(False, True) if way is None else (way,) for way in (said.skip, said.feedback)]
    return any(
        stacked(
            symbols, sizes, symbols, cell, skip=skip, feedback=feedback, ngrams=ngrams,
            ngram_rows=rows, ngram_size=size,
        ) == network
        for cell in cells
        for skip, feedback in itertools.product(*ways)
    )  # fmt: skip


def _without_codes(network: Network) -> Network:
    """As it was before its vocabulary grew."""
    ngrams = [dataclasses.replace(ngram, codes=None) for ngram in network.ngrams]
    return Network(network.input_size, network.layers, network.connections, ngrams=ngrams)
