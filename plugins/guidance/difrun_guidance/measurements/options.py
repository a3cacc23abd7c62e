"""Options of guidance by a measurement, without torch."""

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import ge, gt, le, optional

from difrun.api import option, refuse_unused

Operator = Literal["mask", "identity", "matrix", "blur", "downsample"]
Seen = Literal["left", "right", "top", "bottom", "inside", "outside", "random", "file"]

# Which option goes with which operator; a mask has its own below.
_OF_OPERATOR = {"seen": "mask", "matrix": "matrix", "blur": "blur", "factor": "downsample"}
_OF_MASK = {"box": ("inside", "outside"), "fraction": ("random",), "pattern": ("random",), "mask": ("file",)}


@attrs.frozen(slots=False)
class MeasurementOptions:
    """What every method needs: the numbers that were measured, and their noise."""

    sigma_y: float = option(0.05, "Standard deviation of the noise of the measurement, in its units.", gt(0))
    y: Path | None = option(
        None, "File of the measurement (.npy, or .npz with an array y), in the units of the data."
    )
    example: int | None = option(
        None,
        "Without y: number of the held-out example that is measured, with noise; none is 0.",
        optional(ge(0)),
    )

    def __attrs_post_init__(self) -> None:
        if self.y is not None:
            refuse_unused(self, ("example",), "a measurement y that is given does not need", "leave out y")


@attrs.frozen(slots=False)
class MethodOptions(MeasurementOptions):
    """What the methods share that differentiate the model."""

    jacobian_below: float | None = option(
        None,
        "Noise σ/α, in standard deviations of the data, up to which V is the model's Jacobian; beyond, that of "
        "Gaussian data. none: 1 for a network, everywhere for an exact model.",
        optional(gt(0)),
    )


@attrs.frozen(slots=False)
class OperatorOptions:
    """Which linear operator A measures."""

    operator: Operator = option("mask", "What is measured: A in y = A x_0 + σ_y n.")
    seen: Seen = option(
        "left", "What a mask shows: a half, what is in or out of a box, random places, a file."
    )
    box: tuple[int, ...] | None = option(
        None, "Box of a mask in an image: first row, first column, rows, columns.", metavar="INT,INT,INT,INT"
    )
    fraction: float = option(0.5, "Part of the numbers that a random mask shows.", gt(0), le(1))
    pattern: int = option(0, "Seed of a random mask.", ge(0))
    mask: Path | None = option(
        None, "File of a mask (.npy), of the shape of an example: 1 is seen, 0 is not."
    )
    matrix: Path | None = option(None, "File of the matrix (.npy), measured numbers x numbers of an example.")
    blur: float = option(1.0, "Standard deviation of the Gaussian blur, in pixels.", gt(0))
    factor: int = option(2, "Pixels along each side that down-sampling averages into one.", ge(2))

    def __attrs_post_init__(self) -> None:
        for name, operator in _OF_OPERATOR.items():
            if self.operator != operator:
                refuse_unused(
                    self, (name,), f"operator {self.operator} has no", f"choose operator {operator}"
                )
        for name, seen in _OF_MASK.items():
            if self.operator != "mask" or self.seen not in seen:
                which = f"seen {self.seen}" if self.operator == "mask" else f"operator {self.operator}"
                refuse_unused(self, (name,), f"{which} has no", f"choose seen {' or '.join(seen)}")


@attrs.frozen(slots=False)
class DPSOptions(MethodOptions):
    zeta: float = option(1.0, "Strength of the guidance, ζ.", gt(0))


@attrs.frozen(slots=False)
class PiGDMOptions(MethodOptions):
    pass


@attrs.frozen(slots=False)
class MMPSOptions(MethodOptions):
    iterations: int = option(
        8, "Most iterations of conjugate gradients; each is a backward pass of the network.", ge(1)
    )
    tolerance: float = option(1e-3, "Part of the residual at which conjugate gradients stop.", gt(0))


@attrs.frozen(slots=False)
class LinearDPSOptions(DPSOptions, OperatorOptions):
    def __attrs_post_init__(self) -> None:
        check_both(self)


@attrs.frozen(slots=False)
class LinearPiGDMOptions(PiGDMOptions, OperatorOptions):
    def __attrs_post_init__(self) -> None:
        check_both(self)


@attrs.frozen(slots=False)
class LinearMMPSOptions(MMPSOptions, OperatorOptions):
    def __attrs_post_init__(self) -> None:
        check_both(self)


@attrs.frozen(slots=False)
class ExactOptions(MeasurementOptions, OperatorOptions):
    def __attrs_post_init__(self) -> None:
        check_both(self)


def check_both(options: OperatorOptions) -> None:
    """The rules between the options of an operator, and between those of its measurement."""
    OperatorOptions.__attrs_post_init__(options)
    MeasurementOptions.__attrs_post_init__(options)  # type: ignore[arg-type]
