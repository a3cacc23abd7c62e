"""Guidance to one sign of the magnetisation M = Σ s_i, from what the model itself says of x_0."""

import math
from typing import Any

import torch
from torch import Tensor

from difrun_ising.discrete.process import DiscreteProcess
from difrun_ising.discrete.schedule import Instant
from difrun_ising.exact import ExactSpins

FEW = 16
"""Up to so many spins each is flipped in turn to see what that changes."""

STATES = 2**21
"""Most values of x_t that p_t(sign | x_t) is tabulated for: 16 spins, or 13 that may be masked."""


def magnetisation(model: Any, *, sign: str = "up", scale: float = 1.0, changes: str = "auto") -> Any:
    """The model given M > 0 (`up`) or M < 0 (`down`), where M = 0 is neither.

    p_t(sign | x_t) is exact for the exact model of few spins (`SignTable`), and else that of a normal M whose mean and
    variance the model tells (`NormalSign`). changes: what flips of x_t change of it, exactly or to first order; auto:
    exactly for at most 16 spins.
    """
    direction = 1.0 if sign == "up" else -1.0
    first_order = changes == "first-order" or (changes == "auto" and math.prod(model.shape) > FEW)
    if not first_order and isinstance(model, ExactSpins) and SignTable.reaches(model):
        likelihood: Any = SignTable(model, direction)
    else:
        likelihood = NormalSign(model, direction)
    return model.process.condition(model, likelihood, scale, **({"first_order": True} if first_order else {}))


class NormalSign:
    r"""log p_t(±M > 0 | x_t) for M normal, of the mean m = Σ_i m_i, m_i = E[x_0,i | x_t], and the variance Σ_i C_i.

    C_i = Cov(M, x_0,i | x_t) is the response of m to the evidence h_i = ½ log[q(x_t,i | x_0,i = 1)/q(x_t,i | −1)] at
    site i, C_i = ∂m/∂h_i, as p(x_0 | x_t) ∝ p(x_0) e^{Σ h_i x_0,i}: one gradient, right for an exact model. It is kept
    above a tenth of Σ (1 − m_i²), the variance of independent spins, and is no part of what is differentiated. M takes
    every second integer: M > 0 is a normal number above 0 for an odd number of spins, above 1 for an even one.
    """

    def __init__(self, model: Any, direction: float):
        self.model, self.direction = model, direction

    def __call__(self, x: Tensor, at: Instant) -> Tensor:
        within = x.requires_grad
        with torch.enable_grad():
            x = x if within else x.detach().requires_grad_()
            mean = self.model.predict(x, at, "x0").double().flatten(1)
            total = mean.sum(1)
            variance = self._variance(x, at, mean, total)
        threshold = 0.0 if mean.shape[1] % 2 else 1.0
        value = torch.special.log_ndtr((self.direction * total - threshold) / variance.sqrt())
        return value if within else value.detach()

    def _variance(self, x: Tensor, at: Instant, mean: Tensor, total: Tensor) -> Tensor:
        independent = (1 - mean.detach().square()).sum(1).clamp_min(1e-6)
        process = self.model.process
        if not isinstance(process, DiscreteProcess):  # which does not say what its evidence is
            return independent
        likelihood = process.likelihood(x, at)
        evidence = (likelihood[..., 1].log() - likelihood[..., 0].log()) / 2
        (slope,) = torch.autograd.grad(total.sum(), x, retain_graph=True)
        (by,) = torch.autograd.grad(evidence.sum(), x, retain_graph=True)
        certain = (likelihood == 0).any(-1)  # nothing is left to vary
        response = torch.where(certain, 0.0, slope.double() / by.double())
        return torch.maximum(response.flatten(1).sum(1).detach(), 0.1 * independent)


class SignTable:
    r"""log p_t(±M > 0 | x_t) of an exact model, from the distribution of x_t and sign together, for every x_t.

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
        if self._at is None or at.alphas != self._at.alphas:
            sites = self.joint.shape[1].bit_length() - 1
            alpha = torch.as_tensor(self.process.keep(at, (1, *self.shape)), dtype=torch.float64)
            alpha = alpha.expand(self.shape).flatten()
            pi = self.process.mixing_distribution(2)
            pi = pi if self.process.masks(2) else pi[:-1]
            table = self.joint.reshape(2, *[2] * sites)
            for site in range(sites):
                kernel = alpha[site] * torch.eye(2, len(pi), dtype=torch.float64) + (1 - alpha[site]) * pi
                table = torch.tensordot(table, kernel, ([1], [0]))  # the last axis is this site's now
            whole, given = table.reshape(2, -1)
            self._table, self._at = given.log() - whole.log(), at
        return self._table
