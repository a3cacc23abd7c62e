"""Write a picture, or any bytes, whole or not at all."""

import io
import os
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from difrun.draw.animate import Film
from difrun.errors import DifrunError


def save(drawing: Figure | Film, path: Any, dpi: int = 160) -> Path:
    """Write a figure as PNG or an animation as GIF; return the path.

    A reader sees the old file or the new one, never a part. `dpi` is the resolution of a figure; an animation
    has its own. Raises DifrunError when the file ending is not that of the picture or the file cannot be
    written.
    """
    path = Path(path)
    expected = ".gif" if isinstance(drawing, Film) else ".png"
    if path.suffix.lower() != expected:
        raise DifrunError(f"draw: a {type(drawing).__name__} is saved as *{expected}, not as {path.name!r}")
    if isinstance(drawing, Film):
        return write_whole(path, drawing.gif())
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=dpi, facecolor="white", bbox_inches="tight", pad_inches=0.08)
    return write_whole(path, buffer.getvalue())


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file through a temporary one in the same folder. Raises DifrunError when that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise DifrunError(
            f"cannot write {path}: {error.strerror or error}. The old file, if any, is unchanged."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path
