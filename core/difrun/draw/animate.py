"""Animations of the forward and the reverse process, fast and small enough for a report."""

import base64
import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

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
from difrun.draw.scatter import dots
from difrun.draw.style import DATA, FAINT, INK, SAMPLES, boxed, coordinate, new_figure, note, styled, tidy
from difrun.errors import DifrunError

Update = Callable[[int], list[Artist]]

_DPI = 160
_COLOURS = 48


class Film(FuncAnimation):
    """An animation that also knows how to become a small GIF, quickly, its last frame held.

    update: frame number -> the artists that changed. Everything else is drawn once. In a notebook a Film
    shows itself. `save` of `difrun.draw` writes it; so do Matplotlib's own ways, more slowly.
    """

    def __init__(
        self, figure: Figure, update: Update, frames: int, *, frame_ms: int = 60, hold_ms: int = 2000
    ):
        super().__init__(figure, update, frames=frames, interval=frame_ms, repeat_delay=hold_ms)
        # A film that is made and not shown is not a mistake: do not warn when it is freed.
        self._draw_was_started = True
        self.figure = figure
        self.update = update
        self.frames = frames
        self.durations = [10 * frame_ms] + [frame_ms] * (frames - 2) + [hold_ms] if frames > 1 else [hold_ms]

    def rgb(self) -> Iterator[NDArray[np.uint8]]:
        """Every frame, first to last, as (height, width, 3); only what moves is drawn anew."""
        canvas = FigureCanvasAgg(self.figure)
        self.figure.dpi = _DPI
        moving = self.update(0)
        canvas.draw()  # lays out the figure, with everything in its place
        self.figure.set_layout_engine("none")
        for artist in moving:
            artist.set_visible(False)
        canvas.draw()
        background = canvas.copy_from_bbox(self.figure.bbox)
        for artist in moving:
            artist.set_visible(True)
        for k in range(self.frames):
            canvas.restore_region(background)
            for artist in sorted(self.update(k), key=lambda artist: artist.get_zorder()):
                self.figure.draw_artist(artist)
            yield np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def gif(self) -> bytes:
        """The animation as the content of a GIF file that repeats for ever, pausing on the last frame."""
        frames = [Image.fromarray(frame) for frame in self.rgb()]
        palette = self._palette(frames)
        indexed = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
        buffer = io.BytesIO()
        indexed[0].save(
            buffer,
            "GIF",
            save_all=True,
            append_images=indexed[1:],
            duration=self.durations,
            loop=0,
            optimize=False,
        )
        return buffer.getvalue()

    @staticmethod
    def _palette(frames: Sequence[Image.Image]) -> Image.Image:
        """One palette for all frames, so that unchanged pixels stay the same pixels."""
        chosen = [frames[k] for k in evenly(len(frames), 3)]
        width, height = chosen[0].size
        together = Image.new("RGB", (width, height * len(chosen)))
        for k, frame in enumerate(chosen):
            together.paste(frame, (0, k * height))
        return together.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE)

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.gif()).decode()
        return f'<img alt="animation of {self.frames} frames" src="data:image/gif;base64,{data}">'


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
    """Data turning into noise: the path of a forward process, from t = 0 on.

    path: (frames, n, d), times: (frames,). d = 1 (or a path of shape (frames, n)): a histogram, with
    `density`, the true density of the data as a callable, behind it. d ≥ 2: a scatter plot of the first two
    coordinates. At most `max_points` points (d ≥ 2) and `max_frames` frames are shown, evenly spaced, the
    last frame always among them.

    Limits are fixed: those of all frames without gross outliers, but at most three times as wide as the data,
    so that the data can still be seen when the noise is much wider; how many points are outside is written in the
    frame. Raises DifrunError when the shapes do not
    fit.
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
    """Noise turning into samples: the path of a sampler, from t = T to the end of sampling.

    As `forward_animation`; `data`, of shape (m, d), are drawn faintly behind the samples. Times may decrease.
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
    if max_points < 1 or max_frames < 2:
        raise DifrunError(
            f"draw: max_points ≥ 1 and max_frames ≥ 2 are needed, not {max_points} and {max_frames}"
        )
    dim = frames.shape[2]
    behind = None if data is None else as_points(data, "data")
    if behind is not None and behind.shape[1] != dim:
        raise DifrunError(
            f"draw: the path has {dim} coordinates, data have {behind.shape[1]}; they must agree"
        )
    if density is not None and dim != 1:
        raise DifrunError(f"draw: a true density can be drawn in one dimension only, and the path has {dim}")
    chosen = evenly(len(frames), max_frames)
    frames, instants = frames[chosen], instants[chosen]
    limits = path_limits(frames, instants, behind)
    make = _histogram if dim == 1 else _scatter
    figure, axes, update = make(frames, limits, behind, color, columns, density, max_points)
    # On the right: Matplotlib writes the common power of ten of the axis on the left.
    stamp = axes.text(1, 1.015, "", transform=axes.transAxes, ha="right", va="bottom", color=INK)
    remark = note(axes, "")
    box = np.array([axes.get_xlim(), axes.get_ylim()][: min(dim, 2)])
    if title:
        figure.suptitle(title.replace("$", r"\$"), fontsize=11.5)
    digits = max(0, 2 - math.floor(math.log10(max(np.abs(instants).max(), 1e-9))))

    def with_time(k: int) -> list[Artist]:
        stamp.set_text(f"$t$ = {instants[k]:.{digits}f}")
        shown = frames[k][:, : len(box)]
        missing = len(shown) - int(((shown >= box[:, 0]) & (shown <= box[:, 1])).all(axis=1).sum())
        remark.set_text(f"{missing} of {len(shown)} outside" if missing else "")
        return [*update(k), stamp, remark]

    with_time(0)
    return Film(figure, with_time, len(frames))


def path_limits(frames: Array, times: Array, data: Array | None) -> list[Limits]:
    """Fixed limits for the first two coordinates of a path (frames, n, d): see `forward_animation`."""
    end = frames[np.argmin(times)]
    some = frames[evenly(len(frames), 12)]
    limits = []
    for i in range(min(frames.shape[2], 2)):
        shown = [robust_limits(end[:, i])] + ([] if data is None else [robust_limits(data[:, i])])
        low, high = union(shown)
        everything = union([robust_limits(frame[:, i]) for frame in some] + shown)
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
