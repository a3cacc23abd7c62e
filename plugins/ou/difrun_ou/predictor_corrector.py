"""Predictor–corrector sampling, with a Langevin corrector or a restart."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.model import ScoreModel
from difrun.plugin import Registered, get_registry
from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun.text import listed
from difrun_ou.options import PCOptions


class Langevin(Sampler):
    r"""Langevin correction at one instant, x ← x + ε ∇ log p_t + √(2ε) z with ε = 2 (rσ)².

    Song et al. set ε = 2 (r ‖z‖/‖∇ log p_t‖)² from norms over the batch. As ‖∇ log p_t‖ is about √d/σ, the ε used here
    is theirs in the mean, but a sample does not depend on the others in its batch. Their Algorithm 5, for VP, has a
    further factor α_i, which is left out here. One network evaluation.

    The correction leaves p_t invariant up to O(ε). For a Gaussian of variance V its stationary variance is
    V/(1 − ε/2V): too wide by a share r²σ²/V ≤ r². As ε does not shrink with the sampler's steps, there is no order of
    convergence.

    Args:
        snr: The signal-to-noise ratio r.

    References:
        Song et al. (2021), arXiv 2011.13456, Algorithm 4 (VE) and Algorithm 5 (VP).
    """

    order = None
    stochastic = True

    def __init__(self, snr: float = 0.16):
        self.snr = snr

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        size = 2 * self.snr**2 * to.var
        return x + size * model.predict(x, to, "score") + (2 * size) ** 0.5 * generator.normal(x), state


class Restart(Sampler):
    r"""Restart correction: back to x_t by the forward process, then the predictor's step from t to s again.

        x_t = α_{t|s} x_s + σ_{t|s} z,    α_{t|s} = α_t/α_s,    σ²_{t|s} = σ_t² − α²_{t|s} σ_s².

    The way back is exact, and its noise contracts the errors that the predictor made before. The order and the
    number of evaluations are the predictor's.

    Args:
        predictor: The sampler whose step is repeated.

    References:
        Lugmayr et al. (2022), arXiv 2201.09865, Algorithm 1.
        Xu et al. (2023), arXiv 2306.14878.
    """

    stochastic = True

    def __init__(self, predictor: Sampler):
        self.predictor = predictor
        self.order = predictor.order
        self.evaluations = predictor.evaluations

    @override
    def evaluations_in(self, steps: int) -> int | None:
        return self.predictor.evaluations_in(steps)

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        """Repeat the step to `to`, where x is; `state` is the predictor's before its step from `at`."""
        ratio = at.alpha / to.alpha
        std = max(0.0, at.var - ratio**2 * to.var) ** 0.5
        return self.predictor.step(model, ratio * x + std * generator.normal(x), at, to, state, generator)


class PredictorCorrector(Sampler):
    r"""Predictor–corrector: a step of any sampler from t to s, then corrections at s.

    With `Langevin` corrections there is no order of convergence (None), because they keep their length however many
    steps there are. With Heun's method as predictor and r = 0.16, samples of one Gaussian (variance 0.3, process `ou`)
    have a variance that is too large by 2.2 % at 40 steps, 1.5 % at 160 and 0.7 % at 640. A smaller r means less bias
    and less correction. With `Restart` corrections, or none, the order is the predictor's.

    Args:
        predictor: A sampler, or the name of an installed one, which then takes its default options.
        corrector: "langevin", "restart" or "none"; or a sampler, which is called with to = at.
        corrections: The number of corrections after each step.
        snr: The signal-to-noise ratio r of a Langevin correction.

    Raises:
        DifrunError: If no sampler has the predictor's name, or that sampler cannot be a predictor here.
        ValueError: If an option is given that the corrector does not use.

    References:
        Song et al. (2021), arXiv 2011.13456, Algorithm 1.
    """

    def __init__(
        self,
        *,
        predictor: str | Sampler = "ancestral",
        corrector: str | Sampler = "langevin",
        corrections: int = 1,
        snr: float = 0.16,
    ):
        name = "langevin" if isinstance(corrector, Sampler) else corrector
        PCOptions(corrector=name, corrections=corrections, snr=snr)  # type: ignore[arg-type]
        self.predictor = _predictor(predictor) if isinstance(predictor, str) else predictor
        self.corrector = (
            corrector if isinstance(corrector, Sampler) else _corrector(corrector, self.predictor, snr)
        )
        self.corrections = 0 if self.corrector is None else corrections
        parts = [self.predictor]
        if self.corrector is not None:
            parts += [self.corrector] * corrections
        self.order = None if any(part.order is None for part in parts) else self.predictor.order
        self.stochastic = any(part.stochastic for part in parts)
        self.evaluations = _total([part.evaluations for part in parts])

    @override
    def evaluations_in(self, steps: int) -> int | None:
        corrections = None if self.corrector is None else self.corrector.evaluations_in(steps)
        return _total([self.predictor.evaluations_in(steps), *[corrections] * self.corrections])

    @override
    def prepare(self, model: ScoreModel, instants: Sequence[Any]) -> Any:
        return self.predictor.prepare(model, instants)

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        x, after = self.predictor.step(model, x, at, to, state, generator)
        for _ in range(self.corrections):
            if isinstance(self.corrector, Restart):
                x, after = self.corrector.step(model, x, at, to, state, generator)
            elif self.corrector is not None:
                x, _ = self.corrector.step(model, x, to, to, None, generator)
        return x, after


def _total(counts: list[int | None]) -> int | None:
    """The sum; None where one of the counts is unknown."""
    numbers = [count for count in counts if count is not None]
    return sum(numbers) if len(numbers) == len(counts) else None


def _corrector(name: str, predictor: Sampler, snr: float) -> Sampler | None:
    """The corrector of that name; None for "none"."""
    if name == "langevin":
        return Langevin(snr)
    return Restart(predictor) if name == "restart" else None


def _predictor(name: str) -> Sampler:
    """The installed sampler of that name. Raises DifrunError for one that cannot run on a process of `pc`."""
    registry = get_registry()
    pc, predictor = registry.get("sampler", "pc"), registry.get("sampler", name)
    processes = registry.entries("process")
    offered = {token for process in processes for token in process.component.provides}

    def missing(sampler: Registered) -> frozenset[str]:
        return frozenset(sampler.component.requires - offered - _NOT_OF_PROCESSES)

    def fits(sampler: Registered) -> bool:
        needed = (sampler.component.requires | pc.component.requires) & offered
        return not missing(sampler) and any(needed <= process.component.provides for process in processes)

    is_pc = predictor.qualified == pc.qualified
    if not is_pc and (not processes or fits(predictor)):
        return predictor.load()()
    if is_pc:
        why = "is pc itself"
    elif missing(predictor):
        why = f"needs what no process offers ({listed(sorted(missing(predictor)))})"
    else:
        why = "runs on none of the processes that pc runs on"
    others = [
        sampler.label
        for sampler in registry.entries("sampler")
        if sampler.qualified != pc.qualified and fits(sampler)
    ]
    raise DifrunError(f"The predictor of pc cannot be '{name}', which {why}. Predictors: {listed(others)}.")


_NOT_OF_PROCESSES = frozenset({"real", "spins", "network", "exact"})
"""Capabilities that datasets and models provide."""
