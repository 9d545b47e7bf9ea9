"""Optimisers against optax's own and on a problem with a known solution; schedules by formula."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrnn import InputError
from jaxrnn.learning.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    make_optimizer,
    make_schedule,
    scale_by_given_learning_rate,
)
from tests.reference import assert_close, inner

PARAMS = {"matrix": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.array([1.0, -1.0])}
MATRICES = {"matrix": True, "bias": False}

# The constant rate at which each is to solve the problem below.
RATES = {
    "adam": 0.02, "adamw": 0.02, "adagrad": 0.5, "rmsprop": 0.003, "sgd": 0.03, "momentum": 0.01,
}  # fmt: skip


def walked(optimizer, gradient_at, params, rates):
    """Where an optimiser of ours gets to."""

    def walk(carry, rate):
        params, state = carry
        updates, state = optimizer.update(gradient_at(params), state, params, learning_rate=rate)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.jit(lambda *carry: jax.lax.scan(walk, carry, rates))(
        params, optimizer.init(params)
    )
    return params


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimiser_finds_the_minimum_of_an_ill_scaled_quadratic(name):
    steepness = {"matrix": jnp.array([[30.0, 1.0], [3.0, 10.0]]), "bias": jnp.array([20.0, 1.0])}
    solution = {"matrix": jnp.array([[0.5, -1.0], [2.0, 0.0]]), "bias": jnp.array([-1.0, 0.3])}

    def loss(params):
        squares = jax.tree.map(lambda p, s: (p - s) ** 2 / 2, params, solution)
        return sum(jax.tree.leaves(jax.tree.map(lambda k, x: (k * x).sum(), steepness, squares)))

    found = walked(make_optimizer(name), jax.grad(loss), PARAMS, jnp.full(1500, RATES[name]))
    assert_close(found, solution, 0.01)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("adam", optax.adam),
        ("adamw", lambda rate: optax.adamw(rate, weight_decay=0.01, mask=MATRICES)),
        ("adagrad", optax.adagrad),
        ("rmsprop", lambda rate: optax.rmsprop(rate, decay=0.9)),
        ("sgd", optax.sgd),
        ("momentum", lambda rate: optax.sgd(rate, momentum=0.9)),
    ],
)
def test_each_optimiser_walks_as_optax_s_own_does(name, theirs):
    ours, theirs = make_optimizer(name), theirs(0.1)
    state, their_state = ours.init(PARAMS), theirs.init(PARAMS)
    params = expected = PARAMS
    rng = np.random.default_rng(0)
    for _ in range(5):
        gradient = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), PARAMS)
        updates, state = ours.update(gradient, state, params, learning_rate=0.1)
        params = optax.apply_updates(params, updates)
        their_updates, their_state = theirs.update(gradient, their_state, expected)
        expected = optax.apply_updates(expected, their_updates)
        assert_close(params, expected, 1e-6)


def test_adamw_shrinks_matrices_by_a_hundredth_of_the_rate_and_leaves_biases_alone():
    optimizer = make_optimizer("adamw")
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    updates, _ = optimizer.update(zero, optimizer.init(PARAMS), PARAMS, learning_rate=0.5)
    assert_close(updates, {"matrix": -0.005 * PARAMS["matrix"], "bias": zero["bias"]}, 1e-7)


def direction(gradient, **clipping):
    """Where plain gradient descent would walk."""
    optimizer = make_optimizer("sgd", **clipping)
    state = optimizer.init(gradient)
    updates, _ = optimizer.update(gradient, state, gradient, learning_rate=1.0)
    return jax.tree.map(jnp.negative, updates)


def norm(tree) -> float:
    return float(np.sqrt(inner(tree, tree)))


def test_without_clipping_the_gradient_is_the_direction():
    assert_close(direction(PARAMS), PARAMS, 0)


def test_clip_norm_shortens_long_gradients_to_the_norm_and_keeps_their_direction():
    clipped = direction(PARAMS, clip_norm=0.5)
    assert norm(clipped) == pytest.approx(0.5, rel=1e-6)
    assert_close(clipped, jax.tree.map(lambda x: x * 0.5 / norm(PARAMS), PARAMS), 1e-6)


def test_clip_norm_leaves_short_gradients_alone():
    assert_close(direction(PARAMS, clip_norm=1.01 * norm(PARAMS)), PARAMS, 0)


def test_clip_value_cuts_each_entry_by_itself():
    expected = {"matrix": jnp.array([[1.0, -1.5], [0.5, 1.5]]), "bias": jnp.array([1.0, -1.0])}
    assert_close(direction(PARAMS, clip_value=1.5), expected, 0)


def test_entries_are_cut_before_the_norm_is_measured():
    cut = direction(PARAMS, clip_value=1.5)
    both = direction(PARAMS, clip_value=1.5, clip_norm=0.5)
    assert_close(both, jax.tree.map(lambda x: x * 0.5 / norm(cut), cut), 1e-6)


def test_gradients_are_clipped_before_momentum_adds_them_up():
    optimizer = make_optimizer("momentum", clip_norm=1.0)
    state = optimizer.init(PARAMS)
    for length in (1.0, 1.9, 2.71):
        updates, state = optimizer.update(PARAMS, state, PARAMS, learning_rate=1.0)
        assert norm(updates) == pytest.approx(length, rel=1e-6)


def test_an_update_without_a_learning_rate_is_refused():
    for optimizer in (make_optimizer("adam"), scale_by_given_learning_rate()):
        with pytest.raises(InputError, match="has no learning rate of its own"):
            optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_a_rate_is_as_exact_as_the_updates_allow(dtype):
    """The product is rounded once, not the rate as well."""
    update = {"x": jnp.asarray([1.0078125, 3.0], dtype)}
    with jax.numpy_dtype_promotion("strict"):
        scaled, _ = scale_by_given_learning_rate().update(
            update, optax.EmptyState(), learning_rate=jnp.float32(0.001)
        )
    assert scaled["x"].dtype == dtype
    expected = (-np.float32(0.001) * np.asarray(update["x"], np.float32)).astype(dtype)
    np.testing.assert_array_equal(np.asarray(scaled["x"]), expected)


PROGRESS = np.linspace(0, 1, 101)


def rates(schedule) -> np.ndarray:
    """At each progress, asked as training does and, equally, with plain numbers."""
    asked = np.asarray(jax.jit(jax.vmap(schedule))(PROGRESS.astype(np.float32)))
    plain = [float(schedule(float(progress))) for progress in PROGRESS]
    np.testing.assert_allclose(asked, plain, rtol=1e-4, atol=1e-7)
    return asked


def test_the_constant_schedule_is_constant():
    asked = make_schedule("constant", 0.3)
    assert {float(asked(progress)) for progress in PROGRESS} == {0.3}


@pytest.mark.parametrize("warmup", [0.0, 0.02, 0.25])
def test_the_cosine_schedule_rises_from_a_hundredth_and_falls_along_a_cosine_to_0(warmup):
    asked = rates(make_schedule("cosine", 0.3, warmup=warmup))
    rise = 0.01 + 0.99 * PROGRESS / warmup if warmup else np.ones_like(PROGRESS)
    fall = (1 + np.cos(np.pi * (PROGRESS - warmup) / (1 - warmup))) / 2
    np.testing.assert_allclose(asked, 0.3 * np.where(warmup > PROGRESS, rise, fall), atol=1e-6)
    assert PROGRESS[asked.argmax()] == pytest.approx(warmup)
    assert asked.max() == pytest.approx(0.3, rel=1e-5)
    assert asked[0] == pytest.approx(0.003 if warmup else 0.3)
    assert asked[-1] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("warmup", [0.0, 0.02])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_step_of_a_long_training_teaches_something(name, warmup):
    steps = 100_000
    progress = (np.arange(steps) / steps).astype(np.float32)
    asked = np.asarray(jax.jit(jax.vmap(make_schedule(name, 0.3, warmup=warmup)))(progress))
    assert (asked > 0).all()
    assert asked.max() <= 0.3 * (1 + 1e-6)


def test_the_exponential_schedule_falls_to_a_hundredth():
    asked = rates(make_schedule("exponential", 0.3))
    np.testing.assert_allclose(asked, 0.3 * 0.01**PROGRESS, rtol=1e-5)


def test_every_schedule_that_is_named_can_be_made():
    for name in SCHEDULES:
        assert make_schedule(name, 0.1)(0.5) > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: make_optimizer("lion"),
            "unknown optimiser 'lion'; they are adam, adamw, adagrad, rmsprop, sgd, momentum, or a "
            "direction, as muon(network)",
        ),
        (
            lambda: make_optimizer("adam", clip_norm=0.0),
            "gradients are to be clipped by norm to 0.0; it must exceed 0",
        ),
        (
            lambda: make_optimizer("adam", clip_value=-1.0),
            "gradients are to be clipped by value to -1.0; it must exceed 0",
        ),
        (
            lambda: make_optimizer("adam", clip_norm=float("nan")),
            "gradients are to be clipped by norm to nan; it must exceed 0",
        ),
        (
            lambda: make_schedule("linear", 0.1),
            "unknown schedule 'linear'; they are constant, cosine, exponential",
        ),
        (lambda: make_schedule("cosine", 0.0), "the learning rate is 0.0; it must exceed 0"),
        (
            lambda: make_schedule("constant", float("nan")),
            "the learning rate is nan; it must exceed 0",
        ),
        (
            lambda: make_schedule("cosine", 0.1, warmup=1.0),
            "the warm-up is 1.0 of the training; it must be at least 0 and below 1",
        ),
        (
            lambda: make_schedule("cosine", 0.1, warmup=-0.1),
            "the warm-up is -0.1 of the training; it must be at least 0 and below 1",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(make, message):
    with pytest.raises(InputError) as refusal:
        make()
    assert str(refusal.value) == message
