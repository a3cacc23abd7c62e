"""The stochastic sampler of Karras et al.: add noise, then remove more than that by a step of Heun's method."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.model import ScoreModel
from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_edm.options import HeunOptions


class ChurnedHeun(HeunOptions, Sampler):
    r"""Heun's method with churn, on any Gaussian process.

    The coordinates are z = x/α against the ratio ς = σ/α, in which the probability flow is dz/dς = ε̂. In a run of N
    steps, the step from ς to ς' first raises the noise to ς̂ = (1 + γ)ς and then comes down:

        γ = min(s_churn/N, √2 − 1) where s_tmin ≤ ς ≤ s_tmax, otherwise 0,
        ẑ = z + √(ς̂² − ς²) s_noise ξ,    ξ ~ N(0, I),
        z' = ẑ + (ς' − ς̂) ½[ε̂(ẑ, ς̂) + ε̂(ẑ + (ς' − ς̂) ε̂(ẑ, ς̂), ς')].

    Raising the noise runs the forward process from t to t̂, never beyond T, so the first step adds none. Where α_T = 0
    and ς is infinite, the step from T is taken in the straight frame (`difrun.sampler.base`). Runs end at t_min > 0, so
    the last step is of second order as well.

    s_churn = 0 is deterministic, of order 2. Adding the noise is exact, so with churn the weak order is 2 as well once
    the grid is fine enough for γ to fall as 1/N. On coarser grids, where γ is at its bound, the order lies between 1
    and 2; 1 is declared. Two network evaluations per step.

    References:
        Karras et al. (2022), arXiv 2206.00364, Algorithm 2.
    """

    evaluations = 2

    @property
    @override
    def order(self) -> int:  # type: ignore[override]
        return 1 if self.stochastic else 2

    @property
    @override
    def stochastic(self) -> bool:  # type: ignore[override]
        return self.s_churn > 0

    @override
    def prepare(self, model: ScoreModel, instants: Sequence[Any]) -> dict[float, Any]:
        """The instant t̂ to which a step raises the noise, by the t of the step, for the steps that do so."""
        gamma = min(self.s_churn / (len(instants) - 1), math.sqrt(2) - 1)
        low, high = -_log(self.s_tmax), -_log(self.s_tmin)
        churned = [at for at in instants[:-1] if gamma > 0 and low <= at.lam <= high]
        process = model.process
        raised = process.instants(process.time_at(at.lam - math.log1p(gamma)) for at in churned)
        return {at.t: hat for at, hat in zip(churned, raised, strict=True) if hat.t > at.t}

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        hat = state.get(at.t)
        if hat is not None:
            ratio = hat.alpha / at.alpha
            std = max(0.0, hat.var - ratio**2 * at.var) ** 0.5
            x = ratio * x + self.s_noise * std * generator.normal(x)
            at = hat
        if at.alpha > 0:
            kind, ratio = "noise", to.alpha / at.alpha
        else:
            kind, ratio = "straight", (to.alpha + to.sigma) / at.sigma
        h = to.sigma - ratio * at.sigma
        ahead = model.affine_prediction(x, at, kind, ratio, h)
        return torch.add(model.affine_prediction(ahead, to, kind, 0.5, 0.5 * h), x, alpha=0.5 * ratio), state


def _log(ratio: float) -> float:
    """The logarithm of a ratio that may be 0."""
    return math.log(ratio) if ratio > 0 else -math.inf
