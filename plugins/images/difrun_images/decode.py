"""From a file to pixels. It does not import torch: the processes that decode import this module alone."""

from pathlib import Path

import attrs
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError


@attrs.frozen
class ImageFormat:
    """The size and the colours that every image is brought to.

    Attributes:
        size: (rows, columns), or None to leave an image as it is.
        fit: "crop" scales the image until it covers the size and keeps its middle, "stretch" scales both sides, "cut"
            keeps the middle without scaling.
        grey: Whether images have one channel instead of three.
    """

    size: tuple[int, int] | None = None
    fit: str = "crop"
    grey: bool = False

    @property
    def channels(self) -> int:
        """The number of channels."""
        return 1 if self.grey else 3


def decode(path: Path, image_format: ImageFormat) -> np.ndarray | str:
    """The pixels of a file as bytes (channels, rows, columns), upright by its EXIF; or why it cannot be used."""
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I;16"):
                image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
            image = image.convert("L" if image_format.grey else "RGB")
    except UnidentifiedImageError:
        return "it is not an image"
    except Image.DecompressionBombError:
        return "it has too many pixels"
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        return str(error).rstrip(".") or "it is damaged"
    if image_format.size is not None:
        resized = _resize(image, image_format.size, image_format.fit)
        if isinstance(resized, str):
            return resized
        image = resized
    pixels = np.asarray(image)
    return pixels[None] if image_format.grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _resize(image: Image.Image, size: tuple[int, int], fit: str) -> Image.Image | str:
    """The image with this size; or why it cannot have it."""
    rows, columns = size
    if fit == "stretch":
        return image.resize((columns, rows), Image.Resampling.LANCZOS)
    if fit == "crop":
        return ImageOps.fit(image, (columns, rows), Image.Resampling.LANCZOS)
    left, top = (image.width - columns) // 2, (image.height - rows) // 2
    if left < 0 or top < 0:
        return f"it is {image.height}x{image.width}, too small to cut {rows}x{columns} from"
    return image.crop((left, top, left + columns, top + rows))


def decode_several(paths: list[Path], image_format: ImageFormat) -> list[np.ndarray | str]:
    """Decode each of these files."""
    return [decode(path, image_format) for path in paths]
