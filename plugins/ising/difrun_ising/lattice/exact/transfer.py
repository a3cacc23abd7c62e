r"""The row transfer matrix of the Ising model: partition function, energies, and distributions of E and M.

With row states r ∈ {±1}^W, D(r) = exp(K Σ horizontal bonds + b Σ s) and V(r, r') = Π_j exp(K r_j r'_j), K = βJ, b = βh,

    Z = tr (D^½ V D^½)^H    (torus),        Z = 1ᵀ D (V D)^{H−1} 1    (free)

(Kramers and Wannier, 1941, Phys. Rev. 60, 252). V is a product over sites: it is applied to a vector in W·2^W
operations and never stored. Rows are the longer axis, so that W is the shorter one.
"""

from collections.abc import Callable
from functools import cache, cached_property

import torch
from torch import Tensor
from torch.nn import functional

from difrun_ising.lattice.lattice import Lattice

CHUNK = 2**21
"""Numbers in one block of row vectors."""

_IMAGINARY_STEP = 1e-30
_BETA_STEP = 1e-3


class TransferMatrix:
    """The transfer matrix of a lattice, in float64 (complex where couplings are). Cost and memory grow as 2^W.

    Attributes:
        lattice: The lattice, turned so that its rows are the longer axis.
        turned: Whether rows and columns were exchanged for that.
        width: W, the sites of a row.
        height: H, the number of rows.
        states: All states of a row, with shape (2^W, W).
        row_bonds: The sum over the bonds inside a row, of every state: (2^W,).
        row_sum: The sum of the spins, of every state: (2^W,).
        wraps: Whether the last row is a neighbour of the first.
    """

    def __init__(self, lattice: Lattice):
        self.turned = lattice.columns > lattice.rows
        self.lattice = lattice.transposed if self.turned else lattice
        self.width, self.height = self.lattice.columns, self.lattice.rows
        self.states = row_states(self.width)
        products = self.lattice.neighbour_products(self.states, -1)
        self.row_bonds, self.row_sum = products.sum(1), self.states.sum(1)
        self.wraps = self.lattice.periodic and self.height > 1

    @cached_property
    def couplings(self) -> tuple[Tensor, Tensor]:
        """K = βJ and b = βh."""
        lattice = self.lattice
        k, b = lattice.beta * lattice.coupling, lattice.beta * lattice.field
        return torch.tensor(k, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)

    def log_partition(self, k: Tensor | None = None, b: Tensor | None = None) -> Tensor:
        """The value log Z for couplings K and b, scalars, real or complex; those of the lattice by default.

        For complex couplings the branch of the logarithm is open.
        """
        k = self.couplings[0] if k is None else k
        b = self.couplings[1] if b is None else b
        # Weights are at most 1: `neighbours` takes e^|K| out of every vertical bond, and `scale` out of every row.
        scale = k.real.abs() * self.row_bonds.max() + b.real.abs() * self.width
        log_factor = k.real.abs() * self.lattice.bonds + b.real.abs() * self.lattice.spins
        row = torch.exp(k * self.row_bonds + b * self.row_sum - scale)
        if not self.wraps:
            v = row
            for _ in range(self.height - 1):
                v = row * neighbours(v, k, self.width)
            return v.sum().log() + log_factor
        root = torch.exp(0.5 * (k * self.row_bonds + b * self.row_sum - scale))
        heads, _, sizes = self.necklaces
        total = row.new_zeros(())
        for some, count in zip(heads.split(self.block), sizes.split(self.block), strict=True):
            v = functional.one_hot(some, len(row)).to(row.dtype)
            for _ in range(self.height // 2):
                v = root * neighbours(root * v, k, self.width)
            other = root * neighbours(root * v, k, self.width) if self.height % 2 else v
            total = total + ((v * other).sum(1) * count).sum()
        return total.log() + log_factor

    @property
    def block(self) -> int:
        """How many row vectors are worked on at once."""
        return max(1, CHUNK // len(self.states))

    @cached_property
    def necklaces(self) -> tuple[Tensor, Tensor, Tensor]:
        """The classes of row states that rotations of the ring map into each other.

        [T^H]_rr is the same for all states of a class.

        Returns:
            One state of every class, the class of every state, and the sizes of the classes.
        """
        bits = (self.states > 0).long()
        powers = 2 ** torch.arange(self.width - 1, -1, -1)
        least = torch.stack([bits.roll(shift, 1) @ powers for shift in range(self.width)]).amin(0)
        return least.unique(return_inverse=True, return_counts=True)

    @cached_property
    def log_z(self) -> float:
        """The value log Z for the couplings of the lattice."""
        return self.log_partition().item()

    @cached_property
    def energy(self) -> float:
        """⟨E⟩ = −d log Z/dβ."""
        return self._energy_at(self.lattice.beta)

    @cached_property
    def energy_variance(self) -> float:
        """Var E = −d⟨E⟩/dβ, by a difference formula of fourth order; right to about 1e-7."""
        near, far = (
            self._energy_at(self.lattice.beta + m * _BETA_STEP)
            - self._energy_at(self.lattice.beta - m * _BETA_STEP)
            for m in (1, 2)
        )
        return -(8 * near - far) / (12 * _BETA_STEP)

    def _energy_at(self, beta: float) -> float:
        """⟨E⟩ by an imaginary step, Im log Z(β + iε)/ε, which loses no digits (Squire and Trapp, 1998)."""
        step = torch.tensor(complex(beta, _IMAGINARY_STEP), dtype=torch.complex128)
        log_z = self.log_partition(step * self.lattice.coupling, step * self.lattice.field)
        return -log_z.imag.item() / _IMAGINARY_STEP

    @cached_property
    def bond_distribution(self) -> tuple[Tensor, Tensor]:
        """Every value that Σ_<ij> s_i s_j can take, and its probability."""
        values = torch.arange(-self.lattice.bonds, self.lattice.bonds + 1, 2, dtype=torch.float64)
        k, b = self.couplings
        return values, self._distribution(values, lambda angle: self.log_partition(k + angle, b + 0 * angle))

    @cached_property
    def magnetisation_distribution(self) -> tuple[Tensor, Tensor]:
        """Every value that Σ_i s_i can take, and its probability."""
        spins = self.lattice.spins
        values = torch.arange(-spins, spins + 1, 2, dtype=torch.float64)
        k, b = self.couplings
        return values, self._distribution(values, lambda angle: self.log_partition(k + 0 * angle, b + angle))

    def _distribution(self, values: Tensor, log_z: Callable[[Tensor], Tensor]) -> Tensor:
        """Probabilities of equally spaced values from the characteristic function ⟨e^{iθX}⟩ = Z(shifted)/Z.

        The values lie 2 apart, so the n angles θ_k = πk/n, k = 0, ..., n − 1, invert it exactly for n values. The
        function at π − θ is the conjugate of that at θ, times (−1)^X.
        """
        n = len(values)
        angles = torch.arange(n, dtype=torch.float64) * (torch.pi / n)
        base = self.log_partition()
        zero = torch.zeros(()).double()
        half = torch.stack(
            [torch.exp(log_z(torch.complex(zero, angle)) - base) for angle in angles[: n // 2 + 1]]
        )
        sign = 1 if int(values[0]) % 2 == 0 else -1
        characteristic = torch.cat((half, sign * half[1 : n - n // 2].flip(0).conj()))
        waves = torch.exp(torch.complex(torch.zeros(n, n).double(), -values[:, None] * angles))
        return (waves @ characteristic).real.div(n).clamp_min(0)

    def bond_weights(self, rows: Tensor) -> Tensor:
        """V(r, r')/e^(|K|W) for row states r: (m,) -> (m, 2^W)."""
        k = self.couplings[0]
        return torch.exp(k * (self.states[rows] @ self.states.T) - k.abs() * self.width)

    @cached_property
    def kernel(self) -> Tensor:
        """V/e^(|K|W), with shape (2^W, 2^W); for narrow lattices alone."""
        return self.bond_weights(torch.arange(len(self.states)))

    @cached_property
    def row_weight(self) -> Tensor:
        """D(r), divided by its largest value: (2^W,)."""
        k, b = self.couplings
        log = k * self.row_bonds + b * self.row_sum
        return torch.exp(log - log.max())

    @cached_property
    def row_distribution(self) -> Tensor:
        """p(first row) on the torus: the diagonal of T^H, normalised."""
        k, root = self.couplings[0], self.row_weight.sqrt()
        heads, classes, _ = self.necklaces
        logs = []
        for some in heads.split(self.block):
            v = functional.one_hot(some, len(root)).double()
            log = torch.zeros(len(v), 1, dtype=torch.float64)
            for _ in range(self.height // 2):
                v = root * neighbours(root * v, k, self.width)
                top = v.amax(1, keepdim=True)
                v, log = v / top, log + top.log()
            other = root * neighbours(root * v, k, self.width) if self.height % 2 else v
            logs.append((v * other).sum(1).log() + 2 * log[:, 0])
        return torch.softmax(torch.cat(logs)[classes], 0)


@cache
def transfer_matrix(lattice: Lattice) -> TransferMatrix:
    """The transfer matrix of a lattice, built once."""
    return TransferMatrix(lattice)


def row_states(width: int) -> Tensor:
    """All 2^W states of a row, (2^W, W), −1 before +1, the first site slowest."""
    axes = [torch.tensor([-1.0, 1.0], dtype=torch.float64)] * width
    return torch.cartesian_prod(*axes).reshape(-1, width)


def neighbours(v: Tensor, k: Tensor, width: int) -> Tensor:
    """V v, one site at a time: Σ_r' Π_j exp(K r_j r'_j − |Re K|) v(r') over the last axis."""
    scale = k.real.abs() if k.is_complex() else k.abs()
    like, unlike = torch.exp(k - scale), torch.exp(-k - scale)
    shape = v.shape
    for site in range(width):
        parts = v.reshape(*shape[:-1], 2**site, 2, 2 ** (width - site - 1))
        down, up = parts[..., 0, :], parts[..., 1, :]
        v = torch.stack((like * down + unlike * up, unlike * down + like * up), -2).reshape(shape)
    return v
