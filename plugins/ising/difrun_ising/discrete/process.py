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
from difrun_ising.discrete.kernels import Kernels
from difrun_ising.discrete.schedule import Instant
from difrun_ising.discrete.sites import Sites, category_axis, triples, with_empty_mask, with_mask


class DiscreteProcess(Kernels):
    r"""Independent sites of K values, each replaced at random by a draw from π: the contract of `ForwardProcess`.

    A subclass encodes the values as numbers, and defines π (`Kernels`). Sampling ends at t = 0.
    """

    t_min = 0.0

    @override
    def transition(self, x_s: Tensor, to: Instant, at: Instant) -> Sites:
        """q(x_t | x_s), with t = `at` > s = `to`."""
        e = self.states(x_s)
        ratio = category_axis(self.alpha_ratio(to, at, e.shape[:-1]))
        weights = ratio * with_mask(e) + (1 - ratio) * self.mixing_distribution(e.shape[-1], e.device)
        return Sites(weights, self, x_s.dtype)

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
