"""Pictures of lattices and strings: side by side, over time as a raster, and as a film.

Spins are ±1 and 0 where masked, with shape (n, *shape). Categories are one-hot and zero where masked, with shape
(n, *sites, K) and `categories=True`. Masked sites are grey. Every function takes tensors or arrays and returns a
Matplotlib figure or a `difrun.draw.Film`.
"""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from difrun.draw import Film
from difrun.draw.arrays import as_array, evenly
from difrun.draw.style import DATA, FAINT, INK, MUTED, SAMPLES, new_figure, styled, tidy
from difrun.errors import DifrunError

Codes = NDArray[np.int64]
"""Categories 0, ..., K − 1; −1 where masked, −2 between lattices."""

ACROSS = 54
"""Most sites, and gaps between lattices, in one row of a mosaic."""

MOST_SITES = 256
"""Most sites in a raster, which shows the first sites of a larger lattice."""

# Okabe and Ito (2008), without the yellow that is too light on white.
_PALETTE = (DATA, SAMPLES, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK, "#8a5a2b")


@styled
def lattices(data: Any, samples: Any, *, categories: bool = False) -> Figure:
    """Real lattices beside samples: the first ones of each, as many as fit.

    A lattice of one axis is shown as a row, one of more than two axes as a matrix of the first axis and all others.

    Args:
        data: Real lattices, with shape (n, *shape).
        samples: Samples, with shape (m, *shape).
        categories: Whether the last axis holds one-hot categories.

    Returns:
        The figure.

    Raises:
        DifrunError: If the shapes differ.
    """
    left, right = (codes(x, categories) for x in (data, samples))
    if left.shape[1:] != right.shape[1:]:
        raise DifrunError(
            f"draw: data have shape {left.shape[1:]}, samples {right.shape[1:]}; they must agree"
        )
    count = _category_count(data, categories)
    boards = [mosaic(x) for x in (left, right)]
    height, width = boards[0].shape
    side = 3.4
    panel_height = min(max(side * height / width, 0.4), 2 * side)
    legend_height = 0.3 if count > 2 or _any_masked(left, right) else 0.0
    figure = new_figure(2 * side + 0.2, panel_height + 0.4 + legend_height)
    if engine := figure.get_layout_engine():
        engine.set(wspace=0.06)  # type: ignore[call-arg]
    panels = figure.subplots(1, 2)
    for axes, board, colour, name in zip(panels, boards, (DATA, SAMPLES), ("data", "samples"), strict=True):
        _show(axes, board, colours(count, colour))
        axes.set_title(name, color=colour)
    _legend(figure, count, _any_masked(left, right))
    return figure


@styled
def raster(forward: tuple[Any, Any], reverse: tuple[Any, Any], *, categories: bool = False) -> Figure:
    """One lattice, flattened, over time: how data becomes noise, and how noise becomes a sample.

    Sites go downwards, row after row. Time runs to the right in both panels.

    Args:
        forward: Times (frames,) and the lattice at each, (frames, *shape), from data to noise.
        reverse: The same from noise to a sample.
        categories: Whether the last axis holds one-hot categories.

    Returns:
        The figure.
    """
    figure = new_figure(7.2, 3.4)
    if engine := figure.get_layout_engine():
        engine.set(wspace=0.06)  # type: ignore[call-arg]
    left, right = figure.subplots(1, 2, sharey=True)
    count = _category_count(reverse[1], categories)
    first = _raster_panel(left, forward, categories, colours(count, DATA))
    second = _raster_panel(right, reverse, categories, colours(count, SAMPLES))
    left.set_title("forward: data to noise", color=DATA)
    right.set_title("reverse: noise to a sample", color=SAMPLES)
    left.set_ylabel("site")
    left.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _legend(figure, count, _any_masked(first, second))
    return figure


def _raster_panel(axes: Axes, path: tuple[Any, Any], categories: bool, cmap: ListedColormap) -> Codes:
    """Draw one panel; the categories that it shows, (frames, sites)."""
    t = as_array(path[0]).reshape(-1)
    sites = codes(path[1], categories).reshape(len(t), -1)[:, :MOST_SITES]
    edges = np.concatenate((t[:1], (t[1:] + t[:-1]) / 2, t[-1:]))
    rows = np.arange(sites.shape[1] + 1)
    axes.pcolormesh(edges, rows, sites.T, cmap=cmap, vmin=-2.5, vmax=cmap.N - 2.5, rasterized=True)
    axes.set(xlim=(t[0], t[-1]), ylim=(sites.shape[1], 0), xlabel="$t$")
    tidy(axes)
    return sites


@styled
def film(times: Any, frames: Any, *, categories: bool = False, max_frames: int = 60) -> Film:
    """Lattices over time: noise that becomes samples.

    Args:
        times: The times, (frames,).
        frames: The lattices at each, with shape (frames, n, *shape).
        categories: Whether the last axis holds one-hot categories.
        max_frames: The most frames that are shown, evenly spaced.

    Returns:
        The film.
    """
    t = as_array(times).reshape(-1)
    chosen = evenly(len(t), max_frames)
    t, shown = t[chosen], [codes(as_array(frames)[k], categories) for k in chosen]
    boards = [mosaic(x) for x in shown]
    height, width = boards[0].shape
    figure = new_figure(3.6, min(max(3.6 * height / width, 0.5), 6.0) + 0.3)
    axes = figure.add_subplot()
    image = _show(axes, boards[0], colours(_category_count(frames, categories), SAMPLES))
    stamp = axes.text(1, 1.01, "", transform=axes.transAxes, ha="right", va="bottom", color=INK)
    digits = max(0, 2 - int(np.floor(np.log10(max(np.abs(t).max(), 1e-9)))))

    def update(k: int) -> list[Artist]:
        image.set_data(boards[k])
        stamp.set_text(f"$t$ = {t[k]:.{digits}f}")
        return [image, stamp]

    update(0)
    return Film(figure, update, len(boards))


def codes(x: Any, categories: bool = False) -> Codes:
    """Values as numbers of categories, −1 where masked: (n, *sites)."""
    values = as_array(x)
    if categories:
        return np.where(values.any(-1), values.argmax(-1), -1)
    return np.where(values == 0, -1, (values > 0).astype(np.int64))


def mosaic(tiles: Codes) -> Codes:
    """Lattices (n, *shape) side by side, with gaps of −2: as many as fit in a square, at least two by two."""
    n = len(tiles)
    shape = tiles.shape[1:]
    rows, columns = (1, shape[0]) if len(shape) == 1 else (shape[0], int(np.prod(shape[1:])))
    across = int(np.clip(ACROSS // (columns + 1), 1 if columns > ACROSS else 2, 8))
    width = across * (columns + 1) - 1
    down = int(np.clip(round(width / (rows + 1)), 2, 24))
    across = min(across, n)
    down = min(down, -(-n // across))
    board = np.full((down * (rows + 1) - 1, across * (columns + 1) - 1), -2)
    for k, tile in enumerate(tiles[: across * down]):
        top, left = k // across * (rows + 1), k % across * (columns + 1)
        board[top : top + rows, left : left + columns] = tile.reshape(rows, columns)
    return board


def colours(count: int, colour: str = DATA) -> ListedColormap:
    """The colours of the gap, the mask, and `count` categories; for spins a light tone and `colour`."""
    if count == 2:
        categories = ["#eef1f4", colour]
    elif count <= len(_PALETTE):
        categories = list(_PALETTE[:count])
    else:
        tones = matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, count))
        categories = [matplotlib.colors.to_hex(tone) for tone in tones]
    return ListedColormap(["#ffffff", FAINT, *categories])


def _category_count(x: Any, categories: bool) -> int:
    return np.shape(x)[-1] if categories else 2


def _show(axes: Axes, board: Codes, cmap: ListedColormap) -> AxesImage:
    axes.set_axis_off()
    return axes.imshow(
        board, cmap=cmap, vmin=-2.5, vmax=cmap.N - 2.5, interpolation="nearest", aspect="equal"
    )


def _any_masked(*arrays: Codes) -> bool:
    return any(bool((x == -1).any()) for x in arrays)


def _legend(figure: Figure, count: int, masked: bool) -> None:
    """A legend of the mask and of a few categories. Spins need none: up is dark, down is light."""
    cmap = colours(count)
    keys = [Patch(color=cmap(k + 2), label=str(k + 1)) for k in range(count)] if 2 < count <= 12 else []
    if masked:
        keys.append(Patch(color=FAINT, label="masked"))
    if keys:
        figure.legend(
            handles=keys,
            loc="outside lower center",
            ncols=len(keys),
            handlelength=0.8,
            handleheight=0.8,
            labelcolor=MUTED,
        )
