"""Paths over time and the loss of training show the numbers that were given."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from difrun import draw
from difrun.draw.lines import moving_average
from difrun.draw.style import DATA, SAMPLES

from .pictures import normal_density


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_moving_average_is_the_mean_over_the_window(rng):
    y = rng.normal(size=50)
    smooth = moving_average(y, 7)
    expected = [y[max(0, k - 3) : k + 4].mean() for k in range(50)]
    assert smooth == pytest.approx(expected, abs=1e-12)
    assert moving_average(y, 0) == pytest.approx(y, abs=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_paths_in_one_dimension_have_time_to_the_right_and_both_ends_beside(rng, reverse):
    times, paths = np.array([0, 0.3, 1.0]), rng.normal(size=(3, 600)) * np.array([[0.5], [1], [2]])
    step = -1 if reverse else 1
    figure = draw.paths_1d(times[::step], paths[::step], density=normal_density)
    left, middle, right = figure.axes
    assert middle.get_xlim() == (0, 1)
    (lines,) = middle.collections
    first = lines.get_paths()[0].vertices
    assert first == pytest.approx(np.column_stack([times, paths[:, 0]]))
    assert lines.get_colors()[0, :3] == pytest.approx(to_rgb(SAMPLES if reverse else DATA))
    for axes, values in ((left, paths[0]), (right, paths[-1])):
        heights, edges, _ = axes.patches[0].get_data()
        assert heights == pytest.approx(np.histogram(values, edges)[0] / 600 / np.diff(edges))
    assert len(left.lines) == 1
    assert not right.lines


def test_the_loss_axis_is_logarithmic_when_that_helps(rng):
    steps = np.arange(0, 1000, 10)
    falling = draw.loss_curve(steps, np.geomspace(100, 0.1, 100), smooth=0).axes[0]
    flat = draw.loss_curve(steps, 1 + 0.1 * rng.normal(size=100)).axes[0]
    negative = draw.loss_curve(steps, np.linspace(50, -50, 100)).axes[0]
    assert [axes.get_yscale() for axes in (falling, flat, negative)] == ["log", "linear", "linear"]
    assert falling.lines[1].get_ydata() == pytest.approx(np.geomspace(100, 0.1, 100))
    broken = draw.loss_curve(steps, np.where(steps > 980, np.nan, 1.0)).axes[0]
    assert broken.get_title() == "1 of 100 losses are not finite and not drawn"
