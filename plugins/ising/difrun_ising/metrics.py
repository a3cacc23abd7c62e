"""The metric of lattices: samples against what is known exactly of their distribution."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from difrun.errors import DifrunError
from difrun.metric import Reading, reads
from difrun_ising.lattice.lattice import Lattice, shaped
from difrun_ising.lattice.moments import counts, exact_values
from difrun_ising.lattice.transfer import transfer_matrix

NEIGHBOURS = 2000
"""Samples, and training lattices, between which nearest neighbours are looked for."""

FARTHEST = 512

ROUNDING = 1e-12
"""A total variation that is the rounding of the exact probabilities: 0, so that nothing is compared with it."""


def exact(dataset: Any) -> Mapping[str, float]:
    """The exact values that are known for the lattice of a dataset: `difrun_ising.lattice.moments.exact_values`."""
    of = getattr(dataset, "lattice", None)
    return {} if of is None else exact_values(of)


@reads(
    {
        "energy": Reading(ratio=False, meaning="mean energy per spin, ⟨E⟩/N"),
        "heat-capacity": Reading(ratio=False, meaning="heat capacity per spin, β² Var E/N"),
        "abs-magnetisation": Reading(ratio=False, meaning="⟨|m|⟩, m = M/N"),
        "susceptibility": Reading(ratio=False, meaning="N⟨m²⟩"),
        "binder": Reading(ratio=False, meaning="Binder's ratio 1 − ⟨m⁴⟩/(3⟨m²⟩²)"),
        "energy-error": Reading("lower", True, "|energy per spin − its exact value|"),
        "energy-tv": Reading("lower", True, "total variation of P(E) from the exact distribution"),
        "magnetisation-tv": Reading(
            "lower", True, "total variation of P(M) from the exact distribution; blind to much"
        ),
        "energy-ks": Reading(
            "lower", True, "largest difference of the distribution function of E from real lattices'"
        ),
        "magnetisation-ks": Reading(
            "lower",
            True,
            "largest difference of the distribution function of M from real lattices'; blind to much",
        ),
        "memorisation": Reading(
            "lower",
            False,
            "flips per spin by which the nearest training lattice is nearer than the nearest held-out one",
        ),
        **{
            f"c{r}": Reading(ratio=False, meaning=f"correlation at distance {r} along an axis")
            for r in range(1, FARTHEST + 1)
        },
    },
    exact=exact,
)
def lattice(samples: Tensor, dataset: Any, *, generator: torch.Generator) -> dict[str, float]:
    r"""Energy, heat capacity β² Var E/N, ⟨|m|⟩, N⟨m²⟩, Binder's ratio and C(r); P(E), P(M); nearest neighbours.

    energy-tv and magnetisation-tv are ½ Σ |share − probability|, over the values of −J Σ_<ij> s_i s_j, which without a
    field is E, and of M, where the exact distributions are counted (`moments.counts`: up to 10x10 on a torus). Beyond,
    energy-ks and magnetisation-ks are Kolmogorov's distance from real lattices: held-out ones, or those trained on
    where no more can be drawn. c1, c2, ...: ⟨s_0 s_r⟩ along an axis (`Lattice.correlation`), at the distances 1 to 4,
    their doublings, and the largest. P(M) alone tells little: a model whose energy is off by 0.4 per spin can reach its
    floor. Where the couplings are not known the energy is −Σ s_i s_j with free boundaries (`shaped`), and heat capacity
    is left out; where no more real lattices can be drawn, memorisation.
    """
    own = getattr(dataset, "lattice", None)
    of = own or shaped(dataset.shape)
    samples = samples.reshape(-1, *of.shape)
    if bool((samples.abs() != 1).any()):
        raise DifrunError(
            "some samples are no spins ±1. Where masks are left (0), take more steps, or another sampler; of a file of "
            "0 and 1 save 2x − 1."
        )
    energy, total = of.energy(samples) / of.spins, of.magnetisation(samples)
    m = total / of.spins
    found = {"energy": energy.mean().item()}
    if own is not None:
        found["heat-capacity"] = of.beta**2 * of.spins * energy.var().item()
    found |= {
        "abs-magnetisation": m.abs().mean().item(),
        "susceptibility": of.spins * m.square().mean().item(),
        "binder": binder(m),
    }
    known = exact(dataset)
    if "energy" in known:
        found["energy-error"] = abs(found["energy"] - known["energy"])
    if own is not None and counts(of):
        matrix = transfer_matrix(of)
        found["energy-tv"] = _distance(of.bond_sum(samples), *matrix.bond_distribution)
        found["magnetisation-tv"] = _distance(total, *matrix.magnetisation_distribution)
    else:
        real = (dataset.train if dataset.fresh is None else dataset.held_out).reshape(-1, *of.shape)
        found["energy-ks"] = kolmogorov(of.bond_sum(samples), of.bond_sum(real))
        found["magnetisation-ks"] = kolmogorov(total, of.magnetisation(real))
    if dataset.fresh is not None:
        found["memorisation"] = memorisation(samples, dataset)
    values = of.correlation(samples).mean(0).tolist()
    return found | {f"c{r}": values[r - 1] for r in distances(of)}


def distances(of: Lattice) -> list[int]:
    """The distances at which C(r) is a number of the metric: 1 to 4, doublings of 4, and the largest."""
    reach = min(of.reach, FARTHEST)
    return [r for r in range(1, reach + 1) if r <= 4 or r & (r - 1) == 0 or r == reach]


def binder(m: Tensor) -> float:
    """1 − ⟨m⁴⟩/(3⟨m²⟩²) of magnetisations m (n,); 0, that of a normal distribution, where all are 0."""
    second = m.square().mean().item()
    return 1 - m.pow(4).mean().item() / (3 * second**2) if second > 0 else 0.0


def kolmogorov(a: Tensor, b: Tensor) -> float:
    """The largest difference of the distribution functions of two sets of numbers, (n,) and (m,)."""
    values = torch.cat((a, b)).unique()
    shares = [
        torch.searchsorted(x.sort().values, values, right=True).double() / len(x)
        for x in (a.double(), b.double())
    ]
    return (shares[0] - shares[1]).abs().max().item()


def memorisation(samples: Tensor, dataset: Any) -> float:
    """Mean of (flips to the nearest held-out lattice − flips to the nearest of as many training lattices)/N."""
    count = min(len(dataset.train), len(dataset.held_out), NEIGHBOURS)
    points = samples[:NEIGHBOURS].flatten(1).float()
    nearest = [
        (points.shape[1] - (points @ real[:count].flatten(1).T).amax(1)).double().mean().item() / 2
        for real in (dataset.held_out, dataset.train)
    ]
    return (nearest[0] - nearest[1]) / points.shape[1]


def _distance(values: Tensor, support: Tensor, p: Tensor) -> float:
    """½ Σ |share − p| over equally spaced support."""
    index = ((values - support[0]) / 2).round().long()
    share = torch.bincount(index, minlength=len(support)).double() / len(values)
    distance = 0.5 * (share - p).abs().sum().item()
    return distance if distance > ROUNDING else 0.0
