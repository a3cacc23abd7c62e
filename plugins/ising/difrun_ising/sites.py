"""Independent laws of the sites of a lattice: what every kernel of a discrete process is."""

from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.randomness import Generator


@attrs.frozen(eq=False)
class Sites:
    """Independent sites, each of a law over K categories and, last, the mask.

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
        """A draw, by inversion of the cumulated law in float64: no site takes a value of probability 0."""
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
