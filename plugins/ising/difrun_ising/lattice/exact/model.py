"""The exact model of an Ising lattice: nothing is trained, and trained models are measured against it."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun_ising.discrete.model import DiscreteModel
from difrun_ising.discrete.process import DiscreteProcess
from difrun_ising.discrete.schedule import Instant
from difrun_ising.lattice.exact.marginals import site_marginals
from difrun_ising.lattice.lattice import Lattice

WIDEST = 8
"""Widest rows of forward–backward, whose cost is 2^W with free boundaries and 4^W on a torus."""


class ExactSpins(DiscreteModel):
    r"""p(x_0,i = ±1 | x_t) of the Ising model, exact.

    x_t is a likelihood at every site, so that

        p(x_0 | x_t) ∝ exp(−βE(x_0)) Π_i q(x_t,i | x_0,i)

    is a random-field model. It is summed over all configurations by forward–backward over rows (`site_marginals`), for
    a shorter side of at most 8: any lattice of 16 spins, and 8x8.

    Args:
        lattice: The lattice of the data.
        process: How the spins are noised.
        mean: The mean of the data, which the prior needs.
        var: The variance of the data.
    """

    def __init__(self, lattice: Lattice, process: DiscreteProcess, mean: Any = 0.0, var: Any = 1.0):
        self.lattice, self.process, self.shape = lattice, process, lattice.shape
        process.turns(self.shape)  # refuses a process that is for another lattice
        self.mean = torch.as_tensor(mean, dtype=torch.float32)
        self.var = torch.as_tensor(var, dtype=torch.float32)

    @override
    def x0_distribution(self, x: Tensor, at: Instant) -> Tensor:
        return self._marginals(self.process.likelihood(x, at)).to(x.device)

    @override
    def cavity(self, x: Tensor, at: Instant, hidden: Tensor | None = None) -> Tensor:
        # Certain sites are made uncertain by 1e-12: their likelihood could not be divided out.
        likelihood = self.process.likelihood(x, at)
        likelihood = likelihood.clamp_min(1e-12 * likelihood.amax(-1, keepdim=True))
        weights = self._marginals(likelihood).to(x.device) / likelihood
        return weights / weights.sum(-1, keepdim=True)

    def _marginals(self, likelihood: Tensor) -> Tensor:
        """p(x_0,i = ±1) for likelihoods (n, rows, columns, 2) of −1 and +1 at every site."""
        likelihood = likelihood.cpu()
        return site_marginals(self.lattice, likelihood / likelihood.amax(-1, keepdim=True))


def exact_spins(*, process: Any, dataset: Dataset) -> ExactSpins:
    """The exact model of a dataset of Ising lattices.

    Args:
        process: How the spins are noised.
        dataset: The dataset, which knows its lattice.

    Returns:
        The model, with the mean and variance of the dataset.

    Raises:
        DifrunError: If the lattice is not known, or its shorter side is above 8.
    """
    lattice = getattr(dataset, "lattice", None)
    if lattice is None:
        raise DifrunError(
            f"model 'exact-spins' needs the couplings, which dataset '{dataset.name}' does not know; take --dataset "
            "ising."
        )
    if min(lattice.shape) > WIDEST:
        raise DifrunError(
            f"model 'exact-spins' reaches a shorter side of {WIDEST}; the lattice is {lattice.rows}x{lattice.columns}. "
            "Train a network instead: --model spin-cnn."
        )
    return ExactSpins(lattice, process, dataset.mean, dataset.var)
