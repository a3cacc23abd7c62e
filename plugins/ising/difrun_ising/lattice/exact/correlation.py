"""The correlation C(r) = ⟨s_0 s_r⟩ of the Ising model, exact, by the transfer matrix."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from difrun_ising.lattice.exact.transfer import CHUNK, TransferMatrix, neighbours

PairSums = dict[int, tuple[float, int]]
"""Distance -> Σ ⟨s_i s_j⟩ over all pairs that far apart along one axis, and their number."""


def correlation(matrix: TransferMatrix) -> Tensor:
    """⟨s_0 s_r⟩ along an axis, averaged as by `Lattice.correlation`: (r_max,), float64."""
    if matrix.lattice.periodic:
        along, across = _along_rows_of_torus(matrix), _across_rows_of_torus(matrix)
    else:
        along, across = _free(matrix)
    values = []
    for r in range(1, matrix.lattice.reach + 1):
        sums = [pairs[r] for pairs in (along, across) if r in pairs]
        values.append(sum(total for total, _ in sums) / sum(count for _, count in sums))
    return torch.tensor(values, dtype=torch.float64)


def _along_rows_of_torus(matrix: TransferMatrix) -> PairSums:
    """Along a row, from the distribution of one row."""
    spins, states = matrix.lattice.spins, matrix.states
    along: PairSums = {}
    if matrix.width > 1:
        for r in range(1, matrix.width // 2 + 1):
            products = (states * states.roll(-r, 1)).mean(1)
            along[r] = (spins * (matrix.row_distribution @ products).item(), spins)
    return along


def _across_rows_of_torus(matrix: TransferMatrix) -> PairSums:
    """Across rows, Σ_j tr(σ_j T^r σ_j T^{H−r})/tr T^H, by necklaces."""
    if not matrix.wraps:
        return {}
    width, height, spins = matrix.width, matrix.height, matrix.lattice.spins
    states = matrix.states
    k, root = matrix.couplings[0], matrix.row_weight.sqrt()
    heads, _, sizes = matrix.necklaces

    def apply(v: Tensor) -> Tensor:
        return root * neighbours(root * v, k, width)

    largest = _largest_eigenvalue(apply, root)
    block = max(1, CHUNK // (len(root) * (height + 1)))
    trace, sums = 0.0, dict.fromkeys(range(1, height // 2 + 1), 0.0)
    for some, count in zip(heads.split(block), sizes.split(block), strict=True):
        powers = [functional.one_hot(some, len(root)).double()]
        for _ in range(height):
            powers.append(apply(powers[-1]) / largest)
        overlap = states[some] @ states.T / width * count[:, None]
        trace += (powers[-1].gather(1, some[:, None])[:, 0] * count).sum().item()
        for r in sums:
            sums[r] += (powers[r] * powers[height - r] * overlap).sum().item()
    return {r: (spins * value / trace, spins) for r, value in sums.items()}


def _largest_eigenvalue(apply: Callable[[Tensor], Tensor], like: Tensor) -> Tensor:
    """About the largest eigenvalue, by 30 powers: a scale that keeps numbers from overflowing."""
    largest = torch.ones(1, dtype=torch.float64)
    v = torch.ones_like(like)
    for _ in range(30):
        v = apply(v / largest)
        largest = v.max()
    return largest


def _free(matrix: TransferMatrix) -> tuple[PairSums, PairSums]:
    """With free boundaries: forward and backward messages over rows, along a row and across rows."""
    k, weight, width = matrix.couplings[0], matrix.row_weight, matrix.width

    def onward(v: Tensor) -> Tensor:
        v = weight * neighbours(v, k, width)
        return v / v.abs().max()

    forward = [weight / weight.max()]
    backward = [torch.ones_like(weight)]
    for _ in range(matrix.height - 1):
        forward.append(onward(forward[-1]))
        message = neighbours(weight * backward[-1], k, width)
        backward.append(message / message.max())
    backward.reverse()
    return _along_free_rows(matrix, forward, backward), _across_free_rows(matrix, forward, backward, onward)


def _along_free_rows(matrix: TransferMatrix, forward: list[Tensor], backward: list[Tensor]) -> PairSums:
    """Along a row, from the distribution of every row."""
    width, states = matrix.width, matrix.states
    distributions = [a * b / (a @ b) for a, b in zip(forward, backward, strict=True)]
    along: PairSums = {}
    for r in range(1, width):
        products = (states[:, : width - r] * states[:, r:]).sum(1)
        total = sum((distribution @ products).item() for distribution in distributions)
        along[r] = (total, matrix.height * (width - r))
    return along


def _across_free_rows(
    matrix: TransferMatrix,
    forward: list[Tensor],
    backward: list[Tensor],
    onward: Callable[[Tensor], Tensor],
) -> PairSums:
    """Across rows: every σ_j of a row is carried from row to row."""
    height, states = matrix.height, matrix.states
    sums = dict.fromkeys(range(1, height), 0.0)
    for row in range(height):
        carried = torch.cat((states.T * forward[row], forward[row][None]))
        for r in range(1, height - row):
            carried = onward(carried)
            weighted = carried * backward[row + r]
            sums[r] += ((weighted[:-1] * states.T).sum() / weighted[-1].sum()).item()
    return {r: (value, matrix.width * (height - r)) for r, value in sums.items()}
