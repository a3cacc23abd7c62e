"""The metric of lattices: samples against the exact values of their distribution."""

from collections.abc import Mapping

import torch
from torch import Tensor

from difrun.data import Dataset
from difrun.errors import DifrunError
from difrun.metric import Reading, reads
from difrun_ising.lattice.exact.moments import exact_values, has_distributions
from difrun_ising.lattice.exact.transfer import transfer_matrix
from difrun_ising.lattice.lattice import Lattice, free_lattice

NEIGHBOURS = 2000
"""Most samples, and most training lattices, between which nearest neighbours are looked for."""

FARTHEST = 512
"""Largest distance at which C(r) is a number of the metric."""

ROUNDING = 1e-12
"""A total variation below this is the rounding of the exact probabilities; it counts as 0."""


def exact(dataset: Dataset) -> Mapping[str, float]:
    """The exact values of the lattice of a dataset (`moments.exact_values`), as far as they are known."""
    known = getattr(dataset, "lattice", None)
    return {} if known is None else exact_values(known)


@reads(
    {
        "energy": Reading(ratio=False, meaning="mean energy per spin, ⟨E⟩/N"),
        "heat-capacity": Reading(ratio=False, meaning="heat capacity per spin, β² Var E/N"),
        "abs-magnetisation": Reading(ratio=False, meaning="⟨|m|⟩, m = M/N"),
        "susceptibility": Reading(
            ratio=False, meaning="N(⟨m²⟩ − ⟨m⟩²); ⟨m⟩ is 0 where there is known to be no field"
        ),
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
def lattice(samples: Tensor, dataset: Dataset, *, generator: torch.Generator) -> dict[str, float]:
    r"""Moments and correlations of lattices, and the distances of P(E) and P(M) from the exact distributions.

    - energy, heat-capacity β² Var E/N, abs-magnetisation ⟨|m|⟩, susceptibility N(⟨m²⟩ − ⟨m⟩²) in units of
      1/β, and Binder's ratio.
    - c1, c2, ...: C(r) = ⟨s_0 s_r⟩ along an axis (`Lattice.correlation`), at the distances of `distances`.
    - energy-tv and magnetisation-tv, where the exact distributions are known (`moments.has_distributions`: up to 10x10
      on a torus): ½ Σ |share − probability| over the values of M, and of −J Σ_<ij> s_i s_j, which without a field is E.
    - energy-ks and magnetisation-ks elsewhere: Kolmogorov's distance from real lattices. These are held-out lattices,
      or training lattices where the dataset cannot draw more.
    - memorisation, where the dataset can draw more lattices.

    P(M) alone tells little: a model whose energy is off by 0.4 per spin can reach its floor. Where the couplings are
    not known, the energy is −Σ s_i s_j with free boundaries (`free_lattice`) and there is no heat capacity.

    Args:
        samples: Spins ±1, with shape (n, *shape).
        dataset: The data, with a `lattice` where the couplings are known.
        generator: Not used: nothing here is random.

    Returns:
        The numbers, by name.

    Raises:
        DifrunError: If some samples are not ±1.
    """
    known = getattr(dataset, "lattice", None)
    geometry = known or free_lattice(dataset.shape)
    samples = samples.reshape(-1, *geometry.shape)
    if bool((samples.abs() != 1).any()):
        raise DifrunError(
            "some samples are not spins ±1. Where masks are left (0), take more steps, or another sampler; for spins "
            "saved as 0 and 1, save 2x − 1."
        )
    values = _moments(samples, geometry, known=known is not None)
    truth = exact(dataset)
    if "energy" in truth:
        values["energy-error"] = abs(values["energy"] - truth["energy"])
    if known is not None and has_distributions(known):
        values |= _total_variations(samples, known)
    else:
        values |= _kolmogorov_distances(samples, geometry, dataset)
    if dataset.fresh is not None:
        values["memorisation"] = memorisation(samples, dataset)
    correlation = geometry.correlation(samples).mean(0).tolist()
    return values | {f"c{r}": correlation[r - 1] for r in distances(geometry)}


def _moments(samples: Tensor, geometry: Lattice, *, known: bool) -> dict[str, float]:
    energy, m = geometry.energy(samples) / geometry.spins, geometry.magnetisation(samples) / geometry.spins
    values = {"energy": energy.mean().item()}
    if known:
        values["heat-capacity"] = geometry.beta**2 * geometry.spins * energy.var().item()
    symmetric = known and geometry.beta * geometry.field == 0
    mean = 0.0 if symmetric else m.mean().item()
    return values | {
        "abs-magnetisation": m.abs().mean().item(),
        "susceptibility": geometry.spins * (m.square().mean().item() - mean**2),
        "binder": binder(m),
    }


def _total_variations(samples: Tensor, known: Lattice) -> dict[str, float]:
    matrix = transfer_matrix(known)
    return {
        "energy-tv": _total_variation(known.bond_sum(samples), *matrix.bond_distribution),
        "magnetisation-tv": _total_variation(
            known.magnetisation(samples), *matrix.magnetisation_distribution
        ),
    }


def _kolmogorov_distances(samples: Tensor, geometry: Lattice, dataset: Dataset) -> dict[str, float]:
    real = (dataset.train if dataset.fresh is None else dataset.held_out).reshape(-1, *geometry.shape)
    return {
        "energy-ks": kolmogorov(geometry.bond_sum(samples), geometry.bond_sum(real)),
        "magnetisation-ks": kolmogorov(geometry.magnetisation(samples), geometry.magnetisation(real)),
    }


def distances(lattice: Lattice) -> list[int]:
    """The distances at which C(r) is a number of the metric: 1 to 4, doublings of 4, and the largest."""
    reach = min(lattice.reach, FARTHEST)
    return [r for r in range(1, reach + 1) if r <= 4 or r & (r - 1) == 0 or r == reach]


def binder(m: Tensor) -> float:
    """1 − ⟨m⁴⟩/(3⟨m²⟩²) of magnetisations m (n,); 0, that of a normal distribution, where all are 0."""
    second = m.square().mean().item()
    return 1 - m.pow(4).mean().item() / (3 * second**2) if second > 0 else 0.0


def kolmogorov(a: Tensor, b: Tensor) -> float:
    """The largest difference between the distribution functions of two sets of numbers, (n,) and (m,)."""
    values = torch.cat((a, b)).unique()
    first, second = (
        torch.searchsorted(x.sort().values, values, right=True).double() / len(x)
        for x in (a.double(), b.double())
    )
    return (first - second).abs().max().item()


def memorisation(samples: Tensor, dataset: Dataset) -> float:
    """Mean of (flips to the nearest held-out lattice − flips to the nearest of as many training lattices)/N."""
    count = min(len(dataset.train), len(dataset.held_out), NEIGHBOURS)
    points = samples[:NEIGHBOURS].flatten(1).float()
    held_out, train = (
        (points.shape[1] - (points @ real[:count].flatten(1).T).amax(1)).double().mean().item() / 2
        for real in (dataset.held_out, dataset.train)
    )
    return (held_out - train) / points.shape[1]


def _total_variation(values: Tensor, support: Tensor, p: Tensor) -> float:
    """½ Σ |share − p| over equally spaced support."""
    index = ((values - support[0]) / 2).round().long()
    share = torch.bincount(index, minlength=len(support)).double() / len(values)
    distance = 0.5 * (share - p).abs().sum().item()
    return distance if distance > ROUNDING else 0.0
