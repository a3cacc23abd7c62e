"""Exact values of what the metric `lattice` measures.

The transfer matrix gives them up to a shorter side of 12, and Kaufman's closed form (`kaufman`) gives the energy of
any torus without a field.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import torch

from difrun_ising.lattice.exact.correlation import correlation
from difrun_ising.lattice.exact.kaufman import has_closed_form, torus_energy
from difrun_ising.lattice.exact.transfer import TransferMatrix, transfer_matrix
from difrun_ising.lattice.lattice import Lattice

WIDEST = 12
"""Largest shorter side for which the transfer matrix gives samples and moments."""

MOST_WORK = 1e9
"""Largest cost of P(E), in numbers touched times the sites of a row: 10x10 on a torus, 12x20 with free boundaries."""

_FIELD_STEP = 1e-4


def has_transfer_matrix(lattice: Lattice) -> bool:
    """Whether the transfer matrix is small enough: the shorter side is at most 12."""
    return min(lattice.shape) <= WIDEST


def has_distributions(lattice: Lattice) -> bool:
    """Whether P(E) and P(M) are computed exactly, which takes one partition function for every value."""
    if not has_transfer_matrix(lattice):
        return False
    width, height = sorted(lattice.shape)
    rings = 2**width / width * height / 2 if lattice.periodic else height
    return (lattice.bonds + 1) / 2 * rings * 2**width * width <= MOST_WORK


@cache
def exact_values(lattice: Lattice) -> Mapping[str, float]:
    """The exact values that are known, by the names of the metric `lattice`; per spin, with m = M/N.

    - energy ⟨E⟩/N and heat-capacity β² Var E/N, where the transfer matrix or the closed form applies;
    - susceptibility N(⟨m²⟩ − ⟨m⟩²) and c1, c2, ... ⟨s_0 s_r⟩, where the transfer matrix applies;
    - abs-magnetisation ⟨|m|⟩ and binder 1 − ⟨m⁴⟩/(3⟨m²⟩²), where P(M) is known.
    """
    values: dict[str, float] = {}
    if has_closed_form(lattice):
        energy, variance = torus_energy(lattice)
    elif has_transfer_matrix(lattice):
        matrix = transfer_matrix(lattice)
        energy, variance = matrix.energy, matrix.energy_variance
    else:
        return MappingProxyType(values)
    # 0.0 is added so that the energy at β = 0 is 0, not −0.
    values["energy"] = energy / lattice.spins + 0.0
    values["heat-capacity"] = lattice.beta**2 * variance / lattice.spins
    if has_transfer_matrix(lattice):
        values |= _moments(transfer_matrix(lattice))
    return MappingProxyType(values)


def _moments(matrix: TransferMatrix) -> dict[str, float]:
    n = matrix.lattice.spins
    moments = {"susceptibility": magnetisation_variance(matrix) / n}
    moments |= {f"c{r}": c for r, c in enumerate(correlation(matrix).tolist(), start=1)}
    if has_distributions(matrix.lattice):
        values, p = matrix.magnetisation_distribution
        m = values / n
        second, fourth = (p @ m**2).item(), (p @ m**4).item()
        moments["abs-magnetisation"] = (p @ m.abs()).item()
        moments["binder"] = 1 - fourth / (3 * second**2)
    return moments


def magnetisation_variance(matrix: TransferMatrix) -> float:
    """⟨M²⟩ − ⟨M⟩² = ∂²log Z/∂b², b = βh: an imaginary step gives ∂log Z/∂b, and differences of that the rest."""
    k, b = matrix.couplings

    def mean(shift: float) -> float:
        step = torch.complex(b + shift, torch.full_like(b, 1e-30))
        return matrix.log_partition(torch.complex(k, torch.zeros_like(k)), step).imag.item() / 1e-30

    if b == 0:  # the mean is odd in b
        return (8 * mean(_FIELD_STEP) - mean(2 * _FIELD_STEP)) / (6 * _FIELD_STEP)
    near, far = (mean(m * _FIELD_STEP) - mean(-m * _FIELD_STEP) for m in (1, 2))
    return (8 * near - far) / (12 * _FIELD_STEP)
