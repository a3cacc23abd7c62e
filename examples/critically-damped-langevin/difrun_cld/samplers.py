r"""Samplers.

With s = ∇_v log p and time running from T to 0, the reverse SDE over a step of B = ∫β dt is

    dx = −v/M dB,    dv = (x + Γ v/M + 2Γ s) dB + √(2Γ) dw,

and the probability flow has the same drift with Γ s in the place of 2Γ s, and no noise.
"""

import math
from typing import Any

import torch
from difrun.model import ScoreModel
from difrun.randomness import Generator
from difrun.sampler import Sampler
from torch import Tensor
from typing_extensions import override

from difrun_cld.process import CriticallyDampedLangevin, Instant, drawn, propagator, root_like


class EulerMaruyama(Sampler):
    """Euler–Maruyama for the reverse SDE. Weak order 1, one evaluation per step."""

    order = 1
    stochastic = True

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Instant, to: Instant, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        process: CriticallyDampedLangevin = model.process
        amount = process.beta * (at.t - to.t)
        slope = drift(process, x, model.predict(x, at, "score"), 2.0)
        moved = torch.add(x, slope, alpha=amount)
        position, velocity = moved.chunk(2, dim=1)
        noise = math.sqrt(2 * process.friction * amount) * generator.normal(velocity)
        return torch.cat((position, velocity + noise), dim=1), None


class Flow(Sampler):
    """Heun's method for the probability flow. Order 2, two evaluations per step."""

    order = 2
    evaluations = 2

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Instant, to: Instant, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        process: CriticallyDampedLangevin = model.process
        amount = process.beta * (at.t - to.t)
        first = drift(process, x, model.predict(x, at, "score"), 1.0)
        guess = torch.add(x, first, alpha=amount)
        second = drift(process, guess, model.predict(guess, to, "score"), 1.0)
        return torch.add(x, first + second, alpha=0.5 * amount), None


def drift(process: CriticallyDampedLangevin, x: Tensor, score: Tensor, share: float) -> Tensor:
    """Return (−v/M, x + Γ v/M + share · Γ s), the slope of a state in B, in reverse time."""
    position, velocity = x.chunk(2, dim=1)
    push = position + process.friction * (velocity / process.mass + share * score)
    return torch.cat((-velocity / process.mass, push), dim=1)


class Splitting(Sampler):
    r"""Symmetric splitting CLD sampler, SSCS: half a step of damped motion, a kick, and another half step.

    The reverse SDE is the sum of a motion that can be solved exactly, whose stationary covariance is diag(1, M),

        dx = −v/M dB,    dv = (x − Γ v/M) dB + √(2Γ) dw,

    and of the kick dv = 2Γ (s + v/M) dB, which is a step of Euler's method with the score at the middle of the step.
    Weak order 1, one evaluation per step; its errors are far smaller than those of Euler–Maruyama.

    References:
        Dockhorn et al. (2022), arXiv 2112.07068, sec. 4 and Algorithm 1.
    """

    order = 1
    stochastic = True

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Instant, to: Instant, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        process: CriticallyDampedLangevin = model.process
        amount = process.beta * (at.t - to.t)
        x = moved(process, x, 0.5 * amount, generator)
        middle = process.at(0.5 * (at.t + to.t))
        position, velocity = x.chunk(2, dim=1)
        kick = model.predict(x, middle, "score") + velocity / process.mass
        x = torch.cat((position, velocity + 2 * process.friction * amount * kick), dim=1)
        return moved(process, x, 0.5 * amount, generator), None


def moved(process: CriticallyDampedLangevin, x: Tensor, amount: float, generator: Generator) -> Tensor:
    """Return a state after damped motion in reverse time over B, drawn from its exact distribution."""
    a, b, c, d = phi = propagator(amount, process.friction, sign=-1.0)
    position, velocity = x.chunk(2, dim=1)
    mean = a * position + b * velocity, c * position + d * velocity
    return drawn(mean, root_like(process.grown(phi, (0.0, 0.0, 0.0)), x), generator)
