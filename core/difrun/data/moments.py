"""Mean, variance and covariance of examples, summed in float64 and chunk by chunk where they are large.

The prior that is matched to them is `difrun.process.gaussian.GaussianProcess.prior`.
"""

import torch
from torch import Tensor

from difrun.data.checks import chunks

CLASS_CHUNK = 4096
"""Examples that are added to the sums of their classes at once."""


def mean_and_variance(examples: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance (divided by N) of every coordinate.

    Args:
        examples: Shape (N, *shape).

    Returns:
        Two tensors of shape (*shape), float64.
    """
    parts = chunks(examples)
    if len(parts) == 1:
        examples = examples.double()
        return examples.mean(0), examples.var(0, correction=0)
    mean, var = torch.zeros((2, *examples.shape[1:]), dtype=torch.float64)
    for part in parts:
        mean += part.double().sum(0) / len(examples)
    for part in parts:
        var += (part.double() - mean).square().sum(0) / len(examples)
    return mean, var


def covariance(examples: Tensor, mean: Tensor) -> Tensor:
    """Return the covariance (divided by N) of examples that are flattened to d coordinates.

    Args:
        examples: Shape (N, *shape).
        mean: Their mean as `mean_and_variance` gives it.

    Returns:
        Shape (d, d), float64.
    """
    size = examples[0].numel()
    parts = chunks(examples)
    if len(parts) == 1:
        return torch.cov(examples.flatten(1).double().T, correction=0).reshape(size, size)
    cov = torch.zeros((size, size), dtype=torch.float64)
    for part in parts:
        offset = part.flatten(1).double() - mean.flatten()
        cov += offset.T @ offset / len(examples)
    return cov


def class_mean_and_variance(examples: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return the mean and the variance of every coordinate within each class.

    Args:
        examples: Shape (N, *shape).
        labels: The class of every example, (N,), int64 from 0; every class occurs.
        classes: The number K of classes.

    Returns:
        Two tensors of shape (K, *shape), float32.
    """
    shape = examples.shape[1:]
    counts = torch.bincount(labels).double().reshape(-1, *[1] * len(shape))
    mean, var = torch.zeros((2, classes, *shape), dtype=torch.float64)
    parts = list(zip(examples.split(CLASS_CHUNK), labels.split(CLASS_CHUNK), strict=True))
    for part, part_labels in parts:
        mean.index_add_(0, part_labels, part.double())
    mean /= counts
    for part, part_labels in parts:
        var.index_add_(0, part_labels, (part.double() - mean[part_labels]).square())
    return mean.float(), (var / counts).float()
