r"""Log-likelihood by the probability flow: the exact density of the samples of a deterministic sampler.

Along the flow dx/dt = u of a model, log p changes by −∇·u, so that for a point x at t_min

    log p(x) = log p_T(x_T) + ∫ ∇·u dt    from t_min to T.

The integral is computed in coordinates in which it is regular at both ends, for every process and its clock. With the
mean m and the standard deviation σ_d of the data, both measured from the centre of the process, and S² = α²σ_d² + σ²,

    y = (x − α m)/S,    θ = atan(σ/(α σ_d)),    dy/dθ = cos θ ε̂ − sin θ (x̂_0 − m)/σ_d,

which vanishes for Gaussian data N(m, σ_d² I). Steps are equal in u = asinh(tan(θ/2)/κ). This clock is logarithmic while
the noise is large beside κ, so that data with fine structure are resolved, and linear below.

References:
    Chen et al. (2018), arXiv 1806.07366, eq. 8: the change of log p along a flow.
    Song et al. (2021), arXiv 2011.13456, eq. 39: the likelihood of a score model.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data.casts import wide, with_numbers
from difrun.data.checks import finite_data
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.eval_mode import in_eval_mode
from difrun.model.predictions import data_angle
from difrun.model.wrappers import Centred
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator

KNEE = 0.02
"""Constant κ of the clock. Between 0.01 and 0.05 the error of 100 steps changes little, for wide and for fine data."""

EXACT_DIMENSIONS = 32
"""Most coordinates for which the divergence is exact by default; it costs one derivative per coordinate."""

DEFAULT_PROBES = 4
"""Default number of probes of the divergence beyond `EXACT_DIMENSIONS`."""


@attrs.frozen(eq=False)
class LogLikelihood:
    """The log-likelihood of n examples.

    Attributes:
        nats: log p(x) in nats, (n,), float64.
        probe_error: Its standard error from the random probes, (n,): 0 if the divergence is exact, NaN for a single
            probe, whose error cannot be estimated.
    """

    nats: Tensor
    probe_error: Tensor


@in_eval_mode
def log_likelihood(
    model: ScoreModel,
    x: Tensor,
    *,
    steps: int = 100,
    probes: int | None = None,
    seed: int = 0,
    chunk: int | None = None,
    prior: Callable[[Tensor], Tensor] | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> LogLikelihood:
    r"""Return log p(x) for the distribution that the probability flow of a model gives at t_min.

    This is the distribution of the samples of a deterministic sampler with fine steps. If the model has the exact score
    of a distribution q, it is that of α x_0 + σ ε at t_min (about the centre of the process): not q itself, but q
    smoothed by σ/α = `noise_floor`. The prior at T is the moment-matched Gaussian from which samples start.

    Args:
        model: The model. After `condition_on`, with one label per row of x, the result is log p(x | label).
        x: The examples, (n, *shape). The model is evaluated in their dtype; sums are in float64.
        steps: Steps of Kutta's fourth-order method, which take four evaluations each, with derivatives.
        probes: 0 sums the exact divergence ∇·u = Σ_i ∂u_i/∂x_i, one derivative per coordinate. k > 0 estimates it by
            (1/k) Σ_j v_jᵀ(∂u/∂x) v_j with random signs v_j that stay the same along a trajectory: unbiased, at the cost
            of k derivatives. None: exact up to 32 coordinates, and 4 probes beyond.
        seed: The seed of the probes. Those of an example do not depend on `chunk`.
        chunk: The number of examples at a time. None: 1000, or fewer if they are large.
        prior: log p_T at points (m, *shape), in place of the moment-matched Gaussian.
        watch: Called with the number of steps done and their total.

    Raises:
        DifrunError: If the process is not Gaussian, the model cannot be differentiated, x does not have the model's
            shape, or a result is not finite.

    References:
        Hutchinson (1990); Grathwohl et al. (2019), arXiv 1810.01367, eq. 8: the estimate of the divergence.
    """
    x = with_numbers(finite_data(x, "examples"), "examples")
    check_model(model, x)
    _check_numbers(steps, probes)
    d = x[:1].numel()
    if chunk is None:
        chunk = max(16, min(1000, 2**17 // d))
    if probes is None:
        probes = 0 if d <= EXACT_DIMENSIONS else DEFAULT_PROBES
    done, total = 0, steps * -(-len(x) // chunk)

    def count_step() -> None:
        nonlocal done
        done += 1
        if watch is not None:
            watch(done, total)

    chunks = []
    for first in range(0, len(x), chunk):
        part = x[first : first + chunk]
        signs = list(_random_signs(part, probes, Generator(seed, first=first, device=x.device)))
        part_model = model.rows(slice(first, first + chunk))
        chunks.append(_integrate(part_model, part, steps, signs, prior, count_step))
    estimates = torch.cat(chunks, 1)  # (probes, n), or (1, n) if exact
    nats = estimates.mean(0)
    if not bool(nats.isfinite().all()):
        bad = int((~nats.isfinite()).sum())
        raise DifrunError(
            f"{bad} of {len(x)} log-likelihoods are not finite: the probability flow of this model diverges. "
            "Take more steps, or train longer."
        )
    if probes > 1:
        return LogLikelihood(nats, estimates.std(0) / probes**0.5)
    return LogLikelihood(nats, torch.full_like(nats, 0.0 if probes == 0 else math.nan))


class FlowCoordinates:
    """The coordinates y and the clock u, for a process with centre 0.

    Args:
        process: The process.
        mean: The mean m of the data.
        std: Their standard deviation σ_d.
    """

    def __init__(self, process: GaussianProcess, mean: Tensor, std: float):
        self.process, self.mean, self.std = process, mean, std

    def instants(self, steps: int) -> tuple[list[Any], float]:
        """Return 2 · steps + 1 instants from t_min to T (ends and middles of the steps) and the step length in u."""
        ends = self.process.instants([self.process.t_min, self.process.horizon])
        low, high = (math.asinh(math.tan(0.5 * self.angle(at)) / KNEE) for at in ends)
        u = torch.linspace(low, high, 2 * steps + 1, dtype=torch.float64)
        angles = 2 * torch.atan(KNEE * torch.sinh(u))
        times = self.process.time_at(-torch.log(self.std * torch.tan(angles))).tolist()
        times[0], times[-1] = self.process.t_min, self.process.horizon
        return self.process.instants(times), (high - low) / steps

    def total_std(self, at: Any) -> float:
        """Return S = √(α²σ_d² + σ²)."""
        return math.hypot(at.alpha * self.std, at.sigma)

    def angle(self, at: Any) -> float:
        """Return θ."""
        return data_angle(at, self.std)

    def speed(self, at: Any) -> float:
        """Return dθ/du."""
        tangent = math.tan(0.5 * self.angle(at))
        return 2 * math.hypot(KNEE, tangent) / (1 + tangent**2)

    def enter(self, x: Tensor, at: Any) -> Tensor:
        """Return y for x."""
        return (x - at.alpha * self.mean) / self.total_std(at)

    def leave(self, y: Tensor, at: Any) -> Tensor:
        """Return x for y."""
        return self.total_std(at) * y + at.alpha * self.mean

    def velocity(self, model: ScoreModel, y: Tensor, at: Any, dtype: torch.dtype) -> Tensor:
        r"""Return dy/du at y (n, *shape), from the prediction s = ε̂ − x̂_0, which is well conditioned at both ends.

            dy/dθ = [(cos θ − sin θ/σ_d) x + (S/σ_d) s]/(α + σ) + sin θ m/σ_d

        The model is evaluated in `dtype`.
        """
        total_std, x = self.total_std(at), self.leave(y, at)
        prediction = model.predict(x.to(dtype), at, "straight")
        if not prediction.requires_grad:
            raise DifrunError(
                "the likelihood needs derivatives of the model, and its prediction has none. Evaluate it without "
                "torch.no_grad, or .detach(), inside."
            )
        x_factor = (at.alpha * self.std - at.sigma / self.std) / total_std
        slope = (x_factor * x + total_std / self.std * prediction.to(x.dtype)) / (at.alpha + at.sigma)
        return self.speed(at) * (slope + at.sigma / (total_std * self.std) * self.mean)


def _integrate(
    model: ScoreModel,
    x: Tensor,
    steps: int,
    signs: list[Tensor],
    prior: Callable[[Tensor], Tensor] | None,
    count_step: Callable[[], None],
) -> Tensor:
    """Return log p(x) of one chunk: an estimate for each probe, (k, n), or the exact value, (1, n)."""
    dtype, process = x.dtype, model.process.centred()
    shift: Any = 0.0
    if process is not model.process:
        model = Centred(model, wide(x))
        shift = model.offset
    coordinates = FlowCoordinates(process, wide(torch.as_tensor(model.mean, device=x.device)), model.data_std)
    instants, h = coordinates.instants(steps)
    y = coordinates.enter(wide(x) - shift, instants[0])
    total = y.new_zeros(max(1, len(signs)), len(x))

    def slopes(y: Tensor, at: Any) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            return _divergence(coordinates.velocity(model, y, at, dtype), y, signs)

    for at, middle, to in zip(instants[:-2:2], instants[1::2], instants[2::2], strict=True):
        k1, d1 = slopes(y, at)
        k2, d2 = slopes(y + 0.5 * h * k1, middle)
        k3, d3 = slopes(y + 0.5 * h * k2, middle)
        k4, d4 = slopes(y + h * k3, to)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        total = total + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
        count_step()
    end = coordinates.leave(y, instants[-1])
    log_prior = _log_matched_prior(process, model, end) if prior is None else prior(end + shift)
    growth = coordinates.total_std(instants[-1]) / coordinates.total_std(instants[0])
    return log_prior + total + x[:1].numel() * math.log(growth)


def _divergence(velocity: Tensor, y: Tensor, signs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The velocity, and its divergence: an estimate for each probe, (k, n), or the exact value, (1, n)."""
    if signs:
        estimates = [
            (torch.autograd.grad(velocity, y, sign, retain_graph=True)[0] * sign).flatten(1).sum(1)
            for sign in signs
        ]
        return velocity.detach(), torch.stack(estimates)
    # Row n of the velocity depends on row n of y only, so the derivative of the sum of a column is that of each row.
    diagonal = [
        torch.autograd.grad(column.sum(), y, retain_graph=True)[0].flatten(1)[:, k]
        for k, column in enumerate(velocity.flatten(1).unbind(1))
    ]
    return velocity.detach(), torch.stack(diagonal).sum(0)[None]


def _log_matched_prior(process: GaussianProcess, model: ScoreModel, x: Tensor) -> Tensor:
    """The log-density of the moment-matched prior, (n,)."""
    mean, var = model.moments()
    location, scale = process.prior_moments(x, mean=mean, var=var)
    normal = ((x - location) / scale).square() + (2 * math.pi * scale**2).log()
    return -0.5 * normal.flatten(1).sum(1)


def _random_signs(x: Tensor, probes: int, generator: Generator) -> Iterator[Tensor]:
    for _ in range(probes):
        yield torch.where(generator.uniform(wide(x)) < 0.5, -1.0, 1.0).to(wide(x))


def _check_numbers(steps: int, probes: int | None) -> None:
    if steps < 1:
        raise DifrunError(f"the likelihood needs at least 1 step, not {steps}.")
    if probes is not None and probes < 0:
        raise DifrunError(f"the number of probes is 0 (exact divergence) or more, not {probes}.")


def check_model(model: ScoreModel, x: Tensor) -> None:
    """Raise DifrunError unless the model's process is Gaussian and x holds examples (n, *model.shape), n ≥ 1."""
    if not isinstance(model.process, GaussianProcess):
        raise DifrunError(
            f"the likelihood needs a Gaussian process, which has a probability flow; {type(model.process).__name__} "
            "has none."
        )
    if tuple(x.shape[1:]) != tuple(model.shape) or len(x) == 0:
        raise DifrunError(
            f"examples of shape {tuple(x.shape)} do not fit a model of examples of shape {tuple(model.shape)}."
        )
