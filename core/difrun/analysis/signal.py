"""How much of the data is left at T: whether sampling may start from noise."""

import math
from typing import Any

import attrs
from torch import Tensor

from difrun.process.gaussian import GaussianProcess

LITTLE, MUCH = 0.05, 0.3
"""Correlations between x_0 and x_T: below the first the signal is as good as gone, from the second on the prior,
which has the right mean and variance only, is visibly wrong."""


@attrs.frozen
class Signal:
    r"""What x_T still knows of x_0, for data of standard deviation s (root mean square over coordinates).

    alpha, sigma: of the process at T. snr: α²s²/σ². correlation: αs/√(α²s² + σ²), between x_0 and x_T.
    """

    horizon: float
    alpha: float
    sigma: float
    snr: float
    correlation: float
    prior_mean: str

    @property
    def little(self) -> bool:
        """Whether so little is left that a run need not say so."""
        return self.correlation < LITTLE

    @property
    def much(self) -> bool:
        """Whether so much is left that a reader of the report must know."""
        return self.correlation >= MUCH

    def sentence(self) -> str:
        """The finding in words, and what it means for the prior."""
        left = f"At T = {self.horizon:g} the correlation of x_T with the data is {self.correlation:.2g}"
        prior = f"Sampling starts from the moment-matched prior N({self.prior_mean}, α_T² v + σ_T²)"
        if self.little:
            return f"{left}: nearly all of the signal is gone. {prior}."
        if not self.much:
            return f"{left}: some of the signal is left. {prior}, which has the right mean and variance."
        return (
            f"{left}: much of the signal is left, and the prior does not have the shape of x_T. {prior}; a larger T "
            "(or stronger noise) brings the two closer."
        )


def signal_at_horizon(process: Any, var: Tensor) -> Signal | None:
    """The signal left at T for data of variance `var` per coordinate; None where the process is not Gaussian."""
    if not isinstance(process, GaussianProcess):
        return None
    at = process.at(process.horizon)
    spread = at.alpha * math.sqrt(float(var.double().mean()))
    total = math.hypot(spread, at.sigma)
    mean = "α_T m" if process.centred() is process else "μ + α_T (m − μ)"
    return Signal(process.horizon, at.alpha, at.sigma, (spread / at.sigma) ** 2, spread / total, mean)
