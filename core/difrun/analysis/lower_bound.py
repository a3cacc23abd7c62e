r"""The evidence lower bound of a score model: a lower bound on log p of the reverse SDE.

The reverse SDE generates x at t_min from the moment-matched prior, and x_0 ~ N(x̂_0(x), (σ/α)² I) from it. Then

    −log p(x_0) ≤ KL(q(x_T | x_0) ‖ p_T)                           prior
                  + ½ ∫ (−dSNR/dt) E‖x_0 − x̂_0(x_t, t)‖² dt         diffusion, from t_min to T, SNR = α²/σ²
                  − E log N(x_0; x̂_0(x_{t_min}), (σ/α)² I)          reconstruction

The integral is over the SNR, so it does not depend on the clock of the process. It is estimated with log sin θ uniform,
θ = atan(σ/(α σ_d)), for which every time contributes equally if the data are Gaussian.

References:
    Kingma et al. (2021), arXiv 2107.00630, eq. 11 and 18.
    Song et al. (2021), arXiv 2101.09258, theorem 3: the same bound.
"""

import math
from collections.abc import Callable

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.analysis.likelihood import check_model
from difrun.data.casts import wide, wide_dtype, with_numbers
from difrun.data.checks import finite_data
from difrun.errors import DifrunError
from difrun.loss.times import TimeDistribution
from difrun.model.base import ScoreModel
from difrun.model.eval_mode import in_eval_mode
from difrun.model.predictions import total_std
from difrun.process.gaussian import GaussianProcess
from difrun.randomness.generator import Generator, seed_of

BINS = 32
"""Bins of log sin θ in which control variates are fitted."""

PILOT = 8192
"""Draws on which they are fitted."""


@attrs.frozen(eq=False)
class Elbo:
    r"""The three terms of the bound for n examples, in nats, (n,) each, float64.

    With the exact score of a distribution q the bound has no gap: the mean of prior + diffusion is

        E KL(q(x_T | x_0) ‖ p_T) + I(x_0; x_{t_min}) − I(x_0; x_T),

    so that prior + diffusion + (d/2) log(2πe σ²) at t_min is the entropy of the noised distribution plus KL(q_T ‖ p_T).

    Attributes:
        prior: The KL divergence at T.
        diffusion: The integral over the SNR.
        reconstruction: The term at t_min.

    References:
        Guo, Shamai and Verdú (2005): mutual information as an integral over the SNR.
    """

    prior: Tensor
    diffusion: Tensor
    reconstruction: Tensor

    @property
    def nats(self) -> Tensor:
        """Lower bound on log p(x_0), (n,)."""
        return -(self.prior + self.diffusion + self.reconstruction)


@in_eval_mode
def elbo(
    model: ScoreModel,
    x0: Tensor,
    *,
    times: int = 32,
    seed: int = 0,
    chunk: int | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Elbo:
    """Estimate the bound for each example, without bias.

    Two control variates, fitted on other draws, are subtracted from every squared error: a multiple of ‖ε‖² − d, which
    makes up nearly all of the variance at small noise, where x̂_0 is nearly x; and the mean error at that time.

    Args:
        model: The model.
        x0: The examples, (n, *shape). The model is evaluated in their dtype.
        times: The number of times t per example, from a low-discrepancy sequence, each with a noise ε and with −ε. It
            is also the number of draws of x_{t_min}.
        seed: The seed of all random numbers.
        chunk: Examples with their noise that are evaluated at once; the result does not depend on it. None: by size.
        watch: Called with the number of examples done and their total.

    Raises:
        DifrunError: If the process is not Gaussian, x0 does not have the model's shape, `times` is below 1, or a result
            is not finite.
    """
    x0 = with_numbers(finite_data(x0, "examples"), "examples")
    check_model(model, x0)
    if times < 1:
        raise DifrunError(f"the bound needs at least 1 time per example, not {times}.")
    process, d = model.process, x0[:1].numel()
    if chunk is None:
        chunk = max(256, min(2**16, 2**22 // d))
    errors = _SquaredErrors(model, x0, seed, chunk)
    t = errors.times(len(x0) * times, "times")
    t_min = torch.full_like(t, process.t_min)
    rows = max(1, chunk // times)
    diffusion, reconstruction = [], []
    for first in range(0, len(x0), rows):
        which = torch.arange(first, min(first + rows, len(x0)), device=x0.device).repeat_interleave(times)
        part = x0[which]
        here = slice(first * times, first * times + len(part))
        over_time = errors.over_time(part, t[here], "noise", here.start, which)
        diffusion.append(over_time.reshape(-1, times).mean(1))
        at_t_min = errors.at_times(part, t_min[here], "last", here.start, which)
        reconstruction.append(at_t_min.reshape(-1, times).mean(1))
        if watch is not None:
            watch(min(first + rows, len(x0)), len(x0))
    start = process.at(process.t_min)
    # `_SquaredErrors` has units of σ_d sin θ, the reconstruction has units of σ/α = σ_d tan θ.
    cosine = start.alpha * model.data_std / math.hypot(start.alpha * model.data_std, start.sigma)
    constant = 0.5 * d * math.log(2 * math.pi * start.var / start.alpha**2)
    bound = Elbo(
        _prior_term(model, x0),
        errors.distribution.span(process) * torch.cat(diffusion),
        0.5 * cosine**2 * torch.cat(reconstruction) + constant,
    )
    if not bool(bound.nats.isfinite().all()):
        raise DifrunError("the lower bound is not finite for some examples: look at the model's samples.")
    return bound


@attrs.frozen
class EvenInAngle(TimeDistribution):
    """The distribution of times for which log sin θ is uniform, θ = atan(σ/(α σ_d))."""

    data_std: float

    def ends(self, process: GaussianProcess) -> tuple[float, float]:
        """Return log sin θ at t_min and at T."""
        start, end = process.instants([process.t_min, process.horizon])
        low, high = (
            math.log(at.sigma / math.hypot(at.alpha * self.data_std, at.sigma)) for at in (start, end)
        )
        return low, high

    def span(self, process: GaussianProcess) -> float:
        """Return the difference of log sin θ between T and t_min."""
        low, high = self.ends(process)
        return high - low

    @override
    def quantile(self, process: GaussianProcess, u: Tensor) -> Tensor:
        low, high = self.ends(process)
        sine = (low + (high - low) * u).clamp(low, high).exp()
        # tan θ = sin θ/√(1 − sin² θ), infinite at θ = π/2, where λ = −∞ and the time is T.
        lam = -(math.log(self.data_std) + sine.log() - 0.5 * torch.log1p(-(sine**2).clamp_max(1.0)))
        return process.time_at(lam).clamp(process.t_min, process.horizon)


class _SquaredErrors:
    """Squared errors of x̂_0 in units of σ_d sin θ, with their control variates subtracted."""

    def __init__(self, model: ScoreModel, x0: Tensor, seed: int, chunk: int):
        self.model, self.seed, self.like = model, seed, x0[:1]
        self.distribution = EvenInAngle(model.data_std)
        self.profile, self.factors = self._fit_controls(x0, chunk)

    def times(self, n: int, stream: str) -> Tensor:
        like = self.like.new_zeros(n)
        return self.distribution.sample(self.model.process, like, Generator(seed_of(self.seed, stream)))

    def at_times(self, x0: Tensor, t: Tensor, stream: str, first: int, which: Tensor) -> Tensor:
        """‖x_0 − x̂_0‖²/(σ_d sin θ)² for each row, (n,), the mean over ε and −ε.

        Row 0 has the number `first`, and row i belongs to the example which[i].
        """
        error, control, bins = self._raw(x0, t, stream, first, which)
        return error - self.factors[bins] * control

    def over_time(self, x0: Tensor, t: Tensor, stream: str, first: int, which: Tensor) -> Tensor:
        """The same for times from the distribution, with the mean error at that time subtracted as well."""
        error, control, bins = self._raw(x0, t, stream, first, which)
        return error - self.factors[bins] * control - self.profile[bins] + self.profile.mean()

    def _raw(
        self, x0: Tensor, t: Tensor, stream: str, first: int, which: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The error, the control variate ‖ε‖² − d, and the bin of the time.

        As α(x_0 − x̂_0) = σ(ε̂ − ε), the error of x̂_0 is σ/(α + σ) times that of ε̂ − x̂_0, in which nothing cancels at
        either end of time; and σ_d sin θ = σ_d σ/S.
        """
        model, process = self.model.rows(which), self.model.process
        at = process.instant(t, x0.ndim)
        noise = Generator(seed_of(self.seed, stream), first=first, device=x0.device).normal(x0)
        size = total_std(at, self.model.data_std)
        unit = size / ((at.alpha + at.sigma) * self.model.data_std)
        clean = x0 - process.centre_like(x0)
        total = torch.zeros((), dtype=wide_dtype(x0), device=x0.device)
        for signed in (noise, -noise):
            with torch.no_grad():
                straight = model.predict(process.diffuse(x0, signed, at), at, "straight")
            error = unit * (straight - (signed - clean))
            total = total + 0.5 * wide(error).square().flatten(1).sum(1)
        control = wide(noise).square().flatten(1).sum(1) - x0[:1].numel()
        low, high = self.distribution.ends(process)
        bins = ((at.sigma / size).log().reshape(-1) - low) / (high - low) * BINS
        return total, control, bins.long().clamp(0, BINS - 1)

    def _fit_controls(self, x0: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """For each bin the mean error, and the least-squares factor of ‖ε‖² − d, whose variance is 2d."""
        which = torch.arange(PILOT, device=x0.device) % len(x0)
        rows = x0[which]
        t = self.times(PILOT, "pilot times")
        parts = [
            self._raw(rows[k : k + chunk], t[k : k + chunk], "pilot noise", k, which[k : k + chunk])
            for k in range(0, PILOT, chunk)
        ]
        error, control, bins = (torch.cat(values) for values in zip(*parts, strict=True))
        zeros = error.new_zeros(BINS)
        counts = zeros.index_add(0, bins, torch.ones_like(error)).clamp_min(1)
        mean = zeros.index_add(0, bins, error) / counts
        product = zeros.index_add(0, bins, (error - mean[bins]) * control) / counts
        return mean, product / (2 * x0[:1].numel())


def _prior_term(model: ScoreModel, x0: Tensor) -> Tensor:
    """The divergence KL(N(μ + α(x_0 − μ), σ²) ‖ prior) at T, summed over coordinates, (n,)."""
    process = model.process
    x0 = wide(x0)
    at, centre = process.at(process.horizon), process.centre_like(x0)
    mean, var = model.moments()
    location, scale = process.prior_moments(x0, mean=mean, var=var)
    offset = centre + at.alpha * (x0 - centre) - location
    ratio = at.var / scale**2
    divergences = 0.5 * ((offset / scale).square() + ratio - 1 - ratio.log())
    return divergences.flatten(1).sum(1)
