"""Training steps against NumPy's back-propagation through time and optax, and what they promise."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import (
    Connection,
    Dropout,
    InputError,
    Layer,
    Network,
    Options,
    init,
    initial_state,
    stacked,
    unroll,
)
from jaxrnn.learning.batch import Batch
from jaxrnn.learning.evaluation import evaluate
from jaxrnn.learning.loss import squared_error
from jaxrnn.learning.optimizers import OPTIMIZERS, make_optimizer
from jaxrnn.learning.training import make_training_steps, start
from tests import reference
from tests.networks import random_params
from tests.reference import assert_close, inner, one_hot

SYMBOLS, BATCH, TIME = 4, 2, 5

# Remembers the input, its own outputs and a carry.
NETWORK = Network(
    SYMBOLS,
    [Layer("low", 3, "lstm"), Layer("high", 3, "tanh"), Layer("output", SYMBOLS, "linear")],
    [
        Connection("input", "low"), Connection("input", "low", 2), Connection("low", "low", 1),
        Connection("low", "high"), Connection("high", "high", 3), Connection("high", "low", 1),
        Connection("high", "output"),
    ],
)  # fmt: skip


def params_of(network: Network = NETWORK, seed: int = 0) -> dict:
    drawn = random_params(network, np.random.default_rng(seed))
    return jax.tree.map(lambda x: jnp.asarray(x, jax.dtypes.canonicalize_dtype(float)), drawn)


@cache
def steps_of(network: Network, optimizer, **options):
    return jax.jit(make_training_steps(network, optimizer, **options))


def begin(optimizer, params: dict, network: Network = NETWORK, batch: int = BATCH):
    """A state of its own arrays, since training donates it."""
    return start(network, jax.tree.map(jnp.array, params), optimizer, batch)


def random_chunks(steps: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    symbols = rng.integers(SYMBOLS, size=(2, steps, TIME, BATCH))
    return Batch(*jnp.asarray(symbols), jnp.asarray(rng.random((steps, TIME, BATCH)) < 0.2))


def part(chunks: Batch, *steps: int) -> Batch:
    return jax.tree.map(lambda x: x[jnp.array(steps)], chunks)


def keys_from(seed: int, count: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), count)


def copied(tree):
    return jax.tree.map(lambda x: np.array(x, copy=True), tree)


def assert_same_bits(actual, expected) -> None:
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def assert_different(a, b) -> None:
    assert any(not np.array_equal(x, y) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def nats_per_character(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return -np.log(np.take_along_axis(softmax(logits), targets[..., None], axis=-1)[..., 0])


@pytest.mark.parametrize("with_resets", [True, False])
def test_steps_are_textbook_bptt_on_each_chunk_from_the_state_that_the_one_before_left(with_resets):
    l1, l2, rates = 0.01, 0.03, [0.1, 0.05, 0.2]
    chunks = random_chunks(len(rates))
    if not with_resets:
        chunks = chunks._replace(resets=jnp.zeros_like(chunks.resets))
    with jax.enable_x64(True):
        optimizer = make_optimizer("momentum", clip_norm=0.5)
        params = params_of()
        steps = steps_of(NETWORK, optimizer, l1=l1, l2=l2)
        after, report = steps(
            begin(optimizer, params), chunks, keys_from(0, len(rates)), jnp.array(rates)
        )
        params, losses, norms = copied(params), [], []
        state = copied(initial_state(NETWORK, BATCH, jnp.float64))
        clip, trace = optax.clip_by_global_norm(0.5), jax.tree.map(np.zeros_like, params)
        for inputs, targets, resets, rate in zip(*copied(chunks[:3]), rates, strict=True):
            tape = reference.forward(NETWORK, params, state, one_hot(inputs, SYMBOLS), resets)
            losses.append(nats_per_character(tape.outputs, targets).mean())
            d_logits = (softmax(tape.outputs) - one_hot(targets, SYMBOLS)) / targets.size
            nothing = jax.tree.map(np.zeros_like, tape.state)
            gradient, _, _ = reference.backward(tape, d_logits, nothing)
            for layer, arrays in gradient.items():
                for name in arrays.keys() - {"bias"}:
                    weights = params[layer][name]
                    arrays[name] = arrays[name] + l1 * np.sign(weights) + l2 * weights
            norms.append(np.sqrt(inner(gradient, gradient)))
            clipped, _ = clip.update(gradient, clip.init(params))
            trace = jax.tree.map(lambda t, g: 0.9 * t + np.asarray(g), trace, clipped)
            params = jax.tree.map(lambda p, t, rate=rate: p - rate * t, params, trace)
            state = tape.state
    assert report.finite.all()
    np.testing.assert_allclose(report.losses, losses, rtol=1e-9)
    np.testing.assert_allclose(report.norms, norms, rtol=1e-9)
    assert_close(copied(after.params), params, 1e-8)
    assert_close(copied(after.network_state), state, 1e-8)


def test_a_step_with_dropout_is_one_of_jax_grad_and_optax():
    dropout, key = Dropout(0.4), keys_from(1, 1)
    chunk, params = random_chunks(1), params_of()

    def loss(params):
        inputs, targets, resets = (x[0] for x in chunk[:3])
        logits, _ = unroll(
            NETWORK, params, initial_state(NETWORK, BATCH), inputs, resets=resets,
            dropout=dropout, dropout_key=key[0], options=Options(plain_autodiff=True),
        )  # fmt: skip
        likelihoods = (jax.nn.log_softmax(logits) * jax.nn.one_hot(targets, SYMBOLS)).sum(axis=-1)
        return -likelihoods.mean()

    nats, gradient = jax.jit(jax.value_and_grad(loss))(params)
    adam = optax.adam(0.1)
    expected = optax.apply_updates(params, adam.update(gradient, adam.init(params))[0])
    optimizer = make_optimizer("adam")
    steps = steps_of(NETWORK, optimizer, dropout=dropout)
    after, report = steps(begin(optimizer, params), chunk, key, jnp.array([0.1]))
    np.testing.assert_allclose(report.losses, [nats], rtol=1e-5)
    assert_close(after.params, expected, 1e-4)


def test_several_steps_in_one_call_are_the_same_steps_in_several_calls():
    optimizer, params = make_optimizer("adam"), params_of()
    steps = steps_of(NETWORK, optimizer, dropout=Dropout(0.4))
    chunks, rates, keys = random_chunks(3), jnp.array([0.1, 0.02, 0.05]), keys_from(2, 3)
    together, report = steps(begin(optimizer, params), chunks, keys, rates)
    apart, losses = begin(optimizer, params), []
    for i in range(3):
        apart, single = steps(apart, part(chunks, i), keys[i : i + 1], rates[i : i + 1])
        losses.append(float(single.losses[0]))
    np.testing.assert_allclose(report.losses, losses, rtol=1e-5)
    assert_close(together, apart, 1e-4)


def test_what_is_dropped_is_decided_by_the_key_and_nothing_else():
    optimizer, params = make_optimizer("sgd"), params_of()
    steps = steps_of(NETWORK, optimizer, dropout=Dropout(0.5))
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), random_chunks(1))
    twice = twice._replace(resets=jnp.ones_like(twice.resets))

    def losses(seeds):
        keys = jnp.stack([jax.random.key(seed) for seed in seeds])
        return steps(begin(optimizer, params), twice, keys, jnp.zeros(2))[1].losses

    same, different = losses([7, 7]), losses([7, 8])
    assert same[0] == same[1] == different[0] != different[1]


def test_without_dropout_the_key_decides_nothing():
    optimizer, params = make_optimizer("sgd"), params_of()
    steps = steps_of(NETWORK, optimizer)
    results = [
        steps(begin(optimizer, params), random_chunks(1), keys_from(seed, 1), jnp.array([0.1]))
        for seed in (0, 1)
    ]
    assert_same_bits(*results)


def test_the_state_is_donated_and_the_one_returned_is_usable():
    optimizer = make_optimizer("adam")
    given = begin(optimizer, params_of())
    steps = make_training_steps(NETWORK, optimizer)
    returned, _ = steps(given, random_chunks(1), keys_from(0, 1), jnp.array([0.1]))
    assert all(array.is_deleted() for array in jax.tree.leaves(given))
    assert all(np.isfinite(array).all() for array in jax.tree.leaves(returned))


def zeros(tree):
    return jax.tree.map(np.zeros_like, tree)


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adam(0.1),
        optax.adam(optax.cosine_decay_schedule(0.1, 5)),
        optax.chain(optax.clip_by_global_norm(0.1), optax.adamw(0.05, weight_decay=0.1)),
        optax.chain(optax.adam(0.1), optax.contrib.reduce_on_plateau(patience=1)),
        optax.inject_hyperparams(optax.sgd)(learning_rate=0.1),
        optax.lbfgs(0.1, linesearch=None),  # begins with one array in several places
        optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(0)), optax.sgd(0.1)),
    ],
    ids=["adam", "schedule", "chain", "plateau", "injected", "lbfgs", "noise"],
)
def test_any_optimiser_of_optax_walks_as_in_a_loop_of_optax_s_own(optimizer):
    chunks, keys, params = random_chunks(5), keys_from(0, 5), params_of()
    expected, state, theirs = params, initial_state(NETWORK, BATCH), optimizer.init(params)
    optimizer = optax.with_extra_args_support(optimizer)

    def loss(params, state, inputs, targets, resets):
        logits, state = unroll(NETWORK, params, state, inputs, resets=resets)
        nats = optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()
        return nats + 0.05 * sum((a**2).sum() for a in jax.tree.leaves(params) if a.ndim > 1), state

    grad = jax.jit(jax.value_and_grad(loss, has_aux=True))
    for i in range(5):
        (value, state), gradient = grad(expected, state, *(x[i] for x in chunks[:3]))
        updates, theirs = optimizer.update(gradient, theirs, expected, value=value)
        expected = optax.apply_updates(expected, updates)
    steps = jax.jit(make_training_steps(NETWORK, optimizer, l2=0.1))
    after, report = steps(begin(optimizer, params), chunks, keys)
    assert report.finite.all()
    assert_close(after.params, expected, 1e-4)


def test_what_does_not_fit_the_optimiser_or_the_chunks_is_refused():
    own, given = optax.chain(optax.clip(1.0), optax.adam(0.1)), make_optimizer("adam")
    chunks, keys, rates = random_chunks(2), keys_from(0, 2), jnp.ones(2)
    with pytest.raises(InputError, match="has a learning rate of its own"):
        make_training_steps(NETWORK, own)(begin(own, params_of()), chunks, keys, rates)
    with pytest.raises(InputError, match="has no learning rate of its own"):
        make_training_steps(NETWORK, given)(begin(given, params_of()), chunks, keys)
    with pytest.raises(InputError, match=r"keys of shape \[3\] do not fit 2 training steps"):
        make_training_steps(NETWORK, own)(begin(own, params_of()), chunks, keys_from(0, 3))


@cache
def clipped(name: str):
    """One and the same object each time, so that what is compiled for it is found again."""
    return make_optimizer(name, clip_norm=1.0)


# One hidden unit, silent until it hears symbol 1.
EXPLOSIVE = Network(
    2,
    [Layer("hidden", 1, "relu"), Layer("output", 2, "linear")],
    [
        Connection("input", "hidden"), Connection("hidden", "hidden", 1),
        Connection("hidden", "output"),
    ],
)  # fmt: skip


def explosive_params(recurrent=0.5, output=(1.0, -1.0), bias=(0.0, 0.3), entrance=1.0) -> dict:
    return {
        "hidden": {
            "bias": jnp.zeros(1),
            "input@0": jnp.array([[0.0], [entrance]]),
            "hidden@1": jnp.array([[recurrent]]),
        },
        "output": {"bias": jnp.array(bias), "hidden@0": jnp.array([output])},
    }


def chunks_of(*texts: list[int]) -> Batch:
    """A step for each text, whose targets are all symbol 0."""
    inputs = jnp.array(texts)[..., None]
    return Batch(inputs, jnp.zeros_like(inputs), jnp.zeros(inputs.shape, bool))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    ("params", "loss_is_finite"),
    [
        (explosive_params(bias=(-3e38, 3e38)), False),  # the gradient is finite
        (explosive_params(entrance=1e30, output=(0.0, 0.0)), True),  # the gradient overflows
        (explosive_params(recurrent=1e30), False),
        (explosive_params(bias=(np.inf, 0.0)), False),
        (explosive_params(recurrent=np.nan), False),
    ],
    ids=["loss", "gradient", "both", "infinite bias", "nan"],
)
def test_a_step_that_is_not_finite_is_reported_and_teaches_nothing(name, params, loss_is_finite):
    optimizer = clipped(name)
    state = begin(optimizer, params, EXPLOSIVE, 1)
    memory = jax.tree.map(lambda x: x + 0.25, state.network_state)
    state = state._replace(network_state=memory)
    before = copied(state)
    steps = steps_of(EXPLOSIVE, optimizer)
    after, report = steps(state, chunks_of([0, 1, 0, 1]), keys_from(0, 1), jnp.array([0.1]))
    assert not report.finite[0]
    assert np.isfinite(report.losses[0]) == loss_is_finite
    assert report.restarted[0] == 1
    assert_same_bits(after, before._replace(network_state=zeros(before.network_state)))


def test_training_goes_on_after_a_step_that_is_not_finite_as_if_it_had_not_been():
    optimizer = make_optimizer("adam")
    steps = steps_of(EXPLOSIVE, optimizer)
    calm, explosion = [0, 0, 0, 0], [0, 1, 0, 0]

    def train(*texts):
        state = begin(optimizer, explosive_params(recurrent=1e15, output=(-1.0, 1.0)), EXPLOSIVE, 1)
        count = len(texts)
        return steps(state, chunks_of(*texts), keys_from(0, count), jnp.full(count, 0.1))

    interrupted, report = train(calm, explosion, explosion, calm, calm)
    smooth, calm_report = train(calm, calm, calm)
    assert report.finite.tolist() == [True, False, False, True, True]
    np.testing.assert_allclose(report.losses[report.finite], calm_report.losses, rtol=1e-6)
    assert calm_report.losses[2] < calm_report.losses[0]
    assert_close(interrupted, smooth, 1e-6)


@pytest.mark.parametrize(
    ("carried", "restarted"),
    [
        ([1e30, 0.5, 0.25], [True, True, True]),  # finite, as all else but the gradient's norm
        ([0.5, np.inf, 0.25], [False, True, False]),
        ([np.nan, 0.5, -np.inf], [True, False, True]),
        ([0.5, 3e38, 0.5], [False, True, False]),  # overflows within the chunk
    ],
)
def test_from_an_exploded_state_training_recovers_after_one_step(carried, restarted):
    """Nothing else has exploded; and it is as if the lanes had been at the zero state before."""
    optimizer = make_optimizer("adam")
    steps = steps_of(EXPLOSIVE, optimizer)
    params = explosive_params(recurrent=1.5, output=(-1.0, 1.0))
    texts = jnp.zeros((3, 4, 3), int).at[1:, 1].set(1)
    chunks = Batch(texts, jnp.zeros_like(texts), jnp.zeros(texts.shape, bool))

    def train(values, chunks):
        state = begin(optimizer, params, EXPLOSIVE, 3)
        filled = jax.tree.map(lambda _: jnp.array(values)[:, None], state.network_state)
        count = len(chunks.inputs)
        state = state._replace(network_state=filled)
        return steps(state, chunks, keys_from(0, count), jnp.full(count, 0.01))

    recovered, report = train(carried, chunks)
    assert report.finite.tolist() == [False, True, True]
    assert report.restarted.tolist() == [sum(restarted), 0, 0]
    kept = np.where(restarted, 0, carried).astype(np.float32)
    expected, _ = train(kept, part(chunks, 1, 2))
    assert_same_bits(recovered, expected)


@pytest.mark.parametrize(
    ("name", "rate"),
    [("sgd", 3e38), ("momentum", 3e38), ("adam", 3e38), ("sgd", np.inf), ("adamw", np.nan)],
)
def test_a_rate_that_would_blow_the_parameters_up_changes_nothing(name, rate):
    optimizer, params = make_optimizer(name), params_of()
    params["output"]["bias"] = jnp.full(SYMBOLS, 3.3e38)
    state = begin(optimizer, params)
    before = copied(state)
    steps = steps_of(NETWORK, optimizer)
    after, report = steps(state, random_chunks(1), keys_from(0, 1), jnp.array([rate]))
    assert np.isfinite([report.losses[0], report.norms[0]]).all()
    assert not report.finite[0]
    assert_same_bits(after, before._replace(network_state=zeros(before.network_state)))


def test_an_optimiser_state_that_would_not_be_finite_is_not_kept():
    """A sum of squares overflows, which stops the parameters instead of blowing them up."""
    optimizer = optax.adagrad(0.1, initial_accumulator_value=3.4e38)
    params = explosive_params(entrance=1e18, recurrent=0.0, output=(0.0, 0.0))
    state = begin(optimizer, params, EXPLOSIVE, 1)
    steps = jax.jit(make_training_steps(EXPLOSIVE, optimizer))
    after, report = steps(state, chunks_of([1, 1, 1, 1], [0, 0, 0, 0]), keys_from(0, 2))
    assert np.isfinite([report.losses[0], report.norms[0]]).all()
    assert report.finite.tolist() == [False, True]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(after.optimizer_state))


def weighted_step(network, chunk: Batch, loss):
    """What one step of plain gradient descent does, at a rate of 1."""
    params, optimizer = params_of(network), optax.sgd(1.0)
    steps = steps_of(network, optimizer, loss=loss)
    after, report = steps(begin(optimizer, params, network), chunk, keys_from(0, 1))
    moved = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), after.params, params)
    return report, moved, after.network_state


FEATURES = Network(
    3,
    [Layer("hidden", 4, "gru"), Layer("output", 1, "linear")],
    [
        Connection("input", "hidden"), Connection("input", "output", 1),
        Connection("hidden", "hidden", 1), Connection("hidden", "output"),
    ],
)  # fmt: skip


@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf])
def test_what_steps_of_weight_0_hold_is_of_no_account(junk):
    rng = np.random.default_rng(0)
    weights = np.array([[1, 0.5], [2, 1], [0, 1], [0, 0], [1, 0]], np.float32)
    inputs = np.where(weights[..., None] == 0, 0, rng.normal(size=(TIME, BATCH, 3)))
    targets = rng.normal(size=(TIME, BATCH))
    resets = np.zeros((TIME, BATCH), bool)
    results = []
    for spoilt in (False, True):
        x, y = inputs.copy(), targets.copy()
        if spoilt:
            x[weights == 0], y[weights == 0] = junk, junk
        fields = (x.astype(np.float32), y.astype(np.float32), resets, weights)
        chunk = Batch(*(jnp.asarray(field[None]) for field in fields))
        results.append(weighted_step(FEATURES, chunk, squared_error))
        batch = Batch(fields[0], fields[1], weights=weights)
        results[-1] += (evaluate(FEATURES, params_of(FEATURES), [batch], metric=squared_error),)
    assert results[1][0].finite[0]
    assert_same_bits(*results)
    assert_different(results[0][1], zeros(results[0][1]))


@pytest.mark.parametrize("junk", [0.5, np.nan])
def test_what_lies_beyond_a_lanes_length_is_of_no_account_nor_does_the_state_go_there(junk):
    rng, lengths = np.random.default_rng(0), np.array([TIME, 3], np.int32)
    inputs = rng.normal(size=(TIME, BATCH, 3)).astype(np.float32)
    targets = rng.normal(size=(TIME, BATCH)).astype(np.float32)
    weights = (np.arange(TIME)[:, None] < lengths).astype(np.float32)
    x, y = inputs.copy(), targets.copy()
    x[weights == 0], y[weights == 0] = junk, junk
    results = []
    for batch in (Batch(x, y, lengths=lengths), Batch(inputs, targets, weights=weights)):
        chunk = jax.tree.map(lambda array: jnp.asarray(array[None]), batch)
        report, moved, state = weighted_step(FEATURES, chunk, squared_error)
        figure = evaluate(FEATURES, params_of(FEATURES), [batch], metric=squared_error)
        results.append((report, moved, np.array(figure), state))
    assert results[0][0].finite[0]
    assert_close(results[0][:3], results[1][:3], 1e-5)
    short = jax.tree.map(lambda array: array[None, :3], Batch(inputs, targets))
    _, _, state = weighted_step(FEATURES, short, squared_error)
    after = jax.tree.map(lambda array: array[1], (results[0][3], state))
    assert_close(*after, 1e-5)


def test_several_inputs_teach_as_one_that_has_their_features_side_by_side():
    rng = np.random.default_rng(0)
    layers = [Layer("hidden", 3, "tanh"), Layer("output", 1, "linear")]
    rest = [Connection("hidden", "hidden", 1), Connection("hidden", "output")]
    one = Network(3, layers, [Connection("input", "hidden"), *rest])
    several = Network(
        {"left": 2, "right": 1},
        layers,
        [Connection("left", "hidden"), Connection("right", "hidden"), *rest],
    )
    params = params_of(one)
    together = params["hidden"]["input@0"]
    apart = dict(params["hidden"]) | {"left@0": together[:2], "right@0": together[2:]}
    del apart["input@0"]
    inputs = rng.normal(size=(TIME, BATCH, 3)).astype(np.float32)
    targets = rng.normal(size=(TIME, BATCH)).astype(np.float32)
    weights = np.ones((TIME, BATCH), np.float32)
    weights[2], inputs[2] = 0, np.nan  # reads as zero
    named = {"left": inputs[..., :2], "right": inputs[..., 2:]}
    results = []
    both = (one, params, inputs), (several, {**params, "hidden": apart}, named)
    for network, theirs, given in both:
        batch, optimizer = Batch(given, targets, weights=weights), optax.sgd(1.0)
        figure = evaluate(network, theirs, [batch], metric=squared_error)
        after, report = steps_of(network, optimizer, loss=squared_error)(
            begin(optimizer, theirs, network),
            jax.tree.map(lambda x: jnp.asarray(x[None]), batch), keys_from(0, 1),
        )  # fmt: skip
        hidden = after.params["hidden"]
        learned = hidden.get("input@0")
        if learned is None:
            learned = np.concatenate([hidden["left@0"], hidden["right@0"]])
        results.append((np.array(figure), report.losses, learned, after.params["output"]))
    assert_close(*results, 1e-5)


def test_symbols_of_weight_0_may_be_out_of_range():
    weights = np.ones((1, TIME, BATCH), np.float32)
    weights[:, 3:, 1] = 0
    chunk = random_chunks(1)._replace(weights=jnp.asarray(weights))
    padded = chunk._replace(
        inputs=jnp.where(weights == 0, -1, chunk.inputs),
        targets=jnp.where(weights == 0, -100, chunk.targets),
    )
    zero = chunk._replace(inputs=jnp.where(weights == 0, 0, chunk.inputs))
    results = [weighted_step(NETWORK, x, steps_loss) for x in (padded, zero)]
    assert results[0][0].finite[0]
    assert_same_bits(*results)


def test_outputs_of_weight_0_may_be_infinite_for_a_loss_whose_gradient_is_not_finite_there():
    def root(outputs, targets):
        return jnp.sqrt(jnp.abs(outputs[..., 0] - targets))

    weights = jnp.ones((1, TIME, BATCH)).at[:, 2].set(0)
    chunk = Batch(
        jnp.ones((1, TIME, BATCH, 3)), jnp.ones((1, TIME, BATCH)).at[:, 2].set(jnp.inf),
        jnp.zeros((1, TIME, BATCH), bool), weights,
    )  # fmt: skip
    report, moved, _ = weighted_step(FEATURES, chunk, root)
    assert report.finite[0]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(moved))


@pytest.mark.parametrize("junk", [0, 7])
def test_a_chunk_without_weight_is_a_step_without_a_gradient(junk):
    chunk = random_chunks(1)._replace(weights=jnp.zeros((1, TIME, BATCH)))
    report, moved, _ = weighted_step(
        NETWORK, chunk._replace(targets=chunk.targets + junk), steps_loss
    )
    assert (report.finite[0], report.losses[0], report.norms[0]) == (True, 0, 0)
    assert_same_bits(moved, zeros(moved))


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_weights_that_make_no_mean_are_reported_and_teach_nothing(weight):
    chunk = random_chunks(1)._replace(weights=jnp.ones((1, TIME, BATCH)).at[0, 1, 1].set(weight))
    report, moved, _ = weighted_step(NETWORK, chunk, steps_loss)
    assert not report.finite[0]
    assert_same_bits(moved, zeros(moved))


def steps_loss(logits, targets):
    """Cross-entropy in its plainest form."""
    known = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1)
    return -known[..., 0]


@pytest.mark.parametrize("cell", ["gru", "lstm"])  # one without a carry, one with
def test_computing_in_bfloat16_keeps_float32_and_moves_the_loss_a_little(cell):
    network, optimizer = stacked(SYMBOLS, [8], SYMBOLS, cell), make_optimizer("adam")
    params = init(network, jax.random.key(0))
    states, losses = [], []
    for dtype in (None, jnp.bfloat16):
        steps = steps_of(network, optimizer, options=Options(compute_dtype=dtype))
        state, report = steps(
            begin(optimizer, params, network), random_chunks(3), keys_from(0, 3), jnp.full(3, 0.01)
        )
        states.append(state)
        losses.append(np.asarray(report.losses))
    for full, half in zip(*map(jax.tree.leaves, states), strict=True):
        assert full.dtype == half.dtype
    kept = (states[1].params, states[1].network_state, losses[1])
    assert {x.dtype for x in jax.tree.leaves(kept)} == {jnp.dtype("float32")}
    moved = np.abs(losses[1] - losses[0]) / losses[0]
    assert (moved > 0).all()  # else it was not computed in bfloat16
    assert moved.max() < 0.01
    assert_close(states[1].params, states[0].params, 0.05)


def test_a_short_text_is_learnt_by_heart():
    text = np.array([0, 1, 2, 0, 3, 1, 1, 2, 3, 3, 0, 2] * 2)
    network, optimizer = (
        stacked(SYMBOLS, [12], SYMBOLS, "lstm"),
        make_optimizer("adam", clip_norm=1.0),
    )
    steps = steps_of(network, optimizer)
    once = [jnp.asarray(x[:, None]) for x in (text[:12], text[1:13])]
    count = 200
    resets = jnp.zeros((12, 1), bool).at[0].set(True)  # as `evaluate` begins
    chunks = Batch(*(jnp.stack([x] * count) for x in (*once, resets)))
    state = begin(optimizer, init(network, jax.random.key(0)), network, 1)
    state, report = steps(state, chunks, keys_from(0, count), jnp.full(count, 0.03))
    assert report.losses[0] > 1.2  # about ln 4: it knows nothing
    assert report.losses[-1] < 0.05
    heard, told = (x[:, None] for x in (text[:12], text[1:13]))
    assert evaluate(network, state.params, [Batch(heard, told)]) < 0.05


def whole_and_batches(lanes: int, size: int, seed: int = 0):
    """Random text, its weights, and the same cut into batches of `size` steps."""
    rng = np.random.default_rng(seed)
    text = rng.integers(SYMBOLS, size=(3 * size + 1, lanes))
    weights = (rng.random((3 * size, lanes)) < 0.6).astype(np.float32)
    whole = text[:-1], text[1:], weights
    pieces = [[x[i : i + size] for x in whole] for i in range(0, 3 * size, size)]
    return whole, [Batch(x, y, weights=w) for x, y, w in pieces]


def numpy_nats(params, inputs, targets) -> np.ndarray:
    """Of each character of a text, read from the zero state in one piece."""
    state = copied(initial_state(NETWORK, inputs.shape[1]))
    tape = reference.forward(NETWORK, copied(params), state, one_hot(inputs, SYMBOLS))
    return nats_per_character(tape.outputs, targets)


@pytest.mark.parametrize("lanes", [1, 3])
def test_evaluation_in_batches_is_the_mean_over_the_whole_text(lanes):
    params = params_of()
    (inputs, targets, _), batches = whole_and_batches(lanes, 6)
    batches = [batch._replace(weights=None) for batch in batches]
    expected = numpy_nats(params, inputs, targets).mean()
    assert evaluate(NETWORK, params, batches) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("lanes", [1, 3])
def test_characters_of_weight_0_are_read_but_not_counted(lanes):
    params = params_of()
    (inputs, targets, weights), batches = whole_and_batches(lanes, 6)
    expected = np.average(numpy_nats(params, inputs, targets), weights=weights)
    assert evaluate(NETWORK, params, batches) == pytest.approx(expected, rel=1e-5)


def test_evaluation_leaves_the_parameters_usable():
    params = params_of()
    _, batches = whole_and_batches(1, 6)
    assert evaluate(NETWORK, params, batches) == evaluate(NETWORK, params, iter(batches))


def test_evaluation_takes_another_loss_and_batches_of_several_lengths():
    rng, params = np.random.default_rng(0), params_of(FEATURES)
    inputs, targets = rng.normal(size=(9, BATCH, 3)), rng.normal(size=(9, BATCH))
    weights = rng.random((9, BATCH))
    whole = [x.astype(np.float32) for x in (inputs, targets, weights)]
    state = copied(initial_state(FEATURES, BATCH))
    outputs = reference.forward(FEATURES, copied(params), state, inputs).outputs[..., 0]
    pieces = [[x[i:j] for x in whole] for i, j in ((0, 2), (2, 3), (3, 9))]
    batches = [Batch(x, y, weights=w) for x, y, w in pieces]
    found = evaluate(FEATURES, params, batches, metric=squared_error)
    expected = np.average((outputs - targets) ** 2, weights=weights)
    assert found == pytest.approx(expected, rel=1e-5)


ONES = np.ones((TIME, BATCH), np.float32)
INTS = np.zeros((TIME, BATCH), np.int32)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "there is nothing to evaluate"),
        ([(INTS, INTS, 0 * ONES)] * 2, "there is nothing to evaluate"),
        ([(INTS, INTS, -ONES)], "weights that are negative or not finite"),
        ([(INTS, INTS, np.nan * ONES)], "weights that are negative or not finite"),
        ([(INTS + SYMBOLS, INTS, ONES)], f"the inputs hold {SYMBOLS}, but .* are 0 to 3"),
        ([(INTS, INTS - 1, ONES)], "the targets hold -1, but .* are 0 to 3"),
        ([(INTS, INTS, ONES), (INTS[:, :1], INTS[:, :1], ONES[:, :1])], "with 2 lanes"),
        ([(INTS, INTS[1:], ONES)], r"targets of \[4, 2\] and weights of \[5, 2\]"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(batches, message):
    with pytest.raises(InputError, match=message):
        evaluate(NETWORK, params_of(), [Batch(x, y, weights=w) for x, y, w in batches])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": np.ones((TIME, 1), np.float32)}, r"weights of (shape )?\[5, 1\]"),
        ({"weights": np.ones(BATCH, np.float32)}, r"weights of (shape )?\[2\]"),
        ({"targets": np.zeros((BATCH, TIME, 2), np.float32)}, r"targets"),
        ({"lengths": np.array([TIME + 4, 1])}, r"the length 9; those of inputs of 5 steps"),
        ({"lengths": np.array([-3, 1])}, r"the length -3"),
    ],
    ids=str,
)
def test_a_batch_whose_parts_do_not_fit_each_other_is_refused(wrong, message):
    inputs = np.zeros((TIME, BATCH, 3), np.float32)
    batch = Batch(inputs, np.zeros((TIME, BATCH, 2), np.float32))._replace(**wrong)
    network, optimizer = stacked(3, [4], 2), optax.sgd(0.1)
    params = init(network, jax.random.key(0))
    with pytest.raises(InputError, match=message):
        evaluate(network, params, [batch], metric=squared_error)
    if "lengths" not in wrong:  # which are not known where a program is traced
        steps = make_training_steps(network, optimizer, loss=squared_error)
        several = jax.tree.map(lambda x: x[None], batch)
        with pytest.raises(InputError, match=message):
            steps(start(network, params, optimizer, BATCH), several, keys_from(0, 1))


@pytest.mark.parametrize("shape", ["scalar", "a lane", "outputs"])
def test_a_loss_that_is_not_a_number_for_each_step_in_each_lane_is_refused(shape):
    def loss(outputs, targets):
        squares = jnp.square(outputs - targets)
        axes = {"scalar": None, "a lane": (0, 2), "outputs": ()}[shape]
        return squares.mean(axis=axes)

    batch = Batch(np.zeros((TIME, BATCH, 3), np.float32), np.ones((TIME, BATCH, 2), np.float32))
    network, optimizer = stacked(3, [4], 2), optax.sgd(0.1)
    params = init(network, jax.random.key(0))
    with pytest.raises(InputError, match=r"returns the shape .* where \[5, 2\]"):
        evaluate(network, params, [batch], metric=loss)
    steps = make_training_steps(network, optimizer, loss=loss)
    several = jax.tree.map(lambda x: x[None], batch)
    with pytest.raises(InputError, match=r"returns the shape .* where \[5, 2\]"):
        steps(start(network, params, optimizer, BATCH), several, keys_from(0, 1))
