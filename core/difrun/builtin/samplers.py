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
        slope = model.predict(x, at, "straight")
        return _advance(x, slope, at, to), None


class Heun(Sampler):
    r"""Heun's method on the probability flow, in the straight frame (`difrun.sampler`).

    With dy/dτ = u(y, τ) = ε̂ − x̂_0, an Euler step to s is corrected by the trapezoidal rule,

        y' = y_t + (τ_s − τ_t) u(y_t, τ_t),    y_s = y_t + (τ_s − τ_t)·½[u(y_t, τ_t) + u(y', τ_s)],

    as in Karras et al. (2022, arXiv 2206.00364, Algorithm 1), whose frame is x/α against σ/α; this one is regular at
    both ends of time. Order 2, two network evaluations per step.
    """

    order = 2
    evaluations = 2

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        slope = model.predict(x, at, "straight")
        there = model.predict(_advance(x, slope, at, to), to, "straight")
        return _advance(x, slope + there, at, to, 0.5), None


def _advance(x: Tensor, slope: Tensor, at: Any, to: Any, weight: float = 1.0) -> Tensor:
    """y_s = y_t + (τ_s − τ_t)·weight·slope, written for x = (α + σ) y."""
    ratio = (to.alpha + to.sigma) / (at.alpha + at.sigma)
    return torch.add(ratio * x, slope, alpha=weight * (to.sigma - ratio * at.sigma))


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
