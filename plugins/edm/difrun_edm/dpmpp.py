r"""DPM-Solver++: exponential integrators for x̂_0.

With λ = log(α/σ) the probability flow from t to s has the exact solution

    x_s = (σ_s/σ_t) x_t + σ_s ∫ e^λ x̂_0(λ) dλ,    λ from λ_t to λ_s = λ_t + h.

If x̂_0 is c_0 + c_1 u + c_2 u², with u = (λ − λ_t)/h from 0 to 1, it is

    x_s = (σ_s/σ_t) x_t + α_s (c_0 φ_1 + c_1 φ_2 + c_2 φ_3),    φ_{k+1} = h ∫ e^{h(u − 1)} u^k du,

so φ_1 = 1 − e^−h, φ_2 = 1 − φ_1/h, φ_3 = 1 − 2φ_2/h. Where α_T = 0, the first step has λ_t = −∞ and h = ∞. All formulas
keep their limits there, and a step that looks back to T has the same order as one that does not.

References:
    Lu et al. (2022), arXiv 2211.01095, eq. 8.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.model import ScoreModel
from difrun.randomness import Generator
from difrun.sampler import Sampler


class SingleStep2(Sampler):
    r"""DPM-Solver++(2S), the single-step method of order 2.

    A step of DDIM leads to the instant m in the middle, λ_m = ½(λ_t + λ_s), and the x̂_0 there leads to s:

        x_m = (σ_m/σ_t) x_t + α_m (1 − e^{−h/2}) x̂_0(x_t, t),
        x_s = (σ_s/σ_t) x_t + α_s (1 − e^{−h}) x̂_0(x_m, m).

    From λ_t = −∞ the middle is that of α/σ, λ_m = λ_s − log 2. Two network evaluations per step.

    References:
        Lu et al. (2022), arXiv 2211.01095, Algorithm 1 with r = ½.
    """

    order = 2
    evaluations = 2

    @override
    def prepare(self, model: ScoreModel, instants: Sequence[Any]) -> dict[float, Any]:
        """The instant in the middle of each step, by the t of the step."""
        process = model.process
        middles = process.instants(process.time_at(_middle(at, to)) for at, to in pairwise(instants))
        return {at.t: middle for at, middle in zip(instants, middles, strict=False)}

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        middle = state[at.t]
        half = model.affine_prediction(
            x, at, "x0", middle.sigma / at.sigma, middle.alpha * _phi1(middle.lam - at.lam)
        )
        x0 = model.predict(half, middle, "x0")
        return torch.add(to.sigma / at.sigma * x, x0, alpha=to.alpha * _phi1(to.lam - at.lam)), state


def _middle(at: Any, to: Any) -> float:
    """The λ in the middle of a step."""
    return 0.5 * (at.lam + to.lam) if at.lam > -math.inf else to.lam - math.log(2)


class Multistep2(Sampler):
    r"""DPM-Solver++(2M), the multistep method of order 2.

    The line in λ through the last two evaluations, h_1 apart, gives x̂_0 in the middle of the step:

        D = x̂_0 + h/(2 h_1) · (x̂_0 − last x̂_0),    x_s = (σ_s/σ_t) x_t + α_s (1 − e^{−h}) D.

    The first step is DDIM. One network evaluation per step.

    References:
        Lu et al. (2022), arXiv 2211.01095, Algorithm 2.
    """

    order = 2

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        x0 = model.predict(x, at, "x0")
        h = to.lam - at.lam
        if state is None:
            middle = x0
        else:
            last_x0, last_h = state
            middle = torch.lerp(last_x0, x0, 1 + h / (2 * last_h))
        return torch.add(to.sigma / at.sigma * x, middle, alpha=to.alpha * _phi1(h)), (x0, h)


class Multistep3(Sampler):
    r"""DPM-Solver++(3M), the multistep method of order 3.

    It is the derivation of order 2 with one more term. x̂_0 is the parabola in λ through the last three evaluations,
    h_1 and h_2 apart. With the divided differences Δ = (x̂_0 − x̂_0^(1))/h_1 and Δ² = (Δ − Δ^(1))/(h_1 + h_2),

        c_0 = x̂_0,    c_1 = h (Δ + h_1 Δ²),    c_2 = h² Δ².

    The start keeps the order. The first step is DDIM. The second step knows x̂_0 at the end of the first. It adds
    α φ_2 (x̂_0 − x̂_0^(1)) to the result of the first, which raises that result to order 2, and goes on with the line
    through the two evaluations.

    Polynomials are not to be trusted far outside their nodes. A step longer than 1.25 times the last therefore uses
    the line alone, and one longer than 1.5 times the newest evaluation alone (`REACH`). On grids that are smooth in λ
    no step is that long. One network evaluation per step.
    """

    order = 3

    @override
    def step(
        self, model: ScoreModel, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        x0 = model.predict(x, at, "x0")
        h = to.lam - at.lam
        phi1, phi2 = _phi1(h), _phi2(h)
        ratio = to.sigma / at.sigma
        if state is None:
            return torch.add(ratio * x, x0, alpha=to.alpha * phi1), (x0, h, None, 0.0)
        last_x0, h1, last_slope, h2 = state
        slope = (x0 - last_x0) / h1
        if last_slope is None:
            x = torch.add(x, x0 - last_x0, alpha=at.alpha * _phi2(h1))
        x = torch.add(ratio * x, x0, alpha=to.alpha * phi1)
        if h <= REACH[0] * h1:
            x = torch.add(x, slope, alpha=to.alpha * phi2 * h)
        if h <= REACH[1] * h1 and last_slope is not None:
            phi3 = 1 - 2 * phi2 / h
            x = torch.add(x, slope - last_slope, alpha=to.alpha * h * (phi2 * h1 + phi3 * h) / (h1 + h2))
        return x, (x0, h, slope, h1)


REACH = (1.5, 1.25)
"""The longest step, over the last one, that uses a line and a parabola through the evaluations before it."""


def _phi1(h: float) -> float:
    """φ_1."""
    return -math.expm1(-h)


def _phi2(h: float) -> float:
    """φ_2; ½ for h = ∞, because from α = 0 x̂_0 is a line in α/σ and not in λ."""
    return 0.5 if h == math.inf else 1 - _phi1(h) / h
