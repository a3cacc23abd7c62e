"""Stochastic samplers: Euler–Maruyama on a family of reversals, and predictor–corrector."""

from typing import Any

from torch import Tensor

from difrun.randomness import Generator
from difrun.registry import get_registry
from difrun.sampler import Sampler
from difrun_ou.options import EulerMaruyamaOptions


class EulerMaruyama(EulerMaruyamaOptions, Sampler):
    r"""Euler–Maruyama on one of the reversals of the SDE dx = f x dt + g dw.

    For every a ≥ ½ the process run backward in time by

        dx = [−f x + 2a · (g²/2) ∇ log p_t] d(−t) + g √(2a − 1) dw̄

    has the marginals p_t (Song et al., 2021, arXiv 2011.13456, app. D; Karras et al., 2022, eq. 6): a = ½ is the
    probability-flow ODE, a = 1 Anderson's reverse SDE. With h = t − s one step is

        x_s = x_t − h (f x_t − a g² ∇ log p_t) + √((2a − 1) g² h) z.

    Where α_t = 0, at the T of a process that forgets its data, f and g² are infinite and there is no such step. The
    SDE is then solved exactly for an x̂_0 that stands still: x_s = α_s x̂_0 + σ_s ν, where ν is fresh noise, and for
    a = ½ the noise x_t/σ_t that is there.

    Weak order 1, one network evaluation per step.
    """

    order = 1

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        return self.a > 0.5

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
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


class Langevin(Sampler):
    r"""Langevin correction at one instant: x ← x + ε ∇ log p_t + √(2ε) z, with ε = 2 (rσ)².

    Song et al. (2021, arXiv 2011.13456, Algorithm 4–5) set ε = 2 (r ‖z‖/‖∇ log p_t‖)² from norms over the batch. As
    ‖∇ log p_t‖ is about √d/σ, the ε used here is the same in the mean, but a sample does not depend on those beside it.
    One network evaluation; leaves p_t invariant up to O(ε).
    """

    order = 1
    stochastic = True

    def __init__(self, snr: float = 0.16):
        self.snr = snr

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        size = 2 * self.snr**2 * to.var
        return x + size * model.predict(x, to, "score") + (2 * size) ** 0.5 * generator.normal(x), state


class PredictorCorrector(Sampler):
    r"""Predictor–corrector (Song et al., 2021, arXiv 2011.13456, Algorithm 1): a step of any sampler from t to s, then
    Langevin corrections at s.

    predictor: a `Sampler`, or the name of an installed one, which then takes its default options.
    corrections: Langevin steps after each step. snr: their signal-to-noise ratio r.
    Raises DifrunError when no sampler has that name.
    """

    stochastic = True

    def __init__(self, *, predictor: str | Sampler = "ancestral", corrections: int = 1, snr: float = 0.16):
        self.predictor = get_registry().get("sampler", predictor).load()() if isinstance(predictor, str) else predictor
        self.corrector = Langevin(snr)
        self.corrections = corrections
        self.order = self.predictor.order
        self.evaluations = self.predictor.evaluations + corrections

    def prepare(self, model: Any, instants: Any) -> Any:
        return self.predictor.prepare(model, instants)

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        x, state = self.predictor.step(model, x, at, to, state, generator)
        for _ in range(self.corrections):
            x, _ = self.corrector.step(model, x, to, to, None, generator)
        return x, state
