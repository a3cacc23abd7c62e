"""What guidance does to p(x_0 | x_t): the distributions at the sites after their ratios are multiplied."""

from typing import TYPE_CHECKING

from torch import Tensor

from difrun_ising.discrete.schedule import Instant
from difrun_ising.discrete.sites import category_axis, likelihood_quotient

if TYPE_CHECKING:
    from difrun_ising.discrete.process import DiscreteProcess

LARGEST_GAIN = 300.0
"""Largest |log| of the factor of a ratio: p = 0 counts as e^−300."""


def tilt(process: "DiscreteProcess", x: Tensor, p0: Tensor, gain: Tensor, at: Instant) -> Tensor:
    r"""The distribution of x_0 at every site whose ratios at x_t are those of p0 times e^gain.

    With D(k) = q(x_t | x_0 = k), w = p0/D and W = Σ w the ratios are r(k) = α w(k) + (1 − α) π(k) W. Multiplied by
    1 + δ = e^gain, and with c = α + (1 − α) Σ_k π(k), they belong to

        p0'(k) = p0(k) + D(k) [r(k) δ(k) − (1 − α) π(k) Σ_j r(j) δ(j)/c]/α,

    the solution of K linear equations whose matrix is a multiple of the identity plus one of rank one. For a masked
    site it is proportional to p0(k) e^gain. Where this leaves the simplex it is cut to [0, 1] and normalised.

    Args:
        process: The process.
        x: x_t.
        p0: The distributions of x_0, with shape (n, *sites, K).
        gain: The logarithm of the factors, with shape (n, *sites, K).
        at: The instant of t, with α > 0.

    Returns:
        The distributions, with shape (n, *sites, K), float64.
    """
    likelihood = process.likelihood(x, at)
    w = likelihood_quotient(p0, likelihood)
    alpha = category_axis(process.site_alpha(at, w.shape[:-1]))
    pi = process.mixing_distribution(w.shape[-1], w.device)[:-1]
    change = (alpha * w + (1 - alpha) * pi * w.sum(-1, keepdim=True)) * gain.expm1()
    c = alpha + (1 - alpha) * pi.sum()
    return _normalised(
        p0 + likelihood * (change - (1 - alpha) * pi * change.sum(-1, keepdim=True) / c) / alpha
    )


def tilt_cavity(process: "DiscreteProcess", cavity: Tensor, gain: Tensor, at: Instant) -> Tensor:
    r"""The cavity distribution that a heat bath for p_t(x_i | all others, y) needs.

    It is the c' for which α c' + (1 − α) π is proportional to that of the cavity distribution times e^gain. With C the
    cavity distribution, h = α C + (1 − α) π over the categories, c as in `tilt` and Z = 1 + Σ h δ/c it is

        c' = [C + (h δ − (1 − α) π (Z − 1))/α]/Z.

    Args:
        process: The process.
        cavity: The distributions of x_0 at every site given all other sites of x_t, with shape (n, *sites, K).
        gain: The logarithm of the factors, up to a constant per site, with shape (n, *sites, K).
        at: The instant of t, with α > 0.

    Returns:
        The distributions, with shape (n, *sites, K), float64.
    """
    alpha = category_axis(process.site_alpha(at, cavity.shape[:-1]))
    pi = process.mixing_distribution(cavity.shape[-1], cavity.device)[:-1]
    gain = gain - gain.amax(-1, keepdim=True)
    change = (alpha * cavity + (1 - alpha) * pi) * gain.expm1()
    excess = change.sum(-1, keepdim=True) / (alpha + (1 - alpha) * pi.sum())  # Z − 1
    unscaled = cavity + (change - (1 - alpha) * pi * excess) / alpha
    return _normalised(unscaled / (1 + excess).clamp_min(1e-300))


def _normalised(distribution: Tensor) -> Tensor:
    distribution = distribution.clamp_min(0)
    return distribution / distribution.sum(-1, keepdim=True)
