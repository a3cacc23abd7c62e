"""Samplers that take jump rates: tau-leaping, and Euler's method of discrete flow matching."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.randomness import Generator
from difrun.sampler import Sampler
from difrun_ising.discrete.reverse_kernel import redraw_probability
from difrun_ising.discrete.sites import Sites, with_empty_mask, with_mask


class TauLeap(Sampler):
    r"""Tau-leaping of the reverse jump process, with the rates at t frozen over the step.

    With σ = −d log α/dt at the middle of the step, a site jumps to y at the rate

        R(y) = σ π(x_t) p_t(y)/p_t(x_t).

    It jumps with probability 1 − exp(−hR), R = Σ_y R(y), and then to y with probability R(y)/R. Only the first of
    several jumps of one site counts, because categories have no order. Weak order 1, one evaluation per step.

    A leap may leave masks. Sites without noise at the end of the step have none: there a mask that has not jumped is
    drawn from p(x_0 | x_t), which is where its jumps go, too.

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
        p0 = model.x0_distribution(x, at)
        ratios = process.ratios(x, p0, at) * (1 - here)
        sigma = torch.as_tensor(process.rate_field((at.t + to.t) / 2, e.shape[:-1]), dtype=torch.float64)
        rates = sigma.to(x.device).unsqueeze(-1) * process.mixing_probability(e) * ratios
        total = rates.sum(-1, keepdim=True)
        jumps = -torch.expm1(-(at.t - to.t) * total)
        weights = jumps * torch.where(total > 0, rates / total.clamp_min(1e-300), 0.0) + (1 - jumps) * here
        alpha = torch.as_tensor(process.site_alpha(to, e.shape[:-1]), dtype=torch.float64, device=x.device)
        undecided = torch.where(alpha.unsqueeze(-1) == 1, weights[..., -1:], 0.0)
        weights = weights + undecided * (with_empty_mask(p0) - with_mask(torch.zeros_like(e)))
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
        redrawn = redraw_probability(process, at, to, e.shape[:-1]).to(x.device).unsqueeze(-1)
        weights = redrawn * with_empty_mask(p0) + (1 - redrawn) * with_mask(e)
        return Sites(weights, process, x.dtype).sample(generator), None
