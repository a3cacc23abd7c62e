"""The processes of the plugin: Ornstein–Uhlenbeck, variance preserving, variance exploding."""

import math

import torch
from torch import Tensor

from difrun.process import GaussianProcess
from difrun_ou.options import OUOptions, VEOptions, VPOptions


class OrnsteinUhlenbeck(GaussianProcess, OUOptions):
    r"""Ornstein–Uhlenbeck process, dX = θ(μ − X)dt + σ dW.

    In coordinates centred on μ its transition kernel is x_t = α x_0 + s ε with

        α(t) = exp(−θt),    s(t)² = σ²/(2θ) · (1 − exp(−2θt)),

    the exact solution of the linear SDE (Uhlenbeck and Ornstein, 1930; Särkkä and Solin, 2019, sec. 5.5, for linear
    SDEs in general). θ = 1, σ = √(2D) is diffusion with constant D in the potential x²/2.
    """

    @property
    def centre(self) -> float | tuple[float, ...]:  # type: ignore[override]
        return self.mu

    def log_alpha(self, t: Tensor) -> Tensor:
        return -self.theta * t

    def variance(self, t: Tensor) -> Tensor:
        # expm1 keeps the relative error near t = 0, where 1 − exp(−2θt) would cancel.
        return -(self.sigma**2) / (2 * self.theta) * torch.expm1(-2 * self.theta * t)


class VariancePreserving(GaussianProcess, VPOptions):
    r"""Variance-preserving diffusion, dX = −½β(t) X dt + √β(t) dW, so that α² + σ² = 1.

    linear:  β(t) = β_min + (β_max − β_min) t on [0, 1], log α = −¼ t²(β_max − β_min) − ½ t β_min
             (Song et al., 2021, arXiv 2011.13456, eq. 32–33).
    cosine:  α(t) = cos(π/2 · (t + s)/(1 + s)) / cos(π/2 · s/(1 + s)), s = 0.008, t up to 0.9946, where λ = −4.78
             (Nichol and Dhariwal, 2021, arXiv 2102.09672, eq. 17, whose ᾱ is α²; they clip β instead).
    """

    @property
    def horizon(self) -> float:  # type: ignore[override]
        return 1.0 if self.schedule == "linear" else 0.9946

    def log_alpha(self, t: Tensor) -> Tensor:
        if self.schedule == "linear":
            return -0.25 * t**2 * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min
        start = math.pi / 2 * _COSINE_OFFSET / (1 + _COSINE_OFFSET)
        # cos(a + b)/cos(a) = cos b − tan a · sin b; log1p keeps the relative error near t = 0.
        angle = math.pi / 2 * t / (1 + _COSINE_OFFSET)
        return torch.log1p(-2 * torch.sin(angle / 2) ** 2 - math.tan(start) * torch.sin(angle))

    def variance(self, t: Tensor) -> Tensor:
        return -torch.expm1(2 * self.log_alpha(t))


_COSINE_OFFSET = 0.008


class VarianceExploding(GaussianProcess, VEOptions):
    r"""Variance-exploding diffusion: scaled Brownian motion dX = g(t) dW, α = 1.

        σ(t)² = σ_min² [(σ_max/σ_min)^{2t} − 1],    g(t)² = dσ²/dt,    t in [0, 1],

    the geometric growth of Song et al. (2021, arXiv 2011.13456, eq. 30) with the noise σ_min² that they start from
    taken off, so that x_0 at t = 0 is the data.
    """

    horizon = 1.0

    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def variance(self, t: Tensor) -> Tensor:
        return self.sigma_min**2 * torch.expm1(2 * math.log(self.sigma_max / self.sigma_min) * t)
