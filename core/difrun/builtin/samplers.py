r"""Samplers that every Gaussian process can use: Euler, Heun, and the ancestral step that spins share."""

from typing import Any

import torch
from torch import Tensor

from difrun.randomness import Generator
from difrun.sampler import Sampler


class Euler(Sampler):
    r"""Euler's method on the probability flow, in the straight frame (`difrun.sampler`).

    With y = x/(α + σ) and τ = σ/(α + σ) the flow is dy/dτ = ε̂ − x̂_0, and one step

        y_s = y_t + (τ_s − τ_t)(ε̂ − x̂_0)    is    x_s = α_s x̂_0 + σ_s ε̂,

    the deterministic DDIM step (Song et al., 2021, arXiv 2010.02502, eq. 12 with η = 0), exact where trajectories
    are straight. Order 1, one network evaluation per step.
    """

    order = 1

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        ratio, h = _straight(at, to)
        return model.carry(x, at, "straight", ratio, h), None


class Heun(Sampler):
    r"""Heun's method on the probability flow, in the straight frame (`difrun.sampler`).

    With dy/dτ = u(y, τ) = ε̂ − x̂_0, an Euler step to s is corrected by the trapezoidal rule,

        y' = y_t + (τ_s − τ_t) u(y_t, τ_t),
        y_s = y_t + (τ_s − τ_t)·½[u(y_t, τ_t) + u(y', τ_s)] = ½ y_t + ½[y' + (τ_s − τ_t) u(y', τ_s)],

    as in Karras et al. (2022, arXiv 2206.00364, Algorithm 1), whose frame is x/α against σ/α; this one is regular at
    both ends of time. Order 2, two network evaluations per step.
    """

    order = 2
    evaluations = 2

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        ratio, h = _straight(at, to)
        ahead = model.carry(x, at, "straight", ratio, h)
        return torch.add(model.carry(ahead, to, "straight", 0.5, 0.5 * h), x, alpha=0.5 * ratio), None


def _straight(at: Any, to: Any) -> tuple[float, float]:
    """r and h of a step y_s = y_t + (τ_s − τ_t) u written for x = (α + σ) y: x_s = r x_t + h u."""
    ratio = (to.alpha + to.sigma) / (at.alpha + at.sigma)
    return ratio, to.sigma - ratio * at.sigma


class Ancestral(Sampler):
    r"""Ancestral sampling: x_s ~ q(x_s | x_t, x_0 = x̂_0), the bridge with the posterior mean in place of the data.

    For Gaussian processes this is DDPM (Ho et al., 2020, arXiv 2006.11239, eq. 6–7) with the smaller of its two
    variances. As x̂_0 ignores the spread of x_0 given x_t the samples are under-dispersed at long steps; a `rho` or
    `logsnr` grid keeps that small. Weak order 1, one network evaluation per step.
    """

    order = 1
    stochastic = True

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        return model.process.bridge(x, model.predict(x, at, "x0"), at, to).sample(generator), None
