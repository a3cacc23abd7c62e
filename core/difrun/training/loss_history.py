"""The losses of a training, as a curve to draw."""

import math

import torch
from torch import Tensor

HISTORY_POINTS = 500


def loss_history(losses: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss curve as at most `HISTORY_POINTS` points.

    Args:
        losses: The loss of every step, (n,).

    Returns:
        Steps (k,), and the mean loss since the previous one of them, (k,).
    """
    if len(losses) == 0:
        return torch.empty(0, dtype=torch.int64), losses
    parts = losses.split(math.ceil(len(losses) / HISTORY_POINTS))
    ends = torch.tensor([len(part) for part in parts]).cumsum(0)
    return ends, torch.stack([part.mean() for part in parts])
