"""The study of beliefs: what is read out of a network, and what an agent does."""

import numpy as np
import pytest

from experiments.laboratory.tasks.catalogue import task
from jaxrnn.pomdp import Bounds
from tests.experiments.launching import EXPERIMENTS

belief = EXPERIMENTS["belief"].module


def episodes(noise, lanes=200, steps=12):
    """Memories that hold the log-odds of two states' belief in two of three numbers, with noise."""
    random = np.random.default_rng(0)
    odds = random.normal(size=(steps, lanes)) * 2
    memory = np.stack([0.3 * odds + 1, -0.1 * odds, random.normal(size=odds.shape)], axis=-1)
    memory += noise * random.normal(size=memory.shape)
    high = 1 / (1 + np.exp(-odds))
    alive = np.ones(odds.shape, bool)
    both = np.stack([high, 1 - high], axis=-1)
    return belief.Episode(memory, np.zeros_like(memory), both, (odds > 0).astype(int), alive)


def test_a_belief_that_is_there_is_read_out_and_one_that_is_not_is_not():
    share, shown = belief.read_out(episodes(0.0), of_two=True)
    assert share > 0.999
    np.testing.assert_allclose(shown["belief"], shown["read"], atol=0.2)
    made = episodes(0.0)
    lost = made._replace(memory=np.random.default_rng(1).normal(size=made.memory.shape))
    assert belief.read_out(lost, of_two=True)[0] < 0.05
    # Steps beyond an episode's end count for nothing, whatever is there.
    alive = np.array(made.alive)
    alive[6:] = False
    broken = np.array(made.memory)
    broken[6:] = 1e6
    assert belief.read_out(made._replace(memory=broken, alive=alive), of_two=True)[0] > 0.999


def test_an_action_agrees_where_no_other_is_better():
    """One step of looking ahead in the tiger problem, belief by belief."""
    made, pomdp = episodes(0.0, lanes=40, steps=5), task("tiger").pomdp
    bounds = Bounds(0.0, 0.5, np.array([[3.0, -1.0], [-1.0, 3.0]]), np.array([0, 1]))
    expected = []
    for belief_now, action in zip(made.belief.reshape(-1, 2), made.action.ravel(), strict=True):
        values = []
        for a in range(3):
            value = float(pomdp.expected_reward[a] @ belief_now)
            for o in range(2):
                after = belief_now @ pomdp.transition[a] * pomdp.observation[a, :, o]
                value += 0.95 * float((bounds.vectors @ after).max())
            values.append(value)
        expected.append(values[int(action)] >= max(values) - 0.5)
    found = belief.agreement(made, pomdp, bounds)
    assert found == pytest.approx(np.mean(expected))
    assert 0 < found < 1


def test_the_study_of_beliefs_begins_with_the_untrained_network(study):
    _, results = study
    for row in results["summary"]["rows"]:
        assert row["points"][0]["steps"] == 0
        assert len(row["points"]) >= 2
        assert row["points"][0]["control"] == pytest.approx(row["points"][0]["r2"], abs=1e-3)
        assert all(0 <= point["agrees"] <= 1 for point in row["points"])
        assert row["lower"] <= row["upper"]
    assert "out of the untrained one's" in results["answer"]
    assert len(belief.draw(results).axes) == 2
