"""Euler–Maruyama on a family of reversals of the process."""

from typing import Any

from torch import Tensor
from typing_extensions import override

from difrun.model import ScoreModel
from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_ou.options import EulerMaruyamaOptions


class EulerMaruyama(EulerMaruyamaOptions, Sampler):
    r"""Euler–Maruyama on one of the reversals of the SDE dx = f x dt + g dw.

    For every a ≥ ½ the process run backward in time by

        dx = [−f x + 2a · (g²/2) ∇ log p_t] d(−t) + g √(2a − 1) dw̄

    has the marginals p_t: a = ½ is the probability-flow ODE, a = 1 the reverse SDE. With h = t − s one step is

        x_s = x_t − h (f x_t − a g² ∇ log p_t) + √((2a − 1) g² h) z.

    At the T of a process that forgets its data, α_t = 0 and f and g² are infinite. There the step solves the SDE
    exactly for a constant x̂_0,

        x_s = α_s x̂_0 + σ_s ν,

    where ν is fresh noise, or for a = ½ the present noise x_t/σ_t.

    The weak order is 1, with one network evaluation per step.

    References:
        Song et al. (2021), arXiv 2011.13456, app. D: the probability-flow ODE.
        Anderson (1982), Stochastic Processes and their Applications 12, 313: the reverse SDE.
        Karras et al. (2022), arXiv 2206.00364, eq. 6: the family, where (2a − 1) g²/2 is β σ².
    """

    order = 1

    @property
    @override
    def stochastic(self) -> bool:  # type: ignore[override]
        return self.a > 0.5

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        if at.alpha == 0:
            noise = generator.normal(x) if self.stochastic else x / at.sigma
            return to.alpha * model.predict(x, at, "x0") + to.sigma * noise, None
        h = at.t - to.t
        score = model.predict(x, at, "score")
        x = (1 - h * at.f) * x + h * self.a * at.g2 * score
        if self.stochastic:
            x = x + (h * (2 * self.a - 1) * at.g2) ** 0.5 * generator.normal(x)
        return x, None
