r"""Is a conditional model right for every condition? The checks of simulation-based inference.

They compare, for many pairs (θ_i, c_i) drawn from the joint distribution, θ_i with draws from the model given c_i. If
the model is p(θ | c), θ_i and the draws are exchangeable, and no rank of θ_i among them is more likely than another.
"""

from collections.abc import Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data.casts import data_on_cpu
from difrun.errors import DifrunError


@attrs.frozen
class Coverage:
    """How often regions that should hold the truth with a given probability do hold it.

    Attributes:
        level: The probability that the regions claim.
        found: The share of cases in which the truth lies inside.
        error: The standard error of that share for a calibrated model, √(level (1 − level)/cases).
    """

    level: float
    found: float
    error: float


def ranks(draws: Any, truth: Any) -> Tensor:
    """Return how many of the draws lie below the truth, in every coordinate: simulation-based calibration.

    For the exact p(θ | c) each rank is uniform on 0, ..., L. Ranks heaped in the middle mean that the model is too
    wide, at the ends too narrow, on one side shifted.

    Args:
        draws: L draws for each of m cases, (m, L, *shape).
        truth: The θ of each case, (m, *shape).

    Returns:
        The ranks, (m, d), int64.

    References:
        Talts et al. (2018), arXiv 1804.06788.
    """
    x, theta = _cases(draws, truth)
    return (x < theta[:, None]).sum(1)


def rank_p_values(rank: Tensor, most: int, bins: int = 10) -> Tensor:
    """Return the p-value of the χ² test that ranks are uniform on 0, ..., most, for every coordinate.

    Args:
        rank: What `ranks` returns, (m, d).
        most: The number L of draws per case.
        bins: The number of bins; each should hold at least 5 cases.

    Returns:
        The p-values, (d,), float64. With several coordinates some are small by chance.
    """
    m, (bin_of, expected) = len(rank), _bins(most, bins)
    p_values = []
    for column in rank.unbind(1):
        counts = torch.bincount(bin_of[column], minlength=bins).double()
        statistic = ((counts - m * expected).square() / (m * expected)).sum()
        half = torch.tensor((bins - 1) / 2, dtype=torch.float64)
        p_values.append(torch.special.gammaincc(half, statistic / 2))
    return torch.stack(p_values)


def expected_coverage(
    draws: Any, truth: Any, levels: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 0.9)
) -> list[Coverage]:
    """Return the coverage of regions around random points: tests of accuracy with random points.

    The region of a case is the ball around a point, the θ of another case, that holds a share `level` of the draws.

    Args:
        draws: L draws for each of m cases, (m, L, *shape).
        truth: The θ of each case, (m, *shape), in random order.
        levels: The probabilities.

    References:
        Lemos et al. (2023), arXiv 2302.03026.
    """
    x, theta = _cases(draws, truth)
    if len(theta) < 2:
        raise DifrunError("coverage needs at least two cases.")
    points = theta.roll(1, dims=0)
    distance = (theta - points).norm(dim=1, keepdim=True)
    nearer = (x - points[:, None]).norm(dim=2) < distance
    share = nearer.double().mean(1)
    return [
        Coverage(level, float((share < level).double().mean()), (level * (1 - level) / len(share)) ** 0.5)
        for level in levels
    ]


def _bins(most: int, bins: int) -> tuple[Tensor, Tensor]:
    """The bin of every rank 0, ..., most, and the share of ranks in every bin."""
    if not 1 < bins <= most + 1:
        raise DifrunError(f"{bins} bins for ranks from 0 to {most}: expected 2 to {most + 1} bins.")
    bin_of = torch.arange(most + 1) * bins // (most + 1)
    return bin_of, torch.bincount(bin_of, minlength=bins).double() / (most + 1)


def _cases(draws: Any, truth: Any) -> tuple[Tensor, Tensor]:
    """The draws (m, L, d) and the truth (m, d)."""
    x, theta = data_on_cpu(draws, "draws").double(), data_on_cpu(truth, "the truth").double()
    if x.ndim < 3 or x.shape[:1] != theta.shape[:1] or x.shape[2:] != theta.shape[1:] or 0 in x.shape:
        raise DifrunError(
            f"draws of shape {tuple(x.shape)} for a truth of shape {tuple(theta.shape)}: expected (cases, draws, ...) "
            "and (cases, ...)."
        )
    return x.flatten(2), theta.flatten(1)
