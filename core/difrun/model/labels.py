"""Classes or conditions of the rows of a batch: drawn as in the data, checked and handed to a model.

Labels are either classes, (n,) int64 with −1 for any class, or conditions, (n, *shape) floats with NaN for what is not
known.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from difrun.data.casts import as_data
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel


def proportional_labels(shares: Sequence[float], n: int) -> Tensor:
    """Return n labels in the proportion of `shares`, (n,) int64.

    The j-th label of class k has place (j − ½)/share_k in the sequence (the method of Webster and Sainte-Laguë). The
    first m labels are therefore the same whatever n is, and the count of each class is off by less than 2 in all of
    them.
    """
    places, owners = [], []
    for label, share in enumerate(shares):
        if share > 0:
            count = min(n, math.ceil(n * share) + 2)
            places.append((torch.arange(count, dtype=torch.float64) + 0.5) / share)
            owners.append(torch.full((count,), label))
    order = torch.cat(places).argsort(stable=True)
    return torch.cat(owners)[order[:n]]


def labels_as_in_data(model: ScoreModel, n: int) -> Tensor | None:
    """Return the labels of n rows as in the data: classes in proportion, or conditions of the data in turn.

    Returns:
        The labels; None if the model knows none, or is sampled without.
    """
    if model.shares:
        return proportional_labels(model.shares, n)
    known = model.known_conditions
    return None if known is None else known[torch.arange(n) % len(known)]


def condition_as_data(model: ScoreModel, n: int) -> Any:
    """Return the model for n rows with `labels_as_in_data`; without labels, the model itself."""
    labels = labels_as_in_data(model, n)
    return model if labels is None else model.condition_on(labels)


def unknown_like(labels: Tensor) -> Tensor:
    """Return labels of the same form that say nothing: −1, any class, or conditions of NaN alone."""
    return torch.full_like(labels, math.nan if labels.is_floating_point() else -1)


def for_rows(labels: Tensor | None, x: Tensor, condition_shape: tuple[int, ...] | None = None) -> Tensor:
    """Return the labels of the rows of x, on its device; where there are none, labels that say nothing.

    Args:
        labels: The classes or conditions of the rows; None if none are known.
        x: The batch.
        condition_shape: The shape of one condition; None for classes.

    Raises:
        DifrunError: If there are labels for another number of rows.
    """
    if labels is None:
        if condition_shape is not None:
            return x.new_full((len(x), *condition_shape), math.nan)
        return torch.full((len(x),), -1, device=x.device)
    if len(labels) != len(x):
        what = "classes" if condition_shape is None else "conditions"
        raise DifrunError(
            f"a model that was given the {what} of {len(labels)} rows is asked about {len(x)}; "
            "take the model of these rows with `rows`."
        )
    return labels.to(x) if condition_shape is not None else labels.to(x.device)


def pick_rows(labels: Tensor, index: Any) -> Tensor:
    """Return the labels of some rows, by number or slice."""
    return labels[index.to(labels.device) if isinstance(index, Tensor) else index]


def check_labels(labels: Tensor, classes: int) -> None:
    """Raise DifrunError unless the labels are (n,) int64 from −1 to classes − 1."""
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise DifrunError(
            f"labels are whole numbers (n,), int64; not {labels.dtype} of shape {tuple(labels.shape)}."
        )
    if len(labels) and not (int(labels.min()) >= -1 and int(labels.max()) < classes):
        wrong = int(labels.min()) if int(labels.min()) < -1 else int(labels.max())
        raise DifrunError(
            f"there is no class number {wrong}: the model knows 0 to {classes - 1}, and −1 for any."
        )


def as_condition(value: Any, shape: tuple[int, ...]) -> Tensor:
    """Return conditions as floats (n, *shape), with NaN for what is not known.

    Raises:
        DifrunError: If they have another shape, or hold an infinite number.
    """
    condition = as_data(value, "conditions").detach()
    if tuple(condition.shape[1:]) != tuple(shape) or condition.ndim == 0:
        expected = ", ".join(map(str, ("n", *shape)))
        raise DifrunError(f"conditions of shape {tuple(condition.shape)}; this model takes ({expected}).")
    if bool(condition.isinf().any()):
        raise DifrunError("a condition must be a finite number, or NaN where it is not known.")
    return condition
