r"""Gaussian processes: x_t = μ + α(t)(x_0 − μ) + σ(t) ε, with everything that follows from α and σ in closed form."""

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.model.predictions import PREDICTIONS, conversion, mix
from difrun.process.base import ForwardProcess, Randomness, numpy_too
from difrun.process.schedule import Instant, Schedule
from difrun.randomness.generator import Generator

if TYPE_CHECKING:
    from difrun.guidance.guided import LogLikelihoodFunction, Scale


@attrs.frozen(eq=False)
class Normal:
    """N(mean, std²), independent in every coordinate."""

    mean: Tensor
    std: Any

    def sample(self, generator: Generator) -> Tensor:
        return self.mean + self.std * generator.normal(self.mean)


class GaussianProcess(Schedule, ForwardProcess):
    r"""A process with Gaussian transitions, the solution of dx = f (x − μ) dt + g dw (Song et al., 2021, sec. 3).

    A subclass writes `log_alpha(t)` and `variance(t)` and sets `horizon`; all else follows. For s < t, in coordinates
    centred on μ,

        x_t | x_s ~ N(α_{t|s} x_s, σ²_{t|s}),    α_{t|s} = α_t/α_s,    σ²_{t|s} = σ_t² − α²_{t|s} σ_s².
    """

    centre: float | Sequence[float] = 0.0
    """μ, the mean to which the process returns: a number or one per coordinate."""

    def prior(
        self,
        shape: tuple[int, ...],
        *,
        mean: Any = 0.0,
        var: Any = 0.0,
        generator: Randomness = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        r"""The moment-matched x_T ~ N(μ + α_T (m − μ), α_T² v + σ_T²), for data of mean m and variance v.

        With v = 0 it is the distribution of x_T given x_0 = m; a process that forgets its data has α_T = 0 and needs
        neither.
        """
        like = torch.empty(shape, dtype=dtype, device=device)
        location, scale = self.prior_moments(like, mean=mean, var=var)
        return location + scale * Generator.of(generator, device).normal(like)

    def prior_moments(self, like: Tensor, *, mean: Any = 0.0, var: Any = 0.0) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of `prior`, per coordinate, in the dtype and on the device of `like` (n, ...)."""
        at = self.at(self.horizon)
        mean, var = (torch.as_tensor(a, dtype=like.dtype, device=like.device) for a in (mean, var))
        centre = self.centre_like(like)
        return centre + at.alpha * (mean - centre), (at.alpha**2 * var + at.var).sqrt()

    @numpy_too
    def sample(self, x0: Tensor, t: Any, generator: Randomness = None) -> Tensor:
        """x_t given x_0 of shape (n, ...), at one time or one per example (n,).

        Raises DifrunError for a time outside [0, T].
        """
        if isinstance(t, Tensor):
            t = t.to(x0)
        at = t if isinstance(t, Instant) else self.at(t, x0.ndim)
        return self.diffuse(x0, Generator.of(generator, x0.device).normal(x0), at)

    def diffuse(self, x0: Tensor, noise: Tensor, at: Instant) -> Tensor:
        """x_t = μ + α(x_0 − μ) + σε for the noise ε that is given."""
        centre = self.centre_like(x0)
        return centre + at.alpha * (x0 - centre) + at.sigma * noise

    @numpy_too
    def path(self, x0: Tensor, times: Sequence[float], generator: Randomness = None) -> Tensor:
        r"""One exact joint path per example at increasing times in [0, T], by composing transitions.

        (len(times), n, ...). The correlation between times is that of the process, Cov(x_s, x_t) = α_t/α_s · Var(x_s).
        Raises DifrunError for times that do not increase or lie outside [0, T].
        """
        generator = Generator.of(generator, x0.device)
        centre = self.centre_like(x0)
        steps = [0.0, *_increasing(times)]
        x, path = x0 - centre, []
        for at, to in pairwise(self.instants(steps)):
            if to.t > at.t:
                ratio = _ratio(to, at)
                spread = max(0.0, to.var - ratio**2 * at.var) ** 0.5
                x = ratio * x + spread * generator.normal(x)
            path.append(centre + x)
        return torch.stack(path)

    @numpy_too
    def euler_maruyama(
        self, x0: Tensor, times: Sequence[float], generator: Randomness = None, substeps: int = 1
    ) -> Tensor:
        r"""Euler–Maruyama paths of dx = f (x − μ) dt + g dw, to compare with `path`: (len(times), n, ...).

        Weak and, the noise being additive, strong order 1 in the step; `substeps` cuts each interval into equal parts.
        A step into α = 0, where f is infinite, is the exact one, x = σz.
        """
        generator = Generator.of(generator, x0.device)
        centre = self.centre_like(x0)
        times = _increasing(times)
        self._refuse_outside(times[0], times[-1], 1e-9)
        x, path = x0 - centre, []
        for start, end in pairwise([0.0, *times]):
            h = (end - start) / substeps
            if h > 0:
                grid = self.instants([*(start + h * k for k in range(substeps)), end])
                for at, to in pairwise(grid):
                    if to.alpha > 0:
                        x = x + h * at.f * x + (h * at.g2) ** 0.5 * generator.normal(x)
                    elif at.alpha > 0:
                        x = to.sigma * generator.normal(x)
            path.append(centre + x)
        return torch.stack(path)

    def bridge(self, x_t: Tensor, x0: Tensor, at: Instant, to: Instant) -> Normal:
        r"""q(x_s | x_t, x_0) for s < t, exact (Ho et al., 2020, eq. 6–7, in continuous time):

        mean = α_{t|s} σ_s²/σ_t² x_t + α_s σ²_{t|s}/σ_t² x_0,    variance = σ_s² σ²_{t|s}/σ_t².
        """
        centre = self.centre_like(x_t)
        ratio = _ratio(at, to)
        keep = ratio * to.var / at.var
        fresh = 1 - ratio * keep  # σ²_{t|s}/σ_t²
        mean = centre + keep * (x_t - centre) + to.alpha * fresh * (x0 - centre)
        return Normal(
            mean,
            (max(0.0, fresh) ** 0.5 if isinstance(fresh, float) else fresh.clamp_min(0).sqrt()) * to.sigma,
        )

    def convert(self, prediction: Tensor, x: Tensor, at: Instant, source: str, target: str) -> Tensor:
        """The prediction as another kind (`difrun.model.predictions`), all through x̂_0 = E[x_0 | x_t]."""
        if source == target and source in PREDICTIONS:
            return prediction
        p, q = conversion(at, source, target)
        centre = self.centre_like(x)
        shifted = x if isinstance(centre, float) else x - centre
        if source == "x0" and not isinstance(centre, float):
            prediction = prediction - centre
        converted = mix(p, shifted, q, prediction)
        return converted + centre if target == "x0" and not isinstance(centre, float) else converted

    @numpy_too
    def density(self, points: Tensor, data: Tensor, t: float) -> Tensor:
        r"""Marginal density p_t at `points` (m, d) of the process started from the examples `data` (n, d).

        p_t(x) = (1/n) Σ_i N(x; μ + α(x_i − μ), σ² I), a proper density that needs no further normalisation. Raises
        DifrunError outside [0, T] and at t = 0, where the distribution of finitely many examples has no density.
        """
        at = self.at(float(t))
        if not at.sigma > 0:
            raise DifrunError(f"finitely many examples have no density at t = {t}; choose a time above 0")
        data = data.to(points.dtype)
        centre = self.centre_like(points)
        means = centre + at.alpha * (data - centre)
        d = points.shape[1]
        log_norm = -0.5 * d * torch.log(torch.tensor(2 * torch.pi * at.var, dtype=points.dtype)) - torch.log(
            torch.tensor(float(len(data)), dtype=points.dtype)
        )
        rows = max(1, 4_000_000 // len(data))  # bounds the distance matrix to 32 MB
        # Distances by differences: |x|² − 2x·m + |m|² would lose those below 10⁻³|x| in float32.
        by_difference = "donot_use_mm_for_euclid_dist"
        log_p = [
            torch.logsumexp(
                -torch.cdist(part, means, compute_mode=by_difference).square() / (2 * at.var), dim=1
            )
            for part in points.split(rows)
        ]
        return (torch.cat(log_p) + log_norm).exp()

    def display_times(self, count: int) -> list[float]:
        """0, then times evenly spaced in log-SNR from near the data to T, where something can be seen."""
        low, high = self.lam_range
        lam = torch.linspace(min(high, 3.0), max(low, -2.0), count - 1, dtype=torch.float64)
        return [0.0, *self.time_at(lam).tolist()[:-1], self.horizon]

    def denoiser(
        self, network: Any, *, shape: tuple[int, ...], mean: Tensor, var: Tensor, **options: Any
    ) -> Any:
        """A `NetworkModel` with preconditioning; option `predicts`: what the network is trained to predict."""
        from difrun.model.network import NetworkModel

        return NetworkModel(network, self, shape, mean=mean, var=var, **options)

    def condition(self, model: Any, log_likelihood: "LogLikelihoodFunction", scale: float) -> Any:
        r"""The model with score ∇ log p_t(x) + scale · ∇ log L(x, t); `model` itself for scale 0.

        With log L = log p(y | x_t) and scale 1 it is ∇ log p_t(x | y), by Bayes' theorem (Dhariwal and Nichol, 2021,
        arXiv 2105.05233, sec. 4; Song et al., 2021, arXiv 2011.13456, eq. 14). The gradient is taken by autograd.
        """
        from difrun.guidance.guided import Conditioned

        return model if scale == 0 else Conditioned(model, log_likelihood, scale)

    def extrapolate(self, model: Any, labels: Tensor, scale: "Scale") -> Any:
        r"""The model with score (1 − s) ∇ log p_t(x) + s ∇ log p_t(x | class) (Ho and Salimans, 2022, arXiv
        2207.12598, eq. 6, whose w is s − 1); so does every kind combine, all being linear in the score."""
        from difrun.guidance.guided import Extrapolated

        return Extrapolated(model, labels, scale)

    def centred(self) -> "GaussianProcess":
        """This process with μ = 0, the coordinates in which samplers work."""
        return self if isinstance(self._centre_value, float) else _Centred(self)

    @cached_property
    def _centre_value(self) -> float | Tensor:
        value = torch.as_tensor(self.centre, dtype=torch.float64)
        return 0.0 if not value.any() else value

    def centre_like(self, like: Tensor) -> Any:
        """μ as it combines with `like`: 0.0 where there is none, else a tensor of its dtype and device.

        Raises DifrunError when μ has one number per coordinate and the examples have another number of coordinates.
        """
        value = self._centre_value
        if isinstance(value, float):
            return value
        if value.ndim and tuple(value.shape) != tuple(like.shape[-value.ndim :]):
            raise DifrunError(
                f"the mean μ has {value.numel()} numbers; examples of shape {tuple(like.shape[1:])} need one for each "
                "coordinate, or a single number for all."
            )
        return value.to(dtype=like.dtype, device=like.device)


class _Centred(GaussianProcess):
    """A process seen from its own mean."""

    def __init__(self, process: GaussianProcess):
        self._process = process
        self.horizon = process.horizon
        self.noise_floor = process.noise_floor

    def log_alpha(self, t: Tensor) -> Tensor:
        return self._process.log_alpha(t)

    def log_slope(self, t: Tensor) -> Tensor:
        return self._process.log_slope(t)

    def derivatives(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self._process.derivatives(t)

    def alpha(self, t: Tensor) -> Tensor:
        return self._process.alpha(t)

    def variance(self, t: Tensor) -> Tensor:
        return self._process.variance(t)

    def time_at(self, lam: Any) -> Any:
        return self._process.time_at(lam)


def _ratio(later: Instant, earlier: Instant) -> Any:
    """α_t/α_s for s < t, from logarithms: both may be too small for their format."""
    log = later.log_alpha - earlier.log_alpha
    return math.exp(log) if isinstance(log, float) else log.exp()


def _increasing(times: Sequence[float]) -> list[float]:
    ts = [float(t) for t in times]
    if not ts or ts[0] < 0 or any(b < a for a, b in pairwise(ts)):
        raise DifrunError("the times of a path must increase from a first time of at least 0")
    return ts
