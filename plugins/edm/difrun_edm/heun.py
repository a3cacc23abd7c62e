"""The stochastic sampler of Karras et al.: noise is added, and a step of Heun's method removes more than that."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_edm.options import HeunOptions


class ChurnedHeun(HeunOptions, Sampler):
    r"""Heun's method with churn (Karras et al., 2022, arXiv 2206.00364, Algorithm 2), on any Gaussian process.

    Their coordinates are z = x/α against the ratio ς = σ/α, in which the probability flow is dz/dς = ε̂. Of N steps, the
    one from ς to ς' first raises the noise to ς̂ = (1 + γ)ς and then comes down,

        γ = min(s_churn/N, √2 − 1) where s_tmin ≤ ς ≤ s_tmax, otherwise 0,
        ẑ = z + √(ς̂² − ς²) s_noise ξ,    ξ ~ N(0, I),
        z' = ẑ + (ς' − ς̂) ½[ε̂(ẑ, ς̂) + ε̂(ẑ + (ς' − ς̂) ε̂(ẑ, ς̂), ς')].

    Raising the noise is the forward process run from t to t̂, never beyond T: its first step, from x_T, adds nothing.
    Where α_T = 0 and ς is infinite, the step from T is taken in the straight frame (`difrun.sampler.base`). As the runs
    end at t_min > 0, the last step is of second order as well.

    s_churn = 0 is deterministic, of order 2. With churn the weak order is 2 as well once the grid is so fine that γ
    falls as 1/N, for adding the noise is exact; on coarser grids, where γ is at its bound, it lies between 1 and 2, and
    1 is declared.
    Two network evaluations per step.
    """

    @property
    def order(self) -> int:  # type: ignore[override]
        return 1 if self.stochastic else 2

    evaluations = 2

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        return self.s_churn > 0

    def prepare(self, model: Any, instants: Sequence[Any]) -> dict[float, Any]:
        """t -> the instant t̂ to which the noise is raised, for the steps that raise it."""
        gamma = min(self.s_churn / (len(instants) - 1), math.sqrt(2) - 1)
        low, high = -_log(self.s_tmax), -_log(self.s_tmin)
        churned = [at for at in instants[:-1] if gamma > 0 and low <= at.lam <= high]
        process = model.process
        raised = process.instants(process.time_at(at.lam - math.log1p(gamma)) for at in churned)
        return {at.t: hat for at, hat in zip(churned, raised, strict=True) if hat.t > at.t}

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        hat = state.get(at.t)
        if hat is not None:
            ratio = hat.alpha / at.alpha
            spread = max(0.0, hat.var - ratio**2 * at.var) ** 0.5
            x = ratio * x + self.s_noise * spread * generator.normal(x)
            at = hat
        if at.alpha > 0:
            kind, ratio = "noise", to.alpha / at.alpha
        else:
            kind, ratio = "straight", (to.alpha + to.sigma) / at.sigma
        h = to.sigma - ratio * at.sigma
        ahead = model.affine_prediction(x, at, kind, ratio, h)
        return torch.add(model.affine_prediction(ahead, to, kind, 0.5, 0.5 * h), x, alpha=0.5 * ratio), state


def _log(ratio: float) -> float:
    return math.log(ratio) if ratio > 0 else -math.inf
