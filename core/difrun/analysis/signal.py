"""How much of the data is left at T, where sampling starts from the prior."""

import math

import attrs
from torch import Tensor

from difrun.process.base import ForwardProcess
from difrun.process.gaussian import GaussianProcess

NEGLIGIBLE = 0.05
"""Correlation between x_0 and x_T below which the signal is practically gone."""

LARGE = 0.3
"""Correlation from which on the prior, which has only the right mean and variance, is visibly wrong."""


@attrs.frozen
class Signal:
    r"""The signal that is left in x_T, for data of standard deviation s (root mean square over coordinates).

    Attributes:
        horizon: The time T.
        alpha: α at T.
        sigma: σ at T.
        snr: α²s²/σ².
        correlation: The correlation between x_0 and x_T, αs/√(α²s² + σ²).
        prior_mean: The mean of the moment-matched prior, as a formula.
    """

    horizon: float
    alpha: float
    sigma: float
    snr: float
    correlation: float
    prior_mean: str

    @property
    def is_negligible(self) -> bool:
        """Whether so little is left that a run need not mention it."""
        return self.correlation < NEGLIGIBLE

    @property
    def is_large(self) -> bool:
        """Whether so much is left that the report must mention it."""
        return self.correlation >= LARGE

    def sentence(self) -> str:
        """Describe the signal in words, and what it means for the prior."""
        left = f"At T = {self.horizon:g} the correlation of x_T with the data is {self.correlation:.2g}"
        prior = f"Sampling starts from the moment-matched prior N({self.prior_mean}, α_T² v + σ_T²)"
        if self.is_negligible:
            return f"{left}: nearly all of the signal is gone. {prior}."
        if not self.is_large:
            return f"{left}: some of the signal is left. {prior}, which has the right mean and variance."
        return (
            f"{left}: much of the signal is left, and the prior does not have the shape of x_T. {prior}; a larger T "
            "(or stronger noise) brings the two closer."
        )


def signal_at_horizon(process: ForwardProcess, var: Tensor) -> Signal | None:
    """Return the signal left at T for data of variance `var` per coordinate; None if the process is not Gaussian."""
    if not isinstance(process, GaussianProcess):
        return None
    at = process.at(process.horizon)
    signal_std = at.alpha * math.sqrt(float(var.double().mean()))
    total = math.hypot(signal_std, at.sigma)
    mean = "α_T m" if process.centred() is process else "μ + α_T (m − μ)"
    return Signal(process.horizon, at.alpha, at.sigma, (signal_std / at.sigma) ** 2, signal_std / total, mean)
