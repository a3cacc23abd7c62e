"""The step of the sampler."""

from typing import Any

from difrun.model import ScoreModel
from difrun.randomness import Generator
from difrun.sampler import Sampler
from torch import Tensor

from difrun_old_sampler.options import OldSamplerOptions


class OldSampler(OldSamplerOptions, Sampler):
    r"""x_s = α_s x̂_0 + √(σ_s² − v) ε̂ + √v z, with v = η² σ_s² (1 − α_t² σ_s² / (α_s² σ_t²)).

    η = 0 is Euler's method in the straight frame (DDIM), η = 1 the ancestral step. One evaluation of the model per
    step, order 1.

    References:
        Song et al. (2021), arXiv 2010.02502, eq. 12 and 16.
    """

    order = 1

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether the step draws random numbers."""
        return self.eta > 0

    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        """Step from the instant `at` to the earlier instant `to`."""
        x0 = model.predict(x, at, "x0")
        noise = (x - at.alpha * x0) / at.sigma
        v = self.eta**2 * to.var * (1 - (at.alpha / to.alpha) ** 2 * to.var / at.var)
        x = to.alpha * x0 + (to.var - v) ** 0.5 * noise
        return x + v**0.5 * generator.normal(x) if self.stochastic else x, None
