"""The exact model of any distribution of three sites, by enumeration: what guided models are compared with."""

import torch

from difrun_ising.discrete.model import DiscreteModel
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.process import Ising

SMALL = Lattice(2, 3, 0.5, field=0.1, periodic=False)
SPINS = [
    Ising(),
    Ising(mixing=0.7, schedule="linear"),
    Ising(mixing="absorbing"),
    Ising(order="checkerboard"),
]


class Enumerated(DiscreteModel):
    """The exact model of any distribution p of examples x0 (m, *shape); with `condition_on`, weights on these, of
    that distribution given y."""

    def __init__(self, process, x0, p, given=1.0):
        self.process, self.x0, self.shape, self.mean, self.var = process, x0, x0.shape[1:], 0.0, 1.0
        self.p = p * given / (p * given).sum()

    def joint(self, x, at):
        """p(x_0, x_t): (n, m)."""
        ways = [
            self.process.transition(self.x0, self.process.at(0.0), at).log_prob(one.expand_as(self.x0))
            for one in x
        ]
        return torch.stack(ways).exp() * self.p

    def x0_distribution(self, x, at):
        weights = self.joint(x, at)
        weights = weights / weights.sum(1, keepdim=True)
        return torch.tensordot(weights, self.process.states(self.x0), 1)


def case(process):
    """(model, model given y, log p_t(y | x_t), every x_t that both can lead to) for three sites and random
    distributions."""
    x0, x = process.enumeration()
    random = torch.Generator().manual_seed(1)
    p = torch.rand(len(x0), dtype=torch.float64, generator=random) ** 3
    given = torch.rand(len(x0), dtype=torch.float64, generator=random)
    model = Enumerated(process, x0, p / p.sum())

    def likelihood(x, at):
        joint = model.joint(x, at)
        return ((joint * given).sum(1) / joint.sum(1)).log()

    return model, Enumerated(process, x0, p, given), likelihood, x
