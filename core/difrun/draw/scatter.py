"""Data and samples side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from difrun.draw.arrays import (
    Array,
    Density,
    Limits,
    as_points,
    bin_density,
    bin_edges,
    evaluate,
    robust_limits,
    square,
    thin,
    union,
)
from difrun.draw.style import DATA, INK, SAMPLES, boxed, coordinate, new_figure, note, panels, styled, tidy
from difrun.errors import DifrunError

MOST_POINTS = 4000
MOST_COORDINATES = 4


@styled
def data_and_samples(
    data: Any,
    samples: Any,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    *,
    density: Density | None = None,
) -> Figure:
    """Draw data (blue) and samples (vermilion) with the same limits.

    One coordinate is drawn as two histograms, two as two scatter plots. With more coordinates, the first four are drawn
    in a matrix of panels: data below the diagonal, samples above it, and histograms of both on it. Limits are those of
    the data, widened to show the samples except gross outliers; each panel says how many points lie outside.

    Args:
        data: Shape (n, d), or (n,).
        samples: Shape (m, d), or (m,).
        columns: Names of the coordinates.
        title: The title of the figure.
        density: The true density of the data for d = 1, from points (k,) to values (k,).

    Returns:
        The figure. At most 4000 points of each are drawn as dots.

    Raises:
        DifrunError: If the dimensions differ, or a density is given and d is not 1.
    """
    left, right = as_points(data, "data"), as_points(samples, "samples")
    dim = left.shape[1]
    if right.shape[1] != dim:
        raise DifrunError(
            f"draw: data have {dim} coordinates, samples have {right.shape[1]}; they must agree"
        )
    if density is not None and dim != 1:
        raise DifrunError(f"draw: a true density can be drawn in one dimension only, and the data have {dim}")
    if dim == 1:
        return _histograms(left[:, 0], right[:, 0], coordinate(0, columns), title, density)
    if dim == 2:
        return _side_by_side(left, right, columns, title)
    return _pairs(left, right, columns, title)


def common_limits(data: Array, samples: Array) -> list[Limits]:
    """Return limits per coordinate that contain the data and the samples except gross outliers."""
    return [
        union([robust_limits(data[:, i]), robust_limits(samples[:, i])])
        for i in range(min(data.shape[1], MOST_COORDINATES))
    ]


def dots(axes: Axes, x: Array, y: Array, color: str, alpha: float | None = None) -> PathCollection:
    """Draw a scatter plot; the more points, the smaller and paler the dots."""
    size = float(np.clip(1800 / len(x), 2.0, 14.0))
    if alpha is None:
        alpha = float(np.clip(700 / len(x), 0.3, 0.8))
    return axes.scatter(x, y, s=size, color=color, linewidths=0, alpha=alpha)


def _side_by_side(data: Array, samples: Array, columns: Sequence[str] | None, title: str | None) -> Figure:
    limits = common_limits(data, samples)
    x, y = square(limits[0], limits[1])
    figure, axes = panels(2, coordinate(0, columns), coordinate(1, columns), size=3.3, title=title)
    for panel, points, color, name in zip(
        axes, (data, samples), (DATA, SAMPLES), ("data", "samples"), strict=True
    ):
        shown = thin(points, MOST_POINTS)
        dots(panel, shown[:, 0], shown[:, 1], color)
        panel.set(xlim=x, ylim=y)
        panel.set_title(f"{name}, n = {len(points)}", color=color)
        inside = (points >= (x[0], y[0])).all(axis=1) & (points <= (x[1], y[1])).all(axis=1)
        _count_missing(panel, int((~inside).sum()))
    return figure


def _histograms(data: Array, samples: Array, name: str, title: str | None, density: Density | None) -> Figure:
    (limits,) = common_limits(data[:, None], samples[:, None])
    edges = bin_edges(limits, min(len(data), len(samples)))
    figure = new_figure(6.4, 3.6, title)
    axes = tidy(figure.add_subplot())
    axes.stairs(
        bin_density(data, edges), edges, fill=True, color=DATA, alpha=0.28, label=f"data, n = {len(data)}"
    )
    axes.stairs(
        bin_density(samples, edges), edges, color=SAMPLES, linewidth=1.4, label=f"samples, n = {len(samples)}"
    )
    if density is not None:
        grid = np.linspace(*limits, 801)
        axes.plot(grid, evaluate(density, grid), color=INK, linewidth=1, label="true density")
    axes.set(xlim=limits, xlabel=name, ylabel="density")
    axes.set_ylim(bottom=0)
    axes.legend()
    _count_missing(axes, int((~((samples >= limits[0]) & (samples <= limits[1]))).sum()), "sample")
    return figure


def _pairs(data: Array, samples: Array, columns: Sequence[str] | None, title: str | None) -> Figure:
    limits = common_limits(data, samples)
    dim = len(limits)
    left, right = thin(data, MOST_POINTS // 2), thin(samples, MOST_POINTS // 2)
    figure = new_figure(1.8 * dim + 0.3, 1.8 * dim + 0.5, title)
    grid = figure.subplots(dim, dim, sharex="col")
    for i in range(dim):
        for j in range(dim):
            axes = boxed(grid[i, j], ticks=3)
            axes.set_xlim(limits[j])
            if i == j:
                edges = bin_edges(limits[i], min(len(data), len(samples)))
                axes.stairs(bin_density(data[:, i], edges), edges, fill=True, color=DATA, alpha=0.28)
                axes.stairs(bin_density(samples[:, i], edges), edges, color=SAMPLES, linewidth=1.2)
                axes.set_yticks([])
                axes.set_ylim(bottom=0)
            else:
                points, color = (left, DATA) if i > j else (right, SAMPLES)
                dots(axes, points[:, j], points[:, i], color)
                axes.set_ylim(limits[i])
                axes.tick_params(labelleft=j == 0)
            axes.tick_params(labelbottom=i == dim - 1)
        grid[i, 0].set_ylabel(coordinate(i, columns))
        grid[dim - 1, i].set_xlabel(coordinate(i, columns))
    more = f"; the first {dim} of {data.shape[1]} coordinates" if data.shape[1] > dim else ""
    keys = [
        Patch(color=DATA, label=f"data, below the diagonal{more}"),
        Patch(color=SAMPLES, label="samples, above it"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=2, handlelength=0.8, handleheight=0.8)
    return figure


def _count_missing(axes: Axes, missing: int, what: str = "") -> None:
    if missing:
        noun = what if missing == 1 else f"{what}s"
        counted = f"{missing} {noun}" if what else f"{missing}"
        note(axes, f"{counted} outside or not finite")
