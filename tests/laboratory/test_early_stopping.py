from experiments.laboratory.early_stopping import figures_of


def test_one_stops_where_the_choosing_text_is_lowest_whatever_the_reported_says():
    figures = figures_of(
        choosing=[[3.0, 2.0, 2.5], [3.0, 2.9, 2.8]],
        reported=[[1.0, 1.5, 1.75], [1.0, 1.25, 1.5]],
        training=[[3.0, 1.0, 0.5], [3.0, 1.0, 0.5]],
        baseline=4.0,
    )
    assert figures == {
        "stops": [1, 2],
        "stopped": [1.5, 1.5], "final": [1.75, 1.5],
        "stopped_training": [1.0, 0.5], "final_training": [0.5, 0.5],
        "curve": [1.0, 1.375, 1.625], "training_curve": [3.0, 1.0, 0.5],
    }  # fmt: skip


def test_who_learns_by_heart_has_not_diverged():
    curve, learned, lost = [3.0, 2.0, 9.0], [3.0, 1.0, 0.1], [3.0, 1.0, 6.0]
    figures = figures_of([curve] * 2, [curve] * 2, [learned, lost], baseline=4.0)
    assert (figures["stopped"], figures["final"]) == ([2.0, 2.0], [9.0, None])
    assert figures["curve"] == curve
