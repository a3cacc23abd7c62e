"""From a file to pixels. No torch here: the processes that decode import this module alone."""

from pathlib import Path

import attrs
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError


@attrs.frozen
class Wanted:
    """What every image is brought to.

    size: (rows, columns), or None to leave it as it is. fit: "crop" scales the image until it covers the size and keeps
    its middle, "stretch" scales both sides, "cut" keeps the middle without scaling. grey: one channel, not three.
    """

    size: tuple[int, int] | None = None
    fit: str = "crop"
    grey: bool = False

    @property
    def channels(self) -> int:
        return 1 if self.grey else 3


def decode(path: Path, wanted: Wanted) -> np.ndarray | str:
    """The pixels of a file, bytes (channels, rows, columns), upright as its EXIF says; or why there are none."""
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I;16"):
                image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
            image = image.convert("L" if wanted.grey else "RGB")
    except UnidentifiedImageError:
        return "it is no image"
    except Image.DecompressionBombError:
        return "it has too many pixels"
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        return str(error).rstrip(".") or "it is damaged"
    if wanted.size is not None:
        rows, columns = wanted.size
        if wanted.fit == "cut":
            left, top = (image.width - columns) // 2, (image.height - rows) // 2
            if left < 0 or top < 0:
                return f"it is {image.height}x{image.width}, too small to cut {rows}x{columns} from"
            image = image.crop((left, top, left + columns, top + rows))
        elif wanted.fit == "stretch":
            image = image.resize((columns, rows), Image.Resampling.LANCZOS)
        else:
            image = ImageOps.fit(image, (columns, rows), Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
    return pixels[None] if wanted.grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def decode_several(paths: list[Path], wanted: Wanted) -> list[np.ndarray | str]:
    """`decode` of each."""
    return [decode(path, wanted) for path in paths]
