r"""Discrete diffusion: every site keeps its value or is replaced by a draw from a fixed mixing law.

    q(x_t | x_0) = α_t δ(x_t, x_0) + (1 − α_t) π(x_t),    q(x_t | x_s) the same with α_ts = α_t/α_s,

independently at every site (Austin et al., 2021, arXiv 2107.03006; von Rütte et al., 2025, arXiv 2503.04482). π is
uniform, the mask alone (absorbing), or any law; spins that flip are two categories with uniform π, α = ρ = ⟨x_t x_0⟩
and flip probability (1 − ρ)/2.
"""

import math
from collections.abc import Iterable
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.process import ForwardProcess, Randomness, numpy_too
from difrun.randomness import Generator
from difrun_ising.lattice import sublattice
from difrun_ising.options import CategoricalOptions, DiscreteOptions, IsingOptions
from difrun_ising.sites import Sites

LONGEST = 1e15
"""What an infinite rate −d log α/dt is replaced by: at T, where nothing is left."""


@attrs.frozen
class Instant:
    """A time t, and α there: of the even and of the odd sublattice, which are equal unless they are noised in turn.

    even, odd: numbers, or tensors (B, 1, ..., 1) for a batch of times.
    """

    t: Any
    even: Any
    odd: Any

    @property
    def rho(self) -> Any:
        """The remaining correlation ρ = α, where it is the same everywhere: that of the even sublattice."""
        return self.even


class DiscreteProcess(ForwardProcess, DiscreteOptions):
    r"""Independent sites of K values, each replaced at random by a draw from π; the values are encoded by a subclass.

    `schedule` gives α(t): cos(πt/2), 1 − t, exp(−2·rate·t) on [0, 1], or (1 − 2·flip)^t for t up to `steps`. Sampling
    ends at t = 0, at the data. Kernels are computed in float64.
    """

    t_min = 0.0
    mixing: Any  # of the options of a subclass

    @property
    def horizon(self) -> float:  # type: ignore[override]
        return float(self.steps) if self.schedule == "flips" else 1.0

    def at(self, t: Any, ndim: int | None = None) -> Instant:
        """The instant at t. Raises DifrunError for times outside [0, T]."""
        inside = (
            bool(((t >= 0) & (t <= self.horizon)).all()) if isinstance(t, Tensor) else 0 <= t <= self.horizon
        )
        if not inside:
            raise DifrunError(f"time {t} is outside [0, {self.horizon:g}], where this process lives")
        return self.instant(t, ndim)

    def instant(self, t: Any, ndim: int | None = None) -> Instant:
        """The instant at t, without a test of its range."""
        if not isinstance(t, Tensor):
            turns = self._turns(float(t))
            return Instant(t, *(self.alpha(torch.tensor(u, dtype=torch.float64)).item() for u in turns))
        if ndim is not None:
            t = t.reshape(t.shape + (1,) * (ndim - t.ndim))
        even, odd = (self.alpha(u.double()) for u in self._turns(t))
        return Instant(t, even, odd)

    def alpha(self, t: Tensor) -> Tensor:
        """α(t), float64."""
        if self.schedule == "cosine":
            return torch.where(t < 1, torch.cos(math.pi / 2 * t), 0.0)
        if self.schedule == "linear":
            return 1 - t
        return torch.exp(-self._decay * t)

    def log_alpha_rate(self, t: Tensor) -> Tensor:
        """σ(t) = −d log α/dt: the rate at which a site is replaced; very large, not infinite, where α = 0."""
        if self.schedule == "cosine":
            return (math.pi / 2 * torch.tan(math.pi / 2 * t)).clamp(0, LONGEST)
        if self.schedule == "linear":
            return (1 / (1 - t)).clamp_max(LONGEST)
        return torch.full_like(t, self._decay)

    @property
    def _decay(self) -> float:
        return 2 * self.rate if self.schedule == "rate" else -math.log1p(-2 * self.flip)

    def _turns(self, t: Any) -> tuple[Any, Any]:
        """The times of the even and of the odd sublattice."""
        return t, t

    def steps_before(self, t: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """(t, s): a step of a grid of equal steps that ends at s and starts at t ≥ t > s; a chain has its own steps."""
        width = self.horizon / self.step_count(steps)
        end = torch.ceil(t / width - 1e-9).clamp_min(1)
        return end * width, (end - 1) * width

    def step_count(self, steps: int) -> int:
        """How many steps a chain has; a continuous process takes those that are asked for."""
        return self.steps if self.schedule == "flips" else steps

    def keep(self, at: Instant, shape: tuple[int, ...]) -> Tensor | float:
        """α for tensors of `shape` (n, *sites): a number, or a tensor that broadcasts against them."""
        if at.even is at.odd or (isinstance(at.even, float) and at.even == at.odd):
            return at.even
        even = sublattice(shape[1:], at.even.device if isinstance(at.even, Tensor) else "cpu")
        on_even, on_odd = (torch.as_tensor(a, dtype=torch.float64) for a in (at.even, at.odd))
        return torch.where(even, on_even, on_odd)

    def rate_field(self, t: float, shape: tuple[int, ...]) -> Tensor | float:
        """σ = −d log α/dt at every site of tensors of `shape` (n, *sites), by the clock of the process."""
        return self.log_alpha_rate(torch.tensor(float(t), dtype=torch.float64)).item()

    # What a subclass says: π, and how values are written as numbers.

    def law(self, categories: int, device: torch.device | str = "cpu") -> Tensor:
        """π over the categories and, last, the mask: (K + 1,), float64."""
        raise NotImplementedError

    def sites(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape (n, *sites) of a tensor of examples."""
        raise NotImplementedError

    def states(self, x: Tensor) -> Tensor:
        """Values x as weights on the categories, (n, *sites, K), float64: one-hot, and zero where masked."""
        raise NotImplementedError

    def laws(self, x0: Tensor) -> Tensor:
        """Laws of x_0 from E[x_0], (n, *sites, K), float64."""
        raise NotImplementedError

    def mean(self, weights: Tensor) -> Tensor:
        """Σ weight · value, from weights on the categories and the mask (n, *sites, K + 1)."""
        raise NotImplementedError

    # The mathematics.

    def likelihood(self, x_t: Tensor, at: Instant) -> Tensor:
        """q(x_t | x_0 = k) for every k: (n, *sites, K), float64."""
        e = self.states(x_t)
        alpha = _last(self.keep(at, e.shape[:-1]))
        return alpha * e + (1 - alpha) * self.mixed(e)

    def step_likelihood(self, x_t: Tensor, to: Instant, at: Instant) -> Tensor:
        """q(x_t | x_s = k) for every k: (n, *sites, K), float64."""
        e = self.states(x_t)
        ratio = _last(self._ratio(to, at, e.shape[:-1]))
        return ratio * e + (1 - ratio) * self.mixed(e)

    def marginal(self, p0: Tensor, at: Instant) -> Tensor:
        """q(x_t = y) for x_0 of law p0 (n, *sites, K): (n, *sites, K + 1)."""
        alpha = _last(self.keep(at, p0.shape[:-1]))
        return alpha * _masked(p0) + (1 - alpha) * self.law(p0.shape[-1], p0.device)

    def transition(self, x_s: Tensor, to: Instant, at: Instant) -> Sites:
        """q(x_t | x_s), of t = `at` > s = `to`."""
        e = self.states(x_s)
        ratio = _last(self._ratio(to, at, e.shape[:-1]))
        here = torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1)
        return Sites(ratio * here + (1 - ratio) * self.law(e.shape[-1], e.device), self, x_s.dtype)

    def posterior(self, x_t: Tensor, p0: Tensor, at: Instant, to: Instant) -> Tensor:
        r"""p(x_s = y | x_t) = Σ_k p(x_0 = k | x_t) q(y | x_t, x_0 = k), for every y: (n, *sites, K + 1).

        With D(k) = q(x_t | x_0 = k), w = p0/D and W = Σ w it is

            (α_ts [y = x_t] + (1 − α_ts) π(x_t)) · (α_s w(y) + (1 − α_s) π(y) W).

        p0 is divided by D *before* the average: normalising Σ_k q(x_t | y) q(y | k) p0(k) afterwards, as D3PM does for
        its own network (Austin et al., 2021, eq. 4), is not Bayes for what p(x_0 | x_t) is, unless π is the mask.
        p0: (n, *sites, K).
        """
        e = self.states(x_t)
        below = self.likelihood(x_t, at)
        w = _divided(p0, below)
        alpha = _last(self.keep(to, e.shape[:-1]))
        ratio = _last(self._ratio(to, at, e.shape[:-1]))
        pi = self.law(e.shape[-1], e.device)
        here = torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1)
        forward = ratio * here + (1 - ratio) * self.mixed(e)
        weights = forward * (alpha * _masked(w) + (1 - alpha) * pi * w.sum(-1, keepdim=True))
        return weights / weights.sum(-1, keepdim=True)

    def ratios(self, x_t: Tensor, p0: Tensor, at: Instant) -> Tensor:
        """p_t(x with site i set to y)/p_t(x) for every y: (n, *sites, K + 1).

        Lou et al. (2024, arXiv 2310.16834, sec. 3.1). Right for sites whose value every x_0 can have led to: of a
        visible site of a masked lattice p(x_0 | x_t) does not tell it, and no rate needs it.
        """
        below = self.likelihood(x_t, at)
        w = _divided(p0, below)
        alpha = _last(self.keep(at, w.shape[:-1]))
        return alpha * _masked(w) + (1 - alpha) * self.law(w.shape[-1], w.device) * w.sum(-1, keepdim=True)

    def mixed(self, e: Tensor) -> Tensor:
        """π(x_t) for one-hot x_t, (n, *sites, 1)."""
        pi = self.law(e.shape[-1], e.device)
        return ((e * pi[:-1]).sum(-1) + (1 - e.sum(-1)) * pi[-1]).unsqueeze(-1)

    def _ratio(self, to: Instant, at: Instant, shape: tuple[int, ...]) -> Any:
        """α_t/α_s; 1 where α_s = 0, at T."""
        later, earlier = self.keep(at, shape), self.keep(to, shape)
        if isinstance(later, float) and isinstance(earlier, float):
            return later / earlier if earlier else 1.0
        later, earlier = (torch.as_tensor(a, dtype=torch.float64) for a in (later, earlier))
        return torch.where(earlier > 0, later / earlier.clamp_min(1e-300), 1.0)

    # The contract of `ForwardProcess`.

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
        """x_T: independent sites of law α_T p_0 + (1 − α_T) π, with p_0 the means of the data."""
        return self.prior_law(shape, mean, dtype, device).sample(Generator.of(generator, device))

    def prior_law(
        self, shape: tuple[int, ...], mean: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu"
    ) -> Sites:
        """The law of `prior`, for data of this mean."""
        like = torch.as_tensor(mean, dtype=torch.float64, device=device).expand(shape)
        return Sites(self.marginal(self.laws(like), self.at(self.horizon)), self, dtype)

    @numpy_too
    def sample(self, x0: Any, t: Any, generator: Randomness = None) -> Any:
        """x_t given x_0, exact."""
        at = self.at(t, len(self.sites(x0.shape)))
        return Sites(self.marginal(self.states(x0), at), self, x0.dtype).sample(
            Generator.of(generator, x0.device)
        )

    @numpy_too
    def path(self, x0: Any, times: Any, generator: Randomness = None) -> Any:
        """One exact joint path per example through increasing times: (len(times), *x0.shape)."""
        random, x, last = Generator.of(generator, x0.device), x0, self.at(0.0)
        found = []
        for t in _times(times):
            at = self.at(t)
            if t < last.t:
                raise DifrunError("the times of a path must not decrease")
            x = self.transition(x, last, at).sample(random)
            found.append(x)
            last = at
        return torch.stack(found)

    def bridge(self, x_t: Tensor, x0: Tensor, at: Instant, to: Instant) -> Sites:
        """q(x_s | x_t, x_0); with x̂_0 = E[x_0 | x_t], the mixture over x_0 that is one exact ancestral step."""
        return Sites(self.posterior(x_t, self.laws(x0), at, to), self, x_t.dtype)

    def denoiser(
        self, network: Any, *, shape: tuple[int, ...], mean: Tensor, var: Tensor, **options: Any
    ) -> Any:
        """The model around a network of logits, with the likelihood of every site's own value added."""
        from difrun_ising.model import NetworkDenoiser

        return NetworkDenoiser(network, self, shape, mean=mean, var=var)

    def bound(self, model: Any, x0: Tensor, times: Iterable[float], generator: Randomness = None) -> Tensor:
        """See `difrun_ising.bound.log_likelihood_bound`."""
        from difrun_ising.bound import log_likelihood_bound

        return log_likelihood_bound(model, x0, times, generator)


class Categorical(DiscreteProcess, CategoricalOptions):
    r"""K categories, one-hot: x_t of shape (n, *sites, K).

    The mask is the zero vector, so that E[x_0 | x_t] is the law of x_0 at every site. `mixing`: uniform, absorbing (the
    mask alone), or one weight per category.
    """

    def law(self, categories: int, device: torch.device | str = "cpu") -> Tensor:
        """π. Raises DifrunError for weights of another number of categories."""
        pi = torch.zeros(categories + 1, dtype=torch.float64, device=device)
        if self.mixing == "absorbing":
            pi[-1] = 1
        elif self.mixing == "uniform":
            pi[:-1] = 1 / categories
        else:
            weights = torch.tensor(self.mixing, dtype=torch.float64, device=device)
            if len(weights) != categories:
                raise DifrunError(f"--process.mixing has {len(weights)} weights for {categories} categories.")
            pi[:-1] = weights / weights.sum()
        return pi

    def sites(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(shape[:-1])

    def states(self, x: Tensor) -> Tensor:
        return x.double()

    def laws(self, x0: Tensor) -> Tensor:
        return x0.double().clamp(0, 1)

    def mean(self, weights: Tensor) -> Tensor:
        return weights[..., :-1]


class Ising(DiscreteProcess, IsingOptions):
    r"""Spins ±1 that flip: two categories, with x_t = ±1, and 0 where masked.

    Flipping with probability r in every step leaves the correlation ρ_t = (1 − 2r)^t with x_0, and
    P(x_t ≠ x_0) = (1 − ρ_t)/2; with uniform mixing α = ρ. `order` checkerboard noises the odd sublattice in the first
    part (`share`) of each of `rounds` equal parts of time and the even one in the rest, so that spins that are noised
    together are no neighbours and the reverse step of every one given x_t is nearly exact.
    """

    def law(self, categories: int, device: torch.device | str = "cpu") -> Tensor:
        if self.mixing == "absorbing":
            pi = [0.0, 0.0, 1.0]
        else:
            up = self.mixing if isinstance(self.mixing, float) else 0.5
            pi = [1 - up, up, 0.0]
        return torch.tensor(pi, dtype=torch.float64, device=device)

    def _turns(self, t: Any) -> tuple[Any, Any]:
        if self.order == "together":
            return t, t
        length = self.horizon / self.rounds
        if isinstance(t, Tensor):
            whole = torch.floor(t / length).clamp_max(self.rounds - 1)
            part = t / length - whole
            odd, even = (
                (part / self.share).clamp_max(1),
                ((part - self.share) / (1 - self.share)).clamp_min(0),
            )
        else:
            whole = min(math.floor(t / length + 1e-9), self.rounds - 1)
            part = t / length - whole
            odd, even = min(part / self.share, 1.0), max((part - self.share) / (1 - self.share), 0.0)
            odd, even = (round(u, 12) for u in (odd, even))
        return (whole + even) * length, (whole + odd) * length

    def rate_field(self, t: float, shape: tuple[int, ...]) -> Tensor | float:
        if self.order == "together":
            return super().rate_field(t, shape)
        even, odd = self._turns(t)
        in_round = (t * self.rounds / self.horizon) % 1.0
        moves = (0.0, 1 / self.share) if in_round < self.share else (1 / (1 - self.share), 0.0)
        for_even, for_odd = (
            speed * self.log_alpha_rate(torch.tensor(u, dtype=torch.float64))
            for speed, u in zip(moves, (even, odd), strict=True)
        )
        return torch.where(sublattice(shape[1:]), for_even, for_odd)

    def sites(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(shape)

    def states(self, x: Tensor) -> Tensor:
        x = x.double()
        return torch.stack(((x * x - x) / 2, (x * x + x) / 2), -1)

    def laws(self, x0: Tensor) -> Tensor:
        up = (1 + x0.double().clamp(-1, 1)) / 2
        return torch.stack((1 - up, up), -1)

    def mean(self, weights: Tensor) -> Tensor:
        return weights[..., 1] - weights[..., 0]


def _last(alpha: Any) -> Any:
    """α with an axis for the categories."""
    return alpha.unsqueeze(-1) if isinstance(alpha, Tensor) and alpha.ndim else alpha


def _divided(p0: Tensor, below: Tensor) -> Tensor:
    """p0/q(x_t | x_0), 0 where x_0 cannot have led to x_t; its derivative is finite there, too."""
    possible = below > 0
    return torch.where(possible, p0, 0.0) / torch.where(possible, below, 1.0)


def _masked(weights: Tensor) -> Tensor:
    """Weights on the categories, and 0 on the mask."""
    return torch.cat((weights, torch.zeros_like(weights[..., :1])), -1)


def _times(times: Any) -> list[float]:
    return [float(t) for t in times]
