"""Write a picture to a file, completely or not at all."""

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from difrun.draw.film import Film
from difrun.errors import DifrunError
from difrun.storage.atomic import write_bytes


def save(drawing: Figure | Film, path: Any, dpi: int = 160) -> Path:
    """Write a figure as PNG or an animation as GIF, and return the path.

    A reader always finds either the old file or the new one.

    Args:
        drawing: The picture.
        path: The file, which ends in .png for a figure and in .gif for an animation.
        dpi: The resolution of a figure; an animation has its own.

    Raises:
        DifrunError: If the file does not have that ending, or cannot be written.
    """
    path = Path(path)
    expected = ".gif" if isinstance(drawing, Film) else ".png"
    if path.suffix.lower() != expected:
        raise DifrunError(f"draw: a {type(drawing).__name__} is saved as *{expected}, not as {path.name!r}")
    if isinstance(drawing, Film):
        return write_bytes(path, drawing.gif())
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=dpi, facecolor="white", bbox_inches="tight", pad_inches=0.08)
    return write_bytes(path, buffer.getvalue())
