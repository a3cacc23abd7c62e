r"""The row transfer matrix: partition function, exact distribution, exact samples, and marginals in any field.

With row states r ∈ {±1}^W, D(r) = exp(K Σ horizontal bonds + b Σ s) and V(r, r') = Π_j exp(K r_j r'_j), K = βJ, b = βh,

    Z = tr (D^½ V D^½)^H    (torus),        Z = 1ᵀ D (V D)^{H−1} 1    (free)

(Kramers and Wannier, 1941, Phys. Rev. 60, 252). V is a product over sites, so that it is applied to a vector in
W·2^W operations and never stored. Rows are the longer axis, so that W is the shorter one.
"""

from collections.abc import Callable
from functools import cache, cached_property

import torch
from torch import Tensor
from torch.nn import functional

from difrun_ising.lattice.lattice import Lattice

CHUNK = 2**21
"""Numbers in one block of row vectors."""

DENSE = 10
"""Widest row for which V is stored."""

_STEP, _DELTA = 1e-30, 1e-3


class TransferMatrix:
    """The transfer matrix of a lattice, in float64 (complex where couplings are). Cost and memory grow as 2^W."""

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
        """log Z for couplings K and b, scalars, real or complex; those of the lattice unless given.

        For complex couplings the branch of the logarithm is open.
        """
        k = self.couplings[0] if k is None else k
        b = self.couplings[1] if b is None else b
        # Weights are at most 1: `neighbours` takes e^|K| out of every vertical bond, and this out of every row.
        scale = k.real.abs() * self.row_bonds.max() + b.real.abs() * self.width
        taken = k.real.abs() * self.lattice.bonds + b.real.abs() * self.lattice.spins
        row = torch.exp(k * self.row_bonds + b * self.row_sum - scale)
        if not self.wraps:
            v = row
            for _ in range(self.height - 1):
                v = row * neighbours(v, k, self.width)
            return v.sum().log() + taken
        root = torch.exp(0.5 * (k * self.row_bonds + b * self.row_sum - scale))
        heads, _, often = self.necklaces
        total = row.new_zeros(())
        for some, count in zip(heads.split(self._block), often.split(self._block), strict=True):
            v = functional.one_hot(some, len(row)).to(row.dtype)
            for _ in range(self.height // 2):
                v = root * neighbours(root * v, k, self.width)
            other = root * neighbours(root * v, k, self.width) if self.height % 2 else v
            total = total + ((v * other).sum(1) * count).sum()
        return total.log() + taken

    @property
    def _block(self) -> int:
        """How many row vectors are worked on at once."""
        return max(1, CHUNK // len(self.states))

    @cached_property
    def necklaces(self) -> tuple[Tensor, Tensor, Tensor]:
        """One row state of every class of states that a rotation of the ring maps into each other, the class of every
        state, and the sizes of the classes: [T^H]_rr is the same for all states of a class."""
        bits = (self.states > 0).long()
        powers = 2 ** torch.arange(self.width - 1, -1, -1)
        least = torch.stack([bits.roll(shift, 1) @ powers for shift in range(self.width)]).amin(0)
        return least.unique(return_inverse=True, return_counts=True)

    @cached_property
    def log_z(self) -> float:
        """log Z."""
        return self.log_partition().item()

    @cached_property
    def energy(self) -> float:
        """⟨E⟩ = −d log Z/dβ."""
        return self._energy_at(self.lattice.beta)

    @cached_property
    def energy_variance(self) -> float:
        """Var E = −d⟨E⟩/dβ, by a difference formula of fourth order; right to about 1e-7."""
        near, far = (
            self._energy_at(self.lattice.beta + m * _DELTA) - self._energy_at(self.lattice.beta - m * _DELTA)
            for m in (1, 2)
        )
        return -(8 * near - far) / (12 * _DELTA)

    def _energy_at(self, beta: float) -> float:
        """⟨E⟩ by an imaginary step, Im log Z(β + iε)/ε, which loses no digits (Squire and Trapp, 1998)."""
        step = torch.tensor(complex(beta, _STEP), dtype=torch.complex128)
        log_z = self.log_partition(step * self.lattice.coupling, step * self.lattice.field)
        return -log_z.imag.item() / _STEP

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

        The values lie 2 apart, so θ_k = πk/n, k = 0, ..., n − 1, inverts it exactly, for n values; that at π − θ is the
        conjugate of that at θ, times (−1)^X.
        """
        n = len(values)
        angles = torch.arange(n, dtype=torch.float64) * (torch.pi / n)
        base = self.log_partition()
        half = torch.stack(
            [
                torch.exp(log_z(torch.complex(torch.zeros(()).double(), a)) - base)
                for a in angles[: n // 2 + 1]
            ]
        )
        sign = 1 if int(values[0]) % 2 == 0 else -1
        seen = torch.cat((half, sign * half[1 : n - n // 2].flip(0).conj()))
        waves = torch.exp(torch.complex(torch.zeros(n, n).double(), -values[:, None] * angles))
        return (waves @ seen).real.div(n).clamp_min(0)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n independent draws of the exact distribution, (n, rows, columns), float32."""
        found = torch.empty(n, self.height, dtype=torch.int64)
        weight = self.row_weight
        # With free boundaries any first row will do here: the messages do not depend on it.
        zeros = torch.zeros(n, dtype=torch.int64)
        start = _draw(self.row_distribution.expand(n, -1), generator) if self.wraps else zeros
        order = start.argsort(stable=True)
        groups, counts = start[order].unique_consecutive(return_counts=True)
        size = max(1, CHUNK // (len(weight) * self.height))
        place = 0
        for at in range(0, len(groups), size):
            heads, tallies = groups[at : at + size], counts[at : at + size]
            rows = order[place : place + int(tallies.sum())]
            place += len(rows)
            which = torch.arange(len(heads)).repeat_interleave(tallies)
            found[rows] = self._columns_of(heads, which, generator)
        spins = self.states[found].float()
        return spins.transpose(1, 2).contiguous() if self.turned else spins

    def _columns_of(self, heads: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
        """Row states (m, height) of samples whose first row is heads[which], where the lattice wraps."""
        k, weight = self.couplings[0], self.row_weight
        # later[j][g, r]: weight of all rows after row j, given r there and the first row of group g
        if self.wraps:
            message = torch.eye(len(weight), dtype=torch.float64)[heads]
        else:
            message = torch.ones(len(heads), len(weight), dtype=torch.float64)
        later = []
        for step in range(self.height):
            if step or self.wraps:
                message = neighbours(message * (weight if step else 1.0), k, self.width)
                message = message / message.amax(1, keepdim=True)
            later.append(message)
        later.reverse()
        rows = torch.empty(len(which), self.height, dtype=torch.int64)
        kernel = self._kernel if self.width <= DENSE else None
        for first in range(0, len(which), self._block):
            mine = which[first : first + self._block]
            current = heads[mine] if self.wraps else _draw((weight * later[0])[mine], generator)
            rows[first : first + self._block, 0] = current
            for j in range(1, self.height):
                onward = self._step(current) if kernel is None else kernel[current]
                current = _draw(onward * (weight * later[j])[mine], generator)
                rows[first : first + self._block, j] = current
        return rows

    def _step(self, rows: Tensor) -> Tensor:
        """V(r, r')/e^(|K|W) for row states r: (m,) -> (m, 2^W)."""
        k = self.couplings[0]
        return torch.exp(k * (self.states[rows] @ self.states.T) - k.abs() * self.width)

    @cached_property
    def _kernel(self) -> Tensor:
        """V/e^(|K|W), (2^W, 2^W), of narrow lattices."""
        return self._step(torch.arange(len(self.states)))

    @cached_property
    def row_weight(self) -> Tensor:
        k, b = self.couplings
        log = k * self.row_bonds + b * self.row_sum
        return torch.exp(log - log.max())

    @cached_property
    def row_distribution(self) -> Tensor:
        """p(first row) on the torus: the diagonal of T^H, normalised."""
        k, root = self.couplings[0], self.row_weight.sqrt()
        heads, which, _ = self.necklaces
        found = []
        for some in heads.split(self._block):
            v = functional.one_hot(some, len(root)).double()
            log = torch.zeros(len(v), 1, dtype=torch.float64)
            for _ in range(self.height // 2):
                v = root * neighbours(root * v, k, self.width)
                top = v.amax(1, keepdim=True)
                v, log = v / top, log + top.log()
            other = root * neighbours(root * v, k, self.width) if self.height % 2 else v
            found.append((v * other).sum(1).log() + 2 * log[:, 0])
        logs = torch.cat(found)[which]
        return torch.softmax(logs, 0)

    def marginals(self, likelihood: Tensor) -> Tensor:
        """P(s_i = ±1) under p(s) Π_i l_i(s_i), for likelihoods l (n, rows, columns, 2) of −1 and +1.

        Forward–backward over rows; on the torus for every state of the first row, so that its cost is 4^W.
        Returns (n, rows, columns, 2), of −1 and +1, float64. Zeros in l pin a spin; some
        configuration must stay possible.
        """
        if self.turned:
            likelihood = likelihood.transpose(1, 2)
        per = len(self.states) ** (2 if self.wraps else 1) * self.height
        count = max(1, 8 * CHUNK // per)
        found = torch.cat([self._marginals(part) for part in likelihood.double().split(count)])
        return found.transpose(1, 2) if self.turned else found

    def _marginals(self, likelihood: Tensor) -> Tensor:
        n = len(likelihood)
        weights = self.row_weight * _products(likelihood)  # (n, height, 2^W)
        size = weights.shape[-1]
        kernel = self._kernel
        if self.wraps:
            start = torch.diag_embed(weights[:, 0])  # row: state of the first row; column: state here
            end = kernel.expand(n, size, size)
        else:
            start, end = weights[:, :1], torch.ones(n, 1, size, dtype=torch.float64)
        forward = [start]
        for j in range(1, self.height):
            forward.append(_normal((forward[-1] @ kernel) * weights[:, j : j + 1]))
        ups = (self.states > 0).double()
        values = torch.stack((1 - ups, ups), -1).flatten(1)
        found = []
        for j in reversed(range(self.height)):
            state = (forward[j] * end).sum(1)
            found.append(((state / state.sum(1, keepdim=True)) @ values).reshape(n, self.width, 2))
            end = _normal((end * weights[:, j : j + 1]) @ kernel)
        return torch.stack(found[::-1], 1)


def row_states(width: int) -> Tensor:
    """All 2^W states of a row, (2^W, W), −1 before +1, the first site slowest."""
    axes = [torch.tensor([-1.0, 1.0], dtype=torch.float64)] * width
    return torch.cartesian_prod(*axes).reshape(-1, width)


def neighbours(v: Tensor, k: Tensor, width: int) -> Tensor:
    """Σ_r' Π_j exp(K r_j r'_j − |Re K|) v(r') over the last axis: V v, one site at a time."""
    scale = k.real.abs() if k.is_complex() else k.abs()
    like, unlike = torch.exp(k - scale), torch.exp(-k - scale)
    shape = v.shape
    for site in range(width):
        parts = v.reshape(*shape[:-1], 2**site, 2, 2 ** (width - site - 1))
        down, up = parts[..., 0, :], parts[..., 1, :]
        v = torch.stack((like * down + unlike * up, unlike * down + like * up), -2).reshape(shape)
    return v


def _products(likelihood: Tensor) -> Tensor:
    """Π_j l_j(r_j) for every state r of a row: (n, height, W, 2) -> (n, height, 2^W)."""
    whole = likelihood[..., 0, :]
    for site in range(1, likelihood.shape[2]):
        whole = (whole[..., :, None] * likelihood[..., site, None, :]).flatten(-2)
        whole = whole / whole.amax(-1, keepdim=True)
    return whole


def _normal(messages: Tensor) -> Tensor:
    """Messages of one example share a factor, which drops out of its marginals."""
    return messages / messages.amax((1, 2), keepdim=True)


def _draw(weights: Tensor, generator: torch.Generator) -> Tensor:
    """An index per row, with probability proportional to its weight."""
    totals = weights.cumsum(1)
    u = torch.rand(len(weights), 1, dtype=torch.float64, generator=generator) * totals[:, -1:]
    return torch.searchsorted(totals.contiguous(), u, right=True)[:, 0].clamp_max(weights.shape[1] - 1)


@cache
def transfer_matrix(lattice: Lattice) -> TransferMatrix:
    """The transfer matrix of a lattice, made once."""
    return TransferMatrix(lattice)
