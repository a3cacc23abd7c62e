"""Options of guidance by a measurement, without torch."""

from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import ge, gt, le, lt, optional

from difrun.api import option, refuse_unused

Operator = Literal["mask", "identity", "matrix", "blur", "downsample"]
Seen = Literal["left", "right", "top", "bottom", "inside", "outside", "random", "file"]

# Which option goes with which operator, and which with which mask.
_OF_OPERATOR = {"seen": "mask", "matrix": "matrix", "blur": "blur", "factor": "downsample"}
_OF_MASK = {"box": ("inside", "outside"), "fraction": ("random",), "pattern": ("random",), "mask": ("file",)}


@attrs.frozen(slots=False)
class MeasurementOptions:
    """Options of every method: the measurement and its noise."""

    sigma_y: float = option(
        0.05, "Standard deviation of the noise of the measurement, in its units.", gt(0), le(1e12)
    )
    y: Path | None = option(
        None, "File of the measurement (.npy, or .npz with an array y), in the units of the data."
    )
    example: int | None = option(
        None,
        "Without y: number of the held-out example that is measured, with noise; none: 0.",
        optional([ge(0), le(10**9)]),
    )

    def __attrs_post_init__(self) -> None:
        if self.y is not None:
            refuse_unused(self, ("example",), "a measurement y that is given does not need", "leave out y")


@attrs.frozen(slots=False)
class MethodOptions(MeasurementOptions):
    """Options of the methods that differentiate the model."""

    jacobian_below: float | None = option(
        None,
        "Noise σ/α, in standard deviations of the data, up to which V is the model's Jacobian; beyond, that of "
        "Gaussian data. none: 1 for a network, everywhere for an exact model.",
        optional([gt(0), le(1e12)]),
    )


@attrs.frozen(slots=False)
class OperatorOptions:
    """Options of the linear operator A."""

    operator: Operator = option("mask", "What is measured: A in y = A x_0 + σ_y n.")
    seen: Seen = option(
        "left", "What a mask shows: a half, the inside or outside of a box, random places, a file."
    )
    box: tuple[int, ...] | None = option(
        None, "Box of a mask in an image: first row, first column, rows, columns.", metavar="INT,INT,INT,INT"
    )
    fraction: float = option(0.5, "Fraction of the numbers that a random mask shows.", gt(0), le(1))
    pattern: int = option(0, "Seed of a random mask.", ge(0))
    mask: Path | None = option(
        None, "File of a mask (.npy), of the shape of an example: 1 is seen, 0 is not."
    )
    matrix: Path | None = option(None, "File of the matrix (.npy), measured numbers x numbers of an example.")
    blur: float = option(1.0, "Standard deviation of the Gaussian blur, in pixels.", gt(0), le(1000))
    factor: int = option(2, "Pixels along each side that down-sampling averages into one.", ge(2), le(10**6))

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
    """Options of diffusion posterior sampling."""

    zeta: float = option(1.0, "Strength of the guidance, ζ.", gt(0), le(1e6))


@attrs.frozen(slots=False)
class PiGDMOptions(MethodOptions):
    """Options of pseudoinverse-guided diffusion."""


@attrs.frozen(slots=False)
class MMPSOptions(MethodOptions):
    """Options of moment matching posterior sampling."""

    iterations: int = option(
        8,
        "Largest number of iterations of conjugate gradients; each is a backward pass of the network.",
        ge(1),
        le(10**6),
        second=8,  # one iteration is exact for what the kit measures
    )
    tolerance: float = option(
        1e-3, "Relative residual at which conjugate gradients stop.", gt(0), lt(1), second=1e-3
    )


@attrs.frozen(slots=False)
class LinearDPSOptions(DPSOptions, OperatorOptions):
    """Options of `dps`."""

    def __attrs_post_init__(self) -> None:
        check_both(self)


@attrs.frozen(slots=False)
class LinearPiGDMOptions(PiGDMOptions, OperatorOptions):
    """Options of `pigdm`."""

    def __attrs_post_init__(self) -> None:
        check_both(self)


@attrs.frozen(slots=False)
class LinearMMPSOptions(MMPSOptions, OperatorOptions):
    """Options of `mmps`."""

    def __attrs_post_init__(self) -> None:
        check_both(self)


@attrs.frozen(slots=False)
class ExactOptions(MeasurementOptions, OperatorOptions):
    """Options of `exact`."""

    def __attrs_post_init__(self) -> None:
        check_both(self)


def check_both(options: OperatorOptions) -> None:
    """Check the options of the operator and those of the measurement, each among themselves."""
    OperatorOptions.__attrs_post_init__(options)
    MeasurementOptions.__attrs_post_init__(options)  # type: ignore[arg-type]
