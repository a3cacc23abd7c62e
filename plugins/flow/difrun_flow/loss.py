"""The loss of rectified flow."""

from difrun.loss import LogitNormal, Regression, TimeDistribution, Uniform
from difrun_flow.options import FlowLossOptions, Times


def flow(*, times: Times = "uniform", mean: float = 0.0, std: float = 1.0) -> Regression:
    r"""Velocity matching, E_t E ‖u_θ(x_t, t) − (ε − x_0)‖² / d.

    On rectified flow u_θ is the velocity of the probability flow. On any other Gaussian process it is the velocity in
    the straight frame (`difrun.sampler.base`),

        dy/dτ    of    y = x/(α + σ)    against    τ = σ/(α + σ),

    whose target is the same ε − x_0. As an error of x̂_0 it has the weight 1/τ², which is 1/t² on rectified flow. If a
    dataset couples noise with data, each couple stays together.

    Args:
        times: The distribution of t on [t_min, T]: "uniform", or "logit-normal" (logit(t/T) ~ N(mean, std²)).
        mean: The mean of logit(t/T), for logit-normal times.
        std: The standard deviation of logit(t/T), for logit-normal times.

    Raises:
        ValueError: If `times` is unknown, or `mean` or `std` is given for times that do not use it.

    References:
        Liu et al. (2023), arXiv 2209.03003, eq. 1: the loss.
        Esser et al. (2024), arXiv 2403.03206, sec. 3.1: logit-normal times.
    """
    FlowLossOptions(times=times, mean=mean, std=std)  # refuses options that would be ignored
    distributions: dict[str, TimeDistribution] = {
        "uniform": Uniform(),
        "logit-normal": LogitNormal(mean, std),
    }
    return Regression("straight", times=distributions[times])
