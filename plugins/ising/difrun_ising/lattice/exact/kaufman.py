"""The Ising model on a torus without a field, of any size, in closed form (Kaufman, 1949, Phys. Rev. 76, 1232)."""

import torch
from torch import Tensor

from difrun_ising.lattice.lattice import Lattice


def has_closed_form(lattice: Lattice) -> bool:
    """Whether Kaufman's form holds: a torus without a field, of even sides where J < 0, and not of side 1."""
    if not lattice.periodic or lattice.field != 0 or min(lattice.shape) == 1:
        return False
    coupled = lattice.beta * lattice.coupling
    even = all(length % 2 == 0 for length in lattice.shape)
    return coupled > 0 or (coupled < 0 and even)


def torus_energy(lattice: Lattice) -> tuple[float, float]:
    """⟨E⟩ and Var E of a torus without a field, from both derivatives of `kaufman` in K."""
    k = torch.tensor(abs(lattice.beta * lattice.coupling), dtype=torch.float64, requires_grad=True)
    log_z = kaufman(k, *lattice.shape)
    (slope,) = torch.autograd.grad(log_z, k, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, k)
    scale = abs(lattice.coupling)
    return -scale * slope.item(), scale**2 * curvature.item()


def torus_log_z(lattice: Lattice) -> float:
    """The value log Z of a torus without a field."""
    k = torch.tensor(abs(lattice.beta * lattice.coupling), dtype=torch.float64)
    return kaufman(k, *lattice.shape).item()


def kaufman(k: Tensor, rows: int, columns: int) -> Tensor:
    r"""The value log Z of a torus with couplings K > 0 and no field (Kaufman, 1949, eq. 61).

    It can be differentiated in K:

        Z = ½ (2 sinh 2K)^{mn/2} Σ_{l odd, l even} [Π_l 2cosh(mγ_l/2) + Π_l 2sinh(mγ_l/2)],    0 ≤ l < 2n,

    with cosh γ_l = cosh 2K coth 2K − cos(πl/n) and γ_0 = 2K + log tanh K.
    """
    level = torch.cosh(2 * k) / torch.tanh(2 * k) - torch.cos(
        torch.pi / columns * torch.arange(1, 2 * columns, dtype=torch.float64)
    )
    gamma = torch.log(level + (level.square() - 1).sqrt())
    odd, even = gamma[::2] * rows / 2, gamma[1::2] * rows / 2
    zeroth = (2 * k + torch.log(torch.tanh(k))) * rows / 2
    size = zeroth.detach().abs()
    logs = torch.stack((_log_cosh(odd), _log_sinh(odd), _log_cosh(even) + size, _log_sinh(even) + size))
    factors = torch.stack(
        (
            torch.ones_like(k),
            torch.ones_like(k),
            torch.exp(zeroth - size) + torch.exp(-zeroth - size),
            torch.exp(zeroth - size) - torch.exp(-zeroth - size),
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


def _log_cosh(x: Tensor) -> Tensor:
    """Σ log 2cosh x, for x > 0."""
    return (x + torch.log1p(torch.exp(-2 * x))).sum()


def _log_sinh(x: Tensor) -> Tensor:
    """Σ log 2sinh x, for x > 0."""
    return (x + torch.log(-torch.expm1(-2 * x))).sum()
