"""Independent distributions at the sites of an example, and the arithmetic that kernels share."""

from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from difrun.randomness import Generator


@attrs.frozen(eq=False)
class Sites:
    """Independent sites, each with a distribution over K categories and, last, the mask.

    Attributes:
        weights: The probabilities, with shape (n, *sites, K + 1), float64.
        process: The process, which knows the value of each category.
        dtype: The dtype of the values.
    """

    weights: Tensor
    process: Any
    dtype: torch.dtype

    @property
    def mean(self) -> Tensor:
        """The mean value of every site, float64."""
        return self.process.mean(self.weights)

    def sample(self, generator: Generator) -> Tensor:
        """Draw by inversion of the cumulative distribution in float64: no site takes a value of probability 0."""
        u = generator.uniform(self.weights[..., 0])
        totals = self.weights.cumsum(-1)
        index = (u.unsqueeze(-1) * totals[..., -1:] >= totals[..., :-1]).sum(-1)
        one_hot = functional.one_hot(index, self.weights.shape[-1])
        return self.process.mean(one_hot.to(self.dtype))

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-probability of values x, summed over the sites: (n,), float64."""
        one_hot = with_mask(self.process.states(x))
        return (one_hot * self.weights).sum(-1).log().flatten(1).sum(1)


def with_mask(e: Tensor) -> Tensor:
    """Weights on the categories and, last, the mask, from e (n, *sites, K): the mask gets the rest to 1."""
    return torch.cat((e, 1 - e.sum(-1, keepdim=True)), -1)


def with_empty_mask(weights: Tensor) -> Tensor:
    """Weights on the categories, and 0 on the mask."""
    return torch.cat((weights, torch.zeros_like(weights[..., :1])), -1)


def category_axis(alpha: Any) -> Any:
    """α with an axis for the categories."""
    return alpha.unsqueeze(-1) if isinstance(alpha, Tensor) and alpha.ndim else alpha


def likelihood_quotient(p0: Tensor, likelihood: Tensor) -> Tensor:
    """p0/q(x_t | x_0), and 0 where x_0 cannot have led to x_t; the derivative is finite there, too."""
    possible = likelihood > 0
    return torch.where(possible, p0, 0.0) / torch.where(possible, likelihood, 1.0)


def triples(values: Tensor) -> Tensor:
    """Return all triples of values (k, ...), as three sites in a row: (k³, 1, 3, ...)."""
    index = torch.cartesian_prod(*[torch.arange(len(values))] * 3)
    return values[index].reshape(len(index), 1, 3, *values.shape[1:])
