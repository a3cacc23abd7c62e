"""Denoising score matching."""

from difrun.loss import LogNormal, LogSNR, Regression, TimeDistribution, Uniform, score_matching
from difrun_ou.options import ScoreOptions, Times


def score(*, times: Times = "log-snr", p_mean: float = -1.2, p_std: float = 1.2) -> Regression:
    r"""Denoising score matching, with the weight σ².

    For d coordinates the loss is

        E_t E σ_t² ‖s_θ(x_t, t) − ∇ log p(x_t | x_0)‖² / d,    ∇ log p(x_t | x_0) = −ε/σ_t.

    The weight σ² makes every noise level count alike. Without it the loss would diverge as t → 0.

    Args:
        times: The distribution of t on [t_min, T]: "uniform", "log-snr" (uniform in log(α/σ)), or "log-normal"
            (ln(σ/α) ~ N(p_mean, p_std²)).
        p_mean: The mean of ln(σ/α), for log-normal times.
        p_std: The standard deviation of ln(σ/α), for log-normal times.

    Raises:
        ValueError: If `times` is unknown, or `p_mean` or `p_std` is given for times that do not use it.

    References:
        Vincent (2011), Neural Computation 23, 1661: denoising score matching.
        Song and Ermon (2019), arXiv 1907.05600, eq. 6: the weight σ².
    """
    ScoreOptions(times=times, p_mean=p_mean, p_std=p_std)  # refuses options that would be ignored
    distributions: dict[str, TimeDistribution] = {
        "uniform": Uniform(),
        "log-snr": LogSNR(),
        "log-normal": LogNormal(p_mean, p_std),
    }
    return Regression("score", score_matching, distributions[times])
