"""The sampler that draws from the reverse kernel of a model."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from difrun.randomness import Generator
from difrun.sampler import Sampler


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
    probability = redraw_probability(process, at, to, masked.shape).to(x.device)
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


def redraw_probability(process: Any, at: Any, to: Any, shape: tuple[int, ...]) -> Tensor:
    """(α_s − α_t)/(1 − α_t) for tensors of shape (n, *sites), float64; 0 where α_t = 1."""
    now, then = (
        torch.as_tensor(process.site_alpha(instant, shape), dtype=torch.float64) for instant in (at, to)
    )
    return torch.where(now < 1, (then - now) / (1 - now).clamp_min(1e-300), 0.0)
