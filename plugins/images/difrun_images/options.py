"""Options of the plugin's components, without torch."""

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt, in_, lt, optional

from difrun.api import option, refuse_unused


@attrs.frozen
class Preset:
    """width: channels of the first level. multipliers: of the width, per level. blocks: residual blocks per level."""

    width: int
    multipliers: tuple[int, ...]
    blocks: int


PRESETS = {
    "small": Preset(24, (1, 2), 1),
    "medium": Preset(64, (1, 2, 2), 2),
    "large": Preset(128, (1, 2, 2, 2), 2),
}


def _positive(_: Any, attribute: attrs.Attribute, value: tuple[int, ...] | None) -> None:
    if value is not None and (not value or min(value) < 1):
        raise ValueError(f"'{attribute.name}' must be whole numbers, each at least 1")


def _size(_: Any, attribute: attrs.Attribute, value: tuple[int, ...] | None) -> None:
    if value is not None and (len(value) not in (1, 2) or min(value) < 1):
        raise ValueError("size must be one positive number, the side, or two: rows,columns")


@attrs.frozen
class UNetOptions:
    # Not a Literal: the conformance kit would train every preset, and large ones take minutes on a CPU.
    size: str = option(
        "small",
        "Preset: small (widths 24,48; 1 block per level), medium (64,128,128; 2) or large (128,256,256,256; 2).",
        in_(tuple(PRESETS)),
        metavar="small|medium|large",
    )
    width: int | None = option(
        None, "Channels of the first level; none: the preset's.", optional(ge(1)), metavar="N"
    )
    multipliers: tuple[int, ...] | None = option(
        None, "Width of each level over that of the first; none: the preset's.", _positive
    )
    blocks: int | None = option(
        None, "Residual blocks per level; none: the preset's.", optional(ge(1)), metavar="N"
    )
    attention: tuple[int, ...] | None = option(
        (4, 7, 14, 16),
        "Rows of the levels with attention, which the middle then has, too; none: no attention.",
    )
    dropout: float = option(0.1, "Share of the activations that are dropped in every block.", ge(0), lt(1))


@attrs.frozen
class CNNOptions:
    width: int = option(32, "Channels of the hidden layers.", ge(1))
    depth: int = option(4, "Residual blocks, of two 3x3 convolutions each.", ge(1))
    dropout: float = option(0.1, "Share of the activations that are dropped in every block.", ge(0), lt(1))


@attrs.frozen
class ImageOptions:
    flat: bool = option(False, "Give images as vectors, row by row, for networks such as mlp.")


@attrs.frozen
class DigitsOptions(ImageOptions):
    held_out: float = option(0.2, "Share of every class that is kept from training.", gt(0), lt(1))


@attrs.frozen
class MnistOptions(ImageOptions):
    folder: Path | None = option(None, "Folder with the four MNIST files, gzipped or not.", metavar="FOLDER")
    n: int | None = option(
        None, "Train on the first N images alone; none: on all.", optional(ge(20)), metavar="N"
    )


@attrs.frozen
class FolderOptions(ImageOptions):
    folder: Path | None = option(
        None, "Folder of PNG and JPEG files; subfolders, where there are any, are classes.", metavar="FOLDER"
    )
    size: tuple[int, ...] | None = option(
        None,
        "Side, or rows,columns, that all images are brought to; none: they must have one size.",
        _size,
    )
    fit: Literal["crop", "stretch", "cut"] = option(
        "crop",
        "How: scaled to cover the size and cropped to its middle; stretched; or the middle cut out, unscaled.",
    )
    colour: Literal["rgb", "grey"] = option("rgb", "Three channels, or one.")
    unreadable: Literal["refuse", "skip"] = option(
        "refuse", "What is done about a file that is no readable image: refused, or left out and named."
    )
    held_out: float = option(0.2, "Share of every class that is kept from training.", gt(0), lt(1))
    workers: int | None = option(
        None, "Processes that decode; none: one per CPU.", optional(ge(1)), metavar="N"
    )
    memory: float = option(
        2.0,
        "Gigabytes of decoded images up to which they are held in memory; more are read from a file.",
        ge(0),
    )
    cache: Path | None = option(
        None, "Folder for that file; none: .difrun-cache in the folder of the images.", metavar="FOLDER"
    )

    def __attrs_post_init__(self) -> None:
        if self.size is None:
            refuse_unused(self, ("fit",), "images that keep their size have no use for", "give a size")


@attrs.frozen
class FeatureOptions:
    max_points: int = option(
        5000, "Use at most this many images of each set; time grows as its square.", ge(2)
    )


@attrs.frozen
class NearestOptions:
    max_points: int = option(2000, "Use at most this many samples.", ge(2))
