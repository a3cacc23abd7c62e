r"""The evidence lower bound of a score model: log p of the reverse SDE, from below.

Generate x at t_min by the reverse SDE from the moment-matched prior, and from it x_0 ~ N(x̂_0(x), (σ/α)² I). Then

    −log p(x_0) ≤ KL(q(x_T | x_0) ‖ p_T)                           prior
                  + ½ ∫ (−dSNR/dt) E‖x_0 − x̂_0(x_t, t)‖² dt         diffusion, from t_min to T, SNR = α²/σ²
                  − E log N(x_0; x̂_0(x_{t_min}), (σ/α)² I)          reconstruction

(Kingma et al., 2021, arXiv 2107.00630, eq. 11 and 18; Song et al., 2021, arXiv 2101.09258, theorem 3: the same bound).
The integral is over the SNR, whatever the clock of the process. It is estimated with log sin θ uniform,
θ = atan(σ/(α σ_d)), for which every time counts alike when the data are Gaussian.
"""

import math
from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.analysis.likelihood import check_model
from difrun.data.casts import wide, wide_dtype
from difrun.errors import DifrunError
from difrun.loss.times import TimeDistribution
from difrun.model.base import ScoreModel
from difrun.model.predictions import total_std
from difrun.randomness.generator import Generator, seed_of

BINS = 32
PILOT = 8192
"""Draws on which what is subtracted is fitted, for each of the bins of log sin θ."""


@attrs.frozen(eq=False)
class Elbo:
    r"""The three terms of the bound for each of n examples, in nats, shape (n,), float64.

    With the exact score of a distribution q the mean of prior + diffusion is E KL(q(x_T | x_0) ‖ p_T) + I(x_0;
    x_{t_min}) − I(x_0; x_T) (Guo, Shamai and Verdú, 2005), so that prior + diffusion + (d/2) log(2πe σ²) at t_min is
    the entropy of the noised distribution, but for KL(q_T ‖ p_T): the bound has no gap.
    """

    prior: Tensor
    diffusion: Tensor
    reconstruction: Tensor

    @property
    def nats(self) -> Tensor:
        """The lower bound on log p(x_0), (n,)."""
        return -(self.prior + self.diffusion + self.reconstruction)


def elbo(
    model: ScoreModel,
    x0: Tensor,
    *,
    times: int = 32,
    seed: int = 0,
    chunk: int | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Elbo:
    """The bound for examples x0 (n, ...), an unbiased estimate for each.

    times: how many t per example, of a low-discrepancy sequence, each with a noise ε and with −ε; and as many
        x_{t_min}.
    seed: of all random numbers. chunk: examples with their noise evaluated at once, None by their size; the result
        does not depend on it.
    watch: called with the number of examples done and their total.

    Two things of mean 0, fitted on other draws, are subtracted from every squared error: a multiple of ‖ε‖² − d, which
    at small noise, where x̂_0 is nearly x, takes nearly all of the variance, and how the error depends on time.
    The model is evaluated in the dtype of x0. Raises DifrunError where the process is not Gaussian, x0 has not the
    model's shape, a number is below 1, or a result is not finite.
    """
    check_model(model, x0)
    if times < 1:
        raise DifrunError(f"the bound needs at least 1 time per example, not {times}.")
    process, d = model.process, x0[:1].numel()
    if chunk is None:
        chunk = max(256, min(2**16, 2**22 // d))
    errors = _Errors(model, x0, seed, chunk)
    t = errors.times(len(x0) * times, "times")
    t_min = torch.full_like(t, process.t_min)
    rows = max(1, chunk // times)
    diffusion, last = [], []
    for first in range(0, len(x0), rows):
        which = torch.arange(first, min(first + rows, len(x0)), device=x0.device).repeat_interleave(times)
        part = x0[which]
        here = slice(first * times, first * times + len(part))
        diffusion.append(
            errors.over_time(part, t[here], "noise", here.start, which).reshape(-1, times).mean(1)
        )
        last.append(errors.of(part, t_min[here], "last", here.start, which).reshape(-1, times).mean(1))
        if watch is not None:
            watch(min(first + rows, len(x0)), len(x0))
    start = process.at(process.t_min)
    # `_Errors` counts the error of x̂_0 in units of σ_d sin θ, the reconstruction in units of σ/α = σ_d tan θ.
    cosine = start.alpha * model.data_std / math.hypot(start.alpha * model.data_std, start.sigma)
    constant = 0.5 * d * math.log(2 * math.pi * start.var / start.alpha**2)
    found = Elbo(
        _prior_term(model, x0),
        errors.distribution.span(process) * torch.cat(diffusion),
        0.5 * cosine**2 * torch.cat(last) + constant,
    )
    if not bool(found.nats.isfinite().all()):
        raise DifrunError("the lower bound is not finite for some examples: look at the model's samples.")
    return found


@attrs.frozen
class EvenInAngle(TimeDistribution):
    """log sin θ uniform over the process, θ = atan(σ/(α σ_d))."""

    data_std: float

    def ends(self, process: Any) -> tuple[float, float]:
        """log sin θ at t_min and at T."""
        start, end = process.instants([process.t_min, process.horizon])
        low, high = (
            math.log(at.sigma / math.hypot(at.alpha * self.data_std, at.sigma)) for at in (start, end)
        )
        return low, high

    def span(self, process: Any) -> float:
        low, high = self.ends(process)
        return high - low

    def quantile(self, process: Any, u: Tensor) -> Tensor:
        low, high = self.ends(process)
        sine = (low + (high - low) * u).clamp(low, high).exp()
        # tan θ = sin θ/√(1 − sin² θ), infinite at θ = π/2, where λ = −∞ and the time is T.
        lam = -(math.log(self.data_std) + sine.log() - 0.5 * torch.log1p(-(sine**2).clamp_max(1.0)))
        return process.time_at(lam).clamp(process.t_min, process.horizon)


class _Errors:
    """Squared errors of x̂_0 in units of σ_d sin θ, with what is known of their noise taken out."""

    def __init__(self, model: ScoreModel, x0: Tensor, seed: int, chunk: int):
        self.model, self.seed, self.like = model, seed, x0[:1]
        self.distribution = EvenInAngle(model.data_std)
        self.profile, self.factors = self._fitted(x0, chunk)

    def times(self, n: int, stream: str) -> Tensor:
        like = self.like.new_zeros(n)
        return self.distribution.sample(self.model.process, like, Generator(seed_of(self.seed, stream)))

    def of(self, x0: Tensor, t: Tensor, stream: str, first: int, which: Tensor) -> Tensor:
        """‖x_0 − x̂_0‖²/(σ_d sin θ)² for each row, (n,), the mean over ε and −ε; `first` is the number of row 0.

        which: the number of the example in each row."""
        error, known, place = self._raw(x0, t, stream, first, which)
        return error - self.factors[place] * known

    def over_time(self, x0: Tensor, t: Tensor, stream: str, first: int, which: Tensor) -> Tensor:
        """The same for times of the distribution, without the part that depends on the time alone."""
        error, known, place = self._raw(x0, t, stream, first, which)
        return error - self.factors[place] * known - self.profile[place] + self.profile.mean()

    def _raw(
        self, x0: Tensor, t: Tensor, stream: str, first: int, which: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The error, ‖ε‖² − d, and the bin of the time.

        As α(x_0 − x̂_0) = σ(ε̂ − ε), the error of x̂_0 is σ/(α + σ) times that of ε̂ − x̂_0, in which nothing cancels at
        either end; and σ_d sin θ = σ_d σ/S.
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
        known = wide(noise).square().flatten(1).sum(1) - x0[:1].numel()
        low, high = self.distribution.ends(process)
        place = ((at.sigma / size).log().reshape(-1) - low) / (high - low) * BINS
        return total, known, place.long().clamp(0, BINS - 1)

    def _fitted(self, x0: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
        """For each bin of log sin θ the mean error, and the least-squares factor of ‖ε‖² − d, whose variance is 2d."""
        which = torch.arange(PILOT, device=x0.device) % len(x0)
        rows = x0[which]
        t = self.times(PILOT, "pilot times")
        parts = [
            self._raw(rows[k : k + chunk], t[k : k + chunk], "pilot noise", k, which[k : k + chunk])
            for k in range(0, PILOT, chunk)
        ]
        error, known, place = (torch.cat(values) for values in zip(*parts, strict=True))
        zeros = error.new_zeros(BINS)
        counts = zeros.index_add(0, place, torch.ones_like(error)).clamp_min(1)
        mean = zeros.index_add(0, place, error) / counts
        product = zeros.index_add(0, place, (error - mean[place]) * known) / counts
        return mean, product / (2 * x0[:1].numel())


def _prior_term(model: ScoreModel, x0: Tensor) -> Tensor:
    """KL(N(μ + α(x_0 − μ), σ²) ‖ prior) at T, summed over coordinates, (n,)."""
    process = model.process
    x0 = wide(x0)
    at, centre = process.at(process.horizon), process.centre_like(x0)
    mean, var = model.moments()
    location, scale = process.prior_moments(x0, mean=mean, var=var)
    gap = centre + at.alpha * (x0 - centre) - location
    ratio = at.var / scale**2
    each = 0.5 * ((gap / scale).square() + ratio - 1 - ratio.log())
    return each.flatten(1).sum(1)
