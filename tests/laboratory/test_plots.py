import numpy as np

from experiments.laboratory.plots import draw_intervals, figure


def test_intervals_are_drawn_from_bound_to_bound_about_their_means():
    _, axes = figure(3, 3)
    unknown = (4.0, float("nan"), float("nan"))
    draw_intervals(axes, [0, 1], [(2.0, 1.5, 3.0), unknown], color="black", label="some")
    ((points, _, (bars,)),) = axes.containers
    np.testing.assert_array_equal(points.get_ydata(), [2, 4])
    np.testing.assert_array_equal(bars.get_segments()[0], [[0, 1.5], [0, 3.0]])
