"""The marginal-preserving SDE, in steps that are regular at both ends of time."""

import math
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.model import ScoreModel, data_angle
from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_flow.options import SDEOptions


class MarginalSDE(SDEOptions, Sampler):
    r"""The reversals of dx = f x dt + g dw that keep the marginals, in the frame of the data's moments.

    For every a ≥ ½ the process run backward in time by

        dx = [−f x + a g² ∇ log p_t] d(−t) + g √(2a − 1) dw̄

    has the marginals p_t. On rectified flow f and g² are infinite at T. Let m and σ_d be the mean and standard
    deviation of the data, S² = α²σ_d² + σ², tan φ = σ/(ασ_d), and

        w = (x − α m)/S,    F = sin φ · (x̂_0 − m)/σ_d − cos φ · ε̂,

    where F is what a network with `edm` preconditioning predicts. As g² dt = 2 tan φ S² dφ, the same SDE is

        dw = [2a F − (2a − 1) tan φ · w] d(−φ) + √(2(2a − 1) tan φ) dw̄,

    regular from φ = π/2 (λ = −∞) to 0 (σ = 0). For a constant F its solution is the step

        w_s = r w + 2a F J + √(1 − r²) z,
        r = (cos φ_t/cos φ_s)^{2a−1},    J = ∫ (cos φ/cos φ_s)^{2a−1} dφ from φ_s to φ_t,

    with J by Simpson's rule.

    For Gaussian data of variance σ_d², F is 0 and a step of any length is exact for every a. A step with constant x̂_0
    (`ancestral`) gives samples of too small a variance instead. It works on every Gaussian process. The order is 1
    (weak if a > ½), with one network evaluation per step.

    References:
        Song et al. (2021), arXiv 2011.13456, app. D: the probability-flow ODE.
        Karras et al. (2022), arXiv 2206.00364, eq. 6: the family of reversals.
    """

    ends_at_data = True
    order = 1

    @property
    @override
    def stochastic(self) -> bool:  # type: ignore[override]
        return self.a > 0.5

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        std, mean = model.data_std, torch.as_tensor(model.mean).to(x)
        phi, end = (data_angle(instant, std) for instant in (at, to))
        w = (x - at.alpha * mean) / math.hypot(at.alpha * std, at.sigma)
        # x̂_0 = m + σ_d (cos φ · w + sin φ · F)
        slope = ((model.predict(x, at, "x0") - mean) / std - math.cos(phi) * w) / math.sin(phi)

        def ratio(angle: float) -> float:
            return max(0.0, math.cos(angle) / math.cos(end)) ** (2 * self.a - 1)

        r = ratio(phi) if at.alpha > 0 or not self.stochastic else 0.0
        length = (phi - end) / 6 * (r + 4 * ratio((phi + end) / 2) + 1)
        w = r * w + 2 * self.a * length * slope
        if self.stochastic:
            w = w + (1 - r**2) ** 0.5 * generator.normal(x)
        return to.alpha * mean + math.hypot(to.alpha * std, to.sigma) * w, None
