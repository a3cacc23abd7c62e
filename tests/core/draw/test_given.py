"""Numbers read from pictures of samples given a condition."""

import numpy as np
import pytest

from difrun.draw import Given, images_given, samples_given
from difrun.errors import DifrunError

from .pictures import normal_density, offsets


def test_one_coordinate_is_drawn_as_histograms_and_the_exact_density():
    """One panel for each condition: the area of the bars is 1, and the line is the density that was given."""
    random = np.random.default_rng(0)
    given = [
        Given(
            f"c = {c}", c + random.normal(size=(4000, 1)), density=lambda x, c=c: normal_density(x[:, 0] - c)
        )
        for c in (-1, 2)
    ]
    panels = samples_given(given, ("length",)).axes
    assert [panel.get_title() for panel in panels] == ["c = -1", "c = 2"]
    for panel, c in zip(panels, (-1, 2), strict=True):
        x, y = panel.lines[0].get_data()
        np.testing.assert_allclose(y, normal_density(x - c))
        (bars,) = panel.patches
        values, edges, _ = bars.get_data()
        assert (values * np.diff(edges)).sum() == pytest.approx(1, abs=0.01)
        middle = (edges[1:] + edges[:-1]) / 2
        assert (middle * values * np.diff(edges)).sum() == pytest.approx(c, abs=0.1)
    assert panels[0].get_xlim() == panels[1].get_xlim()
    assert panels[1].get_xlabel() == "length"


def test_two_coordinates_are_dots_over_the_density_of_every_pixel():
    random = np.random.default_rng(1)
    x = random.normal(size=(500, 2)) * [1, 0.5] + [3, 0]
    (panel,) = samples_given([Given("c", x, density=lambda p: p[:, 0] + 10 * p[:, 1])]).axes
    np.testing.assert_array_equal(offsets(panel), x)
    (image,) = panel.images
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape
    across = left + (np.arange(columns) + 0.5) * (right - left) / columns
    up = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    np.testing.assert_allclose(image.get_array(), across[None] + 10 * up[:, None])
    data = random.normal(size=(30, 2))
    (panel,) = samples_given([Given("c", x, data)]).axes
    np.testing.assert_array_equal(offsets(panel, 0), data)
    np.testing.assert_array_equal(offsets(panel, 1), x)


def test_more_coordinates_are_drawn_by_their_quantiles():
    random = np.random.default_rng(2)
    x, data = random.normal(size=(900, 5)), random.normal(size=(90, 5))
    figure = samples_given(
        [Given("c = 0", x, data), Given("c = 1", x + 1, data + 1)], ["a", "b", "$c", "d", "e"]
    )
    for panel, shift in zip(figure.axes, (0, 1), strict=True):
        expected = [np.quantile(data, 0.5, axis=0), *np.quantile(x, [0.1, 0.5, 0.9], axis=0)]
        for line, values in zip(panel.lines, expected, strict=True):
            np.testing.assert_allclose(line.get_ydata(), values + shift)
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["a", "b", r"\$c", "d", "e"]
    long = samples_given([Given("c", random.normal(size=(20, 100)))])
    assert len(long.axes[0].lines[0].get_ydata()) == 60
    assert "the first 60 of 100" in long.axes[0].get_xlabel()


def test_images_stand_side_by_side_in_the_range_of_the_real_ones():
    """0.5 is half way from the darkest real pixel, 0, to the brightest, 2, what is brighter is white, as are gaps."""
    samples = np.full((3, 4, 5), 0.5)
    samples[1], samples[2] = 2, 7
    real = np.zeros((2, 4, 5))
    real[1] = 2
    figure = images_given([Given("c = 0", samples, real), Given("c = 1", samples, real)], data_name="real")
    left, right = figure.axes[:2]
    (image,) = left.images
    np.testing.assert_allclose(image.get_array()[0], [*[0.25] * 5, 1, *[1] * 5, 1, *[1] * 5])
    np.testing.assert_allclose(right.images[0].get_array()[2], [*[0] * 5, 1, *[1] * 5])
    assert (left.get_title(), right.get_title(), left.get_ylabel()) == ("samples", "real", "c = 0")
    colours = images_given([Given("c", np.random.default_rng(0).random((2, 6, 4, 3)))])
    assert colours.axes[0].images[0].get_array().shape == (6, 9, 3)


def test_what_cannot_be_drawn_is_refused():
    for call, said in (
        (lambda: samples_given([]), "at least one"),
        (lambda: images_given([]), "at least one"),
        (lambda: samples_given([Given("a", np.zeros((3, 1))), Given("b", np.zeros((3, 2)))]), "must agree"),
        (lambda: images_given([Given("a", np.zeros((3, 4)))]), "needs images"),
    ):
        with pytest.raises(DifrunError, match=said):
            call()
