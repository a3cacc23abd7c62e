"""Exact references: a mixture and processes in closed form, a solver of the flow's ODE, and generators for tests."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor
from typing_extensions import override

from difrun.data.mixture import GaussianMixture
from difrun.model.base import ScoreModel
from difrun.model.wrappers import ModelWrapper
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator
from difrun.sampler.base import Sampler
from difrun.sampler.integration import integrate
from difrun.testing.verdict import RuleBroken


class ReferenceVP(GaussianProcess):
    """Variance preserving in closed form, dX = −X dt + √2 dW: α = e^−t, σ² = 1 − e^−2t, g² = 2, on [0, 4]."""

    horizon = 4.0

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return -t

    @override
    def variance(self, t: Tensor) -> Tensor:
        return -torch.expm1(-2 * t)


class ReferenceVE(GaussianProcess):
    """Variance exploding in closed form, dX = √(2t) dW: α = 1, σ = t, g² = 2t, on [0, 20]."""

    horizon = 20.0

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    @override
    def variance(self, t: Tensor) -> Tensor:
        return t**2


class ReferenceFlow(GaussianProcess):
    """Rectified flow in closed form: α = 1 − t, σ = t on [0, 1]. At T nothing of the data is left, λ = −∞."""

    horizon = 1.0

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.log1p(-t)

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    @override
    def variance(self, t: Tensor) -> Tensor:
        return t**2


def two_gaussians() -> GaussianMixture:
    """Two correlated Gaussians in the plane, of unequal weight: the data of the kit."""
    covs = [[[0.2, 0.1], [0.1, 0.4]], [[0.5, -0.2], [-0.2, 0.3]]]
    return GaussianMixture([0.3, 0.7], [[-1.0, 0.0], [1.5, 1.0]], covs)


def two_classes() -> tuple[GaussianMixture, Tensor]:
    """Return four broad Gaussians in the plane, and the class of each: 0, 0, 1, 1. The two classes overlap."""
    means = [[-1.0, 0.0], [-2.5, 2.0], [0.6, 0.4], [2.2, -1.8]]
    covs = [
        [[0.4, 0.1], [0.1, 0.3]],
        [[0.2, 0.0], [0.0, 0.2]],
        [[0.4, -0.15], [-0.15, 0.3]],
        [[0.25, 0.0], [0.0, 0.25]],
    ]
    return GaussianMixture([0.3, 0.2, 0.3, 0.2], means, covs), torch.tensor([0, 0, 1, 1])


def probability_flow_endpoint(
    model: ScoreModel, x: Tensor, *, times: tuple[float, float] | None = None, rtol: float = 1e-10
) -> Tensor:
    r"""The end at t_min (or times[1]) of the probability flow from x (n, ...) at T (or times[0]), in float64.

    SciPy's DOP853, an eighth-order Runge–Kutta method with error control, integrates dy/du for y = (x − μ)/(α + σ) and
    u = log t, in which the flow of every Gaussian process is smooth down to t_min:

        dy/du = t · dτ/dt · (ε̂ − x̂_0),    dτ/dt = (α σ̇ − α̇ σ)/(α + σ)².
    """
    process = model.process
    start, end = times or (process.horizon, process.t_min)
    centre = process.centre_like(x.double())

    def scale(t: float) -> float:
        at = process.at(t)
        return at.alpha + at.sigma

    def slope(u: float, y: np.ndarray) -> np.ndarray:
        t = math.exp(u)
        at = process.at(t)
        total = at.alpha + at.sigma
        here = centre + total * torch.from_numpy(y).reshape(x.shape)
        turn = t * (at.alpha * at.d_sigma - at.d_alpha * at.sigma) / total**2
        return (turn * model.predict(here, at, "straight")).reshape(-1).numpy()

    first = ((x.double() - centre) / scale(start)).reshape(-1).numpy()
    span = (math.log(start), math.log(end))
    solution = solve_ivp(slope, span, first, method="DOP853", rtol=rtol, atol=rtol / 100, t_eval=span[1:])
    if not solution.success:
        raise RuntimeError(f"the reference solution of the probability flow failed: {solution.message}")
    return centre + scale(end) * torch.from_numpy(solution.y[:, -1]).reshape(x.shape)


def observed_order(steps: Sequence[int], errors: Sequence[float]) -> float:
    """The p of error ≈ C · steps^−p, by least squares on logarithms."""
    return -float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def endpoint_errors(
    sampler: Sampler,
    model: ScoreModel,
    noise: Tensor,
    exact: Tensor,
    grid: Callable[[Any, int], Sequence[float]],
    counts: Sequence[int],
) -> list[float]:
    """Return how far a deterministic sampler ends from the probability flow, for several numbers of steps.

    Args:
        sampler: The sampler. It fails the test if it draws random numbers.
        model: The model.
        noise: The start at T, (n, ...).
        exact: The end of the flow from there (`probability_flow_endpoint`), of the same shape.
        grid: The times for a process and a number of steps.
        counts: The numbers of steps.

    Returns:
        The root mean square distance for each number of steps.
    """
    ends = [
        integrate(sampler, model, noise, grid(model.process, steps), generator=NoNoise()) for steps in counts
    ]
    return [(end - exact).square().mean().sqrt().item() for end in ends]


class UnitNoise(Generator):
    """A generator whose k-th draw is 1 in row k, and 0 in all other rows.

    It gives the exact distribution of a map that is affine in its noise: row k is the response to the k-th number
    alone, and the last row, which no draw changes, is the mean. See `affine_moments`.
    """

    def __init__(self, draws: int):
        super().__init__(0)
        self.draws = draws
        self.dealt = 0

    @override
    def normal(self, like: Tensor) -> Tensor:
        if len(like) != self.draws + 1 or self.dealt >= self.draws:
            raise ValueError(
                f"expected at most {self.draws} draws, each of {self.draws + 1} rows; got another"
            )
        unit = torch.zeros_like(like)
        unit[self.dealt] = 1
        self.dealt += 1
        return unit

    @override
    def uniform(self, like: Tensor) -> Tensor:
        raise ValueError("a map that draws uniform numbers is not affine in Gaussian ones")


class EqualNoise(Generator):
    """A generator whose k-th draw has the k-th of the given numbers in every element."""

    def __init__(self, numbers: Sequence[float]):
        super().__init__(0)
        self.left = iter(numbers)

    @override
    def normal(self, like: Tensor) -> Tensor:
        return torch.full_like(like, next(self.left))


def affine_moments(run: Callable[[Generator, int], Tensor], draws: int) -> tuple[Tensor, Tensor]:
    """Exact mean and variance, per coordinate, of run(generator, rows), a map affine in at most `draws` normal draws.

    The rows that `run` returns must differ in their noise only.

    Raises:
        ValueError: If `run` draws more numbers, or numbers that are not normal, or if it is not affine: if its response
            to a set of numbers is not the sum of its responses to each, to 1e-4 of its standard deviation.
    """
    rows = run(UnitNoise(draws), draws + 1)
    mean, responses = rows[-1], rows[:-1] - rows[-1]
    numbers = [math.cos(k) for k in range(draws)]
    answer = run(EqualNoise(numbers), 1)[0] - mean
    expected = torch.tensordot(torch.tensor(numbers).to(responses), responses, 1)
    var = responses.square().sum(0)
    if bool(((answer - expected).abs() > 1e-4 * var.sqrt() + 1e-12).any()):
        raise ValueError("the map is not affine in its noise")
    return mean, var


class NoNoise(Generator):
    """A generator that fails the test when it is asked for a number."""

    def __init__(self) -> None:
        super().__init__(0)

    @override
    def normal(self, like: Tensor) -> Tensor:
        raise RuleBroken("a deterministic method drew random numbers", "none, or stochastic = True")

    uniform = normal


class CountedNoise(Generator):
    """A generator that counts its draws."""

    draws = 0

    @override
    def normal(self, like: Tensor) -> Tensor:
        self.draws += 1
        return super().normal(like)

    @override
    def uniform(self, like: Tensor) -> Tensor:
        self.draws += 1
        return super().uniform(like)


class Disturbed(ModelWrapper):
    """A model whose noise prediction is off by δ · h(x, t)."""

    kind = "noise"

    def __init__(self, model: ScoreModel, size: Any, shape: Callable[[Tensor, Any], Any]):
        super().__init__(model)
        self.size, self.error = size, shape

    @override
    def forward(self, x: Tensor, at: Any) -> Tensor:
        return self.inner.predict(x, at, "noise") + self.size * self.error(x, at)


class Isotropic(ScoreModel):
    """The exact model of N(1, ½) in every coordinate, for examples of any shape, of a process without a centre."""

    kind = "x0"

    def __init__(self, shape: tuple[int, ...], process: GaussianProcess | None = None):
        self.process, self.shape = process or ReferenceVP(), shape
        self.mean, self.var = torch.ones(shape), torch.full(shape, 0.5)

    @override
    def forward(self, x: Tensor, at: Any) -> Tensor:
        gain = at.alpha * 0.5 / (at.alpha**2 * 0.5 + at.var)
        return 1 + gain * (x - at.alpha)
