r"""The Ising model on a rectangular lattice: energies, and the statistics by which samples are judged.

    p(s) = exp(−βE(s))/Z,    E(s) = −J Σ_<ij> s_i s_j − h Σ_i s_i,    s_i = ±1.

Spins are tensors (n, rows, columns) of ±1; β, J and h have the units in which kT = 1 at β = 1.
"""

import math

import attrs
import torch
from torch import Tensor


@attrs.frozen
class Lattice:
    """A lattice, its couplings and its boundaries.

    rows, columns: the size. beta: inverse temperature β. coupling: J, ferromagnetic where positive. field: h.
    periodic: whether the lattice closes to a torus. A direction of length 1 has no bonds; in one of length 2 both
    neighbours of a site are the same site, and its bond counts twice.
    """

    rows: int
    columns: int
    beta: float
    coupling: float = 1.0
    field: float = 0.0
    periodic: bool = True

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns

    @property
    def spins(self) -> int:
        """N, the number of sites."""
        return self.rows * self.columns

    @property
    def bonds(self) -> int:
        """The number of bonds."""
        return (
            _bonds(self.rows, self.periodic) * self.columns + _bonds(self.columns, self.periodic) * self.rows
        )

    @property
    def transposed(self) -> "Lattice":
        """The same lattice with rows and columns exchanged."""
        return attrs.evolve(self, rows=self.columns, columns=self.rows)

    def bond_sum(self, spins: Tensor) -> Tensor:
        """Σ_<ij> s_i s_j of spins (n, rows, columns): (n,), float64."""
        s = spins.double()
        return sum(
            (self.neighbour_products(s, axis).flatten(1).sum(1) for axis in (-2, -1)), s.new_zeros(len(s))
        )

    def magnetisation(self, spins: Tensor) -> Tensor:
        """Σ_i s_i, (n,), float64."""
        return spins.double().flatten(1).sum(1)

    def energy(self, spins: Tensor) -> Tensor:
        """E(s), (n,), float64."""
        return -self.coupling * self.bond_sum(spins) - self.field * self.magnetisation(spins)

    def neighbour_products(self, spins: Tensor, axis: int) -> Tensor:
        """s_i s_j for the bonds along an axis (−2: between rows, −1: between columns)."""
        length = spins.shape[axis]
        if length == 1:
            return spins.narrow(axis, 0, 0)
        if self.periodic:
            return spins * spins.roll(-1, axis)
        return spins.narrow(axis, 0, length - 1) * spins.narrow(axis, 1, length - 1)

    def correlation(self, spins: Tensor) -> Tensor:
        """⟨s_0 s_r⟩ of every sample, averaged over sites and both axes: (n, r), r = 1, ..., r_max, float64.

        r_max is half the longer side on a torus, and that side less one with free boundaries. An axis counts where it
        reaches: on a torus by its ring, with free boundaries by the pairs that are r apart.
        """
        s = spins.double()
        found = []
        for r in range(1, self.reach + 1):
            pairs = []
            for axis in (-2, -1):
                length = s.shape[axis]
                if r > self._reach_of(length):
                    continue
                if self.periodic:
                    pairs.append((s * s.roll(-r, axis)).flatten(1))
                else:
                    pairs.append((s.narrow(axis, 0, length - r) * s.narrow(axis, r, length - r)).flatten(1))
            found.append(torch.cat(pairs, 1).mean(1))
        return torch.stack(found, 1) if found else s.new_zeros((len(s), 0))

    @property
    def reach(self) -> int:
        """r_max of `correlation`."""
        return self._reach_of(max(self.shape))

    def _reach_of(self, length: int) -> int:
        return length // 2 if self.periodic else length - 1


def shaped(shape: tuple[int, ...]) -> Lattice:
    """What spins of any shape are measured by where nothing is known of them: β = 0, J = 1 and free boundaries.

    One axis is a row; axes after the second are one with it.
    """
    rows, columns = (1, shape[0]) if len(shape) == 1 else (shape[0], math.prod(shape[1:]))
    return Lattice(rows, columns, 0.0, periodic=False)


def _bonds(length: int, periodic: bool) -> int:
    if length == 1:
        return 0
    return length if periodic else length - 1
