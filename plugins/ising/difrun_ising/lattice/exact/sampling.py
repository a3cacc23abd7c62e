"""Exact, independent samples of the Ising model, drawn row after row by the transfer matrix."""

from collections.abc import Iterator

import torch
from torch import Tensor

from difrun_ising.lattice.exact.transfer import CHUNK, TransferMatrix, neighbours, transfer_matrix
from difrun_ising.lattice.lattice import Lattice

DENSE = 10
"""Widest row for which V is stored."""


def exact_samples(lattice: Lattice, n: int, generator: torch.Generator) -> Tensor:
    """Draw n independent lattices from exp(−βE)/Z.

    The first row comes from its marginal distribution, and every later row from its distribution given the row above
    it. On a torus the rows depend on the first row as well, so the samples are grouped by their first row, and a group
    shares its messages.

    Args:
        lattice: The lattice, with a shorter side of at most `moments.WIDEST`.
        n: The number of samples.
        generator: The source of random numbers, on the CPU.

    Returns:
        The spins ±1, with shape (n, rows, columns), float32.
    """
    matrix = transfer_matrix(lattice)
    rows = torch.empty(n, matrix.height, dtype=torch.int64)
    for samples, heads, group in _groups(matrix, n, generator):
        rows[samples] = _draw_rows(matrix, heads, group, generator)
    spins = matrix.states[rows].float()
    return spins.transpose(1, 2).contiguous() if matrix.turned else spins


def _groups(
    matrix: TransferMatrix, n: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The samples in blocks: their numbers, the first rows that occur among them, and which of these each one has."""
    if matrix.wraps:
        first = _draw(matrix.row_distribution.expand(n, -1), generator)
    else:
        # With free boundaries the messages do not depend on the first row: all samples are one group.
        first = torch.zeros(n, dtype=torch.int64)
    order = first.argsort(stable=True)
    heads, counts = first[order].unique_consecutive(return_counts=True)
    block = max(1, CHUNK // (len(matrix.states) * matrix.height))
    start = 0
    for some, tallies in zip(heads.split(block), counts.split(block), strict=True):
        end = start + int(tallies.sum())
        yield order[start:end], some, torch.arange(len(some)).repeat_interleave(tallies)
        start = end


def _draw_rows(matrix: TransferMatrix, heads: Tensor, group: Tensor, generator: torch.Generator) -> Tensor:
    """Row states (m, height) of samples whose first row, on a torus, is heads[group]."""
    weight, messages = matrix.row_weight, _messages(matrix, heads)
    kernel = matrix.kernel if matrix.width <= DENSE else None
    rows = torch.empty(len(group), matrix.height, dtype=torch.int64)
    for part in torch.arange(len(group)).split(matrix.block):
        part_group = group[part]
        current = heads[part_group] if matrix.wraps else _draw((weight * messages[0])[part_group], generator)
        rows[part, 0] = current
        for j in range(1, matrix.height):
            following = matrix.bond_weights(current) if kernel is None else kernel[current]
            current = _draw(following * (weight * messages[j])[part_group], generator)
            rows[part, j] = current
    return rows


def _messages(matrix: TransferMatrix, heads: Tensor) -> list[Tensor]:
    """For every row j, the weight of all rows after it, given row j and the first row: (groups, 2^W) each."""
    k, weight = matrix.couplings[0], matrix.row_weight
    if matrix.wraps:
        message = torch.eye(len(weight), dtype=torch.float64)[heads]
    else:
        message = torch.ones(len(heads), len(weight), dtype=torch.float64)
    messages = []
    for step in range(matrix.height):
        if step or matrix.wraps:
            message = neighbours(message * (weight if step else 1.0), k, matrix.width)
            message = message / message.amax(1, keepdim=True)
        messages.append(message)
    return messages[::-1]


def _draw(weights: Tensor, generator: torch.Generator) -> Tensor:
    """An index per row, with probability proportional to its weight."""
    totals = weights.cumsum(1)
    u = torch.rand(len(weights), 1, dtype=torch.float64, generator=generator) * totals[:, -1:]
    return torch.searchsorted(totals.contiguous(), u, right=True)[:, 0].clamp_max(weights.shape[1] - 1)
