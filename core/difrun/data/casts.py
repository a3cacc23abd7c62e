"""Tensors in another dtype or on another device."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


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


def cast_like(tensor: Tensor, x: Tensor) -> Tensor:
    """Return a tensor in the dtype and on the device of x; the dtype first, as some devices have no float64."""
    return tensor.to(x.dtype).to(x.device)


def wide_dtype(x: Tensor) -> torch.dtype:
    """Return float64, or float32 where the device of x has no float64."""
    return torch.float32 if x.device.type == "mps" else torch.float64


def wide(x: Tensor) -> Tensor:
    """Return x in float64, where its device has it."""
    return x.to(wide_dtype(x))
