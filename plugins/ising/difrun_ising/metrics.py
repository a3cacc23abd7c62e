"""The metric of lattices: samples against what is known exactly of their law."""

from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.metric import Reading, reads
from difrun_ising.data import lattice_of
from difrun_ising.transfer import transfer_matrix

WIDEST = 8
"""Largest shorter side for which the laws of M and E are counted."""


@reads(
    {
        "energy": Reading(meaning="mean energy per spin; the floor is that of exact samples"),
        "heat-capacity": Reading(meaning="heat capacity per spin, β² Var E/N"),
        "abs-magnetisation": Reading(meaning="mean of |M|/N"),
        "susceptibility": Reading(meaning="N⟨m²⟩"),
        "energy-error": Reading("lower", True, "|energy per spin − its exact value|"),
        "energy-tv": Reading("lower", True, "total variation of P(E) from the exact law"),
        "magnetisation-tv": Reading(
            "lower", True, "total variation of P(M) from the exact law; blind to much"
        ),
    }
)
def lattice(samples: Tensor, dataset: Any, *, generator: torch.Generator) -> dict[str, float]:
    r"""Energy, heat capacity β² Var E/N, ⟨|m|⟩, N⟨m²⟩ and C(r) per spin; and P(E), P(M) against the exact laws.

    energy-tv and magnetisation-tv are ½ Σ |share − probability|, over the values of −J Σ_<ij> s_i s_j, which without a
    field is E, and of M. They and energy-error need the exact values, of a shorter side of at most 8, and are left out
    beyond. c1, c2, ...: ⟨s_0 s_r⟩ along an axis (`Lattice.correlation`). P(M) alone tells little: a model whose energy
    is off by 0.4 per spin can reach its floor.
    """
    of = lattice_of(dataset, "metric 'lattice'")
    if bool((samples.abs() != 1).any()):
        raise DifrunError(
            "some samples are no spins ±1: masks are left. Take more steps, or another sampler."
        )
    energy, total = of.energy(samples) / of.spins, of.magnetisation(samples)
    found = {
        "energy": energy.mean().item(),
        "heat-capacity": of.beta**2 * of.spins * energy.var().item(),
        "abs-magnetisation": total.abs().mean().item() / of.spins,
        "susceptibility": total.square().mean().item() / of.spins,
    }
    if min(of.shape) <= WIDEST:
        matrix = transfer_matrix(of)
        found["energy-error"] = abs(found["energy"] - matrix.energy / of.spins)
        found["energy-tv"] = _distance(of.bond_sum(samples), *matrix.bond_law)
        found["magnetisation-tv"] = _distance(total, *matrix.magnetisation_law)
    for r, value in enumerate(of.correlation(samples).mean(0).tolist(), start=1):
        found[f"c{r}"] = value
    return found


def _distance(values: Tensor, support: Tensor, p: Tensor) -> float:
    """½ Σ |share − p| over equally spaced support."""
    index = ((values - support[0]) / 2).round().long()
    share = torch.bincount(index, minlength=len(support)).double() / len(values)
    return 0.5 * (share - p).abs().sum().item()
