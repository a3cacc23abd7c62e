"""Losses on x_0, for every Gaussian process: plain or weighted, and min-SNR."""

from difrun.builtin.options import MinSNROptions, Times, Weighting, X0Options
from difrun.loss.base import WEIGHTS, Regression, min_snr
from difrun.loss.times import TIME_DISTRIBUTIONS


def x0(*, weighting: Weighting = "uniform", times: Times = "log-snr") -> Regression:
    r"""The loss E_t w(t) ‖x̂_0 − x_0‖²/d.

    Args:
        weighting: "uniform" (w = 1), "snr" (α²/σ², the plain loss of the noise), "min-snr" (min(α²/σ², 5)) or "edm"
            (α²/σ² + 1/σ_d², with σ_d the standard deviation of the data); see `difrun.loss.base`.
        times: The distribution of t (`difrun.loss.times`), with its default parameters.

    Raises:
        ValueError: If there is no such weighting or distribution.
    """
    X0Options(weighting=weighting, times=times)  # refuses an unknown name
    return Regression("x0", WEIGHTS[weighting], TIME_DISTRIBUTIONS[times]())


def min_snr_loss(*, gamma: float = 5.0, times: Times = "log-snr") -> Regression:
    r"""Min-SNR, E_t min(α²/σ², γ) ‖x̂_0 − x_0‖²/d.

    The paper draws t uniformly from the steps of a variance-preserving schedule (times = "uniform"). The default here
    is uniform in λ = log(α/σ), which means the same on every process. The weight vanishes where α does.

    Raises:
        ValueError: If γ is not positive, or there is no such distribution.

    References:
        Hang et al. (2023), arXiv 2303.09556, eq. 6.
    """
    MinSNROptions(gamma=gamma, times=times)  # refuses other values
    return Regression("x0", min_snr(gamma), TIME_DISTRIBUTIONS[times]())
