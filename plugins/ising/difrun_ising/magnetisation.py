"""Guidance to one sign of the magnetisation M = Σ s_i, from what the model itself says of x_0."""

from typing import Any

import torch
from torch import Tensor

from difrun_ising.exact import ExactSpins
from difrun_ising.schedule import Instant

STATES = 2**21
"""Most values of x_t that p_t(sign | x_t) is tabulated for: 16 spins, or 13 that may be masked."""


def magnetisation(model: Any, *, sign: str = "up", scale: float = 1.0, first_order: bool = False) -> Any:
    """The model given M > 0 (`up`) or M < 0 (`down`), where M = 0 is neither.

    p_t(sign | x_t) is exact for the exact model of few spins (`SignTable`), and else `sign_by_independence`, as good
    as spins are independent given x_t.
    """
    direction = 1.0 if sign == "up" else -1.0
    if not first_order and isinstance(model, ExactSpins) and SignTable.reaches(model):
        likelihood: Any = SignTable(model, direction)
    else:

        def likelihood(x: Tensor, at: Instant) -> Tensor:
            return sign_by_independence(model.predict(x, at, "x0"), direction)

    return model.process.condition(model, likelihood, scale, **({"first_order": True} if first_order else {}))


def sign_by_independence(mean: Tensor, direction: float) -> Tensor:
    r"""log P(±M > 0) for independent spins of these means (n, *sites), by the normal law: (n,), float64.

    M has the mean m = Σ m_i and the variance Σ (1 − m_i²), and takes every second integer: P(M > 0) is that of a normal
    number above 0 for an odd number of spins, above 1 for an even one.
    """
    mean = mean.double().flatten(1)
    threshold = 0.0 if mean.shape[1] % 2 else 1.0
    std = (1 - mean.square()).sum(1).clamp_min(1e-6).sqrt()
    return torch.special.log_ndtr((direction * mean.sum(1) - threshold) / std)


class SignTable:
    r"""log p_t(±M > 0 | x_t) of an exact model, from the law of x_t and sign together, for every x_t.

    p_t(x_t, sign) is p(x_0) [sign of M(x_0)] carried through the kernel of one site after the other, N 2^N operations
    (3^N where spins may be masked); the table of the last instant is kept.
    """

    def __init__(self, model: ExactSpins, direction: float):
        self.process, self.shape = model.process, model.shape
        sites = model.lattice.spins
        up = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * sites)
        spins = up.reshape(-1, *model.shape)
        p = torch.softmax(-model.lattice.beta * model.lattice.energy(spins), 0)
        self.joint = torch.stack((p, p * (direction * model.lattice.magnetisation(spins) > 0)))
        self._at: Instant | None = None
        self._table = torch.empty(0)

    @staticmethod
    def reaches(model: ExactSpins) -> bool:
        """Whether the table of all x_t can be made."""
        return float(3 if model.process.masks(2) else 2) ** model.lattice.spins <= STATES

    def __call__(self, x: Tensor, at: Instant) -> Tensor:
        base = 3 if self.process.masks(2) else 2
        index = (
            x.double().flatten(1) + 1
        ).long()  # −1, 0, 1: 0, 1, 2; the table has −1, 1 and, last, the mask
        index = torch.tensor([0, 2, 1], device=x.device)[index]
        powers = base ** torch.arange(index.shape[1] - 1, -1, -1, device=x.device)
        return self._of(at).to(x.device)[(index * powers).sum(1)]

    def _of(self, at: Instant) -> Tensor:
        """The table at an instant, which is that of numbers."""
        if self._at is None or (at.even, at.odd) != (self._at.even, self._at.odd):
            sites = self.joint.shape[1].bit_length() - 1
            alpha = torch.as_tensor(self.process.keep(at, (1, *self.shape)), dtype=torch.float64)
            alpha = alpha.expand(self.shape).flatten()
            pi = self.process.law(2)
            pi = pi if self.process.masks(2) else pi[:-1]
            table = self.joint.reshape(2, *[2] * sites)
            for site in range(sites):
                kernel = alpha[site] * torch.eye(2, len(pi), dtype=torch.float64) + (1 - alpha[site]) * pi
                table = torch.tensordot(table, kernel, ([1], [0]))  # the last axis is this site's now
            whole, given = table.reshape(2, -1)
            self._table, self._at = given.log() - whole.log(), at
        return self._table
