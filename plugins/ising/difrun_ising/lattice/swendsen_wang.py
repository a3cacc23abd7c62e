r"""Swendsen–Wang: cluster updates for lattices beyond the transfer matrix.

A satisfied bond (J s_i s_j > 0) is open with probability 1 − exp(−2β|J|), a spin that is aligned with the field is
tied to it with probability 1 − exp(−2β|h|); every cluster of open bonds that is not tied is flipped with probability
½ (Swendsen and Wang, 1987, Phys. Rev. Lett. 58, 86; the field as a ghost spin). It leaves exp(−βE) invariant for
couplings of either sign.
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
THERMALISE = 100
MEASURE = 100
SPACING = 6
"""Integrated autocorrelation times between two lattices of one chain that are kept."""


@attrs.frozen
class Autocorrelation:
    """τ_int = ½ + Σ_t C(t), in sweeps, of the energy and of |M|; the sweeps between kept lattices of one chain."""

    energy: float
    magnetisation: float
    spacing: int

    def sentence(self) -> str:
        """What was measured, in words."""
        return (
            f"Lattices are of Swendsen–Wang chains: integrated autocorrelation times of {self.energy:.2f} sweeps for "
            f"the energy and {self.magnetisation:.2f} for |M|; two lattices of one chain are {self.spacing} sweeps "
            f"apart, which leaves about {self.left:.1g} of their correlation."
        )

    @property
    def left(self) -> float:
        """C(spacing) of the slower of the two, if C(t) = aᵗ; of τ_int = τ then a = (2τ − 1)/(2τ + 1)."""
        twice = 2 * max(self.energy, self.magnetisation)
        return ((twice - 1) / (twice + 1)) ** self.spacing


def swendsen_wang(lattice: Lattice, n: int, generator: torch.Generator) -> tuple[Tensor, Autocorrelation]:
    """n lattices (n, rows, columns), float32, of parallel chains, nearly independent, and how nearly.

    Chains start at random, are thermalised for 100 sweeps, watched for 100, and then kept every six autocorrelation
    times, after which about e^−6 = 0.002 of the correlation is left, or less (`Autocorrelation.left`).
    """
    chains = _Chains(lattice, min(n, CHAINS), int(torch.randint(2**62, (), generator=generator)))
    for _ in range(THERMALISE):
        chains.sweep()
    energies, sizes = [], []
    for _ in range(MEASURE):
        chains.sweep()
        energies.append(lattice.energy(chains.tensor).numpy())
        sizes.append(lattice.magnetisation(chains.tensor).abs().numpy())
    energy, size = (integrated_time(np.stack(series)) for series in (energies, sizes))
    spacing = max(1, math.ceil(SPACING * max(energy, size)))
    kept = [chains.tensor]
    while len(kept) * CHAINS < n:
        for _ in range(spacing):
            chains.sweep()
        kept.append(chains.tensor)
    return torch.cat(kept)[:n].float(), Autocorrelation(energy, size, spacing)


def integrated_time(series: NDArray[np.float64]) -> float:
    """τ_int of series (sweeps, chains), summed up to the first window of 5 τ_int (Sokal, 1997, sec. 3)."""
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
    """Lattices that are updated together: one sparse graph for all."""

    def __init__(self, lattice: Lattice, count: int, seed: int):
        self.random = np.random.default_rng(seed)
        self.spins = self.random.choice([-1, 1], size=(count, *lattice.shape)).astype(np.int8)
        site: NDArray[np.int64] = np.arange(self.spins.size).reshape(self.spins.shape)
        ends = []
        for axis in (1, 2):
            length = lattice.shape[axis - 1]
            if length == 1:
                continue
            other = np.roll(site, -1, axis)
            keep = slice(None) if lattice.periodic else slice(0, length - 1)
            at = tuple(keep if a == axis else slice(None) for a in range(3))
            ends.append((site[at].ravel(), other[at].ravel()))
        none = (np.empty(0, dtype=np.int64),) * 2
        self.left, self.right = (np.concatenate(side) for side in zip(none, *ends, strict=True))
        self.open = 1 - math.exp(-2 * lattice.beta * abs(lattice.coupling))
        self.tied = 1 - math.exp(-2 * lattice.beta * abs(lattice.field))
        self.sign, self.field = np.sign(lattice.coupling), np.sign(lattice.field)

    @property
    def tensor(self) -> Tensor:
        """The spins as they are now."""
        return torch.from_numpy(self.spins.astype(np.float32))

    def sweep(self) -> None:
        """One update of every cluster of every lattice."""
        flat, random = self.spins.reshape(-1), self.random
        satisfied = self.sign * flat[self.left] * flat[self.right] > 0
        opened = satisfied & (random.random(len(self.left)) < self.open)
        size = flat.size
        graph = coo_array((opened[opened], (self.left[opened], self.right[opened])), shape=(size, size))
        count, cluster = connected_components(graph, directed=False)
        flips = random.random(count) < 0.5
        if self.tied > 0:
            held = (self.field * flat > 0) & (random.random(size) < self.tied)
            flips[cluster[held]] = False
        flat[flips[cluster]] *= -1
