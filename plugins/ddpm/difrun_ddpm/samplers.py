r"""DDPM and DDIM: one step x_s = α_s x̂_0 + c ε̂ + d z, for two choices of c and d.

With α_{t|s} = α_t/α_s and σ²_{t|s} = σ_t² − α²_{t|s} σ_s², q(x_s | x_t, x_0) has the variance κ² = σ_s² σ²_{t|s}/σ_t².
Any c and d with c² + d² = σ_s² keep the marginals (Song et al., 2021, arXiv 2010.02502, lemma 1).
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from typing_extensions import override

from difrun.model import ScoreModel
from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_ddpm.options import DDIMOptions, DDPMSamplerOptions


class DDPMSampler(DDPMSamplerOptions, Sampler):
    r"""Ancestral sampling, between any two times s < t.

    A step has the mean of q(x_s | x_t, x̂_0),

        x_s = α_s x̂_0 + (α_{t|s} σ_s²/σ_t) ε̂ + d z,

    and one of two variances:

        posterior:  d² = κ² = σ_s² σ²_{t|s}/σ_t²    β̃ on the chain; exact for data that are one point
        forward:    d² = σ²_{t|s}                   β on the chain; exact there for data N(0, I)

    The last step of a grid always has the posterior's variance. At t = 0 that is the z = 0 of the paper's algorithm.
    The weak order is 1, with one network evaluation per step.

    References:
        Ho et al. (2020), arXiv 2006.11239, Algorithm 2; sec. 3.2 for the two variances.
    """

    order = 1
    stochastic = True

    @override
    def prepare(self, model: ScoreModel, instants: Sequence[Any]) -> float:
        """The time at which the grid ends."""
        return instants[-1].t

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        predicted, fresh = _shares(at, to)
        posterior = self.variance == "posterior" or to.t == state
        std = to.sigma * fresh if posterior else at.sigma * fresh
        x = _combine(model, x, at, to.alpha, to.sigma * predicted)
        return x + std * generator.normal(x), state


class DDIM(DDIMOptions, Sampler):
    r"""Denoising diffusion implicit models, from deterministic (η = 0) to ancestral (η = 1).

        x_s = α_s x̂_0 + √(σ_s² − η²κ²) ε̂ + η κ z,    κ² = σ_s² σ²_{t|s}/σ_t².

    η = 0 is Euler's method on the probability flow, of order 1. η = 1 is ancestral sampling with the variance of the
    posterior. A step refers to no neighbour in a chain, so any decreasing times will do. One network evaluation per
    step.

    References:
        Song et al. (2021), arXiv 2010.02502, eq. 12 and 16.
    """

    order = 1

    @property
    @override
    def stochastic(self) -> bool:  # type: ignore[override]
        return self.eta > 0

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        predicted, fresh = _shares(at, to)
        # √(1 − η²(1 − predicted²)), written so that η = 1 gives `predicted` itself.
        along = math.hypot(predicted, math.sqrt(1 - self.eta**2) * fresh)
        x = _combine(model, x, at, to.alpha, to.sigma * along)
        if self.stochastic:
            x = x + self.eta * to.sigma * fresh * generator.normal(x)
        return x, state


def _shares(at: Any, to: Any) -> tuple[float, float]:
    """√(1 − f²) and f = κ/σ_s = σ_{t|s}/σ_t: the shares of ε̂ and of fresh noise in an ancestral step."""
    predicted = at.alpha / to.alpha * to.sigma / at.sigma
    return predicted, math.sqrt(max(0.0, (1 - predicted) * (1 + predicted)))


def _combine(model: ScoreModel, x: Tensor, at: Any, a: float, b: float) -> Tensor:
    """a·x̂_0 + b·ε̂ by one evaluation, through u = ε̂ − x̂_0, which is regular at both ends of time.

    x̂_0 = (x − σu)/(α + σ) and ε̂ = (x + αu)/(α + σ) give [(a + b) x + (bα − aσ) u]/(α + σ).
    """
    total = at.alpha + at.sigma
    return model.affine_prediction(x, at, "straight", (a + b) / total, (b * at.alpha - a * at.sigma) / total)
