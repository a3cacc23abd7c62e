"""Stochastic samplers: Euler–Maruyama on a family of reversals, and predictor–corrector."""

from typing import Any

from torch import Tensor

from difrun.randomness import Generator
from difrun.registry import get_registry
from difrun.sampler import Sampler
from difrun_ou.options import EulerMaruyamaOptions, PCOptions


class EulerMaruyama(EulerMaruyamaOptions, Sampler):
    r"""Euler–Maruyama on one of the reversals of the SDE dx = f x dt + g dw.

    For every a ≥ ½ the process run backward in time by

        dx = [−f x + 2a · (g²/2) ∇ log p_t] d(−t) + g √(2a − 1) dw̄

    has the marginals p_t: a = ½ is the probability-flow ODE (Song et al., 2021, arXiv 2011.13456, app. D), a = 1 the
    reverse SDE (Anderson, 1982), and any other a their family (Karras et al., 2022, arXiv 2206.00364, eq. 6, where
    (2a − 1) g²/2 is β σ²). With h = t − s one step is

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

    Song et al. (2021, arXiv 2011.13456, Algorithm 4, for VE) set ε = 2 (r ‖z‖/‖∇ log p_t‖)² from norms over the batch;
    for VP their Algorithm 5 has a further factor α_i, which is left out here. As ‖∇ log p_t‖ is about √d/σ, the ε used
    here is that of Algorithm 4 in the mean, but a sample does not depend on those beside it. One network evaluation.

    It leaves p_t invariant up to O(ε): of a Gaussian of variance V its stationary variance is V/(1 − ε/2V), too wide by
    a share r²σ²/V ≤ r². As ε does not shrink with the steps of the sampler, it has no order of convergence.
    """

    order = None
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

    With corrections it has no order (None): those of `Langevin` keep the same length however many steps there are. With
    Heun's method as predictor and r = 0.16 the variance of samples of one Gaussian (variance 0.3, process `ou`) is too
    large by 2.2 % at 40 steps, 1.5 % at 160 and 0.7 % at 640; a smaller r means less bias and less correction.
    Without corrections it is its predictor.
    Raises DifrunError when no sampler has that name, ValueError for an snr that no correction uses.
    """

    def __init__(self, *, predictor: str | Sampler = "ancestral", corrections: int = 1, snr: float = 0.16):
        PCOptions(corrections=corrections, snr=snr)
        self.predictor = (
            get_registry().get("sampler", predictor).load()() if isinstance(predictor, str) else predictor
        )
        self.corrector = Langevin(snr)
        self.corrections = corrections
        self.order = None if corrections else self.predictor.order
        self.stochastic = bool(corrections) or self.predictor.stochastic
        self.evaluations = self.predictor.evaluations + corrections

    def evaluations_in(self, steps: int) -> int:
        return self.predictor.evaluations_in(steps) + steps * self.corrections

    def prepare(self, model: Any, instants: Any) -> Any:
        return self.predictor.prepare(model, instants)

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        x, state = self.predictor.step(model, x, at, to, state, generator)
        for _ in range(self.corrections):
            x, _ = self.corrector.step(model, x, to, to, None, generator)
        return x, state
