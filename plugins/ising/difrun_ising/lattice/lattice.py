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

    A direction of length 1 has no bonds. In a periodic direction of length 2 both neighbours of a site are the same
    site, and the bond counts twice.

    Attributes:
        rows: The number of rows.
        columns: The number of columns.
        beta: Inverse temperature β.
        coupling: J, ferromagnetic where positive.
        field: h.
        periodic: Whether the lattice is a torus; else its boundaries are free.
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
        """The sum over bonds, Σ_<ij> s_i s_j, of spins (n, rows, columns): (n,), float64."""
        s = spins.double()
        return sum(
            (self.neighbour_products(s, axis).flatten(1).sum(1) for axis in (-2, -1)), s.new_zeros(len(s))
        )

    def magnetisation(self, spins: Tensor) -> Tensor:
        """M = Σ_i s_i of spins (n, rows, columns): (n,), float64."""
        return spins.double().flatten(1).sum(1)

    def energy(self, spins: Tensor) -> Tensor:
        """E(s) of spins (n, rows, columns): (n,), float64."""
        return -self.coupling * self.bond_sum(spins) - self.field * self.magnetisation(spins)

    def neighbour_products(self, spins: Tensor, axis: int) -> Tensor:
        """The products s_i s_j of the bonds along an axis (−2: between rows, −1: between columns)."""
        length = spins.shape[axis]
        if length == 1:
            return spins.narrow(axis, 0, 0)
        if self.periodic:
            return spins * spins.roll(-1, axis)
        return spins.narrow(axis, 0, length - 1) * spins.narrow(axis, 1, length - 1)

    def correlation(self, spins: Tensor) -> Tensor:
        """C(r) = ⟨s_0 s_r⟩ of every sample, averaged over sites and over both axes.

        r_max is half the longer side on a torus, and that side less one with free boundaries. An axis takes part up to
        its own r_max. On a torus every site has a partner at distance r; with free boundaries the pairs inside count.

        Args:
            spins: Spins ±1, with shape (n, rows, columns).

        Returns:
            C(r) for r = 1, ..., r_max, with shape (n, r_max), float64.
        """
        s = spins.double()
        values = [
            torch.cat(
                [self._pair_products(s, axis, r).flatten(1) for axis in self._axes_of_reach(r)], 1
            ).mean(1)
            for r in range(1, self.reach + 1)
        ]
        return torch.stack(values, 1) if values else s.new_zeros((len(s), 0))

    def _axes_of_reach(self, r: int) -> list[int]:
        return [axis for axis in (-2, -1) if r <= self._reach_of(self.shape[axis])]

    def _pair_products(self, s: Tensor, axis: int, r: int) -> Tensor:
        if self.periodic:
            return s * s.roll(-r, axis)
        length = s.shape[axis]
        return s.narrow(axis, 0, length - r) * s.narrow(axis, r, length - r)

    @property
    def reach(self) -> int:
        """r_max of `correlation`, the largest distance along an axis."""
        return self._reach_of(max(self.shape))

    def _reach_of(self, length: int) -> int:
        return length // 2 if self.periodic else length - 1


def free_lattice(shape: tuple[int, ...]) -> Lattice:
    """The lattice by which spins of any shape are measured where their couplings are unknown.

    It has J = 1, β = 0 and free boundaries. Spins of one axis are a row; the axes after the first become one.
    """
    rows, columns = (1, shape[0]) if len(shape) == 1 else (shape[0], math.prod(shape[1:]))
    return Lattice(rows, columns, 0.0, periodic=False)


def _bonds(length: int, periodic: bool) -> int:
    if length == 1:
        return 0
    return length if periodic else length - 1
