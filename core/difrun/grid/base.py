"""The contract of a time grid: a function that returns steps + 1 times, T first and t_min last.

Its arguments are passed by name: the `process`, the number of `steps`, and the options of the grid. A grid for one
model also takes the `model`, and the `sampler` if that matters too.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch

from difrun.errors import DifrunError
from difrun.process.base import ForwardProcess
from difrun.process.gaussian import GaussianProcess


def check(times: list[float], process: ForwardProcess, steps: int) -> list[float]:
    """Return the times of a grid if they are valid.

    Args:
        times: What the grid returned.
        process: The process, whose T and t_min are the ends of the grid.
        steps: The number of steps that the grid was asked for.

    Returns:
        `times`.

    Raises:
        DifrunError: Unless they decrease strictly from the horizon T to t_min in `steps` steps.
    """
    check_steps(steps)
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
    """Return k/n for k = 0, ..., n, which a grid maps to its times.

    Args:
        steps: The number n of steps.

    Returns:
        n + 1 numbers from 0 to 1.

    Raises:
        DifrunError: If n < 1.
    """
    check_steps(steps)
    return [k / steps for k in range(steps + 1)]


def check_steps(steps: int) -> None:
    """Raise DifrunError if `steps` is below 1."""
    if steps < 1:
        raise DifrunError(f"a grid needs at least 1 step, not {steps}")


def from_lam(process: GaussianProcess, lam: Sequence[float]) -> list[float]:
    """Return the times at values of the log-SNR λ = log(α/σ), with the ends set to exactly T and t_min.

    Args:
        process: The process.
        lam: The values of λ, increasing, (steps + 1,).

    Returns:
        The times, (steps + 1,), decreasing.
    """
    times = process.time_at(torch.as_tensor(lam, dtype=torch.float64)).tolist()
    times[0], times[-1] = process.horizon, process.t_min
    return times
