"""Stochastic samplers: Euler–Maruyama on a family of reversals, and predictor–corrector."""

from typing import Any

from torch import Tensor

from difrun.errors import DifrunError
from difrun.plugin import Registered, get_registry
from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun.text import listed
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


class Restart(Sampler):
    r"""The way back: x_t from x_s by the forward process, and the predictor's step from t to s again.

        x_t = α_{t|s} x_s + σ_{t|s} z,    α_{t|s} = α_t/α_s,    σ²_{t|s} = σ_t² − α²_{t|s} σ_s²,

    which is exact, so that what the predictor got wrong before is contracted by the noise (Lugmayr et al., 2022,
    arXiv 2201.09865, Algorithm 1; Xu et al., 2023, arXiv 2306.14878). Order and evaluations are the predictor's.
    """

    stochastic = True

    def __init__(self, predictor: Sampler):
        self.predictor = predictor
        self.order = predictor.order
        self.evaluations = predictor.evaluations

    def evaluations_in(self, steps: int) -> int | None:
        return self.predictor.evaluations_in(steps)

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        """x at `to`, given x there; `state` is that of the predictor before its step from `at`."""
        ratio = at.alpha / to.alpha
        spread = max(0.0, at.var - ratio**2 * to.var) ** 0.5
        return self.predictor.step(model, ratio * x + spread * generator.normal(x), at, to, state, generator)


class PredictorCorrector(Sampler):
    r"""Predictor–corrector (Song et al., 2021, arXiv 2011.13456, Algorithm 1): a step of any sampler from t to s, then
    corrections at s.

    predictor: a `Sampler`, or the name of an installed one, which then takes its default options.
    corrector: `langevin` (`Langevin`), `restart` (`Restart`), `none`; or a `Sampler`, which is called with to = at.
    corrections: how many after each step. snr: the signal-to-noise ratio r of a Langevin correction.

    With Langevin corrections it has no order (None): they keep the same length however many steps there are. With
    Heun's method as predictor and r = 0.16 the variance of samples of one Gaussian (variance 0.3, process `ou`) is too
    large by 2.2 % at 40 steps, 1.5 % at 160 and 0.7 % at 640; a smaller r means less bias and less correction.
    `restart` has the order of the predictor; without corrector it is the predictor.
    Raises DifrunError when no sampler has that name, or the one that has it cannot be a predictor here, ValueError for
    an option that the corrector has no use for.
    """

    def __init__(
        self,
        *,
        predictor: str | Sampler = "ancestral",
        corrector: str | Sampler = "langevin",
        corrections: int = 1,
        snr: float = 0.16,
    ):
        given = "langevin" if isinstance(corrector, Sampler) else corrector
        PCOptions(corrector=given, corrections=corrections, snr=snr)  # type: ignore[arg-type]
        self.predictor = _predictor(predictor) if isinstance(predictor, str) else predictor
        self.corrector: Sampler | None
        if isinstance(corrector, Sampler):
            self.corrector = corrector
        else:
            makers = {
                "langevin": lambda: Langevin(snr),
                "restart": lambda: Restart(self.predictor),
                "none": lambda: None,
            }
            self.corrector = makers[corrector]()
        self.corrections = 0 if self.corrector is None else corrections
        parts = [self.predictor]
        if self.corrector is not None:
            parts += [self.corrector] * corrections
        self.order = None if any(part.order is None for part in parts) else self.predictor.order
        self.stochastic = any(part.stochastic for part in parts)
        self.evaluations = _total([part.evaluations for part in parts])

    def evaluations_in(self, steps: int) -> int | None:
        corrections = None if self.corrector is None else self.corrector.evaluations_in(steps)
        return _total([self.predictor.evaluations_in(steps), *[corrections] * self.corrections])

    def prepare(self, model: Any, instants: Any) -> Any:
        return self.predictor.prepare(model, instants)

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        x, after = self.predictor.step(model, x, at, to, state, generator)
        for _ in range(self.corrections):
            if isinstance(self.corrector, Restart):
                x, after = self.corrector.step(model, x, at, to, state, generator)
            elif self.corrector is not None:
                x, _ = self.corrector.step(model, x, to, to, None, generator)
        return x, after


def _total(counts: list[int | None]) -> int | None:
    """The sum; None where one of them is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _predictor(name: str) -> Sampler:
    """The installed sampler of that name. Raises DifrunError for one that cannot step where `pc` runs."""
    registry = get_registry()
    own, entry = registry.get("sampler", "pc"), registry.get("sampler", name)
    processes = registry.entries("process")
    offered = {token for process in processes for token in process.component.provides}

    def missing(sampler: Registered) -> frozenset[str]:
        return frozenset(sampler.component.requires - offered - _OTHERS)

    def fits(sampler: Registered) -> bool:
        needed = (sampler.component.requires | own.component.requires) & offered
        return not missing(sampler) and any(needed <= process.component.provides for process in processes)

    if entry.qualified == own.qualified or (processes and not fits(entry)):
        names = [e.label for e in registry.entries("sampler") if e.qualified != own.qualified and fits(e)]
        if entry.qualified == own.qualified:
            why = "is pc itself"
        elif missing(entry):
            why = f"needs what no process offers ({listed(sorted(missing(entry)))})"
        else:
            why = "runs on none of the processes that pc runs on"
        raise DifrunError(
            f"The predictor of pc cannot be '{name}', which {why}. Predictors: {listed(names)}."
        )
    return entry.load()()


_OTHERS = frozenset({"real", "spins", "network", "exact"})
"""Capabilities that datasets and models provide."""
