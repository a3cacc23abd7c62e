"""The times of the grid."""

from difrun.grid import check
from difrun.process import ForwardProcess


def old_grid(process: ForwardProcess, steps: int, *, power: float = 2.0) -> list[float]:
    """t = u^p with u in equal steps from T^{1/p} down to t_min^{1/p}: smaller steps near the data for p > 1.

    Args:
        process: The process, whose T and t_min are the ends of the grid.
        steps: The number of steps.
        power: The power p.

    Returns:
        steps + 1 times; `check` refuses times that do not strictly decrease from T to t_min.
    """
    first, last = process.horizon ** (1 / power), process.t_min ** (1 / power)
    inner = [(first + (last - first) * k / max(1, steps)) ** power for k in range(1, steps)]
    return check([process.horizon, *inner, process.t_min], process, steps)
