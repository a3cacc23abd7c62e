r"""The solver, in the frame y = (x − μ)/α and r = σ/α, in which every Gaussian process is y = x_0 + r ε.

A reverse-time SDE that keeps these marginals has one free function, its noise scale φ(r), with φ(r)/r growing. From r_t
to a smaller r_s its exact solution is

    y_s = ρ y_t + φ(r_s) ∫ x̂_0(r) φ'(r)/φ(r)² dr + √(r_s² − ρ² r_t²) z,    ρ = φ(r_s)/φ(r_t),

with r from r_s to r_t. φ = r is the probability flow, without noise, and φ = r² the reverse SDE of the process.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from difrun.model import ScoreModel
from difrun.randomness import Generator
from difrun.sampler import Sampler
from torch import Tensor
from typing_extensions import override

GROWTH: dict[str, Callable[[Any], Any]] = {
    "ode": lambda r: 1.0 + 0.0 * r,
    "sde": lambda r: r,
    "er": lambda r: np.exp(np.minimum(r, 1e9) ** 0.3) + 10,
}
"""Noise -> φ(r)/r. Beyond r = 1e9, where nothing of the data can be told from noise, growth of "er" is cut off."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(32)
"""Gauss–Legendre quadrature on [−1, 1]."""


class ErSde(Sampler):
    r"""ER-SDE solver of one or two stages of Taylor expansion (Cui et al., 2023).

    With x̂_0 held at its value D at r_t the exact solution is y_s = ρ y_t + (1 − ρ) D + noise. If D' is the slope of x̂_0
    in r through the last two evaluations, integration by parts adds

        (r_s − r_t + φ(r_s) ∫ dr/φ(r)) D',    r from r_s to r_t.

    Without noise (φ = r) the solver has order 2, and order 1 if it is not `corrected`, which is DDIM. With noise the
    weak order is 1: the difference of two evaluations has the noise of a step in it. One network evaluation per step.

    Args:
        noise: The noise scale.
        corrected: Whether the slope is used.

    References:
        Cui et al. (2023), arXiv 2309.06169, eq. 11–14 and Algorithm 2; "er" is their ER SDE 5.
    """

    def __init__(self, *, noise: Literal["er", "sde", "ode"] = "er", corrected: bool = True):
        self.growth, self.corrected = GROWTH[noise], corrected
        self.stochastic = noise != "ode"
        self.order = 2 if corrected and not self.stochastic else 1

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        x0 = model.predict(x, at, "x0")
        r = math.inf if at.alpha == 0 else at.sigma / at.alpha
        end = to.sigma / to.alpha
        # ρ y_t α_s = keep · x_t, also where α_t = 0 and r_t is infinite.
        shrink = self._growth_ratio(end, r)
        keep = to.sigma / at.sigma * shrink
        share = 0.0 if r == math.inf else end / r * shrink
        moved = keep * x + to.alpha * (1 - share) * x0
        if self.corrected and state is not None:
            last_x0, last_r = state
            if last_r < math.inf:
                weight = end - r + self._integral(end, r)
                moved = torch.add(moved, (last_x0 - x0) / (last_r - r), alpha=to.alpha * weight)
        if self.stochastic:
            moved = torch.add(moved, generator.normal(x), alpha=to.sigma * math.sqrt(max(0.0, 1 - shrink**2)))
        return moved, (x0, r)

    def _growth_ratio(self, end: float, r: float) -> float:
        """φ(r_s)/r_s over φ(r_t)/r_t, the share of the noise that is kept, from 0 to 1."""
        if r == math.inf and self.stochastic:
            return 0.0
        return float(self.growth(end) / self.growth(min(r, 1e12)))

    def _integral(self, end: float, r: float) -> float:
        """φ(r_s) ∫ dr/φ(r) from r_s to r_t, by quadrature in log r, in which the integrand is r/φ(r)."""
        half = 0.5 * math.log(r / end)
        points = np.exp(math.log(end) + half * (1 + NODES))
        return end * float(half * np.sum(WEIGHTS * self.growth(end) / self.growth(points)))
