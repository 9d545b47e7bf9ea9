import numpy as np

from experiments.command_line.plots import draw_intervals, draw_learning_curve, figure

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_learning_curve_is_a_picture_whatever_was_logged(tmp_path):
    training = [
        {"step": i, "characters": 1000 * i, "train_bits_per_character": 5 - i / 300}
        for i in range(400)
    ]
    valid = [{"step": 9, "characters": 9000, "valid_bits_per_character": 3.0}]
    gaps = [
        {"step": 10, "characters": 10_000, "train_bits_per_character": None},
        {"step": 10, "characters": 10_000, "valid_bits_per_character": None},
    ]
    for metrics in ([], training, valid, gaps, training + valid + gaps):
        draw_learning_curve(metrics, tmp_path / "curve.png")
        assert (tmp_path / "curve.png").read_bytes().startswith(PNG)
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]


def test_intervals_are_drawn_from_bound_to_bound_about_their_means():
    _, axes = figure(3, 3)
    unknown = (4.0, float("nan"), float("nan"))
    draw_intervals(axes, [0, 1], [(2.0, 1.5, 3.0), unknown], color="black", label="some")
    ((points, _, (bars,)),) = axes.containers
    np.testing.assert_array_equal(points.get_ydata(), [2, 4])
    np.testing.assert_array_equal(bars.get_segments()[0], [[0, 1.5], [0, 3.0]])
