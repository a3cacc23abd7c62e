"""Time grids: functions of a process and a number of steps."""

from difrun.grid.base import check, fractions, from_lam
from difrun.grid.fixed import cosine, linear, logsnr, quadratic, rho

__all__ = [
    "check",
    "cosine",
    "fractions",
    "from_lam",
    "linear",
    "logsnr",
    "quadratic",
    "rho",
]
