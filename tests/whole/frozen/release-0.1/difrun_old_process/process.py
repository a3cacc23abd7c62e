"""The noise schedule of the process."""

import torch
from difrun.process import GaussianProcess
from torch import Tensor

from difrun_old_process.options import OldProcessOptions


class OldProcess(GaussianProcess, OldProcessOptions):
    r"""dX = −½βX dt + √(β(1 − e^{−2βt})) dW for t in [0, 1].

    Its marginals are x_t = α x_0 + σ ε with α = exp(−½βt) and σ = 1 − α². Drift, diffusion, paths, bridges and time
    grids follow from the two functions below, which must be differentiable.

    References:
        Song et al. (2021), arXiv 2011.13456, eq. 12 (sub-VP).
    """

    horizon = 1.0

    def log_alpha(self, t: Tensor) -> Tensor:
        """Return log α(t)."""
        return -0.5 * self.beta * t

    def variance(self, t: Tensor) -> Tensor:
        """Return σ²(t); expm1 keeps the relative error near t = 0, where 1 − α² would cancel."""
        return torch.expm1(-self.beta * t) ** 2
