"""Tensors in another dtype or on another device."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from difrun.errors import DifrunError

EXACT = 2**24
"""Largest whole number up to which float32 holds all of them."""


class CastCache:
    """Copies of tensors in every dtype and on every device that were asked for, each made once."""

    def __init__(self) -> None:
        self._copies: dict[tuple[torch.dtype, torch.device], tuple[Any, ...]] = {}

    def like(self, x: Tensor, make: Callable[[], Sequence[Tensor | None]]) -> tuple[Any, ...]:
        """Return the tensors of `make` in the dtype and on the device of x; None stays None."""
        key = x.dtype, x.device
        if key not in self._copies:
            # Tensors made under inference mode could not take part in a derivative later.
            with torch.inference_mode(False):
                self._copies[key] = tuple(None if part is None else cast_like(part, x) for part in make())
        return self._copies[key]


def as_data(value: Any, what: str = "data") -> Tensor:
    """Return real numbers as a tensor in float32 or float64, in which difrun computes.

    Those formats are kept. Half precision becomes float32. Whole numbers become float32 if it holds all of them, up to
    2²⁴, else float64. An array of NumPy may have any byte order and any strides; its whole numbers become float64, and
    what is masked becomes NaN.

    Args:
        value: A tensor, an array, or nested lists of numbers.
        what: What the numbers are, for the message.

    Raises:
        DifrunError: If they are no real numbers, as complex ones and text, or are not stored densely; or if whole
            numbers beyond 2⁵³ would be rounded until they are hardly told apart.
    """
    if not isinstance(value, Tensor):
        return _from_array(value, what)
    dense = value.layout == torch.strided and not value.is_nested
    if not dense or value.is_complex() or value.is_quantized:
        layout = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
        kind = value.dtype if dense else f"a {layout} tensor"
        raise DifrunError(f"{what}: expected real numbers in a dense tensor, not {kind}.")
    value = value.resolve_neg()
    if value.dtype in (torch.float32, torch.float64):
        return value
    if value.is_floating_point() or value.dtype == torch.bool or value.is_meta or not value.numel():
        return value.float()
    return _from_whole_numbers(value, what)


def data_on_cpu(value: Any, what: str = "data") -> Tensor:
    """Return real numbers by `as_data` on the CPU, without a gradient.

    Raises:
        DifrunError: As `as_data`, or if a tensor on the device "meta" has a shape alone.
    """
    return with_numbers(as_data(value, what), what).detach().cpu()


def with_numbers(x: Tensor, what: str = "data") -> Tensor:
    """Return a tensor as it is; raises DifrunError for one on the device "meta", which has no numbers."""
    if x.is_meta:
        raise DifrunError(f"{what}: expected real numbers; a tensor on the device 'meta' has none.")
    return x


def _from_whole_numbers(value: Tensor, what: str) -> Tensor:
    """Whole numbers as float32 if it holds all of them, else as float64."""
    exact = value.double() if value.dtype in (torch.uint16, torch.uint32, torch.uint64) else value
    if float(exact.min()) >= -EXACT and float(exact.max()) <= EXACT:
        return value.float()
    if value.dtype in (torch.int64, torch.uint64):
        refuse_lost_digits(value.detach().cpu().numpy(), what)
    return wide(value)


def refuse_lost_digits(whole: NDArray, what: str) -> None:
    """Raise DifrunError if whole numbers (N, *shape) that differ by little are rounded in float64.

    It holds all of them up to 2⁵³. Times in nanoseconds are larger: 1.7·10¹⁸ is rounded to a multiple of 256.
    """
    if whole.ndim == 0 or whole.dtype.itemsize < 8 or not whole.size:
        return
    rows = whole.reshape(len(whole), -1)
    for low, high in zip(rows.min(0).tolist(), rows.max(0).tolist(), strict=True):
        size = max(abs(low), abs(high))
        if size > 2**53 and low < high and (high - low) * 2**42 < size:
            raise DifrunError(
                f"{what}: whole numbers from {low} to {high} cannot be told apart in float64, in which difrun reads "
                "data. Subtract the smallest of them, or give them in a larger unit."
            )


def _from_array(value: Any, what: str) -> Tensor:
    try:
        array = np.asarray(_with_gaps(value) if isinstance(value, np.ma.MaskedArray) else value)
    except (ValueError, TypeError) as error:
        raise DifrunError(f"{what}: expected an array of real numbers ({error}).") from None
    if array.dtype.kind not in "buif":
        raise DifrunError(f"{what}: expected real numbers, not {array.dtype} values.")
    if array.dtype.kind in "iu":
        refuse_lost_digits(array, what)
    narrow = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    # A copy in the byte order of the machine, without the negative strides that torch does not have.
    return torch.from_numpy(np.array(array, dtype=np.float32 if narrow else np.float64, order="C"))


def _with_gaps(value: Any) -> Any:
    """A masked array with NaN where it is masked: the number under the mask is nobody's."""
    if value.dtype.kind in "bui":
        value = value.astype(np.float64)
    return value.filled(np.nan) if value.dtype.kind == "f" else value


def as_any_array(value: Any, what: str) -> NDArray:
    """Return values of any kind, numbers or text, as an array; a masked one stays masked.

    Raises:
        DifrunError: If they are no array.
    """
    try:
        if isinstance(value, Tensor):
            tensor = with_numbers(value, what).detach().cpu().resolve_neg()
            narrow = tensor.is_floating_point() and tensor.itemsize < 4  # NumPy has no bfloat16
            return (tensor.float() if narrow else tensor).numpy()
        return np.asanyarray(value) if isinstance(value, np.ma.MaskedArray) else np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DifrunError(f"{what}: what is beside the examples is no array ({error}).") from None


def has_eight_bits(data: Any) -> bool:
    """Whether data are whole numbers of 8 bits, as pixels are."""
    return (data.dtype == torch.uint8) if isinstance(data, Tensor) else np.asarray(data).dtype == np.uint8


def as_labels(value: Any) -> Tensor:
    """Return labels, whole numbers of any format in a tensor, an array or a list, as int64.

    Raises:
        DifrunError: If they are no whole numbers.
    """
    if not isinstance(value, Tensor):
        if np.ma.is_masked(value):
            raise DifrunError("labels are whole numbers (int64), and some of these are masked.")
        array = np.asarray(value)
        if array.dtype.kind not in "iu":
            raise DifrunError(f"labels are whole numbers (int64), not {array.dtype}.")
        if array.dtype.kind == "u" and array.size and int(array.max()) >= 2**63:
            raise DifrunError(f"labels are whole numbers below 2^63 (int64), not {int(array.max())}.")
        return torch.from_numpy(array.astype(np.int64))
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise DifrunError(f"labels are whole numbers (int64), not {value.dtype}.")
    return value.detach().long()


def cast_like(tensor: Tensor, x: Tensor) -> Tensor:
    """Return a tensor in the dtype and on the device of x; the dtype first, as some devices have no float64."""
    return tensor.to(x.dtype).to(x.device)


def wide_dtype(x: Tensor) -> torch.dtype:
    """Return float64, or float32 where the device of x has no float64."""
    return torch.float32 if x.device.type == "mps" else torch.float64


def wide(x: Tensor) -> Tensor:
    """Return x in float64, where its device has it."""
    return x.to(wide_dtype(x))
