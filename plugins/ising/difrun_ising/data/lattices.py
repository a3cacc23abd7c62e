"""Lattices of the Ising model: exact draws, or nearly independent draws from long Markov chains."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import attrs
from torch import Tensor

from difrun.data import Dataset, Drawing, Scene, pictured
from difrun.randomness import torch_generator
from difrun_ising.lattice.exact.kaufman import has_closed_form, torus_energy, torus_log_z
from difrun_ising.lattice.exact.moments import has_transfer_matrix
from difrun_ising.lattice.exact.sampling import exact_samples
from difrun_ising.lattice.exact.transfer import transfer_matrix
from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.swendsen_wang import Autocorrelation, swendsen_wang


@attrs.frozen(eq=False, slots=False, kw_only=True)
class SpinDataset(Dataset):
    """Lattices of ±1.

    Attributes:
        lattice: The size, couplings and boundaries; None where they are not known.
        autocorrelation: Autocorrelation of the chains that the lattices come from; None for exact independent draws.
    """

    lattice: Lattice | None = None
    autocorrelation: Autocorrelation | None = None


def spin_pictures(scene: Scene) -> Iterable[Drawing]:
    """The pictures of `difrun_ising.report.pictures`, which imports Matplotlib."""
    from difrun_ising.report import pictures

    return pictures.spin_pictures(scene)


@pictured(spin_pictures)
def ising(
    *,
    seed: int,
    size: tuple[int, ...] = (8, 8),
    beta: float = 0.35,
    coupling: float = 1.0,
    field: float = 0.0,
    boundary: str = "periodic",
    n: int = 5000,
    held_out: int = 2000,
) -> SpinDataset:
    r"""The Ising model p(s) = exp(−βE)/Z, E = −J Σ_<ij> s_i s_j − h Σ_i s_i, on a lattice.

    With a shorter side of at most 12 the draws are exact and independent (`exact_samples`), and log p and the entropy
    log Z + β⟨E⟩ are known. Larger lattices come from Swendsen–Wang chains; `SpinDataset.autocorrelation` says how
    nearly independent they are. On a torus without a field their log p and entropy are those of Kaufman's closed form.

    Args:
        seed: The seed of the draws.
        size: Rows and columns, or the side of a square.
        beta: Inverse temperature β.
        coupling: J, ferromagnetic where positive.
        field: h.
        boundary: "periodic" for a torus, or "free".
        n: The number of lattices to train on.
        held_out: The number of lattices that are not trained on.

    Returns:
        Lattices of shape (rows, columns).
    """
    rows, columns = size if len(size) == 2 else (size[0], size[0])
    lattice = Lattice(rows, columns, beta, coupling, field, boundary == "periodic")
    random = torch_generator(seed, "dataset", "ising")
    facts: dict[str, Any] = {}
    if has_transfer_matrix(lattice):
        matrix = transfer_matrix(lattice)
        spins = exact_samples(lattice, n + held_out, random)
        facts = {"fresh": partial(exact_samples, lattice), **_density(lattice, matrix.log_z, matrix.energy)}
    else:
        spins, autocorrelation = swendsen_wang(lattice, n + held_out, random)
        facts = {
            "fresh": lambda n, generator: swendsen_wang(lattice, n, generator)[0],
            "autocorrelation": autocorrelation,
            "notes": (autocorrelation.sentence(),),
        }
        if has_closed_form(lattice):
            facts |= _density(lattice, torus_log_z(lattice), torus_energy(lattice)[0])
    return SpinDataset(
        name=f"ising {rows}x{columns}, beta {beta:g}",
        train=spins[:n],
        held_out=spins[n:],
        lattice=lattice,
        **facts,
    )


def _density(lattice: Lattice, log_z: float, energy: float) -> dict[str, Any]:
    """The log-density −βE(s) − log Z, and the entropy log Z + β⟨E⟩."""

    def log_density(spins: Tensor) -> Tensor:
        return -lattice.beta * lattice.energy(spins) - log_z

    return {"log_density": log_density, "entropy": log_z + lattice.beta * energy}
