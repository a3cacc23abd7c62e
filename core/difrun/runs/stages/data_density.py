"""The density and the entropy of the distribution of the data, as far as they are known."""

import math

import torch
from torch import Tensor

from difrun.analysis.data_entropy import entropy
from difrun.data.dataset import Dataset


def log_density(dataset: Dataset, x: Tensor, labels: Tensor | None) -> Tensor | None:
    """Return log p of the distribution of the data, given classes or conditions if any; None if it is not known."""
    if labels is None:
        if dataset.distribution is not None:
            return dataset.distribution.log_prob(x)
        return None if dataset.log_density is None else dataset.log_density(x)
    if labels.is_floating_point():
        return None if dataset.conditional is None else dataset.conditional.log_prob(x, labels)
    if dataset.component_labels is None:
        return None
    log_p = torch.empty(len(x), dtype=x.dtype)
    for label in labels.unique().tolist():
        log_p[labels == label] = dataset.class_distribution(label).log_prob(x[labels == label])
    return log_p


def entropy_of(dataset: Dataset, labels: Tensor | None) -> tuple[float, float]:
    """Return the entropy of the distribution and its error; with labels, averaged over classes or conditions."""
    if dataset.distribution is None:
        assert dataset.entropy is not None  # a dataset that knows its density knows this too
        return dataset.entropy, 0.0
    if labels is None:
        return entropy(dataset.distribution)
    if labels.is_floating_point():  # h(x | c) = h(x, c) − h(c)
        assert dataset.conditional is not None
        (both, error), (of_c, error_of_c) = (
            entropy(mixture) for mixture in (dataset.conditional.joint, dataset.conditional.of_condition())
        )
        return both - of_c, math.hypot(error, error_of_c)
    of_class = [entropy(dataset.class_distribution(label)) for label in range(len(dataset.classes))]
    shares = torch.bincount(labels, minlength=len(of_class)).double() / len(labels)
    value = sum(float(share) * mean for share, (mean, _) in zip(shares, of_class, strict=True))
    variance = sum((float(share) * error) ** 2 for share, (_, error) in zip(shares, of_class, strict=True))
    return value, math.sqrt(variance)
