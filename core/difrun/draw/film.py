"""An animation that is small enough for a report and quick to draw."""

import base64
import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from difrun.draw.arrays import evenly

Update = Callable[[int], list[Artist]]

_DPI = 160
_COLOURS = 48


class Film(FuncAnimation):
    """An animation that can also be written quickly as a small GIF, which pauses on its last frame.

    In a notebook a Film shows itself. `difrun.draw.save` writes it; the methods of Matplotlib do so too, more slowly.

    Args:
        figure: The figure, in which everything that does not change is already drawn.
        update: Draws a frame: frame number -> the artists that changed.
        frames: The number of frames.
        frame_ms: How long a frame is shown, in milliseconds.
        hold_ms: How long the last frame is shown.
    """

    def __init__(
        self, figure: Figure, update: Update, frames: int, *, frame_ms: int = 60, hold_ms: int = 2000
    ):
        super().__init__(figure, update, frames=frames, interval=frame_ms, repeat_delay=hold_ms)
        # Matplotlib warns when an animation is freed that was never shown; here that is no mistake.
        self._draw_was_started = True
        self.figure = figure
        self.update = update
        self.frames = frames
        self.durations = [hold_ms]
        if frames > 1:
            self.durations = [10 * frame_ms] + [frame_ms] * (frames - 2) + [hold_ms]

    def rgb(self) -> Iterator[NDArray[np.uint8]]:
        """Yield every frame as an array (height, width, 3); only what moves is drawn again."""
        canvas = FigureCanvasAgg(self.figure)
        self.figure.dpi = _DPI
        moving = self.update(0)
        canvas.draw()  # lays out the figure with all artists visible
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
        """Return the content of a GIF file that repeats for ever and pauses on the last frame."""
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
        """One palette for all frames, so that pixels that do not change keep their colour."""
        chosen = [frames[k] for k in evenly(len(frames), 3)]
        width, height = chosen[0].size
        stacked = Image.new("RGB", (width, height * len(chosen)))
        for k, frame in enumerate(chosen):
            stacked.paste(frame, (0, k * height))
        return stacked.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE)

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.gif()).decode()
        return f'<img alt="animation of {self.frames} frames" src="data:image/gif;base64,{data}">'
