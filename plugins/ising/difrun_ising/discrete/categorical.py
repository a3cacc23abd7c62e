"""The process of categories, such as the letters of strings."""

import torch
from torch import Tensor
from typing_extensions import override

from difrun.errors import DifrunError
from difrun_ising.discrete.options import CategoricalOptions
from difrun_ising.discrete.process import DiscreteProcess


class Categorical(DiscreteProcess, CategoricalOptions):
    r"""K categories, one-hot: x_t has shape (n, *sites, K).

    The mask is the zero vector, so that E[x_0 | x_t] is the distribution of x_0 at every site. `mixing` is uniform,
    absorbing (the mask alone), or one weight per category.
    """

    @override
    def mixing_distribution(self, categories: int, device: torch.device | str = "cpu") -> Tensor:
        """π over the categories and, last, the mask: (K + 1,), float64.

        Raises:
            DifrunError: If `mixing` has weights of another number of categories.
        """
        pi = torch.zeros(categories + 1, dtype=torch.float64, device=device)
        if self.mixing == "absorbing":
            pi[-1] = 1
        elif self.mixing == "uniform":
            pi[:-1] = 1 / categories
        else:
            weights = torch.tensor(self.mixing, dtype=torch.float64, device=device)
            if len(weights) != categories:
                raise DifrunError(f"--process.mixing has {len(weights)} weights for {categories} categories.")
            pi[:-1] = weights / weights.sum()
        return pi

    @override
    def categories(self) -> int:
        return len(self.mixing) if isinstance(self.mixing, tuple) else 3

    @override
    def sites(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(shape[:-1])

    @override
    def states(self, x: Tensor) -> Tensor:
        return x.double()

    @override
    def site_distributions(self, x0: Tensor) -> Tensor:
        return x0.double().clamp(0, 1)

    @override
    def mean(self, weights: Tensor) -> Tensor:
        return weights[..., :-1]
