"""Training of any network on any problem, kept in a directory or nowhere."""

import os
import signal
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import InputError, init, stacked
from jaxrnn.learning import ACCURACY, Batch, Problem, Recipe, evaluate
from jaxrnn.learning.loss import NATS, is_right
from jaxrnn.learning.optimizers import make_schedule
from jaxrnn.learning.parallel import data_mesh, everywhere
from jaxrnn.learning.training import Report
from jaxrnn.running import train
from jaxrnn.running.fitting import fit
from jaxrnn.running.learner import Counted, Learner
from jaxrnn.running.stopping import Stopping
from tests.reference import assert_close

NETWORK = stacked(3, [4], 3, "gru")


def counting(seed: int, step: int, lanes: slice = slice(None)) -> Batch:
    starts = np.random.default_rng([seed, step]).integers(3, size=2)
    count = ((starts + np.arange(6)[:, None]) % 3).astype(np.int32)[:, lanes]
    return Batch(count[:-1], count[1:])


def assert_equal(one: object, other: object) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


PROBLEM = Problem(counting, 2, lambda: [counting(9, step) for step in range(3)], metric=ACCURACY)


def test_training_goes_on_from_given_parameters_and_keeps_them_where_they_were_better(tmp_path):
    """They are judged before the first step, and a directory belongs to them alone."""
    known = train(NETWORK, PROBLEM, Recipe(learning_rate=0.1), steps=40).best
    ruinous = {"recipe": Recipe(learning_rate=1e3, schedule="constant"), "steps": 10}
    fitted = train(NETWORK, PROBLEM, **ruinous, params=known, workdir=tmp_path / "run")
    assert fitted.figures[0] == (0, pytest.approx(PROBLEM.evaluate(NETWORK, known)))
    assert_equal(fitted.best, known)
    again = train(NETWORK, PROBLEM, **ruinous, params=known, workdir=tmp_path / "run")
    assert_equal(again.best, known)
    assert again.figures == []
    others = init(NETWORK, jax.random.key(3))
    with pytest.raises(InputError, match=r"run of another configuration .*params"):
        train(NETWORK, PROBLEM, **ruinous, params=others, workdir=tmp_path / "run")
    for wrong, message in (
        (init(stacked(3, [5], 3, "gru"), jax.random.key(0)), "parameters do not fit the network"),
        (jax.tree.map(lambda array: array * jnp.nan, known), "are not all finite"),
    ):
        with pytest.raises(InputError, match=message):
            train(NETWORK, PROBLEM, steps=10, params=wrong)


def test_without_a_directory_nothing_is_written_and_no_signal_is_caught(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    seen = []

    def look(step: int, params: object) -> None:
        seen.append((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))

    fitted = train(NETWORK, PROBLEM, steps=25, evaluate_every=10, after=look)
    assert (fitted.reason, fitted.progress.step) == ("steps", 25)
    assert seen == [handlers] * 3
    assert list(tmp_path.iterdir()) == []

    def interrupted(seed: int, step: int, lanes: slice) -> Batch:
        if step == 15:
            os.kill(os.getpid(), signal.SIGINT)
        return counting(seed, step, lanes)

    with pytest.raises(KeyboardInterrupt):
        train(NETWORK, Problem(interrupted, 2, PROBLEM.held_out), steps=25)


def test_a_training_in_a_directory_that_goes_on_equals_one_in_memory(tmp_path):
    recipe = Recipe(optimizer="muon", schedule="constant", dropout=0.2, average=0.9)
    whole = train(NETWORK, PROBLEM, recipe, steps=40, evaluate_every=20)
    train(NETWORK, PROBLEM, recipe, steps=20, evaluate_every=20, workdir=tmp_path / "run")
    again = train(NETWORK, PROBLEM, recipe, steps=40, evaluate_every=20, workdir=tmp_path / "run")
    assert_equal(whole.state, again.state)
    assert_equal(whole.best, again.best)
    assert [step for step, _ in again.figures] == [40]
    with pytest.raises(InputError, match="another configuration"):
        train(NETWORK, PROBLEM, Recipe(), steps=40, workdir=tmp_path / "run")


def test_what_is_judged_and_kept_is_the_average_and_training_goes_on_from_the_iterate():
    seen: list[Any] = []
    fitted = train(
        NETWORK, PROBLEM, Recipe(average=0.9), steps=20, evaluate_every=10,
        after=lambda step, params: seen.append(params),
    )  # fmt: skip
    assert_equal(fitted.state.params, seen[1])
    held_out = evaluate(NETWORK, seen[1], PROBLEM.held_out(), metric=PROBLEM.judged.of)
    assert fitted.figures[1] == (20, pytest.approx(held_out * PROBLEM.judged.factor))
    alone = train(NETWORK, PROBLEM, steps=20, evaluate_every=10)
    assert_close(fitted.state.iterate.params, alone.state.params, 1e-5)
    assert not np.array_equal(seen[1]["output"]["bias"], alone.state.params["output"]["bias"])


def noise(seed: int, step: int, lanes: slice = slice(None)) -> Batch:
    return Batch(*np.random.default_rng([seed, step]).integers(3, size=(2, 6, 2))[..., lanes])


def test_the_best_is_what_was_judged_best_where_more_is_better_and_it_is_not_the_last():
    problem, seen = Problem(noise, 2, lambda: [noise(9, 0)], metric=ACCURACY), {}
    fitted = train(
        NETWORK, problem, Recipe(learning_rate=1.0, schedule="constant"), steps=100,
        evaluate_every=10, after=lambda step, params: seen.update({step: params}),
    )  # fmt: skip
    found = {
        step: evaluate(NETWORK, params, problem.held_out(), metric=is_right)
        for step, params in seen.items()
    }
    assert dict(fitted.figures) == found
    best = max(found, key=lambda step: found[step])  # the first of several
    assert fitted.progress.best == found[best] > found[100]
    assert_equal(fitted.best, seen[best])


class Walk(NamedTuple):
    """The state of a learner that is no network: it makes its own data."""

    place: jax.Array
    taken: jax.Array


def test_a_learner_without_data_takes_as_many_steps_as_there_are_keys():
    @jax.jit
    def steps(state: Walk, data: None, keys: jax.Array, rates: jax.Array) -> tuple[Walk, Report]:
        def step(state: Walk, x: tuple) -> tuple[Walk, Report]:
            _, key, rate = x
            place = state.place + rate * jax.random.normal(key)
            report = Report(place, jnp.array(True), jnp.zeros(()), jnp.zeros((), jnp.int32))
            return Walk(place, state.taken + 1), report

        return jax.lax.scan(step, state, (data, keys, rates))

    mesh = data_mesh(1)
    learner = Learner(
        start=lambda: Walk(jnp.zeros(()), jnp.zeros((), jnp.int32)),
        steps=steps,
        data=lambda step: None,
        learned=lambda state: {"walk": {"place": state.place}},
        evaluate=lambda params: float(params["walk"]["place"]),
        shardings=everywhere(mesh),
        counted=Counted("episode", 5, NATS, ACCURACY),
    )
    fitted = fit(learner, make_schedule("constant", 1.0), Stopping(33), mesh=mesh)
    assert (fitted.progress.step, int(fitted.state.taken)) == (33, 33)
    assert fitted.figures == [(33, float(fitted.state.place))]


@pytest.mark.parametrize(
    ("length", "message"),
    [({}, "so many steps or so many minutes"), ({"steps": 5, "minutes": 1.0}, "one of them"),
     ({"steps": 0}, "0 steps"), ({"minutes": -1.0}, "-1.0 steps or minutes")],
)  # fmt: skip
def test_a_training_without_a_length_is_refused(length, message):
    with pytest.raises(InputError, match=message):
        train(NETWORK, PROBLEM, **length)


def test_symbols_that_the_network_does_not_know_are_refused():
    with pytest.raises(InputError, match="hold 2, but those of the network are 0 to 1"):
        train(stacked(2, [4], 3), PROBLEM, steps=10)


def test_another_problem_in_the_same_directory_is_refused(tmp_path):
    train(NETWORK, PROBLEM, steps=10, workdir=tmp_path / "run")
    judged_otherwise = Problem(counting, 2, PROBLEM.held_out)
    for other in (Problem(noise, 2, PROBLEM.held_out, metric=ACCURACY), judged_otherwise):
        with pytest.raises(InputError, match="another configuration"):
            train(NETWORK, other, steps=20, workdir=tmp_path / "run")


@pytest.mark.usefixtures("unchecked")
def test_a_problem_that_turns_out_to_be_none_is_refused_at_the_step_where_it_does():
    def late(seed: int, step: int, lanes: slice) -> Batch:
        batch = counting(seed, step, lanes)
        return batch._replace(inputs=batch.inputs + 5 * (step == 13))

    with pytest.raises(InputError, match="the inputs hold"):
        train(NETWORK, Problem(late, 2, PROBLEM.held_out), steps=20)
    tuples = Problem(lambda *arguments: tuple(counting(*arguments)), 2, PROBLEM.held_out)
    with pytest.raises(InputError, match=r"give a Batch"):
        train(NETWORK, tuples, steps=20)
    with pytest.raises(InputError, match=r"give a Measure"):
        Problem(counting, 2, PROBLEM.held_out, loss=is_right)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("wrong", [{"evaluate_every": 0}, {"checkpoint_every": 0}, {"steps": 2.5}])
def test_what_is_no_number_of_steps_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        train(NETWORK, PROBLEM, **{"steps": 10, **wrong})
