"""Classes of the rows of a batch: drawn in proportion, checked and handed to a model."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

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


def condition_on_class_shares(model: ScoreModel, n: int) -> Any:
    """Return the model for n rows with the classes of the data in proportion; without classes, the model itself."""
    shares = getattr(model, "shares", ())
    return model.condition_on(proportional_labels(shares, n)) if shares else model


def for_rows(labels: Tensor | None, x: Tensor) -> Tensor:
    """Return the labels of the rows of x, on its device; −1 for all where there are none.

    Raises:
        DifrunError: If there are labels for another number of rows.
    """
    if labels is None:
        return torch.full((len(x),), -1, device=x.device)
    if len(labels) != len(x):
        raise DifrunError(
            f"a model that was given the classes of {len(labels)} rows is asked about {len(x)}; "
            "take the model of these rows with `rows`."
        )
    return labels.to(x.device)


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
