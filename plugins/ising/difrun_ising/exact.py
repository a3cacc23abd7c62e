"""The exact model of an Ising lattice: no training, and the ground truth for what is trained."""

from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun_ising.data import lattice_of
from difrun_ising.discrete.model import DiscreteModel
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.process import DiscreteProcess, Instant
from difrun_ising.lattice.transfer import transfer_matrix

WIDEST = 8
"""Widest rows of forward–backward, whose cost is 2^W with free boundaries and 4^W on a torus."""


class ExactSpins(DiscreteModel):
    r"""p(x_0,i = ±1 | x_t) of the Ising model, exact: x_t is a likelihood at every site of a random-field model.

    p(x_0 | x_t) ∝ exp(−βE(x_0)) Π_i q(x_t,i | x_0,i), summed over all configurations by forward–backward over rows
    (`TransferMatrix.marginals`), for a shorter side of at most 8: any lattice of 16 spins, and 8x8.
    """

    def __init__(self, lattice: Lattice, process: DiscreteProcess, mean: Any = 0.0, var: Any = 1.0):
        self.lattice, self.process, self.shape = lattice, process, lattice.shape
        process.turns(self.shape)
        self.mean = torch.as_tensor(mean, dtype=torch.float32)
        self.var = torch.as_tensor(var, dtype=torch.float32)

    def x0_distribution(self, x: Tensor, at: Instant) -> Tensor:
        return self._given(self.process.likelihood(x, at)).to(x.device)

    def cavity(self, x: Tensor, at: Instant, hidden: Tensor | None = None) -> Tensor:
        # Certain sites are made uncertain by 1e-12, as their likelihood could not be divided out.
        likelihood = self.process.likelihood(x, at)
        likelihood = likelihood.clamp_min(1e-12 * likelihood.amax(-1, keepdim=True))
        weights = self._given(likelihood).to(x.device) / likelihood
        return weights / weights.sum(-1, keepdim=True)

    def _given(self, likelihood: Tensor) -> Tensor:
        """p(x_0,i = ±1) for likelihoods (n, rows, columns, 2) of −1 and +1 at every site."""
        likelihood = likelihood.cpu()
        return transfer_matrix(self.lattice).marginals(likelihood / likelihood.amax(-1, keepdim=True))


def exact_spins(*, process: Any, dataset: Any) -> ExactSpins:
    """The exact model of a dataset of Ising lattices.

    Raises DifrunError where the lattice is not known, or its shorter side is above 8.
    """
    lattice = lattice_of(dataset, "model 'exact-spins'")
    if min(lattice.shape) > WIDEST:
        raise DifrunError(
            f"model 'exact-spins' reaches a shorter side of {WIDEST}; the lattice is {lattice.rows}x{lattice.columns}. "
            "Train a network instead: --model spin-cnn."
        )
    return ExactSpins(lattice, process, dataset.mean, dataset.var)
