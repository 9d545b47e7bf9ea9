"""The program that trains agents, launched as a user does."""

import numpy as np
import pytest

from experiments.laboratory.tasks.catalogue import FILES
from jaxrnn import Network
from tests.experiments.launching import assert_refused, launched, read

QUICK = (
    "--lanes=8", "--rollout=8", "--minibatches=2", "--epochs=1", "--hidden=8", "--steps=1280",
    "--evaluations=2", "--episodes=8",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("agent") / "run"
    flags = "--task=tmaze", "--length=2", "--seeds=2", f"--workdir={workdir}", *QUICK
    return workdir, flags, launched("agent", *flags)


def test_a_run_leaves_its_result_a_curve_and_episodes(run):
    workdir, _, outcome = run
    assert outcome.code == 0, outcome.err
    result = read((workdir / "result.json").read_text(encoding="utf-8"))
    wanted = {
        "mean_return", "discounted_return", "return_interval", "ceiling", "memoryless", "episodes",
        "environment_steps", "steps_per_second", "seconds", "stopped_because",
    }  # fmt: skip
    assert wanted <= result.keys()
    assert result["environment_steps"] == 1280
    assert result["stopped_because"] == "steps"
    assert (result["ceiling"], result["memoryless"]) == (4, 2)
    low, high = result["return_interval"]
    assert low <= result["mean_return"] <= high
    assert result["mean_return"] == pytest.approx(np.mean(result["return_of_each_seed"]))
    for name in ("learning_curve.png", "episodes.png"):
        assert (workdir / name).stat().st_size > 5000
    text = (workdir / "episodes.txt").read_text(encoding="utf-8")
    assert "sees goal" in text
    assert "does " in text
    assert "the best agent reaches 4; the best without memory 2" in outcome.out
    assert "environment steps/s" in outcome.out or "steps a second" in outcome.out


def test_the_workdir_alone_goes_on_and_more_steps_make_more_of_it(run):
    workdir, flags, _ = run
    again = launched("agent", f"--workdir={workdir}", "--steps=1920")
    assert again.code == 0, again.err
    assert "Going on from step 20." in again.out
    result = read((workdir / "result.json").read_text(encoding="utf-8"))
    assert result["environment_steps"] == 1920
    refused = launched("agent", *flags[:3], f"--workdir={workdir}", *QUICK[:-1], "--lanes=4")
    assert_refused(refused, "lanes")


def test_a_pomdp_of_ones_own_and_a_network_of_ones_own(tmp_path):
    """Judged by the discounted return, as a file with a discount is."""
    network = Network(
        {"observation": 4, "reward": 1},
        [("policy", 3, "linear"), ("value", 1, "linear")],
        [("observation", "policy"), ("observation", "policy", 2), ("reward", "value")],
        outputs=["policy", "value"],
    )
    (tmp_path / "own.json").write_text(network.to_json())
    (tmp_path / "own.POMDP").write_text((FILES / "tiger-once.POMDP").read_text(encoding="utf-8"))
    outcome = launched(
        "agent", f"--task={tmp_path / 'own.POMDP'}", f"--network={tmp_path / 'own.json'}",
        f"--workdir={tmp_path / 'run'}", *QUICK, "--steps=640",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    result = read((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    assert result["judged_by"] == "discounted return"
    assert result["memoryless"] == pytest.approx(-7.175, abs=1e-2)
    assert result["ceiling_from_below"] <= 3.7702 <= result["ceiling"]
    assert "does open-" in (tmp_path / "run" / "episodes.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--task=chess"], ["chess", "tmaze"]),
        (["--task=tiger", "--length=3"], ["--length is 3"]),
        (["--lanes=10", "--minibatches=3"], ["10 lanes", "3"]),
        (["--cell=cortex"], ["cortex", "gru"]),
        (["--hears=smell"], ["smell", "observation"]),
        (["--discount=2"], ["discount"]),
        (["--network=none.json"], ["none.json"]),
        (["--task=none.POMDP"], ["none.POMDP"]),
    ],
)
def test_a_mistake_gets_one_sentence_and_leaves_nothing(flags, said, tmp_path):
    outcome = launched("agent", f"--workdir={tmp_path / 'run'}", *flags)
    assert_refused(outcome, *said)
    assert not (tmp_path / "run").exists()
