"""The discrete chain of DDPM, made continuous."""

import math
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from difrun.process import GaussianProcess
from difrun.process.schedule import LAM_FORGOTTEN
from difrun_ddpm.options import DDPMOptions
from difrun_ddpm.spline import MonotoneSpline

BETA_LIMIT = 0.999
"""Largest β, so that no step forgets everything (Nichol and Dhariwal, 2021, sec. 3.2)."""

SIGNAL_LIMIT = 0.1
"""√ᾱ_N from which a chain counts as ended too early."""

_COSINE_OFFSET = 0.008


class DDPM(GaussianProcess, DDPMOptions):
    r"""The chain of DDPM, x_n = √(1 − β_n) x_{n−1} + √β_n ε, for n = 1 ... N (Ho et al., 2020, arXiv 2006.11239).

    With ᾱ_n = ∏_{m ≤ n} (1 − β_m) and ᾱ_0 = 1, at integer times t = n

        α(n)² = ᾱ_n,    σ(n)² = 1 − ᾱ_n,    T = N.

    linear:         β_n from β_start to β_end in equal steps (their sec. 4).
    scaled-linear:  √β_n in equal steps (Rombach et al., 2022, arXiv 2112.10752, in their code).
    cosine:         ᾱ_n = c(n)/c(0), c(n) = cos²(π/2 · (n/N + s)/(1 + s)), s = 0.008, β_n ≤ 0.999
                    (Nichol and Dhariwal, 2021, arXiv 2102.09672, eq. 17).

    Between integers −log ᾱ(t) follows a monotone, twice continuously differentiable curve (`MonotoneSpline`). It is
    log(1 + e^−2λ): the log-SNR λ = log(α/σ), in a form that stays finite at t = 0, where x_0 is the data. The process
    is therefore the variance-preserving SDE dX = −½β(t) X dt + √β(t) dW with β(t) = −d log ᾱ/dt > 0. Its transitions
    between integers are exactly those of the chain, and every continuous sampler runs on it.
    """

    @property
    def horizon(self) -> float:  # type: ignore[override]
        return float(self.steps)

    @cached_property
    def betas(self) -> Tensor:
        """β_1 ... β_N, float64, of shape (N,)."""
        return _outside_inference(self._betas)

    @cached_property
    def log_snrs(self) -> Tensor:
        """λ_0 ... λ_N, float64, of shape (N + 1,); λ_0 = ∞."""
        return _outside_inference(lambda: -0.5 * torch.expm1(self._curve.y).log())

    @cached_property
    def forgets(self) -> bool:
        """Whether nothing of the data is left at N, so that grids need not resolve λ down to there.

        The cosine table ends in a step of β = 0.999, from λ = −6.5 to −9.9 at N = 1000.
        """
        return self.at(self.horizon).lam < LAM_FORGOTTEN - 1

    def log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * self._curve(t)

    def variance(self, t: Tensor) -> Tensor:
        # expm1 keeps the relative error near t = 0, where 1 − ᾱ would cancel.
        return -torch.expm1(-self._curve(t))

    def _time_at(self, target: Tensor) -> Tensor:
        return self._curve.inverse(torch.logaddexp(torch.zeros_like(target), -2 * target))

    def advice(self) -> list[str]:
        """A warning where the chain ends with signal left: √ᾱ_N, the correlation of x_N with data of variance 1."""
        left = _left(self.betas)
        if left < SIGNAL_LIMIT:
            return []
        text = (
            f"The chain of {self.steps} steps ends with signal left: √ᾱ_N = {left:.2f}, the correlation of x_N "
            "with data of variance 1."
        )
        if self.rescale:
            return [f"{text} A larger beta_end ends nearer to noise."]
        rescaled = _left((self.betas * (1000 / self.steps)).clamp_max(BETA_LIMIT))
        if rescaled >= left:
            return [f"{text} More steps, or a larger beta_end, end nearer to noise."]
        return [
            f"{text} --process.rescale multiplies β by 1000/N = {1000 / self.steps:g}, which leaves {rescaled:.2g}."
        ]

    @cached_property
    def _curve(self) -> MonotoneSpline:
        """−log ᾱ(t)."""
        steps = -torch.log1p(-self.betas)
        return _outside_inference(lambda: MonotoneSpline(torch.cat([torch.zeros(1), steps]).cumsum(0)))

    def _betas(self) -> Tensor:
        n = self.steps
        if self.schedule == "cosine":
            angle = math.pi / 2 / (1 + _COSINE_OFFSET)
            grid = angle * (torch.arange(n + 1, dtype=torch.float64) / n + _COSINE_OFFSET)
            # cos² a − cos² b = sin(b − a) sin(a + b): no cancellation in the first β.
            fall = math.sin(angle / n) * torch.sin(grid[1:] + grid[:-1])
            return (fall / torch.cos(grid[:-1]) ** 2).clamp_max(BETA_LIMIT)
        root = 0.5 if self.schedule == "scaled-linear" else 1.0
        betas = torch.linspace(self.beta_start**root, self.beta_end**root, n, dtype=torch.float64) ** (
            1 / root
        )
        return (betas * (1000 / n)).clamp_max(BETA_LIMIT) if self.rescale else betas


def _left(betas: Tensor) -> float:
    """√ᾱ_N."""
    return math.exp(0.5 * float(torch.log1p(-betas).sum()))


def _outside_inference(make: Any) -> Any:
    """Make what is kept outside inference mode: tensors made in it could not take part in a derivative later."""
    with torch.inference_mode(False):
        return make()
