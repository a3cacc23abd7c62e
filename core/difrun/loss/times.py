r"""Distributions of the training time t, each given by its quantile function: t = Q(u), u uniform on [0, 1).

u runs through an additive recurrence, u_i = frac(u_0 + i·φ) with the golden ratio φ. Any consecutive terms of it are
evenly spaced. A mini-batch cut anywhere from a long draw is therefore stratified over time, which lowers the variance
of its loss (in the spirit of Kingma et al., 2021, arXiv 2107.00630, app. I.1).
"""

import math

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator

GOLDEN = (math.sqrt(5) - 1) / 2


class TimeDistribution:
    """A distribution of t on [t_min, T]."""

    def quantile(self, process: GaussianProcess, u: Tensor) -> Tensor:
        """Return the quantiles Q(u).

        Args:
            process: The process, whose t_min and T bound the times.
            u: Numbers in [0, 1], (n,), float64.

        Returns:
            The times, (n,), float64.
        """
        raise NotImplementedError

    def sample(self, process: GaussianProcess, like: Tensor, generator: Generator) -> Tensor:
        """Draw a time for each example.

        The quantiles are computed on the CPU in float64, which some devices do not have.

        Args:
            process: The process.
            like: The examples (n, ...), whose dtype and device the times get.
            generator: The source of random numbers.

        Returns:
            The times, (n,).
        """
        start = generator.uniform(torch.zeros(1, dtype=like.dtype)).double()
        u = torch.frac(start + GOLDEN * torch.arange(len(like), dtype=torch.float64))
        return self.quantile(process, u).to(like.dtype).to(like.device)


@attrs.frozen
class Uniform(TimeDistribution):
    """A time t uniform on [t_min, T]."""

    @override
    def quantile(self, process: GaussianProcess, u: Tensor) -> Tensor:
        return process.t_min + (process.horizon - process.t_min) * u


@attrs.frozen
class LogSNR(TimeDistribution):
    """A log-SNR λ = log(α/σ) uniform over the process: every factor of noise gets the same share."""

    @override
    def quantile(self, process: GaussianProcess, u: Tensor) -> Tensor:
        low, high = process.lam_range
        return process.time_near(high - (high - low) * u)


@attrs.frozen
class LogNormal(TimeDistribution):
    """A noise level ln(σ/α) ~ N(mean, std²), cut to the range of the process.

    Raises:
        DifrunError: If less than a millionth of the distribution lies in that range.

    References:
        Karras et al. (2022), arXiv 2206.00364, table 1.
    """

    mean: float = -1.2
    std: float = 1.2

    @override
    def quantile(self, process: GaussianProcess, u: Tensor) -> Tensor:
        low, high = process.lam_range
        return process.time_near(-_cut_normal(u, self.mean, self.std, -high, -low, "ln(σ/α)"))


@attrs.frozen
class LogitNormal(TimeDistribution):
    """A time with logit(t/T) ~ N(mean, std²), cut to [t_min, T].

    Raises:
        DifrunError: If less than a millionth of the distribution lies in that range.

    References:
        Esser et al. (2024), arXiv 2403.03206, sec. 3.1.
    """

    mean: float = 0.0
    std: float = 1.0

    @override
    def quantile(self, process: GaussianProcess, u: Tensor) -> Tensor:
        first = process.t_min / process.horizon
        low = math.log(first / (1 - first))
        logit = _cut_normal(u, self.mean, self.std, low, math.inf, "logit(t/T)")
        return process.horizon * torch.sigmoid(logit).clamp(first, 1.0)


TIME_DISTRIBUTIONS: dict[str, type[TimeDistribution]] = {
    "uniform": Uniform,
    "log-snr": LogSNR,
    "log-normal": LogNormal,
    "logit-normal": LogitNormal,
}
"""The distributions by name."""


def _cut_normal(u: Tensor, mean: float, std: float, low: float, high: float, variable: str) -> Tensor:
    """Quantiles of N(mean, std²) given that it lies in [low, high]."""
    start, end = (0.5 * math.erfc((mean - x) / std / math.sqrt(2)) for x in (low, high))
    if end - start < 1e-6:
        raise DifrunError(
            f"the training times, normal in {variable} with mean {mean:g} and standard deviation {std:g}, miss the "
            f"range of the process, where {variable} runs from {low:.3g} to {high:.3g}. Choose a mean in that range."
        )
    normal = torch.special.ndtri((start + (end - start) * u).clamp(1e-12, 1 - 1e-12))
    return (mean + std * normal).clamp(low, high)
