"""What the tests of the plugin share: Gaussian processes, a model that is a formula, and noise that is kept."""

import numpy as np
import torch

from difrun.model import ScoreModel
from difrun.process import GaussianProcess
from difrun.randomness import Generator
from difrun.testing import ReferenceVE, ReferenceVP
from difrun_edm.process import EDM


class Straight(GaussianProcess):
    """α = 1 − t, σ = t on [0, 1]: λ = −∞ at the start of sampling."""

    horizon = 1.0

    def log_alpha(self, t):
        return torch.log1p(-t)

    def alpha(self, t):
        return 1 - t

    def variance(self, t):
        return t**2


class ShortOU(GaussianProcess):
    """dX = ½(μ − X)dt + ½ dW on [0, 1]: 37 % of the variance of the data is left at T."""

    horizon = 1.0
    centre = (0.5, -1.0)

    def log_alpha(self, t):
        return -0.5 * t

    def variance(self, t):
        return -0.25 * torch.expm1(-t)


PROCESSES = {
    "edm": EDM(),
    "edm-2": EDM(sigma_max=2.0),
    "vp": ReferenceVP(),
    "ve": ReferenceVE(),
    "ou-short": ShortOU(),
    "straight": Straight(),
}


def start(model, n=32):
    return model.process.prior((n, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)


def denoised(z, ratio):
    """A smooth function of z = x/α and σ/α, in the place of x̂_0, for arrays and numbers."""
    turned = z @ np.array([[0.6, -0.8], [0.8, 0.6]])
    return np.tanh(turned / (1 + 0.5 * ratio)) + 0.3 * np.cos(np.log(ratio)) * np.ones_like(z)


class Formula(ScoreModel):
    """x̂_0 = denoised(x/α, σ/α)."""

    kind = "x0"

    def __init__(self, process):
        self.process, self.shape = process, (2,)

    def forward(self, x, at):
        return torch.from_numpy(denoised((x / at.alpha).numpy(), at.sigma / at.alpha))


class Kept(Generator):
    """A generator that keeps what it deals."""

    def __init__(self, seed):
        super().__init__(seed)
        self.dealt = []

    def normal(self, like):
        self.dealt.append(super().normal(like))
        return self.dealt[-1]
