r"""Swendsen–Wang cluster updates, for lattices that are too large for the transfer matrix.

A satisfied bond (J s_i s_j > 0) is open with probability 1 − exp(−2β|J|). A spin that is aligned with the field is
tied to it with probability 1 − exp(−2β|h|): the field is a ghost spin. Every cluster of open bonds that is not tied is
flipped with probability ½. This leaves exp(−βE) invariant for couplings of either sign (Swendsen and Wang, 1987, Phys.
Rev. Lett. 58, 86).
"""

import math

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from difrun_ising.lattice.lattice import Lattice

CHAINS = 200
"""Most chains that run in parallel."""

THERMALISE = 100
"""Sweeps before anything is measured."""

MEASURE = 100
"""Sweeps from which the autocorrelation times are estimated."""

SPACING = 6
"""Integrated autocorrelation times between two samples of one chain."""


@attrs.frozen
class Autocorrelation:
    """How nearly independent the lattices of the chains are.

    Attributes:
        energy: The integrated autocorrelation time τ_int = ½ + Σ_t C(t) of the energy, in sweeps.
        magnetisation: That of |M|.
        spacing: The sweeps between two samples of one chain.
    """

    energy: float
    magnetisation: float
    spacing: int

    def sentence(self) -> str:
        """The measured times, in words, for the terminal and the report."""
        return (
            f"Lattices come from Swendsen–Wang chains: integrated autocorrelation times of {self.energy:.2f} sweeps "
            f"for the energy and {self.magnetisation:.2f} for |M|; two lattices of one chain are {self.spacing} sweeps "
            f"apart, which leaves about {self.left:.1g} of their correlation."
        )

    @property
    def left(self) -> float:
        """C(spacing) of the slower of the two, if C(t) = aᵗ: then a = (2τ − 1)/(2τ + 1) for τ = τ_int."""
        twice = 2 * max(self.energy, self.magnetisation)
        return ((twice - 1) / (twice + 1)) ** self.spacing


def swendsen_wang(lattice: Lattice, n: int, generator: torch.Generator) -> tuple[Tensor, Autocorrelation]:
    """Draw n nearly independent lattices from parallel chains.

    Chains start at random, are thermalised for 100 sweeps and measured for 100. Then a sample is taken every six
    autocorrelation times, after which about e^−6 = 0.002 of the correlation is left, or less (`Autocorrelation.left`).

    Args:
        lattice: The lattice.
        n: The number of samples.
        generator: The source of random numbers, on the CPU.

    Returns:
        The spins ±1, with shape (n, rows, columns), float32, and their autocorrelation times.
    """
    chains = _Chains(lattice, min(n, CHAINS), int(torch.randint(2**62, (), generator=generator)))
    for _ in range(THERMALISE):
        chains.sweep()
    energies, magnetisations = [], []
    for _ in range(MEASURE):
        chains.sweep()
        energies.append(lattice.energy(chains.tensor).numpy())
        magnetisations.append(lattice.magnetisation(chains.tensor).abs().numpy())
    energy, magnetisation = (integrated_time(np.stack(series)) for series in (energies, magnetisations))
    spacing = max(1, math.ceil(SPACING * max(energy, magnetisation)))
    samples = [chains.tensor]
    while len(samples) * CHAINS < n:
        for _ in range(spacing):
            chains.sweep()
        samples.append(chains.tensor)
    return torch.cat(samples)[:n].float(), Autocorrelation(energy, magnetisation, spacing)


def integrated_time(series: NDArray[np.float64]) -> float:
    """τ_int of a series (sweeps, chains), summed up to the first window of 5 τ_int (Sokal, 1997, sec. 3)."""
    centred = series - series.mean()
    variance = float((centred**2).mean())
    if variance == 0:
        return 0.5
    tau = 0.5
    for lag in range(1, len(series)):
        tau += float((centred[lag:] * centred[:-lag]).mean()) / variance
        if lag >= 5 * tau:
            break
    return max(0.5, tau)


class _Chains:
    """Chains that are updated together: one sparse graph holds the bonds of all of them."""

    def __init__(self, lattice: Lattice, count: int, seed: int):
        self.random = np.random.default_rng(seed)
        self.spins = self.random.choice([-1, 1], size=(count, *lattice.shape)).astype(np.int8)
        self.left, self.right = _bonds(lattice, count)
        self.open_probability = 1 - math.exp(-2 * lattice.beta * abs(lattice.coupling))
        self.tied_probability = 1 - math.exp(-2 * lattice.beta * abs(lattice.field))
        self.sign, self.field_sign = np.sign(lattice.coupling), np.sign(lattice.field)

    @property
    def tensor(self) -> Tensor:
        """The spins as they are now."""
        return torch.from_numpy(self.spins.astype(np.float32))

    def sweep(self) -> None:
        """Update every cluster of every lattice once."""
        flat, random = self.spins.reshape(-1), self.random
        satisfied = self.sign * flat[self.left] * flat[self.right] > 0
        opened = satisfied & (random.random(len(self.left)) < self.open_probability)
        size = flat.size
        graph = coo_array((opened[opened], (self.left[opened], self.right[opened])), shape=(size, size))
        count, cluster = connected_components(graph, directed=False)
        flips = random.random(count) < 0.5
        if self.tied_probability > 0:
            tied = (self.field_sign * flat > 0) & (random.random(size) < self.tied_probability)
            flips[cluster[tied]] = False
        flat[flips[cluster]] *= -1


def _bonds(lattice: Lattice, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both ends of every bond of `count` lattices, as numbers of sites."""
    site: NDArray[np.int64] = np.arange(count * lattice.spins).reshape(count, *lattice.shape)
    left, right = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for axis, length in enumerate(lattice.shape, start=1):
        if length == 1:
            continue
        starts = np.arange(length if lattice.periodic else length - 1)
        left.append(site.take(starts, axis).ravel())
        right.append(np.roll(site, -1, axis).take(starts, axis).ravel())
    return np.concatenate(left), np.concatenate(right)
