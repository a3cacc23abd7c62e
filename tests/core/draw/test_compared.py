"""Quality against evaluations: what is drawn where."""

import numpy as np
import pytest

from difrun.draw import Panel, quality, save
from difrun.errors import DifrunError

CURVE = [(5, 0.4, 0.02), (10, 0.1, 0.02), (50, 0.05, 0.02)]


def drawn(axes):
    """The curves of a panel."""
    return [
        line for line in axes.lines if line.get_marker() not in ("None", "", None) and len(line.get_xdata())
    ]


def test_points_and_floors_are_drawn_at_their_values():
    curves = {("r", "adams", "rho"): CURVE[::-1], ("r", "heun", "rho"): [(10, 0.2, 0.0)]}
    figure = quality([Panel("sliced-w2", curves, [(0.04, 0.01)], "lower")])
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    first, second = drawn(axes)
    np.testing.assert_allclose(first.get_xydata(), [(n, v) for n, v, _ in CURVE])  # in order of evaluations
    np.testing.assert_allclose(second.get_xydata(), [(10, 0.2)])
    (floor,) = [line for line in axes.lines if line not in (first, second)]
    assert set(floor.get_ydata()) == {0.04}
    (band,) = axes.patches
    edges = band.get_path().transformed(band.get_patch_transform()).vertices[:, 1]
    assert (edges.min(), edges.max()) == pytest.approx((0.03, 0.05))
    assert [text.get_text() for text in axes.texts] == ["floor"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["adams", "heun"]
    assert figure.get_suptitle() == "r, rho"  # what all lines have in common


def test_floors_close_to_each_other_have_one_label():
    floors = [(0.04, 0.0), (0.05, 0.0), (0.2, 0.0)]
    (axes,) = quality([Panel("w2", {("a",): CURVE}, floors, "lower")]).axes
    assert [(text.get_text(), text.xy[1]) for text in axes.texts] == [("floor", 0.04), ("floor", 0.2)]
    assert sorted(line.get_ydata()[0] for line in axes.lines if line not in drawn(axes)) == [0.04, 0.05, 0.2]


def test_shares_have_a_linear_axis():
    figure = quality(
        [Panel("coverage", {("a",): [(5, 0.7, 0.01), (10, 0.96, 0.01)]}, [(0.97, 0.01)], "higher")]
    )
    assert figure.axes[0].get_yscale() == "linear"


def test_quantities_of_either_sign_have_a_linear_axis_and_positive_ones_a_logarithmic_one():
    """An energy per spin of -1 is not a bad distance: its curve is drawn at its value."""
    curves = {("a",): [(5, -0.7, 0.01), (10, -0.9, 0.01)]}
    signed, positive = quality(
        [Panel("energy", curves, [(-0.92, 0.01)]), Panel("m", {("a",): CURVE}, [(0.4, 0.01)])]
    ).axes
    assert (signed.get_yscale(), positive.get_yscale()) == ("linear", "log")
    (line,) = [
        line for line in signed.lines if len(line.get_xdata()) == 2 and list(line.get_xdata()) == [5, 10]
    ]
    np.testing.assert_allclose(line.get_ydata(), [-0.7, -0.9])


def test_values_that_are_not_positive_are_open_markers_at_the_lower_edge():
    """The energy distance of good samples is noise around 0."""
    curves = {("a",): [(5, 0.1, 0.001), (10, -0.0005, 0.001)]}
    figure = quality([Panel("energy", curves, [(-0.0001, 0.002)], "lower")])
    (axes,) = figure.axes
    edge = 0.1 * 0.002
    assert axes.get_ylim()[0] == pytest.approx(edge)
    (mark,) = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    np.testing.assert_allclose(mark.get_xydata(), [(10, edge)])
    assert [text.get_text() for text in axes.texts] == ["floor (below 0)"]


def test_a_panel_without_positive_values_has_a_valid_axis():
    """The energy of a lattice is below 0 everywhere: no warning from Matplotlib, and a readable axis."""
    figure = quality(
        [Panel("energy", {("a",): [(8, -0.7, 0.01), (12, -0.8, 0.01)]}, [(-0.79, 0.01)], "lower")]
    )
    low, high = figure.axes[0].get_ylim()
    assert high >= 2 * low > 0


def test_eight_lines_look_different_and_are_named(tmp_path, recwarn):
    keys = [("r", sampler, grid) for sampler in ("adams", "heun", "ddim", "pc") for grid in ("pilot", "rho")]
    curves = {key: [(n, v * (i + 1), s) for n, v, s in CURVE] for i, key in enumerate(keys)}
    figure = quality([Panel("w2", curves), Panel("distance", curves)])
    save(figure, tmp_path / "x.png")
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in drawn(figure.axes[0])}
    assert len(looks) == 8
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"{s}, {g}" for _, s, g in keys]
    # Nothing overlaps: the layout gives each panel enough space, without a warning.
    left, right = (axes.get_position() for axes in figure.axes)
    assert left.x1 < right.x0
    assert left.width == pytest.approx(right.width, rel=0.2)
    assert left.width > 0.3
    assert not [warning for warning in recwarn if "layout" in str(warning.message)]


def test_sixteen_lines_of_one_kind_look_different():
    curves = {(f"s{i}",): CURVE for i in range(16)}
    figure = quality([Panel("w2", curves)])
    assert len({(line.get_color(), line.get_marker()) for line in drawn(figure.axes[0])}) == 16


def test_values_that_are_not_finite_are_left_out_and_an_empty_figure_is_refused():
    figure = quality([Panel("w2", {("a",): [(5, float("nan"), 0.0), (10, 0.2, float("nan"))]})])
    np.testing.assert_allclose(drawn(figure.axes[0])[0].get_xydata(), [(10, 0.2)])
    with pytest.raises(DifrunError, match="no line to draw"):
        quality([Panel("w2", {})])
