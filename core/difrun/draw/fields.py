"""Densities, scores and flow lines of a process at several times."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from difrun.draw.arrays import (
    Array,
    as_array,
    as_paths,
    as_points,
    evenly,
    robust_limits,
    square,
    thin,
    union,
)
from difrun.draw.scatter import dots
from difrun.draw.style import (
    DATA,
    DENSITY,
    INK,
    MUTED,
    SAMPLES,
    boxed,
    coordinate,
    new_figure,
    note,
    panels,
    styled,
    tidy,
)
from difrun.errors import DifrunError

MOST_LINES = 250


@styled
def density_map(
    densities: Any,
    extent: Sequence[float],
    times: Any,
    *,
    columns: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the density p_t of the noised data at several times.

    Each panel has its own scale, from 0 (white) to its largest value, which is written in it, because p_t is far more
    peaked at small t than later. In one dimension, x over time is drawn in one panel.

    Args:
        densities: Shape (k, rows, columns), on a regular grid; row r belongs to the r-th value of the second
            coordinate, from low to high. Shape (k, columns) in one dimension.
        extent: The outer edges of the grid's cells, (x_1 min, x_1 max, x_2 min, x_2 max), or (x min, x max).
        times: Shape (k,).
        columns: Names of the coordinates.
        title: The title of the figure.

    Raises:
        DifrunError: If the shapes do not fit together.
    """
    values, instants = as_array(densities), as_array(times).reshape(-1)
    if values.ndim not in (2, 3) or 0 in values.shape or len(values) != len(instants):
        raise DifrunError(
            f"draw: density_map needs densities (k, rows, columns) or (k, columns) and k times, "
            f"not {values.shape} and {len(instants)} times"
        )
    if len(extent) != 2 * (values.ndim - 1):
        raise DifrunError(f"draw: extent must have {2 * (values.ndim - 1)} numbers, not {len(extent)}")
    if values.ndim == 2:
        return _density_over_time(values, extent, instants, columns, title)
    figure, axes = panels(len(values), coordinate(0, columns), coordinate(1, columns), title=title)
    left, right, bottom, top = extent
    for panel, p, t in zip(axes, values, instants, strict=True):
        largest = float(np.nanmax(p)) or 1.0
        panel.imshow(
            p, origin="lower", extent=(left, right, bottom, top), cmap=DENSITY, vmin=0, vmax=largest,
            interpolation="bilinear", aspect="auto",
        )  # fmt: skip
        panel.set_title(f"$t$ = {t:.3g}")
        note(panel, f"max $p_t$ = {largest:.2g}")
    return figure


def _density_over_time(
    values: Array, extent: Sequence[float], times: Array, columns: Sequence[str] | None, title: str | None
) -> Figure:
    if len(times) < 2 or not (np.diff(times) > 0).all():
        raise DifrunError(
            "draw: the density of one coordinate over time needs at least two times, in increasing order"
        )
    figure = new_figure(6.6, 3.4, title)
    axes = tidy(figure.add_subplot())
    cell = (extent[1] - extent[0]) / values.shape[1]
    points = extent[0] + cell * (np.arange(values.shape[1]) + 0.5)
    mesh = axes.pcolormesh(times, points, values.T, cmap=DENSITY, vmin=0, shading="gouraud", rasterized=True)
    axes.set(xlabel="$t$", ylabel=coordinate(0, columns))
    bar = figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.02, label="$p_t$")
    bar.outline.set_visible(False)
    bar.ax.tick_params(width=0.6, length=3, color=MUTED, labelcolor=MUTED, labelsize=9)
    return figure


def arrows(scores: Any) -> Array:
    """Return scores (…, d) as arrows with lengths in [0, 1).

        s / (|s| + m),    m the median of the |s| that are not 0

    The direction is that of s. The length grows with |s| and saturates, so that strong and weak regions are visible
    together. Scores that are zero or not finite give zero: no arrow.
    """
    s = as_array(scores)
    s = np.where(np.isfinite(s).all(axis=-1, keepdims=True), s, 0.0)
    largest = np.abs(s).max(initial=0.0)
    if largest == 0:
        return s
    s = s / largest  # the square of a very large or very small score would leave the range of float64
    size = np.linalg.norm(s, axis=-1, keepdims=True)
    return s / (size + np.median(size[size > 0]))


@styled
def score_field(
    points: Any,
    scores: Any,
    times: Any,
    *,
    background: Any = None,
    extent: Sequence[float] | None = None,
    units: tuple[Any, Any] | None = None,
    columns: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the score ∇ log p_t at several times, as arrows over the density.

    The length of an arrow grows with |score| and saturates, separately in each panel (see `arrows`). Scores that are
    zero or not finite have no arrow. In one dimension, the score is a curve for each time.

    Args:
        points: Where the score is known, (n, 2), or (n,) in one dimension.
        scores: Shape (k, n, 2), or (k, n).
        times: Shape (k,).
        background: The densities (k, rows, columns) behind the arrows, as for `density_map`.
        extent: Their extent, as for `density_map`, which is then that of the panels.
        units: (shift, scale), each (2,): the axes show shift + scale · x, and `extent` is in these units. The lengths
            of arrows are computed without them, because the coordinates may then have more similar scales.
        columns: Names of the coordinates.
        title: The title of the figure.

    Raises:
        DifrunError: If the shapes do not fit together.
    """
    positions, values, instants = as_points(points, "points"), as_array(scores), as_array(times).reshape(-1)
    if values.ndim == 2 and positions.shape[1] == 1:
        values = values[:, :, None]
    densities = None if background is None else as_array(background)
    _check_scores(positions, values, instants, densities, extent)
    if positions.shape[1] == 1:
        return _score_curves(positions[:, 0], values[:, :, 0], instants, columns, title)
    figure, axes = panels(len(instants), coordinate(0, columns), coordinate(1, columns), title=title)
    shift, scale = (0.0, 1.0) if units is None else (as_array(part) for part in units)
    low, high = positions.min(axis=0), positions.max(axis=0)
    # About the distance between neighbouring points, which sets the length of the arrows.
    spacing = float(np.sqrt(max(np.prod(high - low), 1e-300) / len(positions))) or 1.0
    corners = shift + scale * np.stack([low - spacing, high + spacing])
    left, right, bottom, top = corners.T.flatten() if extent is None else extent
    for k, panel in enumerate(axes):
        if densities is not None:
            panel.imshow(
                densities[k], origin="lower", extent=(left, right, bottom, top), cmap=DENSITY, vmin=0,
                vmax=2.2 * float(np.nanmax(densities[k])) or 1.0,
                interpolation="bilinear", aspect="auto",
            )  # fmt: skip
        lengths = 1.3 * spacing * arrows(values[k])
        nonzero = np.abs(lengths).max(axis=1) > 0
        panel.quiver(
            *(shift + scale * positions[nonzero]).T, *(scale * lengths[nonzero]).T,
            angles="xy", scale_units="xy", scale=1.0, pivot="mid", color=INK,
            width=0.0045, headwidth=3.6, headlength=4, headaxislength=3.6, minlength=0.3,
        )  # fmt: skip
        # The density fills its panel: an edge of its picture would look like an edge of the data.
        panel.set(xlim=(left, right), ylim=(bottom, top))
        panel.set_title(f"$t$ = {instants[k]:.3g}")
    return figure


def _check_scores(
    points: Array, scores: Array, times: Array, densities: Array | None, extent: Sequence[float] | None
) -> None:
    if scores.shape != (len(times), *points.shape) or points.shape[1] > 2:
        raise DifrunError(
            f"draw: score_field needs points (n, d), scores (k, n, d) and k times with d = 1 or 2, "
            f"not {points.shape}, {scores.shape} and {len(times)} times"
        )
    if (densities is None) != (extent is None):
        raise DifrunError("draw: score_field needs background and extent together, or neither")
    if densities is None or extent is None:
        return
    if points.shape[1] == 1:
        raise DifrunError("draw: in one dimension score_field draws curves and takes no background")
    if densities.ndim != 3 or len(densities) != len(times):
        raise DifrunError(
            f"draw: background must have shape ({len(times)}, rows, columns), not {densities.shape}"
        )
    if len(extent) != 4:
        raise DifrunError(f"draw: extent must have 4 numbers, not {len(extent)}")


def _score_curves(
    points: Array, scores: Array, times: Array, columns: Sequence[str] | None, title: str | None
) -> Figure:
    order = np.argsort(points)
    figure = new_figure(6.6, 3.6, title)
    axes = tidy(figure.add_subplot())
    axes.axhline(0, color=MUTED, linewidth=0.6)
    for t, score, shade in zip(times, scores, np.linspace(0.95, 0.25, len(times)), strict=True):
        axes.plot(points[order], score[order], color=DENSITY(shade), linewidth=1.4, label=f"$t$ = {t:.3g}")
    axes.set(
        xlabel=coordinate(0, columns),
        ylabel=r"score $\partial_x \log p_t$",
        xlim=(points.min(), points.max()),
    )
    # The score of peaked data grows like 1/σ² away from them: choose limits that fit most of the curves.
    axes.set_ylim(union([robust_limits(score) for score in scores[len(scores) // 3 :]]))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2)
    return figure


@styled
def probability_flow_lines(
    paths: Any, data: Any = None, *, columns: Sequence[str] | None = None, title: str | None = None
) -> Figure:
    """Draw trajectories of the probability-flow ODE, from noise (open rings) to samples (filled dots).

    Args:
        paths: Shape (frames, n, d) with d ≥ 2, in the order of sampling: the first frame is noise. The first two
            coordinates of at most 250 trajectories are drawn. For d = 1 use `paths_1d`.
        data: Shape (m, d), drawn behind the trajectories.
        columns: Names of the coordinates.
        title: The title of the figure.

    Returns:
        The figure. If trajectories leave the frame, it says how many.

    Raises:
        DifrunError: If the shapes do not fit.
    """
    array = as_array(paths)
    frames, _ = as_paths(array, np.arange(len(array)), "paths")
    if frames.shape[2] < 2:
        raise DifrunError("draw: probability_flow_lines needs at least two coordinates; use paths_1d for one")
    behind = None if data is None else as_points(data, "data")
    if behind is not None and behind.shape[1] != frames.shape[2]:
        raise DifrunError(
            f"draw: paths have {frames.shape[2]} coordinates, data {behind.shape[1]}; they must agree"
        )
    lines = frames[:, evenly(frames.shape[1], MOST_LINES), :2]
    figure = new_figure(4.6, 4.9, title)
    axes = boxed(figure.add_subplot())
    if behind is not None:
        some = thin(behind, 3000)
        dots(axes, some[:, 0], some[:, 1], DATA, alpha=0.25).set_label("data")
    axes.add_collection(LineCollection(list(lines.swapaxes(0, 1)), colors=MUTED, linewidths=0.6, alpha=0.45))
    start, end = lines[0], lines[-1]
    rings: Any = {"facecolors": "white", "edgecolors": MUTED, "linewidths": 0.6}
    axes.scatter(start[:, 0], start[:, 1], s=9, **rings, zorder=3, label="noise")
    axes.scatter(end[:, 0], end[:, 1], s=9, color=SAMPLES, linewidths=0, zorder=4, label="samples")
    x, y = square(robust_limits(lines[..., 0]), robust_limits(lines[..., 1]))
    axes.set(xlim=x, ylim=y, xlabel=coordinate(0, columns), ylabel=coordinate(1, columns))
    inside = (lines >= (x[0], y[0])) & (lines <= (x[1], y[1]))
    leaving = lines.shape[1] - int(inside.all(axis=(0, 2)).sum())
    if leaving:
        note(axes, f"{leaving} of {lines.shape[1]} lines leave the frame")
    legend = figure.legend(loc="outside lower center", ncols=3, handletextpad=0.2)
    for handle in filter(None, legend.legend_handles):
        handle.set_alpha(1.0)  # a single dot of the data is too pale to be seen
    return figure
