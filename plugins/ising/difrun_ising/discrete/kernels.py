"""The kernels of a discrete diffusion: q(x_t | x_0), q(x_t | x_s), the posterior of x_s, and the ratios of p_t."""

from typing import Any

import torch
from torch import Tensor

from difrun_ising.discrete.schedule import Instant, Schedule
from difrun_ising.discrete.sites import category_axis, likelihood_quotient, with_empty_mask, with_mask


class Kernels(Schedule):
    r"""The kernels of independent sites of K values, each replaced at random by a draw from π, in float64.

    A subclass encodes the values as numbers, and defines π.
    """

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
        ratio = category_axis(self.alpha_ratio(to, at, e.shape[:-1]))
        return ratio * e + (1 - ratio) * self.mixing_probability(e)

    def marginal(self, p0: Tensor, at: Instant) -> Tensor:
        """q(x_t = y) for every y, where x_0 has the distribution p0 (n, *sites, K): (n, *sites, K + 1)."""
        alpha = category_axis(self.site_alpha(at, p0.shape[:-1]))
        return alpha * with_empty_mask(p0) + (1 - alpha) * self.mixing_distribution(p0.shape[-1], p0.device)

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
        ratio = category_axis(self.alpha_ratio(to, at, e.shape[:-1]))
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

    def alpha_ratio(self, to: Instant, at: Instant, shape: tuple[int, ...]) -> Any:
        """α_t/α_s; 1 where α_s = 0, at T."""
        later, earlier = self.site_alpha(at, shape), self.site_alpha(to, shape)
        if isinstance(later, float) and isinstance(earlier, float):
            return later / earlier if earlier else 1.0
        later, earlier = (torch.as_tensor(a, dtype=torch.float64) for a in (later, earlier))
        return torch.where(earlier > 0, later / earlier.clamp_min(1e-300), 1.0)
