r"""Discrete diffusion: every site keeps its value or is replaced by a draw from a fixed mixing distribution.

    q(x_t | x_0) = α_t δ(x_t, x_0) + (1 − α_t) π(x_t),    q(x_t | x_s) the same with α_ts = α_t/α_s,

independently at every site (Austin et al., 2021, arXiv 2107.03006; von Rütte et al., 2025, arXiv 2503.04482). π is
uniform, the mask alone (absorbing), or any distribution; spins that flip are two categories with uniform π, α = ρ =
⟨x_t x_0⟩ and flip probability (1 − ρ)/2.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.process import Randomness, numpy_too
from difrun.randomness import Generator
from difrun_ising.discrete.schedule import Instant, Schedule
from difrun_ising.discrete.sites import Sites, divided, last, masked


class DiscreteProcess(Schedule):
    r"""Independent sites of K values, each replaced at random by a draw from π; the values are encoded by a subclass.

    Sampling ends at t = 0, at the data. Kernels are computed in float64.
    """

    t_min = 0.0
    mixing: Any  # of the options of a subclass

    # What a subclass says: π, and how values are written as numbers.

    def mixing_distribution(self, categories: int, device: torch.device | str = "cpu") -> Tensor:
        """π over the categories and, last, the mask: (K + 1,), float64."""
        raise NotImplementedError

    def categories(self) -> int:
        """K, of the smallest example where the data say it."""
        raise NotImplementedError

    def sites(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape (n, *sites) of a tensor of examples."""
        raise NotImplementedError

    def states(self, x: Tensor) -> Tensor:
        """Values x as weights on the categories, (n, *sites, K), float64: one-hot, and zero where masked."""
        raise NotImplementedError

    def site_distributions(self, x0: Tensor) -> Tensor:
        """Distributions of x_0 from E[x_0], (n, *sites, K), float64."""
        raise NotImplementedError

    def mean(self, weights: Tensor) -> Tensor:
        """Σ weight · value, from weights on the categories and the mask (n, *sites, K + 1)."""
        raise NotImplementedError

    # The mathematics.

    def likelihood(self, x_t: Tensor, at: Instant) -> Tensor:
        """q(x_t | x_0 = k) for every k: (n, *sites, K), float64."""
        e = self.states(x_t)
        alpha = last(self.keep(at, e.shape[:-1]))
        return alpha * e + (1 - alpha) * self.mixed(e)

    def step_likelihood(self, x_t: Tensor, to: Instant, at: Instant) -> Tensor:
        """q(x_t | x_s = k) for every k: (n, *sites, K), float64."""
        e = self.states(x_t)
        ratio = last(self._ratio(to, at, e.shape[:-1]))
        return ratio * e + (1 - ratio) * self.mixed(e)

    def marginal(self, p0: Tensor, at: Instant) -> Tensor:
        """q(x_t = y) for x_0 of distribution p0 (n, *sites, K): (n, *sites, K + 1)."""
        alpha = last(self.keep(at, p0.shape[:-1]))
        return alpha * masked(p0) + (1 - alpha) * self.mixing_distribution(p0.shape[-1], p0.device)

    def transition(self, x_s: Tensor, to: Instant, at: Instant) -> Sites:
        """q(x_t | x_s), of t = `at` > s = `to`."""
        e = self.states(x_s)
        ratio = last(self._ratio(to, at, e.shape[:-1]))
        here = torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1)
        return Sites(
            ratio * here + (1 - ratio) * self.mixing_distribution(e.shape[-1], e.device), self, x_s.dtype
        )

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
        w = divided(p0, below)
        alpha = last(self.keep(to, e.shape[:-1]))
        ratio = last(self._ratio(to, at, e.shape[:-1]))
        pi = self.mixing_distribution(e.shape[-1], e.device)
        here = torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1)
        forward = ratio * here + (1 - ratio) * self.mixed(e)
        weights = forward * (alpha * masked(w) + (1 - alpha) * pi * w.sum(-1, keepdim=True))
        return weights / weights.sum(-1, keepdim=True)

    def ratios(self, x_t: Tensor, p0: Tensor, at: Instant) -> Tensor:
        """p_t(x with site i set to y)/p_t(x) for every y: (n, *sites, K + 1).

        Lou et al. (2024, arXiv 2310.16834, sec. 3.1). Right for sites whose value every x_0 can have led to: of a
        visible site of a masked lattice p(x_0 | x_t) does not tell it, and no rate needs it.
        """
        below = self.likelihood(x_t, at)
        w = divided(p0, below)
        alpha = last(self.keep(at, w.shape[:-1]))
        return alpha * masked(w) + (1 - alpha) * self.mixing_distribution(w.shape[-1], w.device) * w.sum(
            -1, keepdim=True
        )

    def log_ratios(self, x_t: Tensor, p0: Tensor, at: Instant) -> Tensor:
        """The score of x_t: log of `ratios` for every category, (n, *sites, K), float64; see `Ising` for spins.

        NaN where x_t rules out a value of x_0 at a site, which is there without noise: visible sites of masked
        examples, sublattices whose turn is to come, t = 0. p(x_0 | x_t) does not tell their ratios.
        """
        untold = (self.likelihood(x_t, at) == 0).any(-1, keepdim=True)
        logs = torch.where(untold, torch.nan, self.ratios(x_t, p0, at)[..., :-1].log())
        return torch.where(self.states(x_t) > 0, 0.0, logs)

    def masks(self, categories: int) -> bool:
        """Whether sites are masked."""
        return bool(self.mixing_distribution(categories)[-1] > 0)

    def mixed(self, e: Tensor) -> Tensor:
        """π(x_t) for one-hot x_t, (n, *sites, 1)."""
        pi = self.mixing_distribution(e.shape[-1], e.device)
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
        """x_T: independent sites of distribution α_T p_0 + (1 − α_T) π, with p_0 the means of the data."""
        return self.prior_distribution(shape, mean, dtype, device).sample(Generator.of(generator, device))

    def prior_distribution(
        self, shape: tuple[int, ...], mean: Any, dtype: torch.dtype = torch.float32, device: Any = "cpu"
    ) -> Sites:
        """The distribution of `prior`, for data of this mean."""
        like = torch.as_tensor(mean, dtype=torch.float64, device=device).expand(shape)
        return Sites(self.marginal(self.site_distributions(like), self.at(self.horizon)), self, dtype)

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

    def jump_rate(self, x: Tensor, y: Tensor, at: Instant) -> Tensor:
        """The rate at which x jumps to y: σ(t) π(y_i) where they differ at site i alone, else 0; (n,), float64."""
        here, there = (
            torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1) for e in (self.states(x), self.states(y))
        )
        sigma = torch.as_tensor(self.rate_field(at.t, here.shape[:-1]), dtype=torch.float64, device=x.device)
        moved = (here != there).any(-1)
        each = moved * sigma * (there * self.mixing_distribution(here.shape[-1] - 1, x.device)).sum(-1)
        return each.flatten(1).sum(1) * (moved.flatten(1).sum(1) == 1)

    def enumeration(self) -> tuple[Tensor, Tensor]:
        """Three sites in a row: all of their data, and all values that these can be noised to."""
        one_hot = torch.eye(self.categories() + 1, dtype=torch.float64)
        one = self.mean(one_hot)
        data, values = one[:-1], one if self.masks(self.categories()) else one[:-1]
        found = []
        for letters in (data, values):
            index = torch.cartesian_prod(*[torch.arange(len(letters))] * 3)
            found.append(letters[index].reshape(len(index), 1, 3, *letters.shape[1:]))
        return found[0], found[1]

    def bridge(self, x_t: Tensor, x0: Tensor, at: Instant, to: Instant) -> Sites:
        """q(x_s | x_t, x_0); with x̂_0 = E[x_0 | x_t], the mixture over x_0 that is one exact ancestral step."""
        return Sites(self.posterior(x_t, self.site_distributions(x0), at, to), self, x_t.dtype)

    def coordinates(self, shape: tuple[int, ...]) -> int:
        return math.prod(self.sites((1, *shape))[1:])

    def denoiser(
        self, network: Any, *, shape: tuple[int, ...], mean: Tensor, var: Tensor, **options: Any
    ) -> Any:
        """The model around a network of logits, with the likelihood of every site's own value added."""
        from difrun_ising.discrete.model import NetworkDenoiser

        self.turns(self.sites((1, *shape))[1:])  # a process of other lattices is refused before training
        return NetworkDenoiser(network, self, shape, mean=mean, var=var)

    def condition(
        self,
        model: Any,
        log_likelihood: Callable[[Tensor, Instant], Tensor],
        scale: float,
        first_order: bool = False,
    ) -> Any:
        """The model given y, by log p_t(y | x_t); for scale 0 the model itself (`difrun_ising.discrete.guided`)."""
        from difrun_ising.discrete.guided import Guided

        return model if scale == 0 else Guided(model, log_likelihood, scale, first_order)

    def extrapolate(self, model: Any, labels: Tensor, scale: Callable[[Any], Any]) -> Any:
        """p_t(x)^{1−s} p_t(x | class)^s by its log-ratios: see `difrun_ising.discrete.guided.Extrapolated`."""
        from difrun_ising.discrete.guided import Extrapolated

        return Extrapolated(model, labels, scale)

    def bound(self, model: Any, x0: Tensor, times: Iterable[float], generator: Randomness = None) -> Tensor:
        """See `difrun_ising.discrete.bound.log_likelihood_bound`."""
        from difrun_ising.discrete.bound import log_likelihood_bound

        return log_likelihood_bound(model, x0, times, generator)


def _times(times: Any) -> list[float]:
    return [float(t) for t in times]
