"""Denoising score matching."""

from difrun.loss import LogNormal, LogSNR, Regression, TimeDistribution, Uniform
from difrun.loss.base import score_matching
from difrun_ou.options import ScoreOptions, Times


def score(*, times: Times = "log-snr", p_mean: float = -1.2, p_std: float = 1.2) -> Regression:
    r"""Denoising score matching, E_t E σ_t² ‖s_θ(x_t, t) − ∇ log p(x_t | x_0)‖² / d.

    The target is −ε/σ_t (Vincent, 2011); the weight σ² makes every noise level count alike (Song and Ermon, 2019,
    arXiv 1907.05600, eq. 6), where the unweighted loss would diverge as t → 0. `times` is the distribution of t on
    [t_min, T]: "uniform", "log-snr" (uniform in log(α/σ)) or "log-normal" (ln(σ/α) ~ N(p_mean, p_std²)).
    Raises ValueError for another, and for p_mean or p_std beside times that do not use them.
    """
    ScoreOptions(times=times, p_mean=p_mean, p_std=p_std)  # refuses what would be ignored
    distributions: dict[str, TimeDistribution] = {
        "uniform": Uniform(),
        "log-snr": LogSNR(),
        "log-normal": LogNormal(p_mean, p_std),
    }
    return Regression("score", score_matching, distributions[times])
