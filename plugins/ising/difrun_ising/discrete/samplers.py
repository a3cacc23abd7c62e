"""Samplers of discrete processes, beside the core's `ancestral`."""

from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_ising.discrete.options import HeatBathOptions
from difrun_ising.discrete.sites import Sites, colouring, with_empty_mask, with_mask


class ReverseKernel(Sampler):
    r"""Draws x_s ~ p_θ(x_s | x_t) from the kernel of the model.

    For a network that predicts x_{t−1} this is its output, for the steps it was trained on. For all other models it is
    the exact posterior of p(x_0 | x_t), as for `ancestral`. One evaluation per step. The weak order is 1: sites that
    change in one step are taken to be independent.
    """

    order = 1
    stochastic = True

    @override
    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        return reverse_step(model, x, at, to, generator), None


class TauLeap(Sampler):
    r"""Tau-leaping of the reverse jump process, with the rates at t frozen over the step.

    With σ = −d log α/dt at the middle of the step, a site jumps to y at the rate

        R(y) = σ π(x_t) p_t(y)/p_t(x_t).

    It jumps with probability 1 − exp(−hR), R = Σ_y R(y), and then to y with probability R(y)/R. Only the first of
    several jumps of one site counts, because categories have no order. Weak order 1, one evaluation per step.

    References:
        Campbell et al. (2022), arXiv 2205.14987, eq. 5 and Algorithm 1.
    """

    order = 1
    stochastic = True

    @override
    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        process = model.process
        e = process.states(x)
        here = with_mask(e)
        ratios = process.ratios(x, model.x0_distribution(x, at), at) * (1 - here)
        sigma = torch.as_tensor(process.rate_field((at.t + to.t) / 2, e.shape[:-1]), dtype=torch.float64)
        rates = sigma.to(x.device).unsqueeze(-1) * process.mixing_probability(e) * ratios
        total = rates.sum(-1, keepdim=True)
        jumps = -torch.expm1(-(at.t - to.t) * total)
        weights = jumps * torch.where(total > 0, rates / total.clamp_min(1e-300), 0.0) + (1 - jumps) * here
        return Sites(weights, process, x.dtype).sample(generator), None


class FlowEuler(Sampler):
    r"""Euler's method of discrete flow matching: sites are redrawn from p(x_0 | x_t) at the rate −α̇/(1 − α).

    In a step from t to s a site is redrawn with probability

        (α_s − α_t)/(1 − α_t),

    and else stays. The last step draws x_0 from p(x_0 | x_t). Weak order 1, one evaluation per step.

    References:
        Campbell et al. (2024), arXiv 2402.04997, eq. 7, with the corrector rate 0.
        Gat et al. (2024), arXiv 2407.15595, eq. 24.
    """

    order = 1
    stochastic = True

    @override
    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        process = model.process
        e = process.states(x)
        p0 = model.x0_distribution(x, at)
        redrawn = _redraw_probability(process, at, to, e.shape[:-1]).to(x.device).unsqueeze(-1)
        weights = redrawn * with_empty_mask(p0) + (1 - redrawn) * with_mask(e)
        return Sites(weights, process, x.dtype).sample(generator), None


@attrs.frozen
class HeatBath(Sampler, HeatBathOptions):
    r"""Steps of a predictor, each followed by heat-bath sweeps at the level reached: a predictor–corrector for spins.

    The model gives the exact conditionals of the noised distribution. With the cavity distribution c_i of x_0,i, from
    x_t without x_t,i,

        p_t(x_t,i = y | all others) = α_t c_i(y) + (1 − α_t) π(y),

    for flips (1 + ρ tanh(g_i/2))/2 with g_i the cavity log-odds. A sweep redraws the sites from it, one class of sites
    after the other, all sites of a class at once and with one evaluation per class.

    Two classes are the sublattices. At t = 0 such a sweep leaves the distribution of a lattice of even sides unchanged.
    At t > 0 the sites of a class still depend on each other a little, given the others; with more classes they lie
    further apart, and the error falls.

    The cavity distribution is as good as the model. At little noise, where a site's own value is nearly certain, a
    network hardly learns it, and sweeps may harm.

    Attributes:
        predictor: The sampler whose steps are corrected.
        sweeps: The sweeps after a step.
        classes: The number of classes.
        last: The number of last steps that are corrected; None for all.
        to_data: Whether the step that ends at t = 0 is corrected.
    """

    order = 1
    stochastic = True
    evaluations = None

    @override
    def evaluations_in(self, steps: int) -> int:
        corrected = steps if self.last is None else min(self.last, steps)
        if corrected > 0 and not self.to_data:
            corrected -= 1
        return steps + self.classes * self.sweeps * corrected

    @override
    def prepare(self, model: Any, instants: Any) -> float:
        """The time from which on steps are corrected."""
        times = [instant.t for instant in instants]
        if self.last is None or self.last >= len(times):
            return float(times[0])
        return float(times[-self.last - 1])

    @override
    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        x, _ = PREDICTORS[self.predictor]().step(model, x, at, to, None, generator)
        if at.t <= state and (to.t > 0 or self.to_data):
            for _ in range(self.sweeps):
                x = sweep(model, x, to, generator, self.classes)
        return x, state


PREDICTORS: dict[str, type[Sampler]] = {
    "reverse-kernel": ReverseKernel,
    "tau-leap": TauLeap,
    "flow-euler": FlowEuler,
}


def reverse_step(model: Any, x: Tensor, at: Any, to: Any, generator: Generator) -> Tensor:
    r"""Draw x_s ~ p_θ(x_s | x_t), with s = `to`.

    A masked site is revealed at s with probability (α_s − α_t)/(1 − α_t), whatever the model says. So the model is
    evaluated only for the examples in which some site is revealed, and many short steps take at most as many
    evaluations as there are sites.
    """
    process = model.process
    if process.mixing != "absorbing":
        return model.reverse(x, at, to).sample(generator)
    masked = process.states(x).sum(-1) == 0
    probability = _redraw_probability(process, at, to, masked.shape).to(x.device)
    u = generator.uniform(torch.zeros(masked.shape, dtype=torch.float64, device=x.device))
    revealed = masked & (u < probability)
    rows = revealed.flatten(1).any(1)
    if not bool(rows.any()):
        return x
    # Where a site is revealed, u/probability is uniform again, and chooses its value.
    uniform = (u / probability.clamp_min(1e-300))[rows].unsqueeze(-1)
    distribution = model.rows(rows).x0_distribution(x[rows], at)
    index = (uniform * distribution.sum(-1, keepdim=True) >= distribution.cumsum(-1))[..., :-1].sum(-1)
    one_hot = functional.one_hot(index, distribution.shape[-1] + 1)
    values = process.mean(one_hot.to(x.dtype))
    where = revealed.reshape(*revealed.shape, *(1,) * (x.ndim - revealed.ndim))
    result = x.clone()
    result[rows] = torch.where(where[rows], values, x[rows])
    return result


def sweep(model: Any, x: Tensor, at: Any, generator: Generator, classes: int = 2) -> Tensor:
    """One heat-bath sweep of x = x_t at its own level, one class of sites after the other."""
    process = model.process
    sites = process.sites(x.shape)[1:]
    colour = colouring(sites, classes, x.device)
    for turn in range(classes):
        chosen = colour == turn
        conditional = Sites(process.marginal(model.cavity(x, at, chosen), at), process, x.dtype)
        drawn = conditional.sample(generator)
        x = torch.where(chosen.reshape(*sites, *(1,) * (x.ndim - 1 - len(sites))), drawn, x)
    return x


def _redraw_probability(process: Any, at: Any, to: Any, shape: tuple[int, ...]) -> Tensor:
    """(α_s − α_t)/(1 − α_t) for tensors of shape (n, *sites), float64; 0 where α_t = 1."""
    now, then = (
        torch.as_tensor(process.site_alpha(instant, shape), dtype=torch.float64) for instant in (at, to)
    )
    return torch.where(now < 1, (then - now) / (1 - now).clamp_min(1e-300), 0.0)
