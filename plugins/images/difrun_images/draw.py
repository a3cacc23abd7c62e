"""Pictures of images, as Matplotlib figures. Pixels run from −1 (black) to 1 (white); the rest is clipped."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from difrun.draw.style import MUTED, new_figure, styled

TILE = 0.42
"""Side of an image in inches, unless there are many."""


@styled
def image_grid(
    images: Any,
    labels: Sequence[int] | None = None,
    classes: Sequence[str] = (),
    *,
    columns: int = 12,
    title: str | None = None,
) -> Figure:
    """Draw images in a grid; with labels, in one row per class.

    Args:
        images: The images, with shape (n, c, h, w), c being 1 (grey) or 3.
        labels: Their classes, (n,).
        classes: The names of the classes.
        columns: The number of images in a row, and the most that are shown of a class.
        title: The title of the figure.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no image, c is not 1 or 3, or the number of labels is not that of the images.
    """
    pixels = _pixels(images)
    if labels is None:
        rows = [list(range(i, min(i + columns, len(pixels)))) for i in range(0, len(pixels), columns)]
        names = [""] * len(rows)
    else:
        numbers = np.asarray(labels)
        if numbers.shape != (len(pixels),):
            raise ValueError(f"{len(pixels)} images with labels of shape {numbers.shape}; each needs one")
        present = sorted(set(numbers.tolist()))
        rows = [np.flatnonzero(numbers == k)[:columns].tolist() for k in present]
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
    """Draw samples over their nearest training images, with the distance below each pair.

    The nearest pairs come first: what a model has learnt by heart.

    Args:
        samples: The samples, with shape (n, c, h, w).
        nearest: The nearest training image of each, with the same shape.
        distances: The distances, (n,).
        columns: The number of pairs in a row.
        title: The title of the figure.

    Returns:
        The figure.

    Raises:
        ValueError: If the shapes do not go together.
    """
    above, below = _pixels(samples), _pixels(nearest)
    distance = np.asarray(distances, dtype=np.float64)
    if above.shape != below.shape or distance.shape != (len(above),):
        raise ValueError(
            f"samples {above.shape}, their nearest images {below.shape} and distances {distance.shape} do not go "
            "together"
        )
    order = np.argsort(distance, kind="stable")
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
                value = distance[row - len(above)]
                axes.text(x, y + 0.55, f"{value:.2f}", ha="center", va="top", fontsize=7.5, color=MUTED)
    return figure


@styled
def image_strip(frames: Any, times: Sequence[float], *, title: str | None = None) -> Figure:
    """Draw frames over time: one row per image, from left to right, with the times above.

    Args:
        frames: The frames, with shape (T, n, c, h, w).
        times: The times, (T,).
        title: The title of the figure.

    Returns:
        The figure.

    Raises:
        ValueError: If the shapes do not go together.
    """
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
    """Images as pixels (n, h, w, 3) from 0 to 1; ValueError for other arrays."""
    array = np.asarray(images, dtype=np.float64)
    if array.ndim != 4 or len(array) == 0 or array.shape[1] not in (1, 3):
        raise ValueError(f"expected images (n, 1 or 3, rows, columns), n at least 1; got shape {array.shape}")
    shown = np.clip((array.transpose(0, 2, 3, 1) + 1) / 2, 0, 1)
    return np.broadcast_to(shown, (*shown.shape[:3], 3))


Places = list[tuple[float, list[float]]]
"""The middle of every row, and of the images in it."""


def _mosaic(
    pixels: NDArray[np.float64],
    rows: list[list[int]],
    *,
    title: str | None,
    left: float = 0.1,
    top: float = 0.1,
    pair: bool = False,
) -> tuple[Figure, Axes, Places]:
    """A figure of images in a grid of unit cells, and the middle of every row and of its images.

    With `pair`, rows belong together two by two, with room for a line of text below each two.
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
    """Choose at most `most` of the numbers 0, ..., count − 1, evenly spaced, with both ends."""
    if count <= most:
        return list(range(count))
    return [math.floor(k * (count - 1) / (most - 1) + 0.5) for k in range(most)]
