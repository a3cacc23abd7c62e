"""The discrete chain of DDPM, made continuous."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from difrun.process import GaussianProcess
from difrun.process.schedule import LAM_FORGOTTEN
from difrun_ddpm.options import DDPMOptions
from difrun_ddpm.spline import MonotoneSpline

Value = TypeVar("Value")

BETA_LIMIT = 0.999
"""The largest β, so that no step forgets everything (Nichol and Dhariwal, 2021, sec. 3.2)."""

SIGNAL_LIMIT = 0.1
"""The value of √ᾱ_N from which on a chain counts as ending too early."""

_COSINE_OFFSET = 0.008


class DDPM(GaussianProcess, DDPMOptions):
    r"""The chain of DDPM, x_n = √(1 − β_n) x_{n−1} + √β_n ε for n = 1 ... N, made continuous in time.

    With ᾱ_n = ∏_{m ≤ n} (1 − β_m) and ᾱ_0 = 1, at integer times t = n,

        α(n)² = ᾱ_n,    σ(n)² = 1 − ᾱ_n,    T = N.

    The schedules are

        linear:         β_n from β_start to β_end in equal steps
        scaled-linear:  √β_n in equal steps
        cosine:         ᾱ_n = c(n)/c(0), c(n) = cos²(π/2 · (n/N + s)/(1 + s)), s = 0.008, β_n ≤ 0.999

    Between integers −log ᾱ(t) follows a monotone, twice continuously differentiable curve (`MonotoneSpline`). It is
    log(1 + e^−2λ), a form of the log-SNR λ = log(α/σ) that stays finite at t = 0, where x_0 is the data. The process
    is therefore the variance-preserving SDE

        dX = −½β(t) X dt + √β(t) dW,    β(t) = −d log ᾱ/dt > 0.

    Its transitions between integers are exactly those of the chain, and every continuous sampler runs on it.

    References:
        Ho et al. (2020), arXiv 2006.11239: the chain; sec. 4 for the linear schedule.
        Rombach et al. (2022), arXiv 2112.10752: the scaled-linear schedule, in their code.
        Nichol and Dhariwal (2021), arXiv 2102.09672, eq. 17: the cosine schedule.
    """

    @property
    @override
    def horizon(self) -> float:  # type: ignore[override]
        return float(self.steps)

    @cached_property
    def betas(self) -> Tensor:
        """The table β_1 ... β_N, with shape (N,), float64."""
        return _outside_inference(self._betas)

    @cached_property
    def log_snrs(self) -> Tensor:
        """The half log-SNRs λ_0 = ∞, λ_1, ..., λ_N, with shape (N + 1,), float64."""
        return _outside_inference(lambda: -0.5 * torch.expm1(self._curve.y).log())

    @cached_property
    @override
    def forgets(self) -> bool:
        """Whether nothing of the data is left at N, so that grids need not resolve λ down to its end.

        The cosine table ends in a step of β = 0.999, from λ = −6.5 to −9.9 at N = 1000.
        """
        return self.at(self.horizon).lam < LAM_FORGOTTEN - 1

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * self._curve(t)

    @override
    def variance(self, t: Tensor) -> Tensor:
        # expm1 keeps the relative error near t = 0, where 1 − ᾱ would cancel.
        return -torch.expm1(-self._curve(t))

    @override
    def _time_at(self, target: Tensor) -> Tensor:
        return self._curve.inverse(torch.logaddexp(torch.zeros_like(target), -2 * target))

    @override
    def advice(self) -> list[str]:
        """A warning for a chain that ends with signal left: √ᾱ_N, the correlation of x_N with data of variance 1."""
        signal = _final_signal(self.betas)
        if signal < SIGNAL_LIMIT:
            return []
        text = (
            f"The chain of {self.steps} steps ends with signal left: √ᾱ_N = {signal:.2f}, the correlation of x_N "
            "with data of variance 1."
        )
        if self.rescale:
            return [f"{text} A larger beta_end ends nearer to noise."]
        rescaled = _final_signal((self.betas * (1000 / self.steps)).clamp_max(BETA_LIMIT))
        if rescaled >= signal:
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


def _final_signal(betas: Tensor) -> float:
    """√ᾱ_N."""
    return math.exp(0.5 * float(torch.log1p(-betas).sum()))


def _outside_inference(compute: Callable[[], Value]) -> Value:
    """Compute a cached value outside inference mode, whose tensors could not take part in a derivative later."""
    with torch.inference_mode(False):
        return compute()
