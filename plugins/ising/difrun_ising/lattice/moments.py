r"""Exact values of what the metric `lattice` measures.

Up to a shorter side of 12 by the transfer matrix; the energy of any torus without field by Kaufman's closed form
(1949, Phys. Rev. 76, 1232, eq. 61), which both derivatives in β are taken of.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import torch
from torch import Tensor

from difrun_ising.lattice.lattice import Lattice
from difrun_ising.lattice.transfer import CHUNK, TransferMatrix, neighbours, transfer_matrix

WIDEST = 12
"""Largest shorter side for which the transfer matrix draws and gives moments."""

MOST_WORK = 1e9
"""Numbers that are touched, times the sites of a row, for P(E): 10x10 on a torus, 12x20 with free boundaries."""

_DELTA = 1e-4


def reaches(lattice: Lattice) -> bool:
    """Whether the transfer matrix reaches: the shorter side is at most 12."""
    return min(lattice.shape) <= WIDEST


def counts(lattice: Lattice) -> bool:
    """Whether P(E) and P(M) are computed exactly, which takes one partition function for every value."""
    if not reaches(lattice):
        return False
    width, height = sorted(lattice.shape)
    rings = 2**width / width * height / 2 if lattice.periodic else height
    return (lattice.bonds + 1) / 2 * rings * 2**width * width <= MOST_WORK


@cache
def exact_values(lattice: Lattice) -> Mapping[str, float]:
    """What is known exactly, by the names of the metric `lattice`: per spin, with m = M/N.

    energy ⟨E⟩/N, heat-capacity β² Var E/N, susceptibility N⟨m²⟩, c1, c2, ... ⟨s_0 s_r⟩; abs-magnetisation ⟨|m|⟩ and
    binder 1 − ⟨m⁴⟩/(3⟨m²⟩²) where P(M) is counted.
    """
    n, found = lattice.spins, {}
    if reaches(lattice):
        matrix = transfer_matrix(lattice)
        if closed_form(lattice):
            energy, variance = torus_energy(lattice)
        else:
            energy, variance = matrix.energy, matrix.energy_variance
        found["susceptibility"] = magnetisation_square(matrix) / n
        found |= {f"c{r}": c for r, c in enumerate(correlation(matrix).tolist(), start=1)}
        if counts(lattice):
            values, p = matrix.magnetisation_distribution
            m = values / n
            second, fourth = (p @ m**2).item(), (p @ m**4).item()
            found["abs-magnetisation"] = (p @ m.abs()).item()
            found["binder"] = 1 - fourth / (3 * second**2)
    elif closed_form(lattice):
        energy, variance = torus_energy(lattice)
    else:
        return MappingProxyType(found)
    # 0.0 is added so that the energy at β = 0 is 0, not −0.
    return MappingProxyType(
        {"energy": energy / n + 0.0, "heat-capacity": lattice.beta**2 * variance / n, **found}
    )


def magnetisation_square(matrix: TransferMatrix) -> float:
    """⟨M²⟩ = ∂²log Z/∂b² + (∂log Z/∂b)², b = βh: by an imaginary step, and by differences of that."""
    k, b = matrix.couplings

    def mean(shift: float) -> float:
        step = torch.complex(b + shift, torch.full_like(b, 1e-30))
        return matrix.log_partition(torch.complex(k, torch.zeros_like(k)), step).imag.item() / 1e-30

    if b == 0:  # the mean is odd in b
        return (8 * mean(_DELTA) - mean(2 * _DELTA)) / (6 * _DELTA)
    near, far = (mean(m * _DELTA) - mean(-m * _DELTA) for m in (1, 2))
    return (8 * near - far) / (12 * _DELTA) + mean(0.0) ** 2


def correlation(matrix: TransferMatrix) -> Tensor:
    """⟨s_0 s_r⟩ along an axis, averaged as by `Lattice.correlation`: (r_max,), float64."""
    along, across = _torus(matrix) if matrix.lattice.periodic else _free(matrix)
    found = []
    for r in range(1, matrix.lattice.reach + 1):
        sums = [pairs[r] for pairs in (along, across) if r in pairs]
        found.append(sum(total for total, _ in sums) / sum(count for _, count in sums))
    return torch.tensor(found, dtype=torch.float64)


Pairs = dict[int, tuple[float, int]]
"""Distance -> Σ ⟨s_i s_j⟩ over all pairs that far apart along one axis, and their number."""


def _torus(matrix: TransferMatrix) -> tuple[Pairs, Pairs]:
    """Along a row from the distribution of one row; across rows Σ_j tr(σ_j T^r σ_j T^{H−r})/tr T^H, by necklaces."""
    width, height, spins = matrix.width, matrix.height, matrix.lattice.spins
    states = matrix.states
    along: Pairs = {}
    across: Pairs = {}
    if width > 1:
        for r in range(1, width // 2 + 1):
            products = (states * states.roll(-r, 1)).mean(1)
            along[r] = (spins * (matrix.row_distribution @ products).item(), spins)
    if not matrix.wraps:
        return along, across
    k, root = matrix.couplings[0], matrix.row_weight.sqrt()
    heads, _, often = matrix.necklaces

    def apply(v: Tensor) -> Tensor:
        return root * neighbours(root * v, k, width)

    largest = torch.ones(1, dtype=torch.float64)
    v = torch.ones_like(root)
    for _ in range(30):
        v = apply(v / largest)
        largest = v.max()
    size = max(1, CHUNK // (len(root) * (height + 1)))
    total, sums = 0.0, dict.fromkeys(range(1, height // 2 + 1), 0.0)
    for some, count in zip(heads.split(size), often.split(size), strict=True):
        powers = [torch.nn.functional.one_hot(some, len(root)).double()]
        for _ in range(height):
            powers.append(apply(powers[-1]) / largest)
        overlap = states[some] @ states.T / width * count[:, None]
        total += (powers[-1].gather(1, some[:, None])[:, 0] * count).sum().item()
        for r in sums:
            sums[r] += (powers[r] * powers[height - r] * overlap).sum().item()
    for r, value in sums.items():
        across[r] = (spins * value / total, spins)
    return along, across


def _free(matrix: TransferMatrix) -> tuple[Pairs, Pairs]:
    """Forward and backward over rows; across rows every σ_j is carried from row to row."""
    width, height, states = matrix.width, matrix.height, matrix.states
    k, weight = matrix.couplings[0], matrix.row_weight

    def onward(v: Tensor) -> Tensor:
        v = weight * neighbours(v, k, width)
        return v / v.abs().max()

    forward = [weight / weight.max()]
    backward = [torch.ones_like(weight)]
    for _ in range(height - 1):
        forward.append(onward(forward[-1]))
        message = neighbours(weight * backward[-1], k, width)
        backward.append(message / message.max())
    backward.reverse()
    distributions = [a * b / (a @ b) for a, b in zip(forward, backward, strict=True)]
    along: Pairs = {}
    across: Pairs = {}
    for r in range(1, width):
        products = (states[:, : width - r] * states[:, r:]).sum(1)
        along[r] = (
            sum((distribution @ products).item() for distribution in distributions),
            height * (width - r),
        )
    sums = dict.fromkeys(range(1, height), 0.0)
    for row in range(height):
        carried = torch.cat((states.T * forward[row], forward[row][None]))
        for r in range(1, height - row):
            carried = onward(carried)
            seen = carried * backward[row + r]
            sums[r] += ((seen[:-1] * states.T).sum() / seen[-1].sum()).item()
    for r, value in sums.items():
        across[r] = (value, width * (height - r))
    return along, across


def closed_form(lattice: Lattice) -> bool:
    """Whether Kaufman's form holds: a torus without field, of even sides where J < 0, and not of side 1."""
    even = all(length % 2 == 0 for length in lattice.shape)
    coupled = lattice.beta * lattice.coupling
    return (
        lattice.periodic
        and lattice.field == 0
        and min(lattice.shape) > 1
        and (coupled > 0 or (even and coupled < 0))
    )


def torus_energy(lattice: Lattice) -> tuple[float, float]:
    """⟨E⟩ and Var E of a torus without field, of any size."""
    k = torch.tensor(abs(lattice.beta * lattice.coupling), dtype=torch.float64, requires_grad=True)
    log_z = kaufman(k, *lattice.shape)
    (slope,) = torch.autograd.grad(log_z, k, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, k)
    scale = abs(lattice.coupling)
    return -scale * slope.item(), scale**2 * curvature.item()


def torus_log_z(lattice: Lattice) -> float:
    """log Z of a torus without field, of any size."""
    k = torch.tensor(abs(lattice.beta * lattice.coupling), dtype=torch.float64)
    return kaufman(k, *lattice.shape).item()


def kaufman(k: Tensor, rows: int, columns: int) -> Tensor:
    r"""log Z of a torus with couplings K > 0 and no field.

    Z = ½ (2 sinh 2K)^{mn/2} Σ_{l odd, l even} [Π_l 2cosh(mγ_l/2) + Π_l 2sinh(mγ_l/2)],    0 ≤ l < 2n,

    with cosh γ_l = cosh 2K coth 2K − cos(πl/n) and γ_0 = 2K + log tanh K.
    """
    level = torch.cosh(2 * k) / torch.tanh(2 * k) - torch.cos(
        torch.pi / columns * torch.arange(1, 2 * columns, dtype=torch.float64)
    )
    gamma = torch.log(level + (level.square() - 1).sqrt())
    odd, even = gamma[::2] * rows / 2, gamma[1::2] * rows / 2
    first = (2 * k + torch.log(torch.tanh(k))) * rows / 2
    size = first.detach().abs()

    def cosh(x: Tensor) -> Tensor:
        return (x + torch.log1p(torch.exp(-2 * x))).sum()

    def sinh(x: Tensor) -> Tensor:
        return (x + torch.log(-torch.expm1(-2 * x))).sum()

    logs = torch.stack((cosh(odd), sinh(odd), cosh(even) + size, sinh(even) + size))
    factors = torch.stack(
        (
            torch.ones_like(k),
            torch.ones_like(k),
            torch.exp(first - size) + torch.exp(-first - size),
            torch.exp(first - size) - torch.exp(-first - size),
        )
    )
    top = logs.detach().max()
    total = (factors * torch.exp(logs - top)).sum()
    sites = rows * columns
    return (
        sites / 2 * torch.log(2 * torch.sinh(2 * k))
        - torch.log(torch.tensor(2.0).double())
        + top
        + total.log()
    )
