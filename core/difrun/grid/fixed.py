r"""Time grids that depend on the process alone. The index k runs from 0 (t = T) to n (t = t_min)."""

import math

from difrun.grid.base import check, fractions, from_lam
from difrun.process.base import ForwardProcess
from difrun.process.gaussian import GaussianProcess


def linear(process: ForwardProcess, steps: int) -> list[float]:
    """Space t_k equally."""
    span = process.horizon - process.t_min
    times = [process.horizon - span * u for u in fractions(steps)]
    return check([*times[:-1], process.t_min], process, steps)


def cosine(process: ForwardProcess, steps: int) -> list[float]:
    """Shrink the steps towards the data, quadratically at the end.

    t_k = t_min + (T − t_min)(1 − sin(πk/2n))
    """
    span = process.horizon - process.t_min
    times = [process.t_min + span * (1 - math.sin(math.pi / 2 * u)) for u in fractions(steps)]
    return check([process.horizon, *times[1:-1], process.t_min], process, steps)


def quadratic(process: ForwardProcess, steps: int) -> list[float]:
    """Space √t_k equally, so that t_k is quadratic in k.

    References:
        Song et al. (2021), arXiv 2010.02502, app. D.2.
    """
    first, last = math.sqrt(process.horizon), math.sqrt(process.t_min)
    times = [(first + (last - first) * u) ** 2 for u in fractions(steps)]
    return check([process.horizon, *times[1:-1], process.t_min], process, steps)


def rho(process: GaussianProcess, steps: int, *, rho: float = 7.0) -> list[float]:
    """Space (σ/α)^{1/ρ} equally; ρ = 7 favours small noise.

    References:
        Karras et al. (2022), arXiv 2206.00364, eq. 5.
    """
    low, high = (math.exp(-lam / rho) for lam in reversed(process.lam_range))
    lam = [-rho * math.log(high + (low - high) * u) for u in fractions(steps)]
    return check(from_lam(process, lam), process, steps)


def logsnr(process: GaussianProcess, steps: int) -> list[float]:
    """Space λ_k = log(α/σ) equally: each step divides σ/α by the same factor."""
    low, high = process.lam_range
    return check(from_lam(process, [low + (high - low) * u for u in fractions(steps)]), process, steps)
