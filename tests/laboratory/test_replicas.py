"""Replicas against single runs by `make_training_steps`, and the tuning of their rates."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.laboratory import replicas
from experiments.laboratory.replicas import CUT, train_replicas, tune
from jaxrnn import Dropout, InputError, init, stacked, unroll
from jaxrnn.core.keys import derive
from jaxrnn.core.parameters import initial_state
from jaxrnn.learning.batch import stack
from jaxrnn.learning.loss import ACCURACY
from jaxrnn.learning.optimizers import make_optimizer, make_schedule
from jaxrnn.learning.recipe import Recipe
from jaxrnn.learning.training import make_training_steps, start
from jaxrnn.text.problem import text_problem

TEXT = np.random.default_rng(0).integers(5, size=400)
VALID = np.random.default_rng(1).integers(5, size=130)
NETWORK = stacked(5, [4], 5, "gru")
RECIPE, DROPPING = Recipe(), Recipe(dropout=0.3, input_dropout=0.3)
PROBLEM = text_problem(TEXT, VALID, batch=3, chunk=4, cut=CUT)
SEEDS, RATES = (0, 7), (0.01, 0.05)


def alone(seed: int, rate: float, steps: int) -> tuple[dict, np.ndarray, np.ndarray]:
    optimizer = make_optimizer("adam", clip_norm=1.0)
    train = make_training_steps(NETWORK, optimizer, dropout=Dropout(0.3))
    state = start(NETWORK, init(NETWORK, jax.random.key(seed)), optimizer, 3)
    schedule, reported = make_schedule("cosine", rate), []
    for step in range(steps):
        chunk = stack([PROBLEM.data(seed, step, slice(None))])
        key = jax.random.fold_in(derive(jax.random.key(seed), "dropout"), step)[None]
        state, report = train(state, chunk, key, jnp.array([schedule(step / steps)]))
        reported.append((report.losses[0], report.norms[0]))
    return state.params, *np.array(reported).T


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_replica_is_the_run_of_its_seed_and_rate(monkeypatch, backend):
    monkeypatch.setattr(replicas.jax, "default_backend", lambda: backend)  # lax.map or vmap
    replicas._programs.cache_clear()
    curves, params = train_replicas(
        NETWORK, DROPPING, PROBLEM, SEEDS, RATES, steps=20, evaluations=2
    )
    for i, (seed, rate) in enumerate(zip(SEEDS, RATES, strict=True)):
        expected, losses, norms = alone(seed, rate, 20)
        for a, b in zip(*map(jax.tree.leaves, (params, expected)), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-3, atol=1e-5)
        assert curves[i].train == pytest.approx([losses[:10].mean(), losses[10:].mean()], rel=1e-4)
        assert curves[i].norms == pytest.approx([norms[:10].max(), norms[10:].max()], rel=1e-3)
        assert (curves[i].steps, curves[i].skipped) == ([10, 20], 0)


def test_validation_is_the_mean_over_all_characters_but_the_first():
    text = VALID[:90]  # one lane
    problem = text_problem(TEXT, text, batch=3, chunk=4)
    params = init(NETWORK, jax.random.key(3))
    logits, _ = unroll(NETWORK, params, initial_state(NETWORK, 1), jnp.asarray(text[:-1, None]))
    chosen = jax.nn.log_softmax(logits)[np.arange(89), 0, text[1:]]
    expected = -np.mean(chosen) / np.log(2)
    for found in (problem.evaluate(NETWORK, params), jax.jit(problem.figure(NETWORK))(params)):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_chunks_that_are_not_carried_start_from_the_zero_state():
    problem = text_problem(TEXT, VALID, batch=3, chunk=4, carried=False)
    for step in range(3):
        resets = problem.data(0, step, slice(None)).resets
        np.testing.assert_array_equal(resets, [[True] * 3] + [[False] * 3] * 3)


def test_training_stops_when_all_replicas_have_solved_the_problem():
    seen = []
    curves, _ = train_replicas(
        NETWORK, RECIPE, PROBLEM, SEEDS, RATES, steps=50, evaluations=5, solved=1e9,
        after=lambda step, params: seen.append(step),
    )  # fmt: skip
    assert curves[0].steps == [10]
    assert seen == [0, 10]


def test_tuning_moves_on_to_where_the_best_rate_is(monkeypatch):
    """Figures are set by hand: the best rate is 0.3."""

    def train(network, recipe, problem, seeds, rates, **options):
        return [
            replicas.Curve(s, r, [1], [abs(float(np.log(r / 0.3)))], [0.0], 0, [0.0])
            for s, r in zip(seeds, rates, strict=True)
        ], {}

    monkeypatch.setattr(replicas, "train_replicas", train)
    best, tried = tune(NETWORK, RECIPE, PROBLEM, steps=1, rates=(0.01, 0.02, 0.04), moves=2)
    assert best == pytest.approx(0.32)
    assert [curve.rate for curve in tried] == pytest.approx([0.01 * 2**i for i in range(9)])
    best, tried = tune(NETWORK, RECIPE, PROBLEM, steps=1, rates=(2.0, 4.0, 8.0), moves=1)
    assert best == pytest.approx(0.25)
    assert [curve.rate for curve in tried] == pytest.approx([0.25, 0.5, 1.0, 2.0, 4.0, 8.0])


def test_with_slack_the_lowest_rate_is_taken_that_is_nearly_as_good(monkeypatch):
    figures = {0.01: 3.2, 0.02: 3.05, 0.04: 3.0, 0.08: 3.4}

    def train(network, recipe, problem, seeds, rates, **options):
        return [
            replicas.Curve(0, rate, [1], [figures[rate]], [0.0], 0, [0.0]) for rate in rates
        ], {}

    monkeypatch.setattr(replicas, "train_replicas", train)
    for slack, expected in ((0.0, 0.04), (0.02, 0.02), (0.07, 0.01)):
        assert (
            tune(NETWORK, RECIPE, PROBLEM, steps=1, rates=list(figures), slack=slack)[0] == expected
        )


def test_what_is_not_finite_is_told_from_what_is():
    curves, _ = train_replicas(
        NETWORK, RECIPE, PROBLEM, SEEDS, (0.01, 1e30), steps=20, evaluations=1
    )
    assert curves[0].final < 5
    assert not curves[1].final < 100 or curves[1].skipped


def made_up(figure, asked: list):
    """Stands for `train_replicas`, with figures that are a function of the rate."""

    def train(network, recipe, problem, seeds, rates, **options):
        asked.append(list(rates))
        return [replicas.Curve(0, r, [1], [figure(r)], [0.0], 0, [0.0]) for r in rates], {}

    return train


@pytest.mark.parametrize("slack", [0.0, 0.1])
def test_tuning_from_rates_that_are_one_or_unsorted_or_twice_or_all_too_high(monkeypatch, slack):
    def tuned(figure, rates, moves):
        asked: list[list[float]] = []
        monkeypatch.setattr(replicas, "train_replicas", made_up(figure, asked))
        best, tried = tune(NETWORK, RECIPE, PROBLEM, steps=1, rates=rates, moves=moves, slack=slack)
        assert [c.rate for c in tried] == sorted(rate for rates in asked for rate in rates)
        return best, asked

    best, asked = tuned(lambda rate: rate, [0.5], 2)
    assert (best, asked) == (0.125, [[0.5], [0.25], [0.125]])
    best, asked = tuned(lambda rate: (rate - 1) ** 2 + 1, [1.0], 0)
    assert (best, asked) == (1.0, [[1.0]])
    best, asked = tuned(lambda rate: (np.log(rate) ** 2).item() + 1, [4.0, 1.0, 4.0, 0.25], 2)
    assert (best, asked) == (1.0, [[0.25, 1.0, 4.0]])
    best, asked = tuned(lambda rate: None, [4.0, 1.0], 1)
    assert (best, asked) == (0.0625, [[1.0, 4.0], [0.0625, 0.25]])
    best, asked = tuned(lambda rate: -1.0 - (rate == 2.0), [1.0, 2.0, 4.0], 2)  # below 0
    assert best == 2.0


def test_where_more_is_better_tuning_takes_the_rate_that_gets_most_and_none_that_diverged(
    monkeypatch,
):
    figures = {0.1: 0.5, 0.2: 0.8, 0.4: 0.7, 0.8: None}
    monkeypatch.setattr(replicas, "train_replicas", made_up(figures.get, []))
    problem = replace(PROBLEM, metric=ACCURACY)
    assert tune(NETWORK, RECIPE, problem, steps=1, rates=list(figures))[0] == 0.2


@pytest.mark.parametrize("rates", [[], [0.1, 0.0], [-1.0], [float("nan")], [float("inf")]])
def test_rates_that_cannot_be_tried_are_refused(rates):
    with pytest.raises(InputError, match="the learning rates to try are"):
        tune(NETWORK, RECIPE, PROBLEM, steps=1, rates=rates)


def test_replicas_that_cannot_be_trained_are_refused():
    def refused(problem=PROBLEM, seeds=SEEDS, rates=RATES, **options):
        with pytest.raises(InputError) as refusal:
            train_replicas(NETWORK, RECIPE, problem, seeds, rates, **{"steps": 10} | options)
        return str(refusal.value)

    assert "0 seeds do not pair with 0" in refused(seeds=[], rates=[])
    assert "2 seeds do not pair with 1" in refused(rates=[0.1])
    assert "0 steps" in refused(steps=0)
    assert "0 evaluations" in refused(evaluations=0)
    wide = text_problem(TEXT + 1, VALID, batch=3, chunk=4)
    assert "hold 5, but those of the network are 0 to 4" in refused(problem=wide)
