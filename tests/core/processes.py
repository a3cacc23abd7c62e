"""Processes at the ends of what is allowed: no signal left at T, and a mean for each coordinate."""

import torch

from difrun.process import GaussianProcess
from difrun.testing import ReferenceVP


class Straight(GaussianProcess):
    """α = 1 − t, σ = t: no signal is left at T."""

    horizon = 1.0

    def log_alpha(self, t):
        return torch.log1p(-t)

    def variance(self, t):
        return t**2


class Shifted(ReferenceVP):
    centre = (1.0, -2.0)
