"""Training by rows against NumPy's lazy Adam and training as usual, and what stays as it was."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import Connection, Dropout, InputError, Layer, Network, Options, init
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.optimizers import make_optimizer
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.training import TrainingState, make_training_steps, start
from tests.learning.test_parallel import printed_by
from tests.learning.test_training import assert_different, assert_same_bits, copied, keys_from
from tests.reference import assert_close

ROWS, CLASSES, TIME, BATCH = 12, 3, 4, 3

# Two tables of one source, a recurrent layer, and features beside the symbols.
NETWORK = Network(
    {"words": ROWS, "features": 2},
    [
        Layer("embedding", 3, "linear", bias=False), Layer("hidden", 4, "tanh"),
        Layer("output", CLASSES, "linear"),
    ],
    [
        Connection("words", "embedding"), Connection("embedding", "hidden"),
        Connection("words", "hidden"), Connection("features", "hidden"),
        Connection("hidden", "hidden", 1), Connection("embedding", "output", 1),
        Connection("hidden", "output"),
    ],
)  # fmt: skip
TABLES = (("embedding", "words@0"), ("hidden", "words@0"))


@cache
def optimizer_of(name: str) -> optax.GradientTransformationExtraArgs:
    """One and the same object each time, so that what is compiled for it is found again."""
    return make_optimizer(name, clip_norm=0.1)


@cache
def steps_of(name: str, tables=("words",), **options):
    return jax.jit(make_training_steps(NETWORK, optimizer_of(name), tables=tables, **options))


def begin(name: str) -> TrainingState:
    return start(NETWORK, init(NETWORK, jax.random.key(0)), optimizer_of(name), BATCH)


def batches(steps: int, among: int = ROWS, seed: int = 0) -> Batch:
    """Symbols 0, 1, ... of so many, with repetitions; features, targets and resets."""
    rng = np.random.default_rng(seed)
    shape = steps, TIME, BATCH
    inputs = {
        "words": jnp.asarray(rng.integers(among, size=shape)),
        "features": jnp.asarray(rng.normal(size=(*shape, 2)), jnp.float32),
    }
    targets = jnp.asarray(rng.integers(CLASSES, size=shape))
    return Batch(inputs, targets, jnp.asarray(rng.random(shape) < 0.2))


def taken(steps, name: str, data: Batch, rate: float = 0.05):
    count = len(data.targets)
    return steps(begin(name), data, keys_from(0, count), jnp.full(count, rate))


def test_adam_by_rows_is_numpy_s_lazy_adam():
    """Means of the gradient and of its square move where a row is looked up, by the steps of all.

    The gradient is that of a softmax, summed where a row is looked up twice, and clipped.
    """
    rate, limit, b1, b2, eps = 0.1, 0.2, 0.9, 0.999, 1e-8
    network = Network(5, [Layer("output", CLASSES, "linear")], [("input", "output")])
    words = np.array([[[0, 3], [3, 3]], [[1, 1], [1, 0]], [[3, 4], [0, 4]]])
    targets = np.random.default_rng(0).integers(CLASSES, size=words.shape)
    with jax.enable_x64(True):
        optimizer = make_optimizer("adam", clip_norm=limit)
        params = init(network, jax.random.key(0), dtype=jnp.float64)
        arrays = {name: np.array(array) for name, array in params["output"].items()}
        steps = jax.jit(make_training_steps(network, optimizer, tables=("input",)))
        after, report = steps(
            start(network, params, optimizer, 2), Batch(jnp.asarray(words), jnp.asarray(targets)),
            keys_from(0, 3), jnp.full(3, rate),
        )  # fmt: skip
        after = copied(after.params["output"])
    means, squares = ({n: np.zeros_like(x) for n, x in arrays.items()} for _ in range(2))
    norms = []
    for step, (symbols, classes) in enumerate(zip(words, targets, strict=True), start=1):
        gradient = {name: np.zeros_like(array) for name, array in arrays.items()}
        for symbol, target in zip(symbols.flat, classes.flat, strict=True):
            logits = np.exp(arrays["input@0"][symbol] + arrays["bias"])
            delta = (logits / logits.sum() - np.eye(CLASSES)[target]) / symbols.size
            gradient["input@0"][symbol] += delta
            gradient["bias"] += delta
        norms.append(np.sqrt(sum((g**2).sum() for g in gradient.values())))
        for name, g in gradient.items():
            g *= min(1, limit / norms[-1])
            own = np.unique(symbols) if name == "input@0" else slice(None)
            means[name][own] = b1 * means[name][own] + (1 - b1) * g[own]
            squares[name][own] = b2 * squares[name][own] + (1 - b2) * g[own] ** 2
            mean, square = means[name][own] / (1 - b1**step), squares[name][own] / (1 - b2**step)
            arrays[name][own] -= rate * mean / (np.sqrt(square) + eps)
    assert min(norms) > limit
    np.testing.assert_allclose(report.norms, norms, rtol=1e-9)
    assert_close(after, arrays, 1e-9)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_where_every_row_is_looked_up_at_every_step_nothing_changes(name):
    data = batches(4)
    words = np.random.default_rng(1).permuted(np.tile(np.arange(ROWS), (4, 1)), axis=1)
    data.inputs["words"] = jnp.asarray(words.reshape(4, TIME, BATCH))
    by_rows = taken(steps_of(name), name, data)
    usual = taken(steps_of(name, tables=()), name, data)
    assert_close(by_rows, usual, 1e-4)


@pytest.mark.parametrize(
    ("name", "special"),
    [("sgd", "none"), *(("adagrad", x) for x in ("segments", "lengths", "weights", "dropout"))],
)
def test_what_does_nothing_without_a_gradient_does_by_rows_what_it_does_otherwise(name, special):
    """With repetitions, resets and clipping; and of what is not there, or not heard."""
    data, options = batches(4, among=5), {}
    if special == "segments":
        options = {"options": Options(segment=2)}
    if special == "lengths":
        data = data._replace(lengths=jnp.array([[4, 2, 0], [1, 3, 4], [2, 2, 2], [0, 0, 1]]))
    if special == "weights":
        weights = jnp.ones((4, TIME, BATCH)).at[1, 1:3, 2].set(0).at[2, :, 0].set(0.5)
        words = data.inputs["words"].at[1, 1, 2].set(-7).at[1, 2, 2].set(ROWS + 3)
        data = data._replace(inputs=data.inputs | {"words": words}, weights=weights)
    if special == "dropout":
        options = {"dropout": Dropout(0.4)}
    by_rows = taken(steps_of(name, **options), name, data)
    usual = taken(steps_of(name, tables=(), **options), name, data)
    assert by_rows[1].finite.all()
    assert_close(by_rows, usual, 1e-5)


PAIRS = Network(
    3,
    [Layer("hidden", 4, "tanh"), Layer("output", CLASSES, "linear")],
    [
        Connection("pairs", "hidden"), Connection("triples", "output"),
        Connection("hidden", "hidden", 1), Connection("hidden", "output"),
    ],
    ngrams=[("pairs", 2, 16), ("triples", 3, 30)],
)  # fmt: skip
WITH_INPUT = Network(
    3, PAIRS.layers, [*PAIRS.connections, ("input", "hidden"), ("input", "output", 1)],
    ngrams=PAIRS.ngrams,
)  # fmt: skip
ALL = Network(3, PAIRS.layers, [*PAIRS.connections, ("input", "hidden")], ngrams=PAIRS.ngrams)


@pytest.mark.parametrize(
    ("network", "tables"),
    [(PAIRS, ["pairs", "triples"]), (WITH_INPUT, ["triples"]), (ALL, ["input", "pairs", "pairs"])],
    ids=["all", "some", "their input"],
)
@pytest.mark.parametrize("special", ["resets", "lengths"])
def test_n_grams_are_looked_up_across_chunks_and_resets_as_the_engine_has_it(
    network, tables, special
):
    rng = np.random.default_rng(0)
    symbols = jnp.asarray(rng.integers(3, size=(4, TIME, BATCH)))
    data = Batch(symbols, (symbols + 1) % CLASSES, jnp.asarray(rng.random(symbols.shape) < 0.2))
    if special == "lengths":
        lengths = jnp.array([[4, 2, 0], [1, 3, 4], [2, 2, 2], [0, 0, 1]])
        data = data._replace(lengths=lengths, resets=None)
    optimizer, results = optimizer_of("sgd"), []
    for chosen in (tables, ()):
        steps = jax.jit(make_training_steps(network, optimizer, tables=chosen))
        state = start(network, init(network, jax.random.key(0)), optimizer, BATCH)
        results.append(steps(state, data, keys_from(0, 4), jnp.full(4, 0.5)))
    by_rows, usual = results
    assert by_rows[1].finite.all()
    assert_close(by_rows, usual, 1e-5)


def test_a_recipe_trains_n_grams_by_rows():
    symbols = jnp.ones((2, TIME, BATCH), int)
    recipe = Recipe(dropout=0.2, ngram_dropout=0.3)
    before = recipe.start(WITH_INPUT, BATCH, jax.random.key(0))
    table = np.array(before.params["hidden"]["pairs@0"])
    steps = recipe.training_steps(WITH_INPUT)
    after, _ = steps(before, Batch(symbols, symbols), keys_from(0, 2), jnp.full(2, 0.1))
    moved = (np.asarray(after.params["hidden"]["pairs@0"]) != table).any(axis=1)
    assert moved.sum() == 2  # ones after nothing, and after ones


@pytest.mark.parametrize("name", ["adam", "adamw", "momentum"])
def test_rows_that_are_not_looked_up_stay_to_the_bit_and_so_does_what_is_kept_for_them(name):
    before = copied(begin(name))
    data = batches(3, among=4)._replace(lengths=jnp.full((3, BATCH), TIME - 1))
    data.inputs["words"] = data.inputs["words"].at[:, -1].set(ROWS - 1)  # beyond the end
    after, _ = taken(steps_of(name, l2=0.1), name, data)
    for layer, key in TABLES:
        pairs = [(before.params[layer][key], after.params[layer][key])]
        pairs += [
            (old, new)
            for (path, old), new in zip(
                jax.tree_util.tree_leaves_with_path(before.optimizer_state),
                jax.tree.leaves(after.optimizer_state), strict=True,
            )
            if jax.tree_util.keystr(path).endswith(f"['{layer}']['{key}']")
        ]  # fmt: skip
        assert len(pairs) == (2 if name == "momentum" else 3)
        for old, new in pairs:
            assert_same_bits(new[4:], old[4:])
            assert_different(new[:4], old[:4])


@pytest.mark.parametrize("wrong", ["state", "symbol", "rate"])
def test_a_step_that_is_not_finite_changes_no_row(wrong):
    data, rates, state = batches(1), jnp.full(1, 0.1), begin("adam")
    if wrong == "state":
        state = state._replace(
            network_state=jax.tree.map(lambda x: x + jnp.inf, state.network_state)
        )
    if wrong == "symbol":
        data.inputs["words"] = data.inputs["words"].at[0, 2, 1].set(ROWS)
    if wrong == "rate":
        rates = jnp.full(1, jnp.nan)
    before = copied(state)
    after, report = steps_of("adam")(state, data, keys_from(0, 1), rates)
    assert not report.finite[0]
    assert_same_bits(after[:2], before[:2])


@pytest.mark.parametrize("symbol", [-1, ROWS, 2**31 - 1])
def test_a_symbol_that_there_is_not_spoils_its_lane_as_it_does_otherwise(symbol):
    data = batches(1)
    data.inputs["words"] = data.inputs["words"].at[0, 2, 1].set(symbol)
    reports = [taken(steps_of("adam", tables=t), "adam", data)[1] for t in (("words",), ())]
    assert [int(report.restarted[0]) for report in reports] == [1, 1]


def test_several_steps_in_one_call_are_the_same_steps_in_several_calls():
    """Which is how a run goes on from a checkpoint: all that it needs is in the state."""
    data, rates, keys = batches(3), jnp.full(3, 0.1), keys_from(0, 3)
    together, _ = steps_of("adam")(begin("adam"), data, keys, rates)
    apart = begin("adam")
    for i in range(3):
        single = jax.tree.map(lambda x, i=i: x[i : i + 1], data)
        apart, _ = steps_of("adam")(apart, single, keys[:1], rates[:1])
    assert_close(together, apart, 1e-5)


def test_a_step_needs_as_much_memory_beside_the_state_however_many_rows_there_are():
    sizes = []
    for rows in (100, 10_000):
        network = Network(rows, [Layer("output", 8, "linear")], [("input", "output")])
        optimizer = make_optimizer("adam", clip_norm=1.0)
        state = start(network, init(network, jax.random.key(0)), optimizer, BATCH)
        words = jnp.zeros((2, TIME, BATCH), int)
        steps = make_training_steps(network, optimizer, tables=("input",), l2=0.1)
        program = steps.lower(state, Batch(words, words), keys_from(0, 2), jnp.ones(2)).compile()
        sizes.append(program.memory_analysis().temp_size_in_bytes)
    assert sizes[1] - sizes[0] < 100 * 8 * 4  # bytes of the smaller table


LATE = Network(ROWS, NETWORK.layers[-1:], [("input", "output", 2)])


@pytest.mark.parametrize(
    ("message", "network", "options"),
    [
        (
            "tables name 'hidden', which is no input or n-gr.*; those are wor",
            NETWORK,
            {"tables": ["hidden"]},
        ),
        ("tables name 'input', .* those are pairs, triples", PAIRS, {"tables": ["input"]}),
        ("tables are 'words'; give a list", NETWORK, {"tables": "words"}),
        (r"input -> output \(delay 2\) is no table", LATE, {"tables": ["input"]}),
        ("a transform sees whole", NETWORK, {"tables": ["words"], "transform": lambda x: x}),
    ],
)
def test_what_is_no_table_is_refused(message, network, options):
    with pytest.raises(InputError, match=message):
        make_training_steps(network, optax.adam(0.1), **options)


@pytest.mark.parametrize(
    ("message", "table", "optimizer"),
    [
        ("inputs 'features' are float32; a table needs symbols", "features", optax.sgd(0.1)),
        ("numbers for the table of 'words'", "words", optax.lbfgs(0.1, linesearch=None)),
    ],
)
def test_what_does_not_go_by_rows_is_refused_when_it_is_seen(message, table, optimizer):
    steps = make_training_steps(NETWORK, optimizer, tables=[table])
    state = start(NETWORK, init(NETWORK, jax.random.key(0)), optimizer, BATCH)
    with pytest.raises(InputError, match=message):
        steps(state, batches(1), keys_from(0, 1))


# Run where there are four devices; prints by how much four differ from one.
FOUR_DEVICES = """
import json
import jax, jax.numpy as jnp, numpy as np
from jaxrnn import init, stacked
from jaxrnn.learning.optimizers import make_optimizer
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.parallel import data_mesh, feed, local, place, shardings
from jaxrnn.learning.training import make_training_steps, start

ROWS, STEPS, TIME, BATCH = 60, 3, 5, 8
network, optimizer = stacked(ROWS, [5], 6, cell="gru"), make_optimizer("adam", clip_norm=0.1)
rng = np.random.default_rng(0)
own = Batch(rng.integers(ROWS, size=(STEPS, TIME, BATCH)).astype(np.int32),
            rng.integers(6, size=(STEPS, TIME, BATCH)).astype(np.int32),
            rng.random((STEPS, TIME, BATCH)) < 0.2)
rates, keys, results = jnp.full(STEPS, 0.01), jax.random.split(jax.random.key(1), STEPS), []
for count in (1, 4):
    mesh = data_mesh(BATCH, count)
    steps = make_training_steps(network, optimizer, tables=("input",), shardings=shardings(mesh))
    state = start(network, init(network, jax.random.key(0)), optimizer, BATCH)
    state = place(shardings(mesh), state)
    for _ in range(2):
        state, report = steps(state, feed(mesh, own), keys, rates)
    results.append((report.losses, local(state.params), local(state.optimizer_state)))
one, four = (list(map(np.asarray, jax.tree.leaves(result))) for result in results)
differences = [float(np.abs(a - b).max()) for a, b in zip(one, four, strict=True)]
print(json.dumps({"largest": max(differences)}))
"""


def test_four_devices_train_by_rows_as_one_does():
    facts = printed_by(FOUR_DEVICES, "--xla_force_host_platform_device_count=4")
    assert facts["largest"] < 1e-5
