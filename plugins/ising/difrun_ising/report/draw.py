"""Pictures of lattices and strings as they are: side by side, over time as a raster, and as a film.

Spins are ±1 and 0 where masked, (n, *shape); categories one-hot and zero where masked, (n, *sites, K), with
`categories=True`. Masked sites are grey. Every function takes tensors or arrays and returns a Matplotlib figure or a
`difrun.draw.Film`.
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
"""Sites, and gaps between lattices, in one row of a mosaic."""

MOST_SITES = 256
"""Sites in a raster: the first ones of a larger lattice."""

# Okabe and Ito (2008), without the yellow that is too light on white.
_PALETTE = (DATA, SAMPLES, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK, "#8a5a2b")


@styled
def lattices(data: Any, samples: Any, *, categories: bool = False) -> Figure:
    """Real lattices beside samples: as many as fit, the first ones of each.

    data, samples: (n, *shape), (m, *shape). A lattice of more than two axes is shown as a matrix of the first axis and
    all others, one of a single axis as a row. Raises DifrunError where the shapes differ.
    """
    left, right = (codes(x, categories) for x in (data, samples))
    if left.shape[1:] != right.shape[1:]:
        raise DifrunError(
            f"draw: data have shape {left.shape[1:]}, samples {right.shape[1:]}; they must agree"
        )
    kinds = np.shape(data)[-1] if categories else 2
    tiles = [mosaic(x) for x in (left, right)]
    height, width = tiles[0].shape
    size = 3.4
    tall = min(max(size * height / width, 0.4), 2 * size)
    figure = new_figure(2 * size + 0.2, tall + 0.4 + 0.3 * (kinds > 2 or _masked(left, right)))
    if engine := figure.get_layout_engine():
        engine.set(wspace=0.06)  # type: ignore[call-arg]
    for axes, tile, color, name in zip(
        figure.subplots(1, 2),
        tiles,
        (DATA, SAMPLES),
        ("data", "samples"),
        strict=True,
    ):
        _show(axes, tile, colours(kinds, color))
        axes.set_title(name, color=color)
    _key(figure, kinds, _masked(left, right))
    return figure


@styled
def raster(forward: tuple[Any, Any], reverse: tuple[Any, Any], *, categories: bool = False) -> Figure:
    """One lattice, flattened, over time: how it is noised, and how a sample comes to be.

    forward, reverse: times (frames,) and one lattice at each, (frames, *shape). Sites go downwards, row after row. Time
    runs to the right in both: from data to noise, and from noise to a sample.
    """
    figure = new_figure(7.2, 3.4)
    if engine := figure.get_layout_engine():
        engine.set(wspace=0.06)  # type: ignore[call-arg]
    panels = figure.subplots(1, 2, sharey=True)
    masked = kinds = 0
    for axes, (times, path), color, name in zip(
        panels,
        (forward, reverse),
        (DATA, SAMPLES),
        ("forward: data to noise", "reverse: noise to a sample"),
        strict=True,
    ):
        t = as_array(times).reshape(-1)
        flat = codes(path, categories).reshape(len(t), -1)[:, :MOST_SITES]
        kinds = np.shape(path)[-1] if categories else 2
        masked = masked or _masked(flat)
        middles = (t[1:] + t[:-1]) / 2
        edges = np.concatenate((t[:1], middles, t[-1:]))
        cmap = colours(kinds, color)
        axes.pcolormesh(
            edges,
            np.arange(flat.shape[1] + 1),
            flat.T,
            cmap=cmap,
            vmin=-2.5,
            vmax=kinds - 0.5,
            rasterized=True,
        )
        axes.set(xlim=(t[0], t[-1]), ylim=(flat.shape[1], 0), xlabel="$t$")
        tidy(axes)
        axes.set_title(name, color=color)
    panels[0].set_ylabel("site")
    panels[0].yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _key(figure, kinds, bool(masked))
    return figure


@styled
def film(times: Any, frames: Any, *, categories: bool = False, max_frames: int = 60) -> Film:
    """Lattices over time, (frames, n, *shape): noise that becomes samples. At most `max_frames` are shown."""
    t = as_array(times).reshape(-1)
    chosen = evenly(len(t), max_frames)
    t, shown = t[chosen], [codes(as_array(frames)[k], categories) for k in chosen]
    kinds = np.shape(frames)[-1] if categories else 2
    tiles = [mosaic(x) for x in shown]
    height, width = tiles[0].shape
    figure = new_figure(3.6, min(max(3.6 * height / width, 0.5), 6.0) + 0.3)
    axes = figure.add_subplot()
    image = _show(axes, tiles[0], colours(kinds, SAMPLES))
    stamp = axes.text(1, 1.01, "", transform=axes.transAxes, ha="right", va="bottom", color=INK)
    digits = max(0, 2 - int(np.floor(np.log10(max(np.abs(t).max(), 1e-9)))))

    def update(k: int) -> list[Artist]:
        image.set_data(tiles[k])
        stamp.set_text(f"$t$ = {t[k]:.{digits}f}")
        return [image, stamp]

    update(0)
    return Film(figure, update, len(tiles))


def codes(x: Any, categories: bool = False) -> Codes:
    """Values as numbers of categories, −1 where masked: (n, *sites)."""
    values = as_array(x)
    if categories:
        return np.where(values.any(-1), values.argmax(-1), -1)
    return np.where(values == 0, -1, (values > 0).astype(np.int64))


def mosaic(tiles: Codes) -> Codes:
    """Lattices (n, *shape) side by side, with gaps of −2: as many as fit in a square, two by two at least."""
    n = len(tiles)
    shape = tiles.shape[1:]
    rows, columns = (1, shape[0]) if len(shape) == 1 else (shape[0], int(np.prod(shape[1:])))
    across = int(np.clip(ACROSS // (columns + 1), 1 if columns > ACROSS else 2, 8))
    width = across * (columns + 1) - 1
    down = int(np.clip(round(width / (rows + 1)), 2, 24))
    across, down = min(across, n), min(down, -(-n // min(across, n)))
    board = np.full((down * (rows + 1) - 1, across * (columns + 1) - 1), -2)
    for k, tile in enumerate(tiles[: across * down]):
        top, left = k // across * (rows + 1), k % across * (columns + 1)
        board[top : top + rows, left : left + columns] = tile.reshape(rows, columns)
    return board


def colours(kinds: int, color: str = DATA) -> ListedColormap:
    """The colours of the gap, the mask, and K categories: of spins a light tone and `color`."""
    if kinds == 2:
        own = ["#eef1f4", color]
    elif kinds <= len(_PALETTE):
        own = list(_PALETTE[:kinds])
    else:
        own = [
            matplotlib.colors.to_hex(c) for c in matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, kinds))
        ]
    return ListedColormap(["#ffffff", FAINT, *own])


def _show(axes: Axes, tile: Codes, cmap: ListedColormap) -> AxesImage:
    axes.set_axis_off()
    return axes.imshow(tile, cmap=cmap, vmin=-2.5, vmax=cmap.N - 2.5, interpolation="nearest", aspect="equal")


def _masked(*arrays: Codes) -> bool:
    return any(bool((x == -1).any()) for x in arrays)


def _key(figure: Figure, kinds: int, masked: bool) -> None:
    """A legend where colours need one: of few categories, and of the mask. Spins up are dark, spins down light."""
    cmap = colours(kinds)
    keys = (
        [] if kinds == 2 or kinds > 12 else [Patch(color=cmap(k + 2), label=str(k + 1)) for k in range(kinds)]
    )
    keys += [Patch(color=FAINT, label="masked")] if masked else []
    if keys:
        figure.legend(
            handles=keys, loc="outside lower center", ncols=len(keys), handlelength=0.8, handleheight=0.8,
            labelcolor=MUTED,
        )  # fmt: skip
