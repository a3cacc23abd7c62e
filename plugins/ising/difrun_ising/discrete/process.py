r"""Discrete diffusion: every site keeps its value or is replaced by a draw from a fixed mixing distribution.

    q(x_t | x_0) = α_t δ(x_t, x_0) + (1 − α_t) π(x_t),    q(x_t | x_s) the same with α_ts = α_t/α_s,

independently at every site (Austin et al., 2021, arXiv 2107.03006; von Rütte et al., 2025, arXiv 2503.04482). π is
uniform, the mask alone (absorbing), or any distribution. Spins that flip are two categories with uniform π, α = ρ =
⟨x_t x_0⟩ and flip probability (1 − ρ)/2.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun.process import Randomness, numpy_too
from difrun.process.times import as_time, one_time, times_of_rows
from difrun.randomness import Generator
from difrun_ising.discrete.schedule import Instant, Schedule
from difrun_ising.discrete.sites import (
    Sites,
    category_axis,
    likelihood_quotient,
    triples,
    with_empty_mask,
    with_mask,
)


class DiscreteProcess(Schedule):
    r"""Independent sites of K values, each replaced at random by a draw from π.

    A subclass encodes the values as numbers, and defines π. Sampling ends at t = 0. Kernels are in float64.
    """

    t_min = 0.0
    mixing: Any  # an option of the subclass

    # What a subclass defines: π, and how values are encoded.

    def mixing_distribution(self, categories: int, device: torch.device | str = "cpu") -> Tensor:
        """π over the categories and, last, the mask: (K + 1,), float64."""
        raise NotImplementedError

    def categories(self) -> int:
        """K, or that of the smallest example where K depends on the data."""
        raise NotImplementedError

    def sites(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape (n, *sites) of a tensor of examples."""
        raise NotImplementedError

    def states(self, x: Tensor) -> Tensor:
        """Values x as weights on the categories, (n, *sites, K), float64: one-hot, and zero where masked."""
        raise NotImplementedError

    def site_distributions(self, x0: Tensor) -> Tensor:
        """The distribution of x_0 at every site, from E[x_0]: (n, *sites, K), float64."""
        raise NotImplementedError

    def mean(self, weights: Tensor) -> Tensor:
        """Σ weight · value, from weights on the categories and the mask (n, *sites, K + 1)."""
        raise NotImplementedError

    def likelihood(self, x_t: Tensor, at: Instant) -> Tensor:
        """q(x_t | x_0 = k) for every k: (n, *sites, K), float64."""
        e = self.states(x_t)
        alpha = category_axis(self.site_alpha(at, e.shape[:-1]))
        return alpha * e + (1 - alpha) * self.mixing_probability(e)

    def step_likelihood(self, x_t: Tensor, to: Instant, at: Instant) -> Tensor:
        """q(x_t | x_s = k) for every k: (n, *sites, K), float64."""
        e = self.states(x_t)
        ratio = category_axis(self._alpha_ratio(to, at, e.shape[:-1]))
        return ratio * e + (1 - ratio) * self.mixing_probability(e)

    def marginal(self, p0: Tensor, at: Instant) -> Tensor:
        """q(x_t = y) for every y, where x_0 has the distribution p0 (n, *sites, K): (n, *sites, K + 1)."""
        alpha = category_axis(self.site_alpha(at, p0.shape[:-1]))
        return alpha * with_empty_mask(p0) + (1 - alpha) * self.mixing_distribution(p0.shape[-1], p0.device)

    @override
    def transition(self, x_s: Tensor, to: Instant, at: Instant) -> Sites:
        """q(x_t | x_s), with t = `at` > s = `to`."""
        e = self.states(x_s)
        ratio = category_axis(self._alpha_ratio(to, at, e.shape[:-1]))
        weights = ratio * with_mask(e) + (1 - ratio) * self.mixing_distribution(e.shape[-1], e.device)
        return Sites(weights, self, x_s.dtype)

    def posterior(self, x_t: Tensor, p0: Tensor, at: Instant, to: Instant) -> Tensor:
        r"""p(x_s = y | x_t) = Σ_k p(x_0 = k | x_t) q(y | x_t, x_0 = k), for every y.

        With D(k) = q(x_t | x_0 = k), w = p0/D and W = Σ w it is proportional to

            (α_ts [y = x_t] + (1 − α_ts) π(x_t)) · (α_s w(y) + (1 − α_s) π(y) W).

        p0 is divided by D *before* the average. D3PM normalises Σ_k q(x_t | y) q(y | k) p0(k) instead, for its own
        network (Austin et al., 2021, eq. 4). This is not Bayes' rule for p(x_0 | x_t), unless π is the mask.

        Args:
            x_t: The noised examples.
            p0: p(x_0 | x_t) at every site, with shape (n, *sites, K).
            at: The instant of t.
            to: The instant of s < t.

        Returns:
            The distribution of x_s at every site, with shape (n, *sites, K + 1).
        """
        e = self.states(x_t)
        w = likelihood_quotient(p0, self.likelihood(x_t, at))
        alpha = category_axis(self.site_alpha(to, e.shape[:-1]))
        ratio = category_axis(self._alpha_ratio(to, at, e.shape[:-1]))
        pi = self.mixing_distribution(e.shape[-1], e.device)
        forward = ratio * with_mask(e) + (1 - ratio) * self.mixing_probability(e)
        weights = forward * (alpha * with_empty_mask(w) + (1 - alpha) * pi * w.sum(-1, keepdim=True))
        return weights / weights.sum(-1, keepdim=True)

    def ratios(self, x_t: Tensor, p0: Tensor, at: Instant) -> Tensor:
        """p_t(x with site i set to y)/p_t(x) for every y: (n, *sites, K + 1).

        They are right for sites whose value can come from every x_0. For a visible site of a masked example p(x_0 |
        x_t) does not determine the ratio, and no rate needs it.

        Args:
            x_t: The noised examples.
            p0: p(x_0 | x_t) at every site, with shape (n, *sites, K).
            at: The instant of t.

        References:
            Lou et al. (2024), arXiv 2310.16834, sec. 3.1.
        """
        w = likelihood_quotient(p0, self.likelihood(x_t, at))
        alpha = category_axis(self.site_alpha(at, w.shape[:-1]))
        pi = self.mixing_distribution(w.shape[-1], w.device)
        return alpha * with_empty_mask(w) + (1 - alpha) * pi * w.sum(-1, keepdim=True)

    def log_ratios(self, x_t: Tensor, p0: Tensor, at: Instant) -> Tensor:
        """The score of x_t: `category_log_ratios`; for spins see `Ising`."""
        return self.category_log_ratios(x_t, p0, at)

    def category_log_ratios(self, x_t: Tensor, p0: Tensor, at: Instant) -> Tensor:
        """The logarithm of `ratios` for every category, (n, *sites, K), float64.

        It is NaN where x_t rules out a value of x_0 at a site, because the site has no noise: visible sites of masked
        examples, sublattices whose turn has not come, t = 0. There p(x_0 | x_t) does not determine the ratios.
        """
        undetermined = (self.likelihood(x_t, at) == 0).any(-1, keepdim=True)
        logs = torch.where(undetermined, torch.nan, self.ratios(x_t, p0, at)[..., :-1].log())
        return torch.where(self.states(x_t) > 0, 0.0, logs)

    def masks(self, categories: int) -> bool:
        """Whether sites are masked."""
        return bool(self.mixing_distribution(categories)[-1] > 0)

    def mixing_probability(self, e: Tensor) -> Tensor:
        """π(x_t) for one-hot x_t, (n, *sites, 1)."""
        pi = self.mixing_distribution(e.shape[-1], e.device)
        return ((e * pi[:-1]).sum(-1) + (1 - e.sum(-1)) * pi[-1]).unsqueeze(-1)

    def _alpha_ratio(self, to: Instant, at: Instant, shape: tuple[int, ...]) -> Any:
        """α_t/α_s; 1 where α_s = 0, at T."""
        later, earlier = self.site_alpha(at, shape), self.site_alpha(to, shape)
        if isinstance(later, float) and isinstance(earlier, float):
            return later / earlier if earlier else 1.0
        later, earlier = (torch.as_tensor(a, dtype=torch.float64) for a in (later, earlier))
        return torch.where(earlier > 0, later / earlier.clamp_min(1e-300), 1.0)

    # The contract of `ForwardProcess`.

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
        """x_T, or x_t: independent sites, distributed as α_t p_0 + (1 − α_t) π; p_0 are the means of the data."""
        return self.prior_distribution(shape, mean, dtype, device, t).sample(Generator.of(generator, device))

    def prior_distribution(
        self,
        shape: tuple[int, ...],
        mean: Any,
        dtype: torch.dtype = torch.float32,
        device: Any = "cpu",
        t: float | None = None,
    ) -> Sites:
        """The distribution of `prior`, for data with this mean."""
        means = torch.as_tensor(mean, dtype=torch.float64, device=device).expand(shape)
        return Sites(
            self.marginal(
                self.site_distributions(means), self.at(self.horizon if t is None else one_time(t))
            ),
            self,
            dtype,
        )

    @override
    def decide(self, model: Any, x: Tensor, times: Sequence[float], generator: Randomness = None) -> Tensor:
        """Draw the sites of x that are still masked from p(x_0 | x_t), independently, at the last noisy time."""
        masked = self.states(x).sum(-1) == 0
        if not bool(masked.any()):
            return x
        noisy = [at for at in self.instants(times) if all(alpha < 1 for alpha in at.alphas)] or [
            self.at(times[0])
        ]
        p0 = model.x0_distribution(x, noisy[-1])
        drawn = Sites(with_empty_mask(p0), self, x.dtype).sample(Generator.of(generator, x.device))
        return torch.where(masked.reshape(*masked.shape, *(1,) * (x.ndim - masked.ndim)), drawn, x)

    @override
    @numpy_too
    def sample(self, x0: Any, t: Any, generator: Randomness = None) -> Any:
        at = self.at(times_of_rows(t, len(x0), x0.double()), len(self.sites(x0.shape)))
        kernel = Sites(self.marginal(self.states(x0), at), self, x0.dtype)
        return kernel.sample(Generator.of(generator, x0.device))

    @override
    @numpy_too
    def path(self, x0: Any, times: Any, generator: Randomness = None) -> Any:
        random = Generator.of(generator, x0.device)
        x, previous = x0, self.at(0.0)
        points = []
        for t in torch.as_tensor(as_time(times, 1, torch.float64)).reshape(-1).tolist():
            at = self.at(t)
            if at.t < previous.t:
                raise DifrunError("the times of a path must not decrease")
            x, previous = self.transition(x, previous, at).sample(random), at
            points.append(x)
        return torch.stack(points)

    @override
    def jump_rate(self, x: Tensor, y: Tensor, at: Instant) -> Tensor:
        """The rate at which x jumps to y: σ(t) π(y_i) where they differ at site i alone, else 0; (n,), float64."""
        here, there = with_mask(self.states(x)), with_mask(self.states(y))
        sigma = torch.as_tensor(self.rate_field(at.t, here.shape[:-1]), dtype=torch.float64, device=x.device)
        pi = self.mixing_distribution(here.shape[-1] - 1, x.device)
        differs = (here != there).any(-1)
        rates = torch.where(differs, sigma * (there * pi).sum(-1), 0.0)
        one_site = differs.flatten(1).sum(1) == 1
        return torch.where(one_site, rates.flatten(1).sum(1), 0.0)

    @override
    def enumeration(self) -> tuple[Tensor, Tensor]:
        """All data of three sites in a row, and all values that these can be noised to."""
        values = self.mean(torch.eye(self.categories() + 1, dtype=torch.float64))
        data = values[:-1]
        return triples(data), triples(values if self.masks(self.categories()) else data)

    @override
    def bridge(self, x_t: Tensor, x0: Tensor, at: Instant, to: Instant) -> Sites:
        """q(x_s | x_t, x_0). With x0 = E[x_0 | x_t] it is the mixture over x_0, one exact ancestral step."""
        return Sites(self.posterior(x_t, self.site_distributions(x0), at, to), self, x_t.dtype)

    @override
    def coordinates(self, shape: tuple[int, ...]) -> int:
        return math.prod(self.sites((1, *shape))[1:])

    @override
    def denoiser(
        self, network: Any, *, shape: tuple[int, ...], mean: Tensor, var: Tensor, **options: Any
    ) -> Any:
        """The model around a network of logits, with the likelihood of every site's own value added."""
        from difrun_ising.discrete.model import NetworkDenoiser

        self.turns(self.sites((1, *shape))[1:])  # refuses, before training, a process for other lattices
        return NetworkDenoiser(network, self, shape, mean=mean, var=var)

    @override
    def condition(
        self,
        model: Any,
        log_likelihood: Callable[[Tensor, Instant], Tensor],
        scale: float,
        first_order: bool = False,
    ) -> Any:
        """The model given y, by log p_t(y | x_t); for scale 0 the model itself. See `guided.Guided`."""
        from difrun_ising.discrete.guided import Guided

        return model if scale == 0 else Guided(model, log_likelihood, scale, first_order)

    @override
    def extrapolate(self, model: Any, labels: Tensor, scale: Callable[[Any], Any]) -> Any:
        """The model of p_t(x)^{1−s} p_t(x | class)^s, by its log-ratios. See `extrapolated.Extrapolated`."""
        from difrun_ising.discrete.extrapolated import Extrapolated

        return Extrapolated(model, labels, scale)

    @override
    def bound(self, model: Any, x0: Tensor, times: Iterable[float], generator: Randomness = None) -> Tensor:
        """A lower bound on log p_θ(x_0). See `bound.log_likelihood_bound`."""
        from difrun_ising.discrete.bound import log_likelihood_bound

        return log_likelihood_bound(model, x0, times, generator)
