"""The processes of the plugin: Ornstein–Uhlenbeck, variance preserving, variance exploding."""

import math

import torch
from torch import Tensor
from typing_extensions import override

from difrun.process import GaussianProcess
from difrun_ou.options import OUOptions, VEOptions, VPOptions


class OrnsteinUhlenbeck(GaussianProcess, OUOptions):
    r"""Ornstein–Uhlenbeck process, dX = θ(μ − X)dt + σ dW.

    In coordinates centred on μ its transition kernel is x_t = α x_0 + s ε with

        α(t) = exp(−θt),    s(t)² = σ²/(2θ) · (1 − exp(−2θt)),

    the exact solution of the linear SDE. θ = 1 and σ = √(2D) is diffusion with constant D in the potential x²/2.

    References:
        Uhlenbeck and Ornstein (1930), Phys. Rev. 36, 823.
        Särkkä and Solin (2019), Applied Stochastic Differential Equations, sec. 5.5, for linear SDEs in general.
    """

    @property
    @override
    def centre(self) -> float | tuple[float, ...]:  # type: ignore[override]
        return self.mu

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return -self.theta * t

    @override
    def variance(self, t: Tensor) -> Tensor:
        # expm1 keeps the relative error near t = 0, where 1 − exp(−2θt) would cancel.
        return -(self.sigma**2) / (2 * self.theta) * torch.expm1(-2 * self.theta * t)


_COSINE_OFFSET = 0.008


class VariancePreserving(GaussianProcess, VPOptions):
    r"""Variance-preserving diffusion, dX = −½β(t) X dt + √β(t) dW.

    Its marginals satisfy α² + σ² = 1. The linear schedule, on t in [0, 1], is

        β(t) = β_min + (β_max − β_min) t,
        log α = −¼ t²(β_max − β_min) − ½ t β_min.

    The cosine schedule is

        α(t) = cos(π/2 · (t + s)/(1 + s)) / cos(π/2 · s/(1 + s)),    s = 0.008.

    It ends at t = 0.9946, where λ = −4.78. The paper clips β instead; its ᾱ is α².

    References:
        Song et al. (2021), arXiv 2011.13456, eq. 32–33: the linear schedule.
        Nichol and Dhariwal (2021), arXiv 2102.09672, eq. 17: the cosine schedule.
    """

    @property
    @override
    def horizon(self) -> float:  # type: ignore[override]
        return 1.0 if self.schedule == "linear" else 0.9946

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        if self.schedule == "linear":
            return -0.25 * t**2 * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min
        start = math.pi / 2 * _COSINE_OFFSET / (1 + _COSINE_OFFSET)
        # cos(a + b)/cos(a) = cos b − tan a · sin b; log1p keeps the relative error near t = 0.
        angle = math.pi / 2 * t / (1 + _COSINE_OFFSET)
        return torch.log1p(-2 * torch.sin(angle / 2) ** 2 - math.tan(start) * torch.sin(angle))

    @override
    def variance(self, t: Tensor) -> Tensor:
        return -torch.expm1(2 * self.log_alpha(t))


class VarianceExploding(GaussianProcess, VEOptions):
    r"""Variance-exploding diffusion: scaled Brownian motion, dX = g(t) dW.

    With α = 1 and t in [0, 1],

        σ(t)² = σ_min² [(σ_max/σ_min)^{2t} − 1],    g(t)² = dσ²/dt.

    The original starts from the noise σ_min² at t = 0. Here that noise is subtracted, so that x_0 is the data.

    References:
        Song et al. (2021), arXiv 2011.13456, eq. 30.
    """

    horizon = 1.0

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    @override
    def variance(self, t: Tensor) -> Tensor:
        return self.sigma_min**2 * torch.expm1(2 * math.log(self.sigma_max / self.sigma_min) * t)
