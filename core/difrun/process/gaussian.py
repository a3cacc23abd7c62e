r"""Gaussian processes: x_t = μ + α(t)(x_0 − μ) + σ(t) ε, with everything that follows from α and σ in closed form."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.predictions import PREDICTIONS, conversion, mix
from difrun.process.arrays import numpy_too
from difrun.process.base import Randomness
from difrun.process.distribution import Normal
from difrun.process.forward import ForwardSimulation, alpha_ratio
from difrun.process.schedule import Instant
from difrun.process.times import one_time
from difrun.randomness.generator import Generator
from difrun.report.card import card

if TYPE_CHECKING:
    from difrun.guidance.conditioned import LogLikelihoodFunction, Scale


class GaussianProcess(ForwardSimulation):
    r"""A process with Gaussian transitions, the solution of dx = f (x − μ) dt + g dw.

    A subclass writes `log_alpha(t)` and `variance(t)` and sets `horizon`; all else follows. For s < t, in coordinates
    centred on μ,

        x_t | x_s ~ N(α_{t|s} x_s, σ²_{t|s}),    α_{t|s} = α_t/α_s,    σ²_{t|s} = σ_t² − α²_{t|s} σ_s².

    References:
        Song et al. (2021), arXiv 2011.13456, sec. 3.
    """

    @override
    def prior(
        self,
        shape: tuple[int, ...],
        *,
        mean: Any = 0.0,
        var: Any = 0.0,
        t: float | None = None,
        generator: Randomness = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        r"""Draw the moment-matched x_t ~ N(μ + α (m − μ), α² v + σ²), for data of mean m and variance v.

        The time t is T unless another one is given. With v = 0 it is the distribution of x_t given x_0 = m. A process
        with α_T = 0 needs neither at T.
        """
        like = torch.empty(shape, dtype=dtype, device=device)
        location, scale = self.prior_moments(like, mean=mean, var=var, t=t)
        return location + scale * Generator.of(generator, device).normal(like)

    def prior_moments(
        self, like: Tensor, *, mean: Any = 0.0, var: Any = 0.0, t: float | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of `prior`, per coordinate, with dtype and device of `like` (n, ...)."""
        at = self.at(self.horizon if t is None else one_time(t))
        mean, var = (torch.as_tensor(a, dtype=like.dtype, device=like.device) for a in (mean, var))
        centre = self.centre_like(like)
        return centre + at.alpha * (mean - centre), (at.alpha**2 * var + at.var).sqrt()

    def table_index(self, t: Any) -> Any:
        """Return the index, counted from 0, of the entry of its table that a process has at time t.

        A network that was trained with whole numbers for times takes it; between two entries it is a fraction.

        Args:
            t: A time, or a tensor of times.

        Raises:
            DifrunError: If the process is not made from a table.
        """
        raise DifrunError(
            f"the process {type(self).__name__} is not made from a table: its times have no index."
        )

    @override
    def bridge(self, x_t: Tensor, x0: Tensor, at: Instant, to: Instant) -> Normal:
        r"""Return the exact q(x_s | x_t, x_0) for s < t.

            mean = α_{t|s} σ_s²/σ_t² x_t + α_s σ²_{t|s}/σ_t² x_0,    variance = σ_s² σ²_{t|s}/σ_t².

        References:
            Ho et al. (2020), arXiv 2006.11239, eq. 6–7, here in continuous time.
        """
        centre = self.centre_like(x_t)
        ratio = alpha_ratio(at, to)
        keep = ratio * to.var / at.var
        fresh = 1 - ratio * keep  # σ²_{t|s}/σ_t²
        mean = centre + keep * (x_t - centre) + to.alpha * fresh * (x0 - centre)
        root = max(0.0, fresh) ** 0.5 if isinstance(fresh, float) else fresh.clamp_min(0).sqrt()
        return Normal(mean, root * to.sigma)

    @override
    def convert(self, prediction: Tensor, x: Tensor, at: Instant, source: str, target: str) -> Tensor:
        """Convert a prediction to another kind (`difrun.model.predictions`), through x̂_0 = E[x_0 | x_t]."""
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
        r"""Return the marginal density p_t of the process started from examples x_i, normalised.

            p_t(x) = (1/n) Σ_i N(x; μ + α(x_i − μ), σ² I)

        Args:
            points: Where to evaluate it, (m, d).
            data: The examples, (n, d).
            t: The time.

        Returns:
            The density, (m,).

        Raises:
            DifrunError: If t is outside [0, T], or 0, where finitely many examples have no density.
        """
        at = self.at(one_time(t))
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

    def _repr_html_(self) -> str:
        rows = []
        for t in self.display_times(6):
            at = self.at(t)
            snr = (at.alpha / at.sigma) ** 2 if at.sigma else math.inf
            rows.append([f"{value:.4g}" for value in (t, at.alpha, at.sigma, snr)])
        return card(repr(self), rows, ("t", "α", "σ", "α²/σ²"))

    @override
    def display_times(self, count: int) -> list[float]:
        """Return 0, then times evenly spaced in log-SNR from near the data to T, where something can be seen."""
        low, high = self.lam_range
        lam = torch.linspace(min(high, 3.0), max(low, -2.0), count - 1, dtype=torch.float64)
        return [0.0, *self.time_at(lam).tolist()[:-1], self.horizon]

    @override
    def denoiser(
        self, network: Any, *, shape: tuple[int, ...], mean: Tensor, var: Tensor, **options: Any
    ) -> Any:
        """Return a `NetworkModel`, whose option `predicts` says what the network is trained to predict."""
        from difrun.model.network import NetworkModel

        return NetworkModel(network, self, shape, mean=mean, var=var, **options)

    @override
    def condition(self, model: ScoreModel, log_likelihood: "LogLikelihoodFunction", scale: float) -> Any:
        r"""Return the model with score ∇ log p_t(x) + scale · ∇ log L(x, t); `model` itself for scale 0.

        With log L = log p(y | x_t) and scale 1 it is ∇ log p_t(x | y), by Bayes' theorem. The gradient is taken by
        autograd.

        References:
            Dhariwal and Nichol (2021), arXiv 2105.05233, sec. 4.
            Song et al. (2021), arXiv 2011.13456, eq. 14.
        """
        from difrun.guidance.conditioned import Conditioned

        return model if scale == 0 else Conditioned(model, log_likelihood, scale)

    @override
    def extrapolate(self, model: ScoreModel, labels: Tensor, scale: "Scale") -> Any:
        r"""Return the model with score (1 − s) ∇ log p_t(x) + s ∇ log p_t(x | class).

        Every other kind combines in the same way, as it is linear in the score.

        References:
            Ho and Salimans (2022), arXiv 2207.12598, eq. 6, whose w is s − 1.
        """
        from difrun.guidance.classifier_free import Extrapolated

        return Extrapolated(model, labels, scale)

    @override
    def centred(self) -> "GaussianProcess":
        """Return this process with μ = 0, the coordinates in which samplers work."""
        return self if isinstance(self._centre_value, float) else _Centred(self)


class SameSchedule(GaussianProcess):
    """A Gaussian process whose noise schedule is that of another.

    Args:
        process: The other process.
    """

    def __init__(self, process: GaussianProcess):
        self._process = process
        self.horizon = process.horizon
        self.noise_floor = process.noise_floor

    @override
    def log_alpha(self, t: Tensor) -> Tensor:
        return self._process.log_alpha(t)

    @override
    def table_index(self, t: Any) -> Any:
        return self._process.table_index(t)

    @override
    def log_slope(self, t: Tensor) -> Tensor:
        return self._process.log_slope(t)

    @override
    def derivatives(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return self._process.derivatives(t)

    @override
    def alpha(self, t: Tensor) -> Tensor:
        return self._process.alpha(t)

    @override
    def variance(self, t: Tensor) -> Tensor:
        return self._process.variance(t)


class _Centred(SameSchedule):
    """A process seen from its own mean."""

    @override
    def time_at(self, lam: Any) -> Any:
        return self._process.time_at(lam)
