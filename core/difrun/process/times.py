"""Times as users pass them: numbers, lists, arrays and tensors, one for all examples or one for each."""

import math
from collections.abc import Iterable
from itertools import islice, pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from difrun.errors import DifrunError

MOST_TIMES = 10**6 + 1
"""The most times of one sampling: a million steps."""


def as_time(t: Any, ndim: int | None = None, dtype: torch.dtype | None = None) -> float | Tensor:
    """Return a time as a Python number, or several as a tensor of floating-point numbers.

    Args:
        t: A number; or a list, an array or a tensor, whose whole numbers are taken for times too.
        ndim: The axes of the examples that the times belong to, (B, 1, ..., 1): those beyond the first must have
            length 1, and are dropped. None takes any shape.
        dtype: The dtype of what does not have one. None: torch's default.

    Raises:
        DifrunError: If it is no time.
    """
    if not isinstance(t, Tensor):
        if not isinstance(t, (list, tuple, np.ndarray)):
            return _number(t)
        try:
            t = torch.as_tensor(np.asarray(t, dtype=np.float64)).to(dtype or torch.get_default_dtype())
        except (TypeError, ValueError) as error:
            raise DifrunError(f"a time is a number, or one number per example; got {t!r:.60}") from error
    if t.is_complex() or t.dtype == torch.bool:
        raise DifrunError(f"a time is a real number; got a tensor of {t.dtype}")
    if not t.is_floating_point():
        t = t.to(dtype or torch.get_default_dtype())
    if ndim is None or t.ndim < 2:
        return t
    if t.numel() != len(t):
        raise DifrunError(f"times have the shape (n,), one for each example; got {tuple(t.shape)}")
    return t.reshape(-1)


def one_time(t: Any) -> float:
    """Return one time, a number or an array or tensor of one number, as a Python number.

    Raises:
        DifrunError: If it is no time, or more than one.
    """
    t = as_time(t, dtype=torch.float64)
    if isinstance(t, Tensor):
        if t.numel() != 1:
            raise DifrunError(f"expected one time; got {t.numel()}")
        return float(t)
    return t


def times_of_rows(t: Any, rows: int, like: Tensor) -> float | Tensor:
    """Return `as_time` for a batch of so many examples, as a number or a tensor like `like`: (1,) or (rows,).

    Raises:
        DifrunError: If it is neither one time nor one for each example.
    """
    t = as_time(t, 1, torch.float64)
    if not isinstance(t, Tensor):
        return t
    if t.numel() not in (1, rows):
        raise DifrunError(f"{rows} examples take one time, or {rows} times; got {t.numel()}")
    return t.to(like)


def decreasing(times: Iterable[Any]) -> list[float]:
    """Return the times of a sampling as Python numbers.

    Raises:
        DifrunError: If they are not numbers, (n,) or (n, 1), that strictly decrease over at least one step.
    """
    if isinstance(times, (Tensor, np.ndarray)):
        if times.ndim > 1 and math.prod(times.shape) != len(times):
            raise DifrunError(f"sampling times have the shape (steps + 1,), not {tuple(times.shape)}")
        if isinstance(times, Tensor) and times.is_meta:
            raise DifrunError("sampling times are numbers, which a tensor on the device 'meta' does not have")
        times = times.reshape(-1).tolist()
    try:
        ts = [_number(t) for t in islice(times, MOST_TIMES + 1)]
    except TypeError as error:  # it is not even a sequence
        raise DifrunError(f"sampling times are a sequence of numbers; got {times!r:.60}") from error
    if len(ts) > MOST_TIMES:
        raise DifrunError(f"sampling times: there are more than {MOST_TIMES}")
    if len(ts) < 2 or any(not later < t for t, later in pairwise(ts)):
        shown = ", ".join(f"{t:g}" for t in ts[:4]) + (", ..." if len(ts) > 4 else "")
        raise DifrunError(f"sampling times must strictly decrease over at least one step, not [{shown}]")
    return ts


def _number(t: Any) -> float:
    if not isinstance(t, (str, bytes, bool, np.bool_)):
        try:
            return float(t)
        except (TypeError, ValueError, OverflowError, RuntimeError):  # the last: a tensor of several numbers
            pass
    raise DifrunError(f"a time is a number; got {t!r:.60}")
