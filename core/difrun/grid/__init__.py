"""Time grids: functions of a process and a number of steps."""

from difrun.grid.base import at_least_one, check, fractions, from_lam
from difrun.grid.fixed import cosine, linear, logsnr, quadratic, rho

__all__ = ["at_least_one", "check", "cosine", "fractions", "from_lam", "linear", "logsnr", "quadratic", "rho"]
