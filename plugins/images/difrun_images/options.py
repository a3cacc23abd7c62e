"""Options of the plugin's components, without torch."""

import re
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, in_, le, lt, optional

from difrun.api import option, refuse_unused


@attrs.frozen
class Preset:
    """A size of the U-Net.

    Attributes:
        width: The channels of the first level.
        multipliers: The channels of each level, in units of `width`.
        blocks: The residual blocks per level.
    """

    width: int
    multipliers: tuple[int, ...]
    blocks: int


PRESETS = {
    "small": Preset(24, (1, 2), 1),
    "medium": Preset(64, (1, 2, 2), 2),
    "large": Preset(128, (1, 2, 2, 2), 2),
}

# Of type str, as is `size`, and not Literals: the conformance kit would try every value, which takes minutes on a CPU.
LAYOUTS = ("auto", "first", "last", "none")

CHANNELS = (
    "The axis of the channels; none: there is none, as in grey images (rows, columns) or a series (length,)."
)


def _positive(_: Any, attribute: attrs.Attribute, value: tuple[int, ...] | None) -> None:
    if value is not None and (not value or min(value) < 1):
        raise ValueError(f"'{attribute.name}' must be whole numbers, each at least 1")


def _size(_: Any, attribute: attrs.Attribute, value: tuple[int, ...] | None) -> None:
    if value is not None and (len(value) not in (1, 2) or min(value) < 1):
        raise ValueError("size must be one positive number, the side, or two: rows,columns")


def _colour(_: Any, attribute: attrs.Attribute, value: str) -> None:
    if not re.fullmatch(r"white|black|#[0-9a-fA-F]{6}", value):
        raise ValueError(
            f"{attribute.name} must be white, black, or # with six hexadecimal digits; got {value[:20]!r}"
        )


@attrs.frozen
class UNetOptions:
    """Options of the model `unet`."""

    size: str = option(
        "small",
        "Preset: small (widths 24,48; 1 block per level), medium (64,128,128; 2) or large (128,256,256,256; 2).",
        in_(tuple(PRESETS)),
        metavar="small|medium|large",
    )
    width: int | None = option(
        None,
        "Channels of the first level; none: as in the preset.",
        optional([ge(1), le(2**14)]),
        metavar="N",
    )
    multipliers: tuple[int, ...] | None = option(
        None, "Channels of each level, in units of the width; none: as in the preset.", _positive
    )
    blocks: int | None = option(
        None, "Residual blocks per level; none: as in the preset.", optional([ge(1), le(100)]), metavar="N"
    )
    attention: tuple[int, ...] | None = option(
        (4, 7, 14, 16),
        "Levels with attention, by their number of rows (of a series: times); the middle then has attention too. none: "
        "no attention.",
    )
    dropout: float = option(0.1, "Share of activations that are dropped in every block.", ge(0), lt(1))
    channels: str = option("auto", CHANNELS, in_(LAYOUTS), metavar="|".join(LAYOUTS))


@attrs.frozen
class CNNOptions:
    """Options of the model `cnn`."""

    width: int = option(32, "Channels of the hidden layers.", ge(1), le(2**14))
    depth: int = option(
        4, "Residual blocks, of two convolutions with kernels of width 3 each.", ge(1), le(1000)
    )
    dropout: float = option(0.1, "Share of activations that are dropped in every block.", ge(0), lt(1))
    channels: str = option("auto", CHANNELS, in_(LAYOUTS), metavar="|".join(LAYOUTS))


@attrs.frozen
class ImageOptions:
    """The options of all image datasets."""

    flat: bool = option(False, "Give images as vectors, row by row, for networks such as mlp.")


@attrs.frozen
class DigitsOptions(ImageOptions):
    """Options of the dataset `digits`."""

    held_out: float = option(0.2, "Share of every class that is held out from training.", gt(0), lt(1))


@attrs.frozen
class MnistOptions(ImageOptions):
    """Options of the dataset `mnist`."""

    folder: Path | None = option(None, "Folder with the four MNIST files, gzipped or not.", metavar="FOLDER")
    n: int | None = option(
        None, "Train on the first N images only; none: on all.", optional([ge(20), le(10**9)]), metavar="N"
    )


@attrs.frozen
class FolderOptions(ImageOptions):
    """Options of the dataset `image-folder`."""

    folder: Path | None = option(
        None,
        "Folder of images of any format that Pillow reads; subfolders, where there are any, are classes.",
        metavar="FOLDER",
    )
    size: tuple[int, ...] | None = option(
        None,
        "Side, or rows,columns, of all images; none: their own, which must be the same.",
        _size,
    )
    fit: Literal["crop", "stretch", "cut"] = option(
        "crop",
        "How images get that size: scaled to cover it and cropped, stretched, or cut from the middle unscaled.",
    )
    colour: Literal["rgb", "grey"] = option("rgb", "Three channels (rgb), or one (grey).")
    background: str = option(
        "white",
        "What transparent images are laid on: white, black, or a colour such as #80c0ff.",
        _colour,
    )
    unreadable: Literal["refuse", "skip"] = option(
        "refuse",
        "What to do with a file that is not a readable image: refuse it, or leave it out and name it.",
    )
    held_out: float = option(0.2, "Share of every class that is held out from training.", gt(0), lt(1))
    workers: int | None = option(
        None, "Processes that decode; none: one per CPU.", optional([ge(1), le(256)]), metavar="N"
    )
    memory: float = option(
        2.0, "Gigabytes of decoded images that are held in memory; more are read from a file.", ge(0), le(1e6)
    )
    cache: Path | None = option(
        None, "Folder for that file; none: .difrun-cache in the folder of the images.", metavar="FOLDER"
    )

    def __attrs_post_init__(self) -> None:
        if self.size is None:
            refuse_unused(self, ("fit",), "images that keep their size have no use for", "give a size")


@attrs.frozen
class FeatureOptions:
    """Options of the metric `image-features`."""

    max_points: int = option(
        5000, "Use at most this many images of each set; time grows as its square.", ge(2), le(10**9)
    )


@attrs.frozen
class NearestOptions:
    """Options of the metric `nearest-image`."""

    max_points: int = option(2000, "Use at most this many samples.", ge(2), le(10**9))
