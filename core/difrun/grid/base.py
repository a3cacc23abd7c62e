"""The contract of a time grid: a function (process, steps, **options) -> steps + 1 times, T first, t_min last.

One that provides `fitted` is made for a model, and called with it in place of the process.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from difrun.errors import DifrunError


def check(times: list[float], process: Any, steps: int) -> list[float]:
    """The times, if they are strictly decreasing from the horizon to t_min in `steps` steps; DifrunError otherwise."""
    at_least_one(steps)
    decreasing = all(b < a for a, b in pairwise(times))
    if len(times) != steps + 1 or not decreasing:
        raise DifrunError(
            f"the grid did not give {steps + 1} strictly decreasing times for {process!r}: {times[:4]} ..."
        )
    if not (math.isclose(times[0], process.horizon) and math.isclose(times[-1], process.t_min, rel_tol=1e-6)):
        raise DifrunError(
            f"the grid runs from {times[0]:g} to {times[-1]:g}, not from T = {process.horizon:g} to "
            f"t_min = {process.t_min:g}"
        )
    return times


def fractions(steps: int) -> list[float]:
    """k/n for k = 0, ..., n, where n = `steps`: what a grid maps to its times. Raises DifrunError when n < 1."""
    at_least_one(steps)
    return [k / steps for k in range(steps + 1)]


def at_least_one(steps: int) -> None:
    """Raise DifrunError when a grid is asked for no step."""
    if steps < 1:
        raise DifrunError(f"a grid needs at least 1 step, not {steps}")


def from_lam(process: Any, lam: Sequence[float]) -> list[float]:
    """Times of increasing λ (steps + 1,), with both ends set to T and t_min exactly."""
    times = process.time_at(torch.as_tensor(lam, dtype=torch.float64)).tolist()
    times[0], times[-1] = process.horizon, process.t_min
    return times
