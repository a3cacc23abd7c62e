"""The affine map between the user's units and the model's, in float64 for any column of finite numbers."""

from collections.abc import Sequence
from typing import Literal

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difrun.data.casts import as_data, data_on_cpu, wide_dtype, with_numbers
from difrun.data.checks import coordinate_name
from difrun.errors import DifrunError

Kind = Literal["std", "robust", "pixels"]

NORMAL_IQR = 1.3489795003921634
"""Interquartile range of the standard normal distribution."""

SMALLEST = 5e-324
LARGEST = float(np.finfo(np.float64).max)

FAR_OUT = 10.0
"""In units of the bulk: a standard deviation above it is that of a few values far out, not of the bulk."""


@attrs.frozen(eq=False)
class Scaling:
    """The map x → (x − shift)/scale from the user's units to the model's, for each coordinate.

    Attributes:
        shift: One value per coordinate, with the shape of one example, float64 on the CPU.
        scale: As `shift`, and positive.
        kind: What shift and scale are: mean and standard deviation ("std"), or median and interquartile range/1.349
            ("robust"), which few values far out do not move, or half of what white is, so that black and white are −1
            and 1 ("pixels").
    """

    shift: Tensor
    scale: Tensor
    kind: Kind = "std"

    @classmethod
    def standardising(cls, examples: Tensor, columns: Sequence[str] = ()) -> "Scaling":
        """Return the scaling that gives `examples` mean 0 and variance 1 in every coordinate.

        Args:
            examples: Shape (N, *shape).
            columns: Names of the coordinates, for the message.

        Raises:
            DifrunError: If a coordinate is constant; the message names it.
        """
        x = data_on_cpu(examples).double().numpy()
        _refuse_constant(x, columns)
        shift, scale = _mean_and_std(x)
        return cls(torch.from_numpy(shift), torch.from_numpy(scale))

    @classmethod
    def robust(cls, examples: Tensor, columns: Sequence[str] = ()) -> "Scaling":
        """Return the scaling by median and interquartile range/1.349, the standard deviation of a normal bulk.

        A coordinate of which more than half of the values are equal has no such range, and is scaled by mean and
        standard deviation.

        Args:
            examples: Shape (N, *shape).
            columns: Names of the coordinates, for the message.

        Raises:
            DifrunError: If a coordinate is constant; the message names it.
        """
        x = data_on_cpu(examples).double().numpy()
        _refuse_constant(x, columns)
        shift, scale = _median_and_bulk(x)
        mean, std = _mean_and_std(x)
        shift, scale = np.where(scale > 0, shift, mean), np.where(scale > 0, scale, std)
        return cls(torch.from_numpy(shift), torch.from_numpy(scale), "robust")

    # Both maps are evaluated on the CPU, because not every device has float64.

    def encode(self, x: Tensor) -> Tensor:
        """Map x from the user's units to the model's; returns float64 on the device of x, where it has that."""
        x = self._fitting(x)
        wide_x = x.detach().cpu().double()
        z = (wide_x - self.shift) / self.scale
        # The difference of two numbers near ±1e308 overflows; that of their halves does not.
        halves = (wide_x / 2 - self.shift / 2) / self.scale * 2
        return _on_device_of(x, torch.where(z.isfinite() | ~wide_x.isfinite(), z, halves))

    def decode(self, x: Tensor) -> Tensor:
        """Map x from the model's units to the user's; returns float64 on the device of x, where it has that.

        What would be beyond the largest float64 becomes that.
        """
        x = self._fitting(x)
        wide_x = x.detach().cpu().double()
        y = self.shift + self.scale * wide_x
        halves = (self.shift / 2 + self.scale / 2 * wide_x).clamp(-LARGEST / 2, LARGEST / 2) * 2
        return _on_device_of(x, torch.where(y.isfinite() | ~wide_x.isfinite(), y, halves))

    def _fitting(self, x: Tensor) -> Tensor:
        """The numbers of x. Raises DifrunError if the scaling has coordinates that x does not have."""
        x = with_numbers(as_data(x))
        shape = tuple(self.shift.shape)
        own = tuple(x.shape[max(0, x.ndim - len(shape)) :])
        if len(own) < len(shape) or any(k not in (1, n) for k, n in zip(shape, own, strict=True)):
            raise DifrunError(
                f"data of shape {tuple(x.shape)} do not fit a scaling of examples of shape {shape}; expected "
                f"(n, {', '.join(map(str, shape))})."
            )
        return x


def far_out(examples: Tensor, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Return how many times wider each coordinate is by its standard deviation than by its bulk, and its bulk.

    Args:
        examples: Shape (N, *shape), in the user's units.
        scaling: Their scaling of kind "std".

    Returns:
        The ratio and the interquartile range/1.349, with the shape of one example; the ratio is 1 where the
        interquartile range is 0.
    """
    _, bulk = _median_and_bulk(data_on_cpu(examples).double().numpy())
    scale = scaling.scale.numpy()
    ratio = np.divide(scale, bulk, out=np.ones_like(scale), where=bulk > 0)
    return torch.from_numpy(ratio), torch.from_numpy(bulk)


def _on_device_of(x: Tensor, result: Tensor) -> Tensor:
    return result.to(wide_dtype(x)).to(x.device)


def _refuse_constant(x: NDArray[np.float64], columns: Sequence[str]) -> None:
    constant = np.argwhere(x.max(0) == x.min(0))
    if len(constant):
        names = [coordinate_name(index.tolist(), columns) for index in constant[:3]]
        more = f" and {len(constant) - 3} more" if len(constant) > 3 else ""
        raise DifrunError(
            f"{', '.join(names)}{more}: constant, so it cannot be scaled to variance 1. Remove it from "
            "the data, or turn scaling off."
        )


def _exponents(x: NDArray[np.float64]) -> NDArray[np.intc]:
    """One power of 2 per coordinate by which its values are at most 1: then nothing overflows or underflows."""
    return np.frexp(np.maximum(np.abs(x.max(0)), np.abs(x.min(0))))[1]


def _mean_and_std(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (divided by N) of every coordinate of x, (N, *shape)."""
    exponent = _exponents(x)
    scaled = np.ldexp(x, -exponent)
    # Differences from one of the values keep the digits of a column whose mean is far larger than its width.
    first = scaled[0].copy()
    scaled -= first
    mean = scaled.mean(0)
    scaled -= mean
    std = np.sqrt(np.square(scaled, out=scaled).mean(0))
    return np.ldexp(first + mean, exponent), np.maximum(np.ldexp(std, exponent), SMALLEST)


def _median_and_bulk(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and interquartile range/1.349 of every coordinate of x, (N, *shape)."""
    exponent = _exponents(x)
    low, median, high = np.quantile(np.ldexp(x, -exponent), [0.25, 0.5, 0.75], axis=0)
    # Of values near ±1.7e308 the range is beyond the largest number.
    with np.errstate(over="ignore"):
        bulk = np.minimum(np.ldexp((high - low) / NORMAL_IQR, exponent), LARGEST)
    return np.ldexp(median, exponent), bulk
