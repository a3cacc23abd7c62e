r"""DDPM and DDIM: one step x_s = α_s x̂_0 + c ε̂ + d z, for two choices of c and d.

With α_{t|s} = α_t/α_s, σ²_{t|s} = σ_t² − α²_{t|s} σ_s² and the variance κ² = σ_s² σ²_{t|s}/σ_t² of q(x_s | x_t, x_0),
any c² + d² = σ_s² keeps the marginals (Song et al., 2021, arXiv 2010.02502, lemma 1).
"""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_ddpm.options import DDIMOptions, DDPMSamplerOptions


class DDPMSampler(DDPMSamplerOptions, Sampler):
    r"""Ancestral sampling (Ho et al., 2020, arXiv 2006.11239, Algorithm 2), between any two times s < t.

        x_s = α_s x̂_0 + (α_{t|s} σ_s²/σ_t) ε̂ + d z,

    the mean of q(x_s | x_t, x̂_0), with one of their two variances (sec. 3.2):

        posterior:  d² = κ² = σ_s² σ²_{t|s}/σ_t²    β̃ on the chain; exact for data that are one point;
        forward:    d² = σ²_{t|s}                   β on the chain; exact there for data N(0, I).

    The last step of a grid has the posterior's variance whatever the option, which at t = 0 is the z = 0 of their
    algorithm. Weak order 1, one network evaluation per step.
    """

    order = 1
    stochastic = True

    def prepare(self, model: Any, instants: Sequence[Any]) -> float:
        return instants[-1].t

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        kept, fresh = _parts(at, to)
        posterior = self.variance == "posterior" or to.t == state
        spread = to.sigma * fresh if posterior else at.sigma * fresh
        x = _combine(model, x, at, to.alpha, to.sigma * kept)
        return x + spread * generator.normal(x), state


class DDIM(DDIMOptions, Sampler):
    r"""Denoising diffusion implicit models (Song et al., 2021, arXiv 2010.02502, eq. 12 and 16).

        x_s = α_s x̂_0 + √(σ_s² − η²κ²) ε̂ + η κ z,    κ² = σ_s² σ²_{t|s}/σ_t².

    η = 0 is deterministic and Euler's method on the probability flow, of order 1; η = 1 is ancestral sampling with the
    variance of the posterior. Nothing refers to neighbours in a chain, so any decreasing times will do. One network
    evaluation per step.
    """

    order = 1

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        return self.eta > 0

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        kept, fresh = _parts(at, to)
        # 1 − η²(1 − kept²), written so that η = 1 gives kept itself.
        along = math.hypot(kept, math.sqrt(1 - self.eta**2) * fresh)
        x = _combine(model, x, at, to.alpha, to.sigma * along)
        if self.stochastic:
            x = x + self.eta * to.sigma * fresh * generator.normal(x)
        return x, state


def _parts(at: Any, to: Any) -> tuple[float, float]:
    """√(1 − f²) and f = κ/σ_s = σ_{t|s}/σ_t: the shares of ε̂ and of fresh noise in an ancestral step."""
    kept = at.alpha / to.alpha * to.sigma / at.sigma
    return kept, math.sqrt(max(0.0, (1 - kept) * (1 + kept)))


def _combine(model: Any, x: Tensor, at: Any, a: float, b: float) -> Tensor:
    """a·x̂_0 + b·ε̂ by one evaluation, through u = ε̂ − x̂_0, which is regular at both ends of time.

    x̂_0 = (x − σu)/(α + σ) and ε̂ = (x + αu)/(α + σ) give [(a + b) x + (bα − aσ) u]/(α + σ).
    """
    total = at.alpha + at.sigma
    return model.affine_prediction(x, at, "straight", (a + b) / total, (b * at.alpha - a * at.sigma) / total)
