"""Independent distributions of the sites of a lattice: what every kernel of a discrete process is."""

from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.randomness import Generator


@attrs.frozen(eq=False)
class Sites:
    """Independent sites, each of a distribution over K categories and, last, the mask.

    weights: (n, *sites, K + 1), float64, that sum to 1. process: what says which value each category is.
    dtype: of the values.
    """

    weights: Tensor
    process: Any
    dtype: torch.dtype

    @property
    def mean(self) -> Tensor:
        """The mean value of every site, float64."""
        return self.process.mean(self.weights)

    def sample(self, generator: Generator) -> Tensor:
        """A draw, by inversion of the cumulated distribution in float64: no site takes a value of probability 0."""
        u = generator.uniform(self.weights[..., 0])
        totals = self.weights.cumsum(-1)
        index = (u.unsqueeze(-1) * totals[..., -1:] >= totals[..., :-1]).sum(-1)
        one = torch.nn.functional.one_hot(index, self.weights.shape[-1])
        return self.process.mean(one.to(self.dtype))

    def log_prob(self, x: Tensor) -> Tensor:
        """log of the probability of values x, summed over the sites: (n,), float64."""
        e = self.process.states(x)
        whole = torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1)
        return (whole * self.weights).sum(-1).log().flatten(1).sum(1)


def last(alpha: Any) -> Any:
    """α with an axis for the categories."""
    return alpha.unsqueeze(-1) if isinstance(alpha, Tensor) and alpha.ndim else alpha


def divided(p0: Tensor, below: Tensor) -> Tensor:
    """p0/q(x_t | x_0), 0 where x_0 cannot have led to x_t; its derivative is finite there, too."""
    possible = below > 0
    return torch.where(possible, p0, 0.0) / torch.where(possible, below, 1.0)


def masked(weights: Tensor) -> Tensor:
    """Weights on the categories, and 0 on the mask."""
    return torch.cat((weights, torch.zeros_like(weights[..., :1])), -1)


def colouring(shape: tuple[int, ...], classes: int, device: torch.device | str = "cpu") -> Tensor:
    """A class 0, ..., classes − 1 for every site, so that sites of one class are no neighbours: shape (*shape).

    Along the last axis classes follow each other; from row to row they move on by half of their number.
    """
    total = torch.zeros(shape, dtype=torch.int64, device=device)
    for axis, length in enumerate(shape):
        view = [1] * len(shape)
        view[axis] = length
        step = 1 if axis == len(shape) - 1 else max(1, classes // 2)
        total = total + step * torch.arange(length, device=device).reshape(view)
    return total % classes


def sublattice(shape: tuple[int, ...], device: torch.device | str = "cpu") -> Tensor:
    """True on the even sites of a lattice of any dimension, those whose coordinates have an even sum."""
    return colouring(shape, 2, device) == 0
