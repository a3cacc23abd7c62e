"""The rows of a table in the units of the model, by what is measured on the rows to train on."""

from collections.abc import Sequence
from typing import Literal

import attrs
import torch
from torch import Tensor

from difrun.data.checks import check_resolution, coordinate_name
from difrun.data.scaling import FAR_OUT, Scaling, far_out
from difrun.data.source import Source
from difrun.errors import DifrunError

Scale = Literal["auto", "std", "robust", "pixels", "none"]
"""How coordinates are scaled; "auto" is "pixels" for examples of 8 bits with two axes or more, and else "std"."""

BRIGHTEST = (1, 255, 65535)
"""The values that white may have: pixels are fractions, or whole numbers of 8 or 16 bits."""

LEAST_CONTRAST = 1e-5
"""The least difference between the darkest and the brightest pixel, of that between black and white."""


@attrs.frozen(eq=False)
class ScaledRows:
    """The rows of a table, in the units of the model.

    Attributes:
        train: The rows to train on, (N, *shape).
        held_out: The other rows.
        scaling: From the user's units; None where they are the same.
        notes: Sentences on the scaling.
    """

    train: Tensor
    held_out: Tensor
    scaling: Scaling | None
    notes: tuple[str, ...] = ()


def scaled(
    values: Tensor,
    order: Tensor,
    count: int,
    *,
    scale: Scale,
    source: Source,
    columns: Sequence[str],
    eight_bit: bool = False,
) -> ScaledRows:
    """Split rows, and scale them by those to train on.

    Args:
        values: The rows, (N, *shape), float64.
        order: A permutation of the rows, (N,).
        count: How many are held out: those of order[:count].
        scale: How they are scaled.
        source: How messages begin, and how they write options.
        columns: The names of the coordinates; empty where they have none.
        eight_bit: Whether the values are whole numbers of 8 bits, as those of images.

    Raises:
        DifrunError: If rows cannot be scaled in this way; the message names the coordinate.
    """
    train, held_out = values[order[count:]], values[order[:count]]
    if scale == "none":
        check_resolution(values, source, columns, f"Let it be scaled: {source.option('scale', 'std')}.")
        return ScaledRows(train, held_out, None)
    if scale == "pixels" or (scale == "auto" and eight_bit and values.ndim > 2):
        scaling, notes = _of_pixels(values, source)
    else:
        scaling, notes = _measured(train, scale == "robust", columns, source)
    train, held_out = (_encoded(part, scaling, source, columns) for part in (train, held_out))
    return ScaledRows(train, held_out, scaling, notes)


def _of_pixels(values: Tensor, source: Source) -> tuple[Scaling, tuple[str, ...]]:
    """The scaling of pixels from 0 to white to −1 to 1, and a sentence that says so."""
    low, high = float(values.min()), float(values.max())
    white = next((most for most in BRIGHTEST if high <= most), None)
    if low < 0 or white is None:
        raise DifrunError(
            f"{source}: values from {low:g} to {high:g} are no pixels, which are from 0 to 1, 255 or 65535 "
            f"({source.option('scale', 'pixels')}). Numbers that have a scale of their own: "
            f"{source.option('scale', 'none')}."
        )
    if high - low < LEAST_CONTRAST * white:
        raise DifrunError(
            f"{source}: as pixels from 0 to {white} ({source.option('scale', 'pixels')}), values from {low:.9g} to "
            f"{high:.9g} are all alike. Numbers that have a scale of their own: {source.option('scale', 'std')}."
        )
    middle = torch.full(values.shape[1:], white / 2, dtype=torch.float64)
    return Scaling(middle, middle, "pixels"), (
        f"pixels from 0 to {white} become −1 to 1 for the model; samples have 0 to {white} again",
    )


def _measured(
    train: Tensor, robust: bool, columns: Sequence[str], source: Source
) -> tuple[Scaling, tuple[str, ...]]:
    """The scaling of the training rows, and a sentence if values far out decide it."""
    try:
        scaling = Scaling.robust(train, columns) if robust else Scaling.standardising(train, columns)
    except DifrunError as error:
        pixels = f" Images are scaled by {source.option('scale', 'pixels')}." if train.ndim > 2 else ""
        none = source.option("scale", "none")
        raise DifrunError(f"{source}: {str(error).rstrip('.')}: {none}.{pixels}") from None
    ratio, bulk = far_out(train, scaling)
    wide = (ratio > FAR_OUT).nonzero()
    if robust or not len(wide):
        return scaling, ()
    index = tuple(wide[0].tolist())
    _refuse_lost_bulk(train, scaling, ratio, source, columns)
    more = f" (and {len(wide) - 1} more coordinates)" if len(wide) > 1 else ""
    return scaling, (
        f"{coordinate_name(index, columns)}{more}: few values far out decide its standard deviation, "
        f"{float(scaling.scale[index]):.3g}; that of the bulk is {float(bulk[index]):.3g} (interquartile range/1.349). "
        f"Scaled by the first, samples of the bulk come out too wide. Scale by the bulk with "
        f"{source.option('scale', 'robust')}, or remove those values.",
    )


def _refuse_lost_bulk(
    train: Tensor, scaling: Scaling, ratio: Tensor, source: Source, columns: Sequence[str]
) -> None:
    """Raise DifrunError if all values but a few far out are one number in float32, once the few decide the scale."""
    bulk = 1 / ratio
    middle = scaling.encode(train).abs().median(0).values
    lost = bulk < 100 * torch.finfo(torch.float32).eps * middle
    if bool(lost.any()):
        index = tuple(lost.nonzero()[0].tolist())
        raise DifrunError(
            f"{source}: {coordinate_name(index, columns)} has values so far out (standard deviation "
            f"{float(scaling.scale[index]):.3g}) that all others cannot be told apart beside them in 32-bit numbers, "
            f"in which a model computes. Scale by the bulk with {source.option('scale', 'robust')}, or remove those "
            "values."
        )


def _encoded(part: Tensor, scaling: Scaling, source: str, columns: Sequence[str]) -> Tensor:
    """Rows in the model's units, float32. Raises DifrunError if one is too far out for these."""
    coded = scaling.encode(part)
    largest = torch.finfo(torch.float32).max
    if not bool((coded.abs() <= largest).all()):
        index = (~(coded.abs() <= largest)).nonzero()[0].tolist()
        raise DifrunError(
            f"{source}: {float(part[tuple(index)]):g} in {coordinate_name(index[1:], columns)} is more than 1e38 times "
            "farther out than the other values are wide. Remove it."
        )
    return coded.float()
