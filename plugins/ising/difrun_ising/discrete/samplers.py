"""Samplers of discrete processes, beside the core's `ancestral`."""

from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_ising.discrete.options import HeatBathOptions
from difrun_ising.discrete.sites import Sites, colouring


class ReverseKernel(Sampler):
    r"""x_s ~ p_θ(x_s | x_t), the model's own kernel.

    For a network that predicts x_{t−1} it is what that network says, good for the steps it was trained on; for all
    others it is the exact posterior of p(x_0 | x_t), which `ancestral` draws from. One evaluation per step. The weak
    order is 1: sites that move in one step are taken to be independent.
    """

    order = 1
    stochastic = True

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        return earlier(model, x, at, to, generator), None


class TauLeap(Sampler):
    r"""Tau-leaping of the reverse jump process, with the rates at t frozen over the step.

    A site leaves for y at the rate R(y) = σ π(x_t) p_t(y)/p_t(x_t), σ = −d log α/dt (Campbell et al., 2022, arXiv
    2205.14987, eq. 5 and Algorithm 1); σ is taken at the middle of the step. It leaves with probability
    1 − exp(−hR), R = Σ_y R(y), to y with probability R(y)/R: of several jumps of one site only the first counts, as
    categories have no order. Weak order 1, one evaluation per step.
    """

    order = 1
    stochastic = True

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        process = model.process
        e = process.states(x)
        here = torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1)
        ratios = process.ratios(x, model.x0_distribution(x, at), at) * (1 - here)
        sigma = torch.as_tensor(process.rate_field((at.t + to.t) / 2, e.shape[:-1]), dtype=torch.float64)
        rates = sigma.to(x.device).unsqueeze(-1) * process.mixed(e) * ratios
        total = rates.sum(-1, keepdim=True)
        leaves = -torch.expm1(-(at.t - to.t) * total)
        weights = leaves * torch.where(total > 0, rates / total.clamp_min(1e-300), 0.0) + (1 - leaves) * here
        return Sites(weights, process, x.dtype).sample(generator), None


class FlowEuler(Sampler):
    r"""Euler's method of discrete flow matching: a site is redrawn from p(x_0 | x_t) at the rate −α̇/(1 − α).

    In a step from t to s it is with probability (α_s − α_t)/(1 − α_t), and else stays (Campbell et al., 2024, arXiv
    2402.04997, eq. 7, with the corrector rate 0; Gat et al., 2024, arXiv 2407.15595, eq. 24). Weak order 1, one
    evaluation per step; the last step draws x_0 from p(x_0 | x_t).
    """

    order = 1
    stochastic = True

    def step(
        self, model: Any, x: Tensor, at: Any, to: Any, state: Any, generator: Generator
    ) -> tuple[Tensor, Any]:
        process = model.process
        e = process.states(x)
        here = torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1)
        p0 = model.x0_distribution(x, at)
        now, then = (torch.as_tensor(process.keep(i, e.shape[:-1]), dtype=torch.float64) for i in (at, to))
        share = (
            torch.where(now < 1, (then - now) / (1 - now).clamp_min(1e-300), 0.0).to(x.device).unsqueeze(-1)
        )
        weights = share * torch.cat((p0, torch.zeros_like(p0[..., :1])), -1) + (1 - share) * here
        return Sites(weights, process, x.dtype).sample(generator), None


@attrs.frozen
class HeatBath(Sampler, HeatBathOptions):
    r"""Steps of a `predictor`, each followed by heat-bath sweeps at the level reached: a predictor–corrector for spins.

    The same model gives the exact conditionals of the noised distribution. With the cavity distribution c_i of
    x_0,i, from x_t without x_t,i,

        p_t(x_t,i = y | all others) = α_t c_i(y) + (1 − α_t) π(y),

    for flips (1 + ρ tanh(g_i/2))/2 with g_i the cavity log-odds. A sweep draws the sites anew from it, one class after
    the other at one evaluation each, and those of one class at once. Two classes are the sublattices: at t = 0 such a
    sweep leaves the distribution of a lattice of even sides alone; at t > 0 sites of a class still depend on each
    other a little, given the others, and more classes, whose sites lie further apart, come nearer. last: correct
    after so many last steps only. The step that ends at t = 0 is corrected where `to_data` is set. The cavity
    distribution is as good as the
    model: at little noise, where a site's own value is nearly certain, a network is hardly told it in training, and
    sweeps may harm.
    """

    order = 1
    stochastic = True
    evaluations = None

    def evaluations_in(self, steps: int) -> int:
        corrected = steps if self.last is None else min(self.last, steps)
        corrected -= not (self.to_data or corrected == 0)
        return steps + self.classes * self.sweeps * corrected

    def prepare(self, model: Any, instants: Any) -> float:
        """The time after which steps are corrected."""
        times = [instant.t for instant in instants]
        if self.last is None:
            return float(times[0])
        return float(times[-self.last - 1]) if self.last < len(times) else float(times[0])

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


def earlier(model: Any, x: Tensor, at: Any, to: Any, generator: Generator) -> Tensor:
    r"""x_s ~ p_θ(x_s | x_t), with s = `to`.

    A masked site is seen at s with probability (α_s − α_t)/(1 − α_t), whatever the model says; so it is asked about
    those examples alone in which one is, and many short steps cost no more than there are sites.
    """
    process = model.process
    if process.mixing != "absorbing":
        return model.reverse(x, at, to).sample(generator)
    masked = process.states(x).sum(-1) == 0
    now, then = (torch.as_tensor(process.keep(i, masked.shape), dtype=torch.float64) for i in (at, to))
    chance = torch.where(now < 1, (then - now) / (1 - now).clamp_min(1e-300), 0.0).to(x.device)
    u = generator.uniform(torch.zeros(masked.shape, dtype=torch.float64, device=x.device))
    seen = masked & (u < chance)
    rows = seen.flatten(1).any(1)
    if not bool(rows.any()):
        return x
    # Given that a site is seen, u/chance is uniform again, and chooses its value.
    distribution = model.rows(rows).x0_distribution(x[rows], at)
    below = (u / chance.clamp_min(1e-300))[rows].unsqueeze(-1) * distribution.sum(
        -1, keepdim=True
    ) >= distribution.cumsum(-1)
    index = below[..., :-1].sum(-1)
    one = torch.nn.functional.one_hot(index, distribution.shape[-1] + 1)
    values = process.mean(one.to(x.dtype))
    fresh = x.clone()
    spread = seen.reshape(*seen.shape, *(1,) * (x.ndim - seen.ndim))
    fresh[rows] = torch.where(spread[rows], values, x[rows])
    return fresh


def sweep(model: Any, x: Tensor, at: Any, generator: Generator, classes: int = 2) -> Tensor:
    """One heat-bath sweep of x = x_t at its own level, one class of sites after the other."""
    process = model.process
    sites = process.sites(x.shape)[1:]
    colour = colouring(sites, classes, x.device)
    for turn in range(classes):
        mine = colour == turn
        drawn = Sites(process.marginal(model.cavity(x, at, mine), at), process, x.dtype).sample(generator)
        x = torch.where(mine.reshape(*sites, *(1,) * (x.ndim - 1 - len(sites))), drawn, x)
    return x
