"""The discrete chain of DDPM, made continuous."""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.process import GaussianProcess
from difrun.process.noise_curve import NoiseCurve
from difrun.process.schedule import LAM_FORGOTTEN
from difrun.process.table_checks import as_table
from difrun_ddpm.options import DDPMOptions

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

    The table is the one that is given, or one of the schedules

        linear:         β_n from β_start to β_end in equal steps
        scaled-linear:  √β_n in equal steps
        cosine:         ᾱ_n = c(n)/c(0), c(n) = cos²(π/2 · (n/N + s)/(1 + s)), s = 0.008, β_n ≤ 0.999

    With `terminal_signal` e, √ᾱ is moved and stretched so that √ᾱ_N = e and √ᾱ_1 stays,

        √ᾱ_n ← e + (√ᾱ_n − √ᾱ_N) (√ᾱ_1 − e)/(√ᾱ_1 − √ᾱ_N).

    Between integers −log ᾱ(t) follows a monotone, twice continuously differentiable curve (`NoiseCurve`), or 1 − √ᾱ
    does where ᾱ_N = 0. It is log(1 + e^−2λ), a form of the log-SNR λ = log(α/σ) that stays finite at t = 0, where x_0
    is the data. The process is therefore the variance-preserving SDE

        dX = −½β(t) X dt + √β(t) dW,    β(t) = −d log ᾱ/dt > 0.

    Its transitions between integers are exactly those of the chain, and every continuous sampler runs on it.

    `DDPM(betas=array)`, `DDPM(alphas_cumprod=array)` and `DDPM(sigmas=array)` take a table made elsewhere: an array, a
    tensor or a sequence. The last β may be 1. σ is σ/α = √(1/ᾱ − 1), the noise on data that are not shrunk, so that a
    table of a process x_0 + σε gives the chain with the same signal-to-noise ratios.

    References:
        Ho et al. (2020), arXiv 2006.11239: the chain; sec. 4 for the linear schedule.
        Rombach et al. (2022), arXiv 2112.10752: the scaled-linear schedule, in their code.
        Nichol and Dhariwal (2021), arXiv 2102.09672, eq. 17: the cosine schedule.
        Lin et al. (2024), arXiv 2305.08891, Algorithm 1: zero terminal SNR, e = 0.
    """

    @property
    @override
    def horizon(self) -> float:  # type: ignore[override]
        return float(self.steps)

    @cached_property
    def variances(self) -> Tensor:
        """The table β_1 ... β_N that the chain has, with shape (N,), float64.

        Raises:
            DifrunError: If the signal of a table cannot be moved to `terminal_signal`.
        """
        return _outside_inference(self._variances)

    @cached_property
    def log_snrs(self) -> Tensor:
        """The half log-SNRs λ_0 = ∞, λ_1, ..., λ_N, with shape (N + 1,), float64."""
        return _outside_inference(lambda: -0.5 * torch.expm1(self._curve.u).log())

    @cached_property
    @override
    def forgets(self) -> bool:
        """Whether nothing of the data is left at N, so that grids need not resolve λ down to its end.

        The cosine table ends in a step of β = 0.999, from λ = −6.5 to −9.9 at N = 1000.
        """
        return self.at(self.horizon).lam < LAM_FORGOTTEN - 1

    @override
    def table_index(self, t: Any) -> Any:
        return t - 1

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return -0.5 * self._curve(t)

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return self._curve.signal(t)

    @override
    def variance(self, t: Tensor) -> Tensor:
        return self._curve.noise_var(t)

    @override
    def _time_at(self, target: Tensor) -> Tensor:
        return self._curve.inverse(torch.logaddexp(torch.zeros_like(target), -2 * target))

    @override
    def advice(self) -> list[str]:
        """A warning for a chain that ends with signal left: √ᾱ_N, the correlation of x_N with data of variance 1."""
        signal = _final_signal(self.variances)
        if signal < SIGNAL_LIMIT:
            return []
        text = (
            f"The chain of {self.steps} steps ends with signal left: √ᾱ_N = {signal:.2f}, the correlation of x_N "
            "with data of variance 1."
        )
        if self._is_given:
            return [f"{text} --process.terminal-signal 0 moves the table so that it ends in noise."]
        if self.rescale:
            return [f"{text} A larger beta_end ends nearer to noise."]
        rescaled = _final_signal((self.variances * (1000 / self.steps)).clamp_max(BETA_LIMIT))
        if rescaled >= signal:
            return [f"{text} More steps, or a larger beta_end, end nearer to noise."]
        return [
            f"{text} --process.rescale multiplies β by 1000/N = {1000 / self.steps:g}, which leaves {rescaled:.2g}."
        ]

    @cached_property
    def _curve(self) -> NoiseCurve:
        """−log ᾱ(t)."""
        steps = -torch.log1p(-self.variances)
        return _outside_inference(lambda: NoiseCurve(torch.cat([torch.zeros(1), steps]).cumsum(0)))

    def _variances(self) -> Tensor:
        betas = self._given() if self._is_given else self._scheduled()
        return betas if self.terminal_signal is None else ending_with(betas, self.terminal_signal)

    @property
    def _is_given(self) -> bool:
        return bool(self.betas or self.alphas_cumprod or self.sigmas)

    def _given(self) -> Tensor:
        if self.sigmas:
            return betas_of_ratios(as_table(self.sigmas, "sigmas"))
        if self.alphas_cumprod:
            return betas_of(as_table(self.alphas_cumprod, "alphas_cumprod"))
        return as_table(self.betas, "betas")

    def _scheduled(self) -> Tensor:
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


def ending_with(betas: Tensor, signal: float) -> Tensor:
    """Return β with √ᾱ moved and stretched so that √ᾱ_N is `signal` and √ᾱ_1 stays.

    Raises:
        DifrunError: If `signal` is not below √ᾱ_1.

    References:
        Lin et al. (2024), arXiv 2305.08891, Algorithm 1.
    """
    roots = (0.5 * torch.log1p(-betas).cumsum(0)).exp()
    first, last = float(roots[0]), float(roots[-1])
    if not signal < first:
        raise DifrunError(f"terminal_signal must be below √ᾱ_1 = {first:g}; got {signal:g}.")
    roots = signal + (roots - last) * ((first - signal) / (first - last))
    roots[0], roots[-1] = first, signal
    later, before = roots[1:], roots[:-1]
    return torch.cat([betas[:1], (before - later) * (before + later) / before**2])


def betas_of(alphas_cumprod: Tensor) -> Tensor:
    """Return β_n = 1 − ᾱ_n/ᾱ_{n−1} of a table, (N,) float64."""
    before = torch.cat([torch.ones(1, dtype=torch.float64), alphas_cumprod[:-1]])
    return (before - alphas_cumprod) / before


def betas_of_ratios(sigmas: Tensor) -> Tensor:
    """Return β_n = (r_n² − r_{n−1}²)/(1 + r_n²) of a table of r = σ/α, (N,) float64."""
    before = torch.cat([torch.zeros(1, dtype=torch.float64), sigmas[:-1]])
    return (sigmas - before) * (sigmas + before) / (1 + sigmas**2)


def _final_signal(betas: Tensor) -> float:
    """√ᾱ_N."""
    return math.exp(0.5 * float(torch.log1p(-betas).sum()))


def _outside_inference(compute: Callable[[], Value]) -> Value:
    """Compute a cached value outside inference mode, whose tensors could not take part in a derivative later."""
    with torch.inference_mode(False):
        return compute()
