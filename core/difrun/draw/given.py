"""Samples given several values of a condition, each beside what is known of p(x | c)."""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from difrun.draw.arrays import (
    Array,
    Limits,
    as_array,
    as_points,
    bin_density,
    bin_edges,
    evaluate,
    robust_limits,
    square,
    thin,
    union,
)
from difrun.draw.scatter import dots
from difrun.draw.style import (
    DATA,
    DENSITY,
    FAINT,
    INK,
    SAMPLES,
    coordinate,
    new_figure,
    note,
    panels,
    plain,
    styled,
    tidy,
)
from difrun.errors import DifrunError

CELLS = 120
"""Cells of the map of a density, along each side."""

MOST_COORDINATES = 60
"""Coordinates of which the spread is drawn."""

QUANTILES = (0.1, 0.5, 0.9)


@attrs.frozen(eq=False)
class Given:
    """Samples given one value of the condition.

    Attributes:
        title: What is given, for example ``c = 0.5``.
        samples: Shape (n, d), or (n, rows, columns) or (n, rows, columns, 3) for images.
        data: Real examples with that condition, or one near it, of the same shape; None: there are none.
        density: The exact density given it, from points (k, d) to values (k,), for d up to 2; None: it is not known.
    """

    title: str
    samples: Any
    data: Any = None
    density: Callable[[Array], Any] | None = None


@styled
def samples_given(
    given: Sequence[Given],
    columns: Sequence[str] | None = None,
    title: str | None = None,
    *,
    data_name: str = "data",
    unit: str = "",
) -> Figure:
    """Draw samples (vermilion) given several conditions, one panel each, beside the exact density or real examples.

    One coordinate is drawn as histograms, two as dots over a map of the density, more as the median and the range from
    the 10th to the 90th percentile of each coordinate.

    Args:
        given: The samples and what they are compared with.
        columns: Names of the coordinates.
        title: The title of the figure.
        data_name: What the real examples are called.
        unit: The label of the axis that several coordinates share.

    Raises:
        DifrunError: If there is nothing to draw, or the dimensions differ.
    """
    if not given:
        raise DifrunError("draw: samples_given needs at least one condition")
    samples = [as_points(each.samples, "samples") for each in given]
    data = [None if each.data is None else as_points(each.data, "data") for each in given]
    sizes = {part.shape[1] for part in (*samples, *data) if part is not None}
    if len(sizes) > 1:
        raise DifrunError(f"draw: samples and data have {sorted(sizes)} coordinates; they must agree")
    dim = sizes.pop()
    parts = [part for part in (*samples, *data) if part is not None]
    limits = [union([robust_limits(part[:, i]) for part in parts]) for i in range(min(dim, MOST_COORDINATES))]
    names = [coordinate(i, columns) for i in range(len(limits))]
    if dim > 2:
        figure = _spreads(given, samples, data, names if columns else None, unit, title)
    else:
        x, y = (limits[0], (0.0, 1.0)) if dim == 1 else square(limits[0], limits[1])
        figure, axes = panels(
            len(given), names[0], "density" if dim == 1 else names[1], size=2.6, title=title
        )
        for panel, each, points, real in zip(axes, given, samples, data, strict=True):
            panel.set_title(plain(each.title))
            if dim == 1:
                _histograms(panel, each, points[:, 0], None if real is None else real[:, 0], x)
            else:
                _dots(panel, each, points, real, x, y)
        if dim == 1:
            axes[0].set_ylim(bottom=0)
    _legend(figure, given, dim, data_name)
    return figure


def _histograms(axes: Axes, given: Given, samples: Array, data: Array | None, limits: Limits) -> None:
    edges = bin_edges(limits, len(samples))
    if data is not None:
        coarse = bin_edges(limits, len(data))
        axes.stairs(bin_density(data, coarse), coarse, fill=True, color=DATA, alpha=0.28)
    axes.stairs(bin_density(samples, edges), edges, color=SAMPLES, linewidth=1.3)
    if given.density is not None:
        density, grid = given.density, np.linspace(*limits, 401)
        axes.plot(grid, evaluate(lambda points: density(points[:, None]), grid), color=INK, linewidth=1)
    axes.set_xlim(limits)


def _dots(axes: Axes, given: Given, samples: Array, data: Array | None, x: Limits, y: Limits) -> None:
    if given.density is not None:
        across, up = (low + (np.arange(CELLS) + 0.5) * (high - low) / CELLS for low, high in (x, y))
        points = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
        values = as_array(given.density(points)).reshape(CELLS, CELLS)
        axes.imshow(
            values,
            origin="lower",
            extent=(*x, *y),
            cmap=DENSITY,
            vmin=0,
            aspect="auto",
            interpolation="bilinear",
        )
    if data is not None:
        dots(axes, data[:, 0], data[:, 1], DATA)
    shown = thin(samples, 1000)
    dots(axes, shown[:, 0], shown[:, 1], SAMPLES)
    axes.set(xlim=x, ylim=y)
    outside = ~((samples >= (x[0], y[0])) & (samples <= (x[1], y[1]))).all(axis=1)
    if outside.any():
        note(axes, f"{outside.sum()} outside or not finite")


def _spreads(
    given: Sequence[Given],
    samples: Sequence[Array],
    data: Sequence[Array | None],
    names: Sequence[str] | None,
    unit: str,
    title: str | None,
) -> Figure:
    """The median and a range of each coordinate, one row of the figure for each condition."""
    figure = new_figure(7.0, 1.55 * len(given) + 0.7, title)
    grid = figure.subplots(len(given), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    dim = samples[0].shape[1]
    places = np.arange(min(dim, MOST_COORDINATES))
    for axes, each, points, real in zip(grid, given, samples, data, strict=True):
        tidy(axes)
        if real is not None:
            low, middle, high = np.nanquantile(real[:, places], QUANTILES, axis=0)
            axes.fill_between(places, low, high, color=DATA, alpha=0.25, linewidth=0)
            axes.plot(places, middle, color=DATA, linewidth=1.2)
        values = np.nanquantile(points[:, places], QUANTILES, axis=0)
        for quantile, width in zip(values, (0.8, 1.5, 0.8), strict=True):
            axes.plot(places, quantile, color=SAMPLES, linewidth=width)
        axes.set_title(plain(each.title))
        axes.set_ylabel(unit)
    if names is not None and len(places) <= 12:
        grid[-1].set_xticks(places, names)
    else:
        more = f" (the first {len(places)} of {dim})" if dim > len(places) else ""
        grid[-1].set_xlabel(f"coordinate{more}")
    return figure


def _legend(figure: Figure, given: Sequence[Given], dim: int, data_name: str) -> None:
    keys: list[Any] = [Patch(color=SAMPLES, label="samples")]
    if any(each.data is not None for each in given):
        keys.append(Patch(color=DATA, label=data_name))
    if any(each.density is not None for each in given):
        line = Line2D([], [], color=INK, linewidth=1, label="exact density")
        keys.append(line if dim == 1 else Patch(color=DATA, label="exact density"))
    if dim > 2:
        keys.append(Line2D([], [], color=FAINT, label="10, 50 and 90 % of each coordinate"))
    figure.legend(
        handles=keys, loc="outside lower center", ncols=len(keys), handlelength=0.9, handleheight=0.8
    )


@styled
def images_given(given: Sequence[Given], title: str | None = None, *, data_name: str = "data") -> Figure:
    """Draw images given several conditions, one row each: samples on the left, real examples on the right.

    Args:
        given: The samples, (n, rows, columns) or (n, rows, columns, 3), and real examples of the same shape.
        title: The title of the figure.
        data_name: What the real examples are called.

    Raises:
        DifrunError: If there is nothing to draw, or the samples are no images.
    """
    if not given:
        raise DifrunError("draw: images_given needs at least one condition")
    sets = [[as_array(part) for part in (each.samples, each.data) if part is not None] for each in given]
    if any(part.ndim not in (3, 4) or 0 in part.shape for parts in sets for part in parts):
        raise DifrunError("draw: images_given needs images (n, rows, columns) or (n, rows, columns, 3)")
    real = np.concatenate([parts[-1].reshape(-1) for parts in sets])
    low, high = float(np.nanmin(real)), float(np.nanmax(real))
    shapes = [part.shape for part in sets[0]]
    across = sum(n * (w + 1) for n, _, w, *_ in shapes)
    figure = new_figure(7.0, len(given) * (5.6 * shapes[0][1] / across + 0.12) + 0.5, title)
    grid = figure.subplots(
        len(given), len(shapes), squeeze=False, width_ratios=[shape[0] for shape in shapes]
    )
    for row, each, parts in zip(grid, given, sets, strict=True):
        for axes, part in zip(row, parts, strict=True):
            axes.imshow(
                _strip(np.clip((part - low) / ((high - low) or 1.0), 0, 1)), cmap="gray", vmin=0, vmax=1
            )
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        row[0].set_ylabel(plain(each.title), rotation=0, ha="right", va="center")
    for axes, name, color in zip(grid[0], ("samples", data_name), (SAMPLES, DATA), strict=False):
        axes.set_title(name, color=color)
    return figure


def _strip(images: Array) -> Array:
    """Images side by side, with white between them."""
    edge = np.ones((len(images), images.shape[1], 1, *images.shape[3:]))
    return np.concatenate(list(np.concatenate([images, edge], axis=2)), axis=1)[:, :-1]
