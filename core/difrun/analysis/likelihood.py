r"""Log-likelihood by the probability flow: the density of what a deterministic sampler draws, solved to the end.

Along the flow dx/dt = u of a score model log p changes by −∇·u (Chen et al., 2018, arXiv 1806.07366, eq. 8; Song et
al., 2021, arXiv 2011.13456, eq. 39), so that for an x at t_min

    log p(x) = log p_T(x_T) + ∫ ∇·u dt    from t_min to T.

The integral is taken in a frame in which it is regular at both ends, whatever the process and its clock. With m and σ_d
the mean and standard deviation of the data, all measured from the centre of the process, and S² = α²σ_d² + σ²,

    y = (x − α m)/S,    θ = atan(σ/(α σ_d)),    dy/dθ = cos θ ε̂ − sin θ (x̂_0 − m)/σ_d,

which vanishes for Gaussian data N(m, σ_d² I). Steps are even in u = asinh(tan(θ/2)/κ), logarithmic in the noise while
it is large beside κ, so that data with fine structure are resolved, and linear where there is nothing left to resolve.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data.casts import wide
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.predictions import data_angle
from difrun.model.wrappers import Centred
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator

KNEE = 0.02
"""κ. From 0.01 to 0.05 the error of 100 steps changes little, on wide data as on fine ones."""

EXACT_DIMENSIONS = 32
"""Most coordinates for which the divergence is exact unless the user says otherwise: it costs one derivative each."""

DEFAULT_PROBES = 4
"""Probes of the divergence beyond `EXACT_DIMENSIONS`."""


@attrs.frozen(eq=False)
class LogLikelihood:
    """What `log_likelihood` finds for n examples.

    nats: log p(x) in nats, shape (n,), float64. probe_error: its standard error from the random probes, shape (n,);
    0 where the divergence is exact, NaN for a single probe, which does not show its own spread.
    """

    nats: Tensor
    probe_error: Tensor


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
    r"""log p(x) in nats of the distribution that the probability flow of `model` gives, at t_min, for x of shape (n,
    ...).

    That is the distribution of the samples of a deterministic sampler with fine steps. For the exact score of a
    distribution q it is the distribution of α x_0 + σ ε at t_min (about the centre of the process), not q itself:
    smoothed by σ/α = `noise_floor`. The prior at T is the moment-matched Gaussian from which samples start.

    steps: of Kutta's fourth-order method; four evaluations each, with their derivatives.
    probes: 0 sums the exact divergence ∇·u = Σ_i ∂u_i/∂x_i, one derivative per coordinate. k > 0 estimates it by
        (1/k) Σ_j v_jᵀ(∂u/∂x) v_j with random signs v_j, the same along a whole trajectory (Hutchinson, 1990;
        Grathwohl et al., 2019, arXiv 1810.01367, eq. 8): unbiased, at the cost of k derivatives. None: exact up to 32
        coordinates, 4 probes beyond.
    seed: of the probes; those of example i are the same whatever `chunk`, the number of examples at a time, is.
    chunk: None takes 1000, or fewer large ones.
    prior: log p_T at points (m, ...), in the place of the moment-matched Gaussian.
    watch: called with the number of steps done and their total.

    For a model that was `condition_on` labels, one per row of x, it is log p(x | label). The model is evaluated in
    the dtype of x; what is summed is float64. Raises DifrunError where the process is not Gaussian, the model cannot be
    differentiated, x has not the model's shape, or a result is not finite.
    """
    _refuse(model, x, steps, probes)
    d = x[:1].numel()
    if chunk is None:
        chunk = max(16, min(1000, 2**17 // d))
    if probes is None:
        probes = 0 if d <= EXACT_DIMENSIONS else DEFAULT_PROBES
    done, total = 0, steps * -(-len(x) // chunk)

    def tick() -> None:
        nonlocal done
        done += 1
        if watch is not None:
            watch(done, total)

    found = []
    for first in range(0, len(x), chunk):
        part = x[first : first + chunk]
        signs = list(_signs(part, probes, Generator(seed, first=first, device=x.device)))
        found.append(_solve(model.rows(slice(first, first + chunk)), part, steps, signs, prior, tick))
    every = torch.cat(found, 1)  # (probes, or 1, n)
    nats = every.mean(0)
    if not bool(nats.isfinite().all()):
        bad = int((~nats.isfinite()).sum())
        raise DifrunError(
            f"{bad} of {len(x)} log-likelihoods are not finite: the probability flow of this model leaves every bound. "
            "Take more steps, or train longer."
        )
    if probes > 1:
        return LogLikelihood(nats, every.std(0) / probes**0.5)
    return LogLikelihood(nats, torch.full_like(nats, 0.0 if probes == 0 else math.nan))


class Frame:
    """(y, u) for a process with centre 0 and data of this mean and standard deviation."""

    def __init__(self, process: GaussianProcess, mean: Tensor, std: float):
        self.process, self.mean, self.std = process, mean, std

    def instants(self, steps: int) -> tuple[list[Any], float]:
        """2 · steps + 1 instants from t_min to T, ends and middles of the steps, and the length of a step in u."""
        ends = self.process.instants([self.process.t_min, self.process.horizon])
        low, high = (math.asinh(math.tan(0.5 * self.angle(at)) / KNEE) for at in ends)
        u = torch.linspace(low, high, 2 * steps + 1, dtype=torch.float64)
        angles = 2 * torch.atan(KNEE * torch.sinh(u))
        times = self.process.time_at(-torch.log(self.std * torch.tan(angles))).tolist()
        times[0], times[-1] = self.process.t_min, self.process.horizon
        return self.process.instants(times), (high - low) / steps

    def size(self, at: Any) -> float:
        """S."""
        return math.hypot(at.alpha * self.std, at.sigma)

    def angle(self, at: Any) -> float:
        """θ."""
        return data_angle(at, self.std)

    def speed(self, at: Any) -> float:
        """dθ/du."""
        tangent = math.tan(0.5 * self.angle(at))
        return 2 * math.hypot(KNEE, tangent) / (1 + tangent**2)

    def enter(self, x: Tensor, at: Any) -> Tensor:
        return (x - at.alpha * self.mean) / self.size(at)

    def leave(self, y: Tensor, at: Any) -> Tensor:
        return self.size(at) * y + at.alpha * self.mean

    def velocity(self, model: ScoreModel, y: Tensor, at: Any, dtype: torch.dtype) -> Tensor:
        r"""dy/du at y (n, ...), from the prediction s = ε̂ − x̂_0, which is well conditioned at both ends:

        dy/dθ = [(cos θ − sin θ/σ_d) x + (S/σ_d) s]/(α + σ) + sin θ m/σ_d.
        """
        size, x = self.size(at), self.leave(y, at)
        prediction = model.predict(x.to(dtype), at, "straight")
        if not prediction.requires_grad:
            raise DifrunError(
                "the likelihood needs derivatives of the model, and its prediction has none. Evaluate it without "
                "torch.no_grad, or .detach(), inside."
            )
        own = (at.alpha * self.std - at.sigma / self.std) / size
        slope = (own * x + size / self.std * prediction.to(x.dtype)) / (at.alpha + at.sigma)
        return self.speed(at) * (slope + at.sigma / (size * self.std) * self.mean)


def _solve(
    model: ScoreModel,
    x: Tensor,
    steps: int,
    signs: list[Tensor],
    prior: Callable[[Tensor], Tensor] | None,
    tick: Callable[[], None],
) -> Tensor:
    """log p(x) of one chunk, once for each probe (k, n), or once (1, n) with the exact divergence."""
    dtype, process = x.dtype, model.process.centred()
    shift: Any = 0.0
    if process is not model.process:
        model = Centred(model, wide(x))
        shift = model.offset
    frame = Frame(process, wide(torch.as_tensor(model.mean, device=x.device)), model.data_std)
    instants, h = frame.instants(steps)
    y = frame.enter(wide(x) - shift, instants[0])
    total = y.new_zeros(max(1, len(signs)), len(x))

    def slopes(y: Tensor, at: Any) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            return _divergence(frame.velocity(model, y, at, dtype), y, signs)

    for at, middle, to in zip(instants[:-2:2], instants[1::2], instants[2::2], strict=True):
        k1, d1 = slopes(y, at)
        k2, d2 = slopes(y + 0.5 * h * k1, middle)
        k3, d3 = slopes(y + 0.5 * h * k2, middle)
        k4, d4 = slopes(y + h * k3, to)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        total = total + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
        tick()
    end = frame.leave(y, instants[-1])
    log_prior = _matched(process, model, end) if prior is None else prior(end + shift)
    return log_prior + total + x[:1].numel() * math.log(frame.size(instants[-1]) / frame.size(instants[0]))


def _divergence(velocity: Tensor, y: Tensor, signs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The velocity, and its divergence (1, n), or one estimate of it for each probe (k, n)."""
    if signs:
        estimates = [
            (torch.autograd.grad(velocity, y, sign, retain_graph=True)[0] * sign).flatten(1).sum(1)
            for sign in signs
        ]
        return velocity.detach(), torch.stack(estimates)
    # Row n of the velocity depends on row n of y alone: the derivative of a column's sum is that of each row.
    diagonal = [
        torch.autograd.grad(column.sum(), y, retain_graph=True)[0].flatten(1)[:, k]
        for k, column in enumerate(velocity.flatten(1).unbind(1))
    ]
    return velocity.detach(), torch.stack(diagonal).sum(0)[None]


def _matched(process: GaussianProcess, model: ScoreModel, x: Tensor) -> Tensor:
    """log density of the moment-matched prior, (n,)."""
    mean, var = model.moments()
    location, scale = process.prior_moments(x, mean=mean, var=var)
    normal = ((x - location) / scale).square() + (2 * math.pi * scale**2).log()
    return -0.5 * normal.flatten(1).sum(1)


def _signs(x: Tensor, probes: int, generator: Generator) -> Iterator[Tensor]:
    for _ in range(probes):
        yield torch.where(generator.uniform(wide(x)) < 0.5, -1.0, 1.0).to(wide(x))


def _refuse(model: ScoreModel, x: Tensor, steps: int, probes: int | None) -> None:
    check_model(model, x)
    if steps < 1:
        raise DifrunError(f"the likelihood needs at least 1 step, not {steps}.")
    if probes is not None and probes < 0:
        raise DifrunError(f"the number of probes is 0 (exact divergence) or more, not {probes}.")


def check_model(model: ScoreModel, x: Tensor) -> None:
    """Raise DifrunError unless the model's process is Gaussian and x holds examples (n, *model.shape), n ≥ 1."""
    if not isinstance(model.process, GaussianProcess):
        raise DifrunError(
            f"the likelihood needs a Gaussian process, which has a probability flow; {type(model.process).__name__} "
            "is none."
        )
    if tuple(x.shape[1:]) != tuple(model.shape) or len(x) == 0:
        raise DifrunError(
            f"examples of shape {tuple(x.shape)} do not fit a model of examples of shape {tuple(model.shape)}."
        )
