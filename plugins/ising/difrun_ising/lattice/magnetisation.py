"""Guidance to one sign of the magnetisation M = Σ s_i, without a classifier."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from difrun.model import ScoreModel
from difrun_ising.discrete.process import DiscreteProcess
from difrun_ising.discrete.schedule import Instant
from difrun_ising.lattice.exact.model import ExactSpins

MOST_FLIPS = 16
"""Most spins for which "auto" evaluates what the flip of each one changes."""

MOST_STATES = 2**21
"""Most values of x_t for which p_t(sign | x_t) is tabulated: those of 16 spins, or of 13 that may be masked."""


def magnetisation(model: ScoreModel, *, sign: str = "up", scale: float = 1.0, changes: str = "auto") -> Any:
    """Condition a model on the sign of the magnetisation.

    p_t(sign | x_t) is exact for the exact model of few spins (`SignTable`). Else M is taken to be normal, with a mean
    and variance from the model (`NormalSign`). M = 0 has neither sign.

    Args:
        model: A model of spins.
        sign: "up" for M > 0, "down" for M < 0.
        scale: The factor of the log-likelihood; 1 is Bayes' rule, 0 no guidance.
        changes: How the change of the log-likelihood by the flip of a spin is computed: "exact", "first-order" by one
            gradient, or "auto", which is exact for at most 16 spins.

    Returns:
        The model given the sign.
    """
    direction = 1.0 if sign == "up" else -1.0
    first_order = changes == "first-order" or (changes == "auto" and math.prod(model.shape) > MOST_FLIPS)
    likelihood: Callable[[Tensor, Instant], Tensor] = NormalSign(model, direction)
    if not first_order and isinstance(model, ExactSpins) and SignTable.fits(model):
        likelihood = SignTable(model, direction)
    if first_order:
        return model.process.condition(model, likelihood, scale, first_order=True)
    return model.process.condition(model, likelihood, scale)


class NormalSign:
    r"""log p_t(±M > 0 | x_t) for a normal M.

    The mean is m = Σ_i m_i, m_i = E[x_0,i | x_t]. The variance is Σ_i C_i, C_i = Cov(M, x_0,i | x_t): as p(x_0 | x_t) ∝
    p(x_0) e^{Σ h_i x_0,i}, C_i is the response of m to the evidence h_i at site i,

        C_i = ∂m/∂h_i,    h_i = ½ log[q(x_t,i | x_0,i = 1)/q(x_t,i | x_0,i = −1)].

    This takes one gradient and is right for an exact model. The variance is kept above a tenth of Σ (1 − m_i²), that of
    independent spins, and is a constant where the log-likelihood is differentiated. M takes every second integer, so
    M > 0 means that the normal number is above 0 for an odd number of spins, and above 1 for an even one.

    Args:
        model: A model of spins.
        direction: 1 for M > 0, −1 for M < 0.
    """

    def __init__(self, model: ScoreModel, direction: float):
        self.model, self.direction = model, direction

    def __call__(self, x: Tensor, at: Instant) -> Tensor:
        """The log-likelihood of x_t, (n,)."""
        differentiated = x.requires_grad
        with torch.enable_grad():
            x = x if differentiated else x.detach().requires_grad_()
            mean = self.model.predict(x, at, "x0").double().flatten(1)
            total = mean.sum(1)
            variance = self._variance(x, at, mean, total)
        threshold = 0.0 if mean.shape[1] % 2 else 1.0
        value = torch.special.log_ndtr((self.direction * total - threshold) / variance.sqrt())
        return value if differentiated else value.detach()

    def _variance(self, x: Tensor, at: Instant, mean: Tensor, total: Tensor) -> Tensor:
        independent = (1 - mean.detach().square()).sum(1).clamp_min(1e-6)
        process = self.model.process
        if not isinstance(process, DiscreteProcess):  # its evidence h_i is not known
            return independent
        likelihood = process.likelihood(x, at)
        evidence = (likelihood[..., 1].log() - likelihood[..., 0].log()) / 2
        (slope,) = torch.autograd.grad(total.sum(), x, retain_graph=True)
        (evidence_slope,) = torch.autograd.grad(evidence.sum(), x, retain_graph=True)
        certain = (likelihood == 0).any(-1)  # such a spin does not vary
        response = torch.where(certain, 0.0, slope.double() / evidence_slope.double())
        return torch.maximum(response.flatten(1).sum(1).detach(), 0.1 * independent)


class SignTable:
    r"""log p_t(±M > 0 | x_t) of an exact model, from the joint distribution of x_t and the sign for every x_t.

    p(x_0) [±M(x_0) > 0] is carried through the kernel of one site after the other, which takes N 2^N operations, or
    3^N where spins may be masked. The table of the last instant is cached.

    Args:
        model: The exact model of few spins.
        direction: 1 for M > 0, −1 for M < 0.
    """

    def __init__(self, model: ExactSpins, direction: float):
        self.process, self.shape = model.process, model.shape
        sites = model.lattice.spins
        values = torch.tensor([-1.0, 1.0], dtype=torch.float64)
        spins = torch.cartesian_prod(*[values] * sites).reshape(-1, *model.shape)
        p = torch.softmax(-model.lattice.beta * model.lattice.energy(spins), 0)
        has_sign = direction * model.lattice.magnetisation(spins) > 0
        self.joint = torch.stack((p, torch.where(has_sign, p, 0.0)))
        self._at: Instant | None = None
        self._table = torch.empty(0)

    @staticmethod
    def fits(model: ExactSpins) -> bool:
        """Whether the table of all x_t is small enough."""
        return float(3 if model.process.masks(2) else 2) ** model.lattice.spins <= MOST_STATES

    def __call__(self, x: Tensor, at: Instant) -> Tensor:
        """The log-likelihood of x_t, (n,)."""
        base = 3 if self.process.masks(2) else 2
        # The values −1, 0 and 1 have the numbers 0, 2 and 1: the table has −1, 1 and, last, the mask.
        digits = torch.tensor([0, 2, 1], device=x.device)[(x.double().flatten(1) + 1).long()]
        powers = base ** torch.arange(digits.shape[1] - 1, -1, -1, device=x.device)
        return self._table_at(at).to(x.device)[(digits * powers).sum(1)]

    def _table_at(self, at: Instant) -> Tensor:
        """The table at an instant of numbers."""
        if self._at is None or at.alphas != self._at.alphas:
            sites = self.joint.shape[1].bit_length() - 1
            alpha = torch.as_tensor(self.process.site_alpha(at, (1, *self.shape)), dtype=torch.float64)
            alpha = alpha.expand(self.shape).flatten()
            pi = self.process.mixing_distribution(2)
            pi = pi if self.process.masks(2) else pi[:-1]
            table = self.joint.reshape(2, *[2] * sites)
            for site in range(sites):
                kernel = alpha[site] * torch.eye(2, len(pi), dtype=torch.float64) + (1 - alpha[site]) * pi
                # The axis of x_0 at this site goes, and that of x_t comes last.
                table = torch.tensordot(table, kernel, ([1], [0]))
            whole, signed = table.reshape(2, -1)
            self._table, self._at = signed.log() - whole.log(), at
        return self._table
