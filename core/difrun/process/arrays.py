"""NumPy arrays in the place of tensors."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from difrun.data.casts import as_data


def numpy_too(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method whose first argument is a tensor take NumPy arrays too; it then returns an array.

    Whole numbers and half precision become floats in which the method computes (`difrun.data.casts.as_data`).
    """

    @functools.wraps(method)
    def wrapped(self: Any, first: Any, *args: Any, **kwargs: Any) -> Any:
        tensors = [_tensor(a) for a in args]
        named = {name: _tensor(a) for name, a in kwargs.items()}
        x = as_data(first)
        if isinstance(first, Tensor):
            return method(self, x, *tensors, **named)
        return method(self, x, *tensors, **named).numpy()

    return wrapped


def _tensor(value: Any) -> Any:
    """A NumPy array as a tensor, and a tensor of other real numbers as floats; anything else as it is."""
    if isinstance(value, Tensor) and (value.is_complex() or value.dtype == torch.bool):
        return value  # such as a time, which the method refuses by its name
    return as_data(value) if isinstance(value, np.ndarray | Tensor) else value
