"""From a file to pixels. It does not import torch: the processes that decode import this module alone."""

import functools
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import attrs
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats of Pillow without pixels of their own: it only names them, or hands them to another program."""

REMARKS = {
    "transparent": "transparent: laid on {background} (--dataset.background)",
    "frames": "of several frames or pages: the first is taken",
    "deep": "of 16 bits: reduced to 8",
    "damaged": "read although Pillow warns of damage in them, such as in their EXIF",
    "cmyk": "in CMYK: turned into RGB by Pillow, without a colour profile",
    "profile": "with a colour profile other than sRGB, which is not applied: their numbers are taken for sRGB",
}
"""What is told of images that are not read as they are; each after a number of images."""

SPREAD = {"L;2": 85, "L;4": 17}
"""By how much Pillow multiplies greys of 2 and 4 bits, so that white is 255."""

PHOTOMETRIC = 262
"""The tag of a TIFF file that says whether 0 is white."""

DAMAGED = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError),
    *(ArithmeticError, AttributeError, RuntimeError, NotImplementedError),
)
"""What Pillow raises for damaged files."""


@attrs.frozen
class ImageFormat:
    """The size and the colours that every image is brought to.

    Attributes:
        size: (rows, columns), or None to leave an image as it is.
        fit: "crop" scales the image until it covers the size and keeps its middle, "stretch" scales both sides, "cut"
            keeps the middle without scaling.
        grey: Whether images have one channel instead of three.
        background: The colour that transparent images are laid on, red, green and blue.
    """

    size: tuple[int, int] | None = None
    fit: str = "crop"
    grey: bool = False
    background: tuple[int, int, int] = (255, 255, 255)

    @property
    def channels(self) -> int:
        """The number of channels."""
        return 1 if self.grey else 3


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """The formats that Pillow reads."""
    Image.init()
    return tuple(sorted(set(Image.OPEN) - NO_PICTURES))


@functools.cache
def suffixes() -> frozenset[str]:
    """The suffixes of files that Pillow reads, in lower case."""
    formats = readable_formats()
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


def decode(path: Path, image_format: ImageFormat) -> np.ndarray | str:
    """The pixels of a file as bytes (channels, rows, columns), upright by its EXIF; or why it cannot be used."""
    return decode_with_remarks(path, image_format)[0]


def decode_with_remarks(path: Path, image_format: ImageFormat) -> tuple[np.ndarray | str, tuple[str, ...]]:
    """The pixels of a file, or why it cannot be used, and how it is not read as it is (`REMARKS`)."""
    remarks: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            # Pillow warns from its limit on, and refuses from twice that.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=readable_formats()) as file:
                image = _opaque(file, image_format, remarks)
        if warned:
            remarks.append("damaged")
    except UnidentifiedImageError:
        return "it is not an image", ()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return (
            f"it has more than {Image.MAX_IMAGE_PIXELS} pixels, Pillow's limit against files that fill the memory",
            (),
        )
    except MemoryError:
        return "it takes more memory than there is", ()
    except DAMAGED as error:
        return str(error).rstrip(".") or "it is damaged", ()
    if isinstance(image, str):
        return image, ()
    if image_format.size is not None:
        resized = _resize(image, image_format.size, image_format.fit)
        if isinstance(resized, str):
            return resized, ()
        image = resized
    pixels = np.asarray(image)
    pixels = pixels[None] if image_format.grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return pixels, tuple(remarks)


def _opaque(file: Image.Image, image_format: ImageFormat, remarks: list[str]) -> Image.Image | str:
    """The first frame, upright, in grey or RGB, without transparency; or why it has no such pixels."""
    if getattr(file, "n_frames", 1) > 1:
        remarks.append("frames")
    raw = _raw_mode(file)
    refusal = _scale_transparent_grey(file, raw)
    if refusal:
        return refusal
    white_is_zero = file.format == "TIFF" and getattr(file, "tag_v2", {}).get(PHOTOMETRIC) == 0
    image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I;16") or (image.mode == "I" and file.format in ("PNG", "PPM")):
        remarks.append("deep")
        image = _eight_bits(image, white_is_zero)
    elif ";16" in raw:  # of several channels, of which Pillow reads the upper 8 bits
        remarks.append("deep")
    elif image.mode in ("I", "F"):
        return f"its pixels are {'whole' if image.mode == 'I' else 'real'} numbers of 32 bits; save it with 8 or 16"
    if image.mode == "CMYK":
        remarks.append("cmyk")
    elif not _is_srgb(image.info.get("icc_profile")):
        remarks.append("profile")
    mode = "L" if image_format.grey else "RGB"
    if not image.has_transparency_data:
        return image.convert(mode)
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema()[0] == 255:
        return image.convert(mode)
    remarks.append("transparent")
    background = Image.new("RGBA", image.size, (*image_format.background, 255))
    return Image.alpha_composite(background, image).convert(mode)


def _raw_mode(file: Image.Image) -> str:
    """How the pixels lie in a file that is open and not read yet, such as "RGB;16B"; empty if Pillow does not say."""
    tile = getattr(file, "tile", None)
    arguments = tile[0][3] if tile else ()
    parts = arguments if isinstance(arguments, tuple) else (arguments,)
    raw = next((part for part in parts if isinstance(part, str)), "")
    depth = next((part for part in parts if type(part) is int), 0) if file.format == "PPM" else 0
    return f"{raw};16" if depth > 255 else raw


def _scale_transparent_grey(file: Image.Image, raw: str) -> str:
    """Let the transparent colour of a PNG file be one of its pixels as Pillow reads them; why not, if it cannot be.

    Pillow spreads pixels of 2 and 4 bits over 0 to 255, and leaves the transparent one as it is.
    """
    transparent = file.info.get("transparency")
    if raw in SPREAD and isinstance(transparent, int):
        file.info["transparency"] = transparent * SPREAD[raw]
    if raw.startswith("RGB;16") and isinstance(transparent, tuple):
        return (
            "its transparent colour has 16 bits per channel, which Pillow does not read: save it with alpha"
        )
    return ""


def _is_srgb(profile: bytes | None) -> bool:
    """Whether a colour profile is that of sRGB, or there is none; its name is text of one or of two bytes each."""
    return not profile or any("sRGB".encode(coding) in profile for coding in ("ascii", "utf-16-be"))


def _eight_bits(image: Image.Image, white_is_zero: bool) -> Image.Image:
    """An image of 16-bit greys, rounded to 8 bits; the grey that a PNG file calls transparent stays so."""
    values = np.asarray(image).astype(np.uint32)
    if white_is_zero:  # as some TIFF files have it, which Pillow heeds up to 8 bits
        values = 65535 - values
    grey = Image.fromarray(((values + 128) // 257).clip(0, 255).astype(np.uint8))
    transparent = image.info.get("transparency")
    if not isinstance(transparent, int):
        return grey
    alpha = Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
    return Image.merge("LA", (grey, alpha))


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


def decode_several(
    paths: list[Path], image_format: ImageFormat
) -> list[tuple[np.ndarray | str, tuple[str, ...]]]:
    """Decode each of these files."""
    return [decode_with_remarks(path, image_format) for path in paths]


def told(counts: Counter[str], background: Iterable[int]) -> tuple[str, ...]:
    """A sentence on each kind of image that is not read as it is."""
    colour = "#" + "".join(f"{value:02x}" for value in background)
    named = {"#ffffff": "white", "#000000": "black"}.get(colour, colour)
    return tuple(
        f"{counts[kind]} image{' is' if counts[kind] == 1 else 's are'} {text.format(background=named)}"
        for kind, text in REMARKS.items()
        if counts[kind]
    )
