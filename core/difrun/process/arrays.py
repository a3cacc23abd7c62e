"""NumPy arrays in the place of tensors."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor


def numpy_too(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method whose first argument is a tensor take NumPy arrays too; it then returns an array."""

    @functools.wraps(method)
    def wrapped(self: Any, first: Any, *args: Any, **kwargs: Any) -> Any:
        tensors = [_tensor(a) for a in args]
        named = {name: _tensor(a) for name, a in kwargs.items()}
        if isinstance(first, Tensor):
            return method(self, first, *tensors, **named)
        return method(self, _tensor(np.asarray(first)), *tensors, **named).numpy()

    return wrapped


def _tensor(value: Any) -> Any:
    """A NumPy array as a tensor, whole numbers as float64; anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    native = value.dtype.newbyteorder("=") if value.dtype.kind == "f" else np.float64
    return torch.tensor(value.astype(native))
