"""Densities, scores and flow lines show the numbers that were given."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from difrun import draw
from difrun.draw.fields import arrows
from difrun.draw.style import DATA


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_arrows_keep_the_direction_saturate_and_cope_with_zero(rng, scale):
    s = rng.normal(size=(200, 2)) * np.logspace(-3, 3, 200)[:, None]
    s[:20] = 0
    s[20] = np.nan, 1.0
    s[21] = np.inf, 1.0
    shown = arrows(s * scale)
    assert np.isfinite(shown).all()
    assert (shown[:22] == 0).all()
    length, size = np.linalg.norm(shown[22:], axis=1), np.linalg.norm(s[22:], axis=1)
    assert length == pytest.approx(size / (size + np.median(size)), rel=1e-9)
    assert shown[22:] / length[:, None] == pytest.approx(s[22:] / size[:, None], rel=1e-9)
    assert (arrows(np.zeros((5, 2))) == 0).all()


def test_a_density_map_shows_the_values_it_was_given(rng):
    densities = rng.uniform(size=(5, 8, 10)) * np.array([1, 2, 3, 4, 5])[:, None, None]
    figure = draw.density_map(densities, (-1, 2, -3, 4), [0.1, 0.2, 0.3, 0.4, 0.5])
    assert len(figure.axes) == 5
    for axes, values in zip(figure.axes, densities, strict=True):
        (image,) = axes.images
        assert np.asarray(image.get_array()) == pytest.approx(values)
        assert image.get_extent() == [-1, 2, -3, 4]
        assert image.origin == "lower"
        assert image.get_clim() == (0, values.max())
    assert figure.axes[3].get_title() == "$t$ = 0.4"


def test_a_density_of_one_coordinate_is_drawn_over_time(rng):
    densities = rng.uniform(size=(4, 10))
    axes = draw.density_map(densities, (-5, 5), [0, 0.1, 0.5, 1]).axes[0]
    assert np.asarray(axes.collections[0].get_array()) == pytest.approx(densities.T)
    assert axes.get_xlim() == pytest.approx((0, 1))


def test_a_score_field_has_an_arrow_where_there_is_a_score(rng):
    points = np.stack(np.meshgrid(np.linspace(-2, 2, 5), np.linspace(-2, 2, 5)), axis=-1).reshape(-1, 2)
    scores = np.stack([-points, np.zeros_like(points)])
    background = rng.uniform(size=(2, 6, 6))
    figure = draw.score_field(points, scores, [0.1, 1], background=background, extent=(-2, 2, -2, 2))
    full, empty = (axes.collections[0] for axes in figure.axes)
    assert full.N == 24  # all but the origin, where the score is zero
    assert empty.N == 0
    assert np.column_stack([full.U, full.V]) @ [1, 1] == pytest.approx(
        1.3 * np.sqrt(16 / 25) * (arrows(-points) @ [1, 1])[np.abs(points).max(axis=1) > 0]
    )
    figure.canvas.draw()


def test_the_density_behind_a_score_fills_the_panel():
    """No white stripe beside it: the panel ends where the density does, in the units of both."""
    points = np.stack(np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 4)), axis=-1).reshape(-1, 2)
    given = {
        "background": np.ones((1, 6, 6)),
        "extent": (8, 12, -0.5, 0.5),
        "units": ((10.0, 0.0), (1.5, 0.4)),
    }
    axes = draw.score_field(points, -points[None], [0.1], **given).axes[0]
    assert (*axes.get_xlim(), *axes.get_ylim()) == (8, 12, -0.5, 0.5)
    assert tuple(axes.images[0].get_extent()) == (8, 12, -0.5, 0.5)


def test_a_score_in_one_dimension_is_a_curve():
    x = np.linspace(-2, 2, 41)
    axes = draw.score_field(x, np.stack([-x, -x / 4]), [0.5, 1]).axes[0]
    assert axes.lines[1].get_ydata() == pytest.approx(-x)
    assert axes.lines[2].get_ydata() == pytest.approx(-x / 4)


def test_flow_lines_run_from_noise_to_samples(rng):
    paths = np.cumsum(rng.normal(size=(7, 20, 3)), axis=0)
    axes = draw.probability_flow_lines(paths, rng.normal(size=(50, 3))).axes[0]
    data, lines, noise, samples = axes.collections
    assert len(data.get_offsets()) == 50
    assert np.array([path.vertices for path in lines.get_paths()]) == pytest.approx(
        paths[:, :, :2].swapaxes(0, 1)
    )
    assert np.asarray(noise.get_offsets()) == pytest.approx(paths[0, :, :2])
    assert np.asarray(samples.get_offsets()) == pytest.approx(paths[-1, :, :2])
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["data", "noise", "samples"]
    assert to_rgb(legend.legend_handles[0].get_facecolor()[0]) == to_rgb(DATA)
    (legend,) = draw.probability_flow_lines(paths).legends
    assert [text.get_text() for text in legend.get_texts()] == ["noise", "samples"]


def test_lines_that_leave_the_frame_are_counted(rng):
    paths = np.linspace(1, 0, 5)[:, None, None] * rng.normal(size=(1, 100, 2))
    assert not draw.probability_flow_lines(paths).axes[0].texts
    paths[0, 3] = 500.0
    axes = draw.probability_flow_lines(paths).axes[0]
    assert axes.get_xlim()[1] < 100
    assert [text.get_text() for text in axes.texts] == ["1 of 100 lines leave the frame"]


def test_a_score_field_in_other_units_is_the_same_picture_with_other_numbers():
    """Every arrow stands at shift + scale · x and is scale times as long, whatever the two scales."""
    points = np.stack(np.meshgrid(np.linspace(-2, 2, 5), np.linspace(-2, 2, 5)), axis=-1).reshape(-1, 2)
    shift, scale = np.array([1e6, -3.0]), np.array([1e4, 1e-3])
    plain = draw.score_field(points, -points[None], [1.0]).axes[0]
    other = draw.score_field(points, -points[None], [1.0], units=(shift, scale)).axes[0]
    ours, theirs = plain.collections[0], other.collections[0]
    assert np.asarray(theirs.get_offsets()) == pytest.approx(shift + scale * np.asarray(ours.get_offsets()))
    assert pytest.approx(scale[0] * ours.U) == theirs.U
    assert pytest.approx(scale[1] * ours.V) == theirs.V
    assert other.get_ylim() == pytest.approx(shift[1] + scale[1] * np.array(plain.get_ylim()))
