"""Animations of the forward and the reverse process."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from difrun.draw.arrays import (
    Array,
    Density,
    Limits,
    as_paths,
    as_points,
    bin_density,
    bin_edges,
    evaluate,
    evenly,
    robust_limits,
    square,
    thin,
    union,
)
from difrun.draw.film import Film, Update
from difrun.draw.scatter import dots
from difrun.draw.style import (
    DATA,
    FAINT,
    INK,
    SAMPLES,
    boxed,
    coordinate,
    new_figure,
    note,
    plain,
    styled,
    tidy,
)
from difrun.errors import DifrunError


def forward_animation(
    path: Any,
    times: Any,
    *,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    density: Density | None = None,
    max_points: int = 1000,
    max_frames: int = 60,
) -> Film:
    """Animate data that turn into noise: the path of a forward process from t = 0 on.

    One coordinate is drawn as a histogram, more as a scatter plot of the first two. The limits are the same in all
    frames. They show the points of all frames except gross outliers, but are at most three times as wide as the data,
    so that the data stay visible if the noise is much wider; each frame says how many points lie outside.

    Args:
        path: Shape (frames, n, d), or (frames, n) for d = 1.
        times: Shape (frames,).
        columns: Names of the coordinates.
        title: The title of the figure.
        density: The true density of the data for d = 1, from points (m,) to values (m,), drawn behind the histogram.
        max_points: The most points that are drawn, evenly spaced (for d ≥ 2).
        max_frames: The most frames that are drawn, evenly spaced, including the last.

    Raises:
        DifrunError: If the shapes do not fit.
    """
    return _film(path, times, None, DATA, columns, title, density, max_points, max_frames)


def reverse_animation(
    path: Any,
    times: Any,
    *,
    data: Any = None,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    density: Density | None = None,
    max_points: int = 1000,
    max_frames: int = 60,
) -> Film:
    """Animate noise that turns into samples: the path of a sampler from t = T to the end of sampling.

    Args:
        path: Shape (frames, n, d), or (frames, n) for d = 1.
        times: Shape (frames,); they may decrease.
        data: Shape (m, d), drawn faintly behind the samples.
        columns: As for `forward_animation`.
        title: As for `forward_animation`.
        density: As for `forward_animation`.
        max_points: As for `forward_animation`.
        max_frames: As for `forward_animation`.

    Raises:
        DifrunError: If the shapes do not fit.
    """
    return _film(path, times, data, SAMPLES, columns, title, density, max_points, max_frames)


@styled
def _film(
    path: Any,
    times: Any,
    data: Any,
    color: str,
    columns: Sequence[str] | None,
    title: str | None,
    density: Density | None,
    max_points: int,
    max_frames: int,
) -> Film:
    frames, instants = as_paths(path, times, "path")
    dim = frames.shape[2]
    behind = None if data is None else as_points(data, "data")
    _check_film(dim, behind, density, max_points, max_frames)
    chosen = evenly(len(frames), max_frames)
    frames, instants = frames[chosen], instants[chosen]
    limits = path_limits(frames, instants, behind)
    draw = _histogram if dim == 1 else _scatter
    figure, axes, update = draw(frames, limits, behind, color, columns, density, max_points)
    if title:
        figure.suptitle(plain(title), fontsize=11.5)
    # On the right, because Matplotlib writes the power of ten of an axis on the left.
    time_text = axes.text(1, 1.015, "", transform=axes.transAxes, ha="right", va="bottom", color=INK)
    outside_text = note(axes, "")
    box = np.array([axes.get_xlim(), axes.get_ylim()][: min(dim, 2)])
    digits = max(0, 2 - math.floor(math.log10(max(np.abs(instants).max(), 1e-9))))

    def update_with_texts(k: int) -> list[Artist]:
        time_text.set_text(f"$t$ = {instants[k]:.{digits}f}")
        shown = frames[k][:, : len(box)]
        outside = len(shown) - int(((shown >= box[:, 0]) & (shown <= box[:, 1])).all(axis=1).sum())
        outside_text.set_text(f"{outside} of {len(shown)} outside" if outside else "")
        return [*update(k), time_text, outside_text]

    update_with_texts(0)
    return Film(figure, update_with_texts, len(frames))


def _check_film(
    dim: int, data: Array | None, density: Density | None, max_points: int, max_frames: int
) -> None:
    if max_points < 1 or max_frames < 2:
        raise DifrunError(
            f"draw: max_points ≥ 1 and max_frames ≥ 2 are needed, not {max_points} and {max_frames}"
        )
    if data is not None and data.shape[1] != dim:
        raise DifrunError(f"draw: the path has {dim} coordinates, data have {data.shape[1]}; they must agree")
    if density is not None and dim != 1:
        raise DifrunError(f"draw: a true density can be drawn in one dimension only, and the path has {dim}")


def path_limits(frames: Array, times: Array, data: Array | None) -> list[Limits]:
    """Return fixed limits for the first two coordinates of a path (frames, n, d), as in `forward_animation`."""
    end = frames[np.argmin(times)]
    some_frames = frames[evenly(len(frames), 12)]
    limits = []
    for i in range(min(frames.shape[2], 2)):
        near_data = [robust_limits(end[:, i])]
        if data is not None:
            near_data.append(robust_limits(data[:, i]))
        low, high = union(near_data)
        everything = union([robust_limits(frame[:, i]) for frame in some_frames] + near_data)
        span = high - low
        limits.append((max(everything[0], low - span), min(everything[1], high + span)))
    return limits


def _scatter(
    frames: Array, limits: list[Limits], data: Array | None, color: str, columns: Sequence[str] | None,
    density: Density | None, max_points: int,
) -> tuple[Figure, Axes, Update]:  # fmt: skip
    x, y = square(limits[0], limits[1])
    figure = new_figure(4.4, 4.6)
    axes = boxed(figure.add_subplot())
    axes.set(xlim=x, ylim=y, xlabel=coordinate(0, columns), ylabel=coordinate(1, columns))
    if data is not None:
        behind = thin(data, 2000)
        dots(axes, behind[:, 0], behind[:, 1], FAINT, alpha=0.5)
    points = frames[:, evenly(frames.shape[1], max_points), :2]
    moving = dots(axes, points[0, :, 0], points[0, :, 1], color, alpha=0.7)

    def update(k: int) -> list[Artist]:
        moving.set_offsets(points[k])
        return [moving]

    return figure, axes, update


def _histogram(
    frames: Array, limits: list[Limits], data: Array | None, color: str, columns: Sequence[str] | None,
    density: Density | None, max_points: int,
) -> tuple[Figure, Axes, Update]:  # fmt: skip
    edges = bin_edges(limits[0], frames.shape[1])
    heights = np.stack([bin_density(frame[:, 0], edges) for frame in frames])
    figure = new_figure(4.8, 3.4)
    axes = tidy(figure.add_subplot())
    top = heights.max()
    if data is not None:
        behind = bin_density(data[:, 0], edges)
        axes.stairs(behind, edges, fill=True, color=FAINT, alpha=0.6)
        top = max(top, behind.max())
    moving = axes.stairs(heights[0], edges, fill=True, color=color, alpha=0.65)
    if density is not None:
        grid = np.linspace(*limits[0], 801)
        values = evaluate(density, grid)
        axes.plot(grid, values, color=INK, linewidth=1)
        top = max(top, values.max())
    axes.set(xlim=limits[0], ylim=(0, 1.06 * top or 1), xlabel=coordinate(0, columns), ylabel="density")

    def update(k: int) -> list[Artist]:
        moving.set_data(heights[k])
        return [moving]

    return figure, axes, update
