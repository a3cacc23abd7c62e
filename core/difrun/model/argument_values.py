"""Values that users give for the arguments of `difrun.wrap`, as numbers, and how messages show them."""

import numbers
from typing import Any

import numpy as np
import torch
from torch import Tensor

from difrun.data.casts import data_on_cpu
from difrun.errors import ConfigError, DifrunError
from difrun.text import described


def check_fits(name: str, found: Tensor, shape: tuple[int, ...], what: str) -> None:
    """Raise ConfigError unless numbers broadcast to a shape, which is that of `what`."""
    try:
        fits = torch.broadcast_shapes(tuple(found.shape), shape) == torch.Size(shape)
    except RuntimeError:
        fits = False
    if not fits or found.ndim > len(shape):
        raise ConfigError(
            f"Invalid value for {name}: expected one number, or numbers of the shape {shape} of {what}; got the shape "
            f"{tuple(found.shape)}."
        )


def as_numbers(name: str, value: Any) -> Tensor:
    """Return a value as a tensor on the CPU. Raises ConfigError, with the argument, if it holds no numbers."""
    try:
        return data_on_cpu(value, name)
    except DifrunError as error:
        raise ConfigError(f"Invalid value for {error}") from None


def item_of(value: Any) -> Any:
    """Return what an array or a tensor of no dimensions holds; anything else as it is."""
    return value.item() if isinstance(value, Tensor | np.ndarray) and not value.ndim else value


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number, and no switch."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def invalid(name: str, expected: str, value: Any, advice: str = "") -> ConfigError:
    """Return the error of a value: what was expected, what was given, and what to do."""
    got = f"the class {value.__name__}" if isinstance(value, type) else described(value)
    return ConfigError(f"Invalid value for {name}: expected {expected}; got {got}. {advice}".rstrip())
