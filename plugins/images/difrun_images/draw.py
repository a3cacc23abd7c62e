"""Pictures of images, as Matplotlib figures. Pixels run from −1 (black) to 1 (white); what lies beyond is clipped."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from difrun.draw.style import FAINT, MUTED, new_figure, styled

TILE = 0.42
"""Side of an image in inches, unless there are many."""

Text = list[tuple[float, float, str]]


@styled
def image_grid(
    images: Any,
    labels: Sequence[int] | None = None,
    classes: Sequence[str] = (),
    *,
    columns: int = 12,
    title: str | None = None,
) -> Figure:
    """Images (n, c, h, w) in a grid; with labels (n,), one row per class, its name at the left.

    columns: images in a row. Of a class at most so many are shown. c is 1 (grey) or 3. Raises ValueError when there is
    no image, when c is neither, and when there are not as many labels.
    """
    pixels = _pixels(images)
    if labels is None:
        rows = [list(range(i, min(i + columns, len(pixels)))) for i in range(0, len(pixels), columns)]
        names = [""] * len(rows)
    else:
        marks = np.asarray(labels)
        if marks.shape != (len(pixels),):
            raise ValueError(f"{len(pixels)} images with labels of shape {marks.shape}; each needs one")
        present = sorted(set(marks.tolist()))
        rows = [np.flatnonzero(marks == k)[:columns].tolist() for k in present]
        names = [classes[k] if 0 <= k < len(classes) else str(k) for k in present]
    figure, axes, places = _mosaic(pixels, rows, title=title, left=0.2 + 0.1 * max(map(len, names)))
    for name, (y, _) in zip(names, places, strict=True):
        if name:
            axes.text(-0.6, y, name, ha="right", va="center", fontsize=10)
    return figure


@styled
def nearest_panel(
    samples: Any, nearest: Any, distances: Sequence[float], *, columns: int = 10, title: str | None = None
) -> Figure:
    """Samples over their nearest training images, both (n, c, h, w), with the distance (n,) below each pair.

    The pairs stand in the order of the distance: what a model has learnt by heart comes first.
    """
    above, below = _pixels(samples), _pixels(nearest)
    far = np.asarray(distances, dtype=np.float64)
    if above.shape != below.shape or far.shape != (len(above),):
        raise ValueError(
            f"samples {above.shape}, their nearest images {below.shape} and distances {far.shape} do not go together"
        )
    order = np.argsort(far, kind="stable")
    together = np.concatenate((above, below))
    rows = []
    for start in range(0, len(order), columns):
        part = order[start : start + columns].tolist()
        rows += [part, [len(above) + k for k in part]]
    figure, axes, places = _mosaic(together, rows, title=title, left=0.8, pair=True)
    for k, (y, xs) in enumerate(places):
        axes.text(-0.6, y, ("sample", "training")[k % 2], ha="right", va="center", fontsize=9, color=MUTED)
        if k % 2:
            for x, row in zip(xs, rows[k], strict=True):
                value = far[row - len(above)]
                axes.text(x, y + 0.55, f"{value:.2f}", ha="center", va="top", fontsize=7.5, color=MUTED)
    return figure


@styled
def image_strip(frames: Any, times: Sequence[float], *, title: str | None = None) -> Figure:
    """Frames (T, n, c, h, w) as rows of one image each, from left to right in the order given, their times above."""
    array = np.asarray(frames, dtype=np.float64)
    if array.ndim != 5 or len(array) != len(times):
        raise ValueError(f"frames of shape {array.shape} for {len(times)} times; expected (T, n, c, h, w)")
    steps, n = array.shape[:2]
    pixels = _pixels(array.reshape(steps * n, *array.shape[2:]))
    rows = [[k * n + i for k in range(steps)] for i in range(n)]
    figure, axes, places = _mosaic(pixels, rows, title=title, left=0.3, top=0.28)
    for x, t in zip(places[0][1], times, strict=True):
        axes.text(x, places[0][0] - 0.62, f"{t:.3g}", ha="center", va="bottom", fontsize=8, color=MUTED)
    axes.text(-0.6, places[0][0] - 0.62, "$t$", ha="right", va="bottom", fontsize=9, color=MUTED)
    return figure


def _pixels(images: Any) -> NDArray[np.float64]:
    """(n, h, w, 3) from 0 to 1. Raises ValueError for what are no images."""
    array = np.asarray(images, dtype=np.float64)
    if array.ndim != 4 or len(array) == 0 or array.shape[1] not in (1, 3):
        raise ValueError(f"expected images (n, 1 or 3, rows, columns), n at least 1; got shape {array.shape}")
    shown = np.clip((array.transpose(0, 2, 3, 1) + 1) / 2, 0, 1)
    return np.broadcast_to(shown, (*shown.shape[:3], 3))


Places = list[tuple[float, list[float]]]


def _mosaic(
    pixels: NDArray[np.float64],
    rows: list[list[int]],
    *,
    title: str | None,
    left: float = 0.1,
    top: float = 0.1,
    pair: bool = False,
) -> tuple[Figure, Axes, Places]:
    """Images at the places of a grid of unit cells, and the middle of every row and of its images.

    pair: rows belong together two by two, with room for a line of text below.
    """
    across = max(map(len, rows))
    aspect = pixels.shape[1] / pixels.shape[2]
    gap = 0.08
    side = max(TILE, min(1.0, 4.5 / across))
    heights, places = 0.0, []
    positions: list[float] = []
    for k in range(len(rows)):
        positions.append(heights)
        heights += aspect + (0.42 if pair and k % 2 else gap)
    width = side * (across * (1 + gap)) + left + 0.1
    figure = new_figure(width, side * heights + top + (0.35 if title else 0.1), title)
    axes = figure.add_subplot()
    for start, row in zip(positions, rows, strict=True):
        xs = []
        for j, index in enumerate(row):
            x = j * (1 + gap)
            box = (x - 0.5, x + 0.5, start + aspect / 2, start - aspect / 2)
            axes.imshow(pixels[index], extent=box, interpolation="nearest", aspect="equal")
            xs.append(x)
        places.append((start, xs))
    axes.set_xlim(-0.5 - left / side, across * (1 + gap) - 0.5)
    axes.set_ylim(heights - aspect / 2, -aspect / 2 - top / side)
    axes.set_axis_off()
    return figure, axes, places


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the numbers 0, ..., count − 1, evenly spaced, with both ends."""
    if count <= most:
        return list(range(count))
    return [math.floor(k * (count - 1) / (most - 1) + 0.5) for k in range(most)]


__all__ = ["FAINT", "evenly", "image_grid", "image_strip", "nearest_panel"]
