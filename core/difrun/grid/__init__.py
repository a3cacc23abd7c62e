"""Time grids: functions of a process and a number of steps."""

from difrun.grid.base import check, check_steps, fractions, from_lam
from difrun.grid.fixed import cosine, linear, logsnr, quadratic, rho

__all__ = ["check", "check_steps", "cosine", "fractions", "from_lam", "linear", "logsnr", "quadratic", "rho"]
