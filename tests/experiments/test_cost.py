"""The quick study, and what it says of runs that diverged."""

import pytest

from tests.experiments.launching import EXPERIMENTS, assert_refused, launched

cost = EXPERIMENTS["cost"].module


def test_every_chunk_is_learned_from_and_timed(study):
    workdir, results = study
    learning, (timing,) = results["summary"]["learning"], results["summary"]["timing"]
    assert [(row["chunk"], row["mode"]) for row in learning] == [
        (4, "carried"), (4, "reset"),
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
    assert "a chunk of 1 needs the fewest bits per character (2.050" in answer
    assert "costs" not in answer
    assert "Left out, since runs diverged: a chunk of 4 (1 of 2)" in answer
    assert cost.table(results).markdown().count("2.100, 1 of 2 diverged") == 3
    assert cost.draw(results).axes
    pairs = [(chunk, mode) for chunk in (1, 4) for mode in cost.MODES]
    nothing = made_up({pair: [None, None] for pair in pairs})
    assert "no setting can be compared" in cost.answer(nothing)
    assert cost.draw(nothing).axes
    fine = cost.answer(made_up(dict.fromkeys(pairs, well)))
    assert "costs 0.000" in fine
    assert "loses 0.000" in fine
    assert "diverged" not in fine
