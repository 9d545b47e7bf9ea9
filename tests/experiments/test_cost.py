"""The quick study, and what it measures against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn import init, stacked
from tests import reference
from tests.experiments.launching import EXPERIMENTS, assert_refused, launched
from tests.networks import compiled

cost = EXPERIMENTS["cost"].module


def test_every_chunk_is_learned_from_and_timed(study):
    workdir, results = study
    learning, (timing,) = results["summary"]["learning"], results["summary"]["timing"]
    assert [(row["chunk"], row["mode"]) for row in learning] == [
        (1, "carried"), (1, "reset"), (4, "carried"), (4, "reset"),
    ]  # fmt: skip
    for row in learning:
        k = results["settings"]["forget"].index(row["chunk"])
        same = row["never"] if row["mode"] == "carried" else row["forgetful"][k]
        assert row["bits"] == pytest.approx(same, abs=2e-4)  # each judged as it was trained
    assert [row["chunk"] for row in timing["rows"]] == [1, 4]
    for row in timing["rows"]:
        assert row["milliseconds"]["median"] > 0
    one, four = timing["rows"]
    assert one["feedforward_times_a_step"] == {"median": 1, "low": 1, "high": 1}
    assert one["megabytes"] < four["megabytes"]
    assert (workdir / "table.md").read_text(encoding="utf-8").count("\n") == 4


def test_a_text_too_short_to_be_judged_by_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be, " * 130, encoding="utf-8")
    assert_refused(
        launched("cost", f"--corpus={path}", f"--workdir={tmp_path / 'run'}"), "validation text"
    )


@pytest.mark.parametrize("k", [1, 3, None])
def test_who_forgets_every_k_characters_reads_pieces_of_k(k):
    network = stacked(5, [3], 5)
    params = init(network, jax.random.key(0))
    lanes = np.random.default_rng(0).integers(5, size=(13, 2))
    figure = compiled(lambda p, x: cost.bits(network, p, x, cost.resets_every(12, k), 6))(
        params, jnp.asarray(lanes)
    )
    pieces = []
    state = jax.tree.map(np.asarray, cost.initial_state(network, 2))
    weights = jax.tree.map(lambda x: np.asarray(x, float), params)
    for start in range(0, 12, k or 12):
        piece = reference.one_hot(lanes[start : min(start + (k or 12), 12)], 5)
        pieces.append(reference.forward(network, weights, state, piece).outputs)
    logits = np.concatenate(pieces)
    log = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(log, lanes[1:, :, None], axis=-1)[6:]
    np.testing.assert_allclose(figure, -chosen.mean() / np.log(2), rtol=1e-5)


def test_the_feed_forward_twin_lacks_only_what_recurs():
    twin, network = cost.feedforward(5, [3, 4]), stacked(5, [3, 4], 5)
    assert twin.layers == network.layers
    assert {*network.connections} - {*twin.connections} == {
        c for c in network.connections if c.source == c.target
    }


def test_lanes_of_validation_text_lie_next_to_each_other():
    lanes = cost.passages(np.arange(100), {"forget": [1, 4], "scored": 6, "lanes": 3})
    np.testing.assert_array_equal(lanes, np.arange(11)[:, None] + [0, 10, 20])


def made_up(bits: dict[tuple[int, str], list[float | None]]) -> dict:
    spread = {"low": 1.0, "median": 2.0, "high": 3.0}
    names = "milliseconds", "times_a_step", "times_as_many", "feedforward_times_a_step"
    megabytes = {"megabytes": 1.0, "feedforward_megabytes": 1.0}
    timed = [{"chunk": chunk, **dict.fromkeys(names, spread), **megabytes} for chunk in (1, 4)]
    learning = [
        {"chunk": chunk, "mode": mode, "rate": 0.01, "bits": own, "forgetful": [own, own],
         "never": own}
        for (chunk, mode), own in bits.items()
    ]  # fmt: skip
    settings = {"asked": 4, "forget": [1, 4], "time_chunks": [1, 4], "chunks": [1, 4]}
    summary = {"timing": [{"name": "tanh 8", "rows": timed}], "learning": learning}
    return {"settings": settings, "summary": summary}


def test_chunks_with_runs_that_diverged_are_told_apart():
    well, lost = [2.0, 2.1], [None, 2.1]
    results = made_up({
        (1, "carried"): well, (1, "reset"): lost, (4, "carried"): lost, (4, "reset"): well,
    })  # fmt: skip
    answer = cost.answer(results)
    assert "learns most with a chunk of 1 (2.050" in answer
    assert "costs" not in answer
    assert "Left out, since runs diverged: chunk 4 (1 of 2)" in answer
    assert cost.table(results).markdown().count("2.100, 1 of 2 diverged") == 3
    assert cost.draw(results).axes
    pairs = [(chunk, mode) for chunk in (1, 4) for mode in cost.MODES]
    nothing = made_up({pair: [None, None] for pair in pairs})
    assert "learns most" not in cost.answer(nothing)
    assert cost.draw(nothing).axes
    fine = cost.answer(made_up(dict.fromkeys(pairs, well)))
    assert "costs 0.000" in fine
    assert "loses 0.000" in fine
    assert "diverged" not in fine
