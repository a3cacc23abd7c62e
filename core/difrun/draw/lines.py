"""Curves: one-dimensional paths over time, and the loss of training."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from difrun.draw.arrays import (
    Array,
    Density,
    Limits,
    as_array,
    as_paths,
    bin_density,
    bin_edges,
    evaluate,
    evenly,
    robust_limits,
    union,
)
from difrun.draw.style import DATA, INK, MUTED, SAMPLES, coordinate, new_figure, styled, tidy
from difrun.errors import DifrunError

MOST_PATHS = 80


@styled
def paths_1d(
    times: Any,
    paths: Any,
    *,
    density: Density | None = None,
    noise_density: Density | None = None,
    column: str | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one-dimensional paths over time, with histograms of both ends beside them.

    Time runs to the right, from data to noise. Paths that start from data are blue; paths that end in data, such as
    those of a sampler, are vermilion.

    Args:
        times: Shape (frames,), increasing (forward) or decreasing (reverse).
        paths: Shape (frames, n). At most 80 paths are drawn; the histograms show all n values.
        density: The true density at the end of the data, from points (m,) to values (m,), drawn as a line.
        noise_density: As `density`, at the end of the noise.
        column: The name of the coordinate.
        title: The title of the figure.

    Raises:
        DifrunError: If the shapes do not fit, or the paths have more than one coordinate.
    """
    frames, instants = as_paths(paths, times, "paths")
    if frames.shape[2] != 1:
        raise DifrunError(f"draw: paths_1d needs paths of one coordinate, not {frames.shape[2]}")
    values = frames[:, :, 0]
    color = DATA if instants[0] <= instants[-1] else SAMPLES
    if color == SAMPLES:
        values, instants = values[::-1], instants[::-1]
    limits = union([robust_limits(values[k]) for k in evenly(len(values), 12)])
    figure = new_figure(7.0, 3.4, title)
    left, middle, right = figure.subplots(1, 3, sharey=True, width_ratios=(1, 4, 1))
    lines = np.stack(
        np.broadcast_arrays(instants[:, None], values[:, evenly(values.shape[1], MOST_PATHS)]), axis=-1
    )
    middle.add_collection(LineCollection(list(lines.swapaxes(0, 1)), colors=color, linewidths=0.6, alpha=0.4))
    middle.set(xlim=(instants[0], instants[-1]), ylim=limits, xlabel="$t$")
    tidy(middle).tick_params(left=False, labelleft=False)
    middle.spines["left"].set_visible(False)
    _draw_histogram(left, values[0], limits, color, density)
    _draw_histogram(right, values[-1], limits, color, noise_density)
    left.invert_xaxis()
    left.set_ylabel(coordinate(0, None if column is None else [column]))
    left.set_xlabel(f"$t$ = {instants[0]:.2g}")
    right.set_xlabel(f"$t$ = {instants[-1]:.3g}")
    return figure


def _draw_histogram(axes: Axes, values: Array, limits: Limits, color: str, density: Density | None) -> None:
    edges = bin_edges(limits, len(values))
    axes.stairs(
        bin_density(values, edges), edges, orientation="horizontal", fill=True, color=color, alpha=0.35
    )
    if density is not None:
        grid = np.linspace(*limits, 801)
        values = evaluate(density, grid)
        # A line along the axis, where the density is nearly zero, would look like a frame.
        values[values < 0.004 * np.nanmax(values)] = np.nan
        axes.plot(values, grid, color=INK, linewidth=1)
    tidy(axes)
    axes.set_xticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(left=False, labelleft=axes.get_subplotspec().colspan.start == 0)  # type: ignore[union-attr]


def moving_average(values: Any, window: int) -> Array:
    """Return the mean over a centred window of an odd number of values, cut at the ends."""
    values = as_array(values)
    half = max(0, (min(window, len(values)) - 1) // 2)
    total = np.concatenate([[0.0], np.cumsum(values)])
    k = np.arange(len(values))
    low, high = np.maximum(k - half, 0), np.minimum(k + half + 1, len(values))
    return (total[high] - total[low]) / (high - low)


@styled
def loss_curve(steps: Any, loss: Any, *, smooth: float = 0.04, title: str | None = None) -> Figure:
    """Draw the loss of training: every reported value, faint, and the moving average.

    The loss axis is logarithmic if every loss is positive and the average varies by a factor of 5 or more.

    Args:
        steps: Shape (n,).
        loss: Shape (n,). Values that are not finite are left out and counted.
        smooth: The width of the averaging window as a fraction of the curve, from 0 (no average) to 1.
        title: The title of the figure.

    Raises:
        DifrunError: If the shapes do not fit, or no loss is finite.
    """
    x, y = as_array(steps).reshape(-1), as_array(loss).reshape(-1)
    if x.shape != y.shape:
        raise DifrunError(f"draw: loss_curve needs one step per loss, not {len(x)} steps and {len(y)} losses")
    if not 0 <= smooth <= 1:
        raise DifrunError(f"draw: smooth is a fraction from 0 to 1, not {smooth}")
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    if not y.size:
        raise DifrunError("draw: loss_curve has no finite loss to draw")
    average = moving_average(y, round(smooth * len(y)))
    figure = new_figure(6.6, 3.0, title)
    axes = figure.add_subplot()
    if y.min() > 0 and average.max() >= 5 * average.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        if y.max() < 300 * y.min():
            axes.yaxis.set_minor_formatter("{x:g}")
    axes.plot(x, y, color=MUTED, alpha=0.35, linewidth=0.7)
    axes.plot(x, average, color=DATA, linewidth=1.6, marker="o" if len(x) == 1 else "")
    axes.set(xlabel="step", ylabel="loss")
    axes.margins(x=0.01)
    tidy(axes)
    if not finite.all():
        count = int((~finite).sum())
        axes.set_title(
            f"{count} of {finite.size} losses are not finite and not drawn", color=SAMPLES, fontsize=9
        )
    return figure
