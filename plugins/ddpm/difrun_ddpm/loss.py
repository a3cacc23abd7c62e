r"""The simple loss of DDPM, and the variational bound that it simplifies."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.loss import LogSNR, Regression, TimeDistribution, Uniform, uniform
from difrun.process import GaussianProcess
from difrun_ddpm.options import NoiseOptions, Times
from difrun_ddpm.process import DDPM


class SimpleTimes(TimeDistribution):
    """Uniform times: n of 1 ... N on the chain, t on [t_min, T] on other processes."""

    @override
    def quantile(self, process: GaussianProcess, u: Tensor) -> Tensor:
        if isinstance(process, DDPM):
            return (process.steps * u).floor().clamp_max(process.steps - 1) + 1
        return Uniform().quantile(process, u)


class BoundTimes(TimeDistribution):
    """The times of `vlb`.

    On the chain n of 2 ... N has the probability `bound_distribution`. On other processes λ is uniform over its range.
    """

    @override
    def quantile(self, process: GaussianProcess, u: Tensor) -> Tensor:
        if not isinstance(process, DDPM):
            return LogSNR().quantile(process, u)
        below = bound_distribution(process).cumsum(0)
        return (torch.searchsorted(below, u, right=True) + 2).clamp_max(process.steps).double()


def bound_distribution(process: DDPM) -> Tensor:
    r"""The probabilities with which `vlb` draws a step n of the chain.

        p_n ∝ h_n + ½(SNR_{n−1} − SNR_n)/(1 + SNR_n),    h_n = λ_{n−1} − λ_n.

    h_n is the length of the step. The other part is the term that data N(0, 1) would have; it keeps the variance of the
    bound finite where a short chain takes steps that are long in λ.

    Returns:
        p_n for n = 2 ... N, with shape (N − 1,).

    Raises:
        DifrunError: If N = 1, or the chain ends in pure noise, where the bound has no finite form in ε̂.
    """
    if process.steps < 2:
        raise DifrunError("loss 'vlb' needs a chain of at least 2 steps; --process.steps is 1.")
    if process.at(process.horizon).alpha == 0:
        raise DifrunError(
            "loss 'vlb' is written in terms of the noise, which says nothing about data at the end of a chain with "
            "zero terminal SNR. Take loss edm, x0 or noise."
        )
    lam = process.log_snrs[1:]
    h = lam[:-1] - lam[1:]
    share = h + 0.5 * torch.expm1(2 * h) * torch.sigmoid(2 * lam[1:])
    return share / share.sum()


def bound_weight(at: Any, data_std: float) -> Any:
    r"""The weight of ‖ε̂ − ε‖² in the bound, divided by the density of `BoundTimes`.

    It is ½(SNR_{n−1}/SNR_n − 1)/p_n on the chain, and λ(t_min) − λ(T) in continuous time.
    """
    process = at.schedule
    if not isinstance(process, DDPM):
        low, high = process.lam_range
        return high - low
    lam = process.log_snrs
    n = at.t.round().long().cpu()
    weight = 0.5 * torch.expm1(2 * (lam[n - 1] - lam[n])) / bound_distribution(process)[n - 2]
    return weight.to(at.t.dtype).to(at.t.device)


def noise(*, times: Times = "uniform") -> Regression:
    r"""The simple loss of DDPM, E_t E ‖ε_θ(x_t, t) − ε‖²/d.

    Args:
        times: The distribution of t. "uniform" is n = 1 ... N on the chain `ddpm`, and t on [t_min, T] on any other
            process. "log-snr" is uniform in log(α/σ) from t_min to T, and trains small noise more.

    Raises:
        ValueError: If `times` is unknown.

    References:
        Ho et al. (2020), arXiv 2006.11239, eq. 14.
    """
    NoiseOptions(times=times)  # refuses an unknown distribution
    distributions: dict[str, TimeDistribution] = {"uniform": SimpleTimes(), "log-snr": LogSNR()}
    return Regression("noise", uniform, distributions[times])


def vlb() -> Regression:
    r"""The variational bound on −log p(x_0), in nats per coordinate, without reconstruction and prior terms.

    On the chain, for a reverse kernel with the variance of the posterior,

        L = Σ_{n=2}^N KL(q(x_{n−1} | x_n, x_0) ‖ p_θ(x_{n−1} | x_n)) = Σ_{n=2}^N ½(SNR_{n−1} − SNR_n) E‖x_0 − x̂_0‖²,

    where SNR = α²/σ² and SNR_n ‖x_0 − x̂_0‖² = ‖ε̂ − ε‖². On any other process it is the limit of infinitely many steps
    from t_min to T (to λ = −5 where a process forgets its data), with λ = log(α/σ):

        L = ½ ∫ (−dSNR/dt) E‖x_0 − x̂_0‖² dt = ∫ E‖ε̂ − ε‖² dλ.

    Each example draws one n with probability p_n (`bound_distribution`; in continuous time λ uniformly), and its term
    is divided by p_n. The expectation is L/d exactly. The weights that remain are nearly equal, so the variance is
    small.

    Two terms are left out: the reconstruction −log p(x_0 | x_1) (−log p(x_0 | x_{t_min}) in continuous time), and
    KL(q(x_T | x_0) ‖ p(x_T)), which does not depend on the network.

    References:
        Ho et al. (2020), arXiv 2006.11239, eq. 5.
        Kingma et al. (2021), arXiv 2107.00630, eq. 13 and, in continuous time, eq. 18, whose γ is −2λ.
    """
    return Regression("noise", bound_weight, BoundTimes())
