"""The arguments of `difrun.wrap` that speak of classes and conditions: brought into one form, or refused in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from difrun.data.casts import as_data, as_labels
from difrun.errors import ConfigError
from difrun.model.argument_values import as_numbers, check_fits, invalid, is_whole, item_of
from difrun.model.labels import as_condition, check_labels


def as_shares(classes: Any) -> tuple[float, ...]:
    """Return the share of each class in the data, from their number or the shares; () without classes.

    Raises:
        ConfigError: If they are neither.
    """
    expected = "the number of classes, 0 for none, or the share of each in the data"
    count = item_of(classes)
    if is_whole(count) and count >= 0:
        return (1 / int(count),) * int(count) if count else ()
    if not isinstance(classes, Sequence | np.ndarray | Tensor):
        raise invalid("classes", expected, classes)
    shares = as_numbers("classes", classes).double()
    total = float(shares.sum())
    if shares.ndim != 1 or not len(shares) or bool((shares < 0).any()) or not abs(total - 1) < 1e-3:
        raise invalid("classes", f"{expected}, numbers of at least 0 whose sum is 1", classes)
    return tuple((shares / total).tolist())


def check_null(null: Any, shares: Sequence[float], condition_shape: tuple[int, ...] | None) -> None:
    """Raise ConfigError unless what stands for no label is one for a network that takes labels, or None."""
    if null is None:
        return
    if condition_shape is not None:
        check_fits("null", as_numbers("null", null), condition_shape, "a condition")
        return
    if not shares:
        raise ConfigError(
            "null has no effect on a network without labels: say classes=K or condition_shape=..., or leave it out."
        )
    number = item_of(null)
    if not is_whole(number):
        raise invalid("null", "a whole number, the label that stands for no class", null)
    if 0 <= number < len(shares) and shares[int(number)] > 0:
        raise ConfigError(
            f"Invalid value for null: {number} is one of the {len(shares)} classes, 0 to {len(shares) - 1}, and cannot "
            "stand for none. If it is no class of the data, give the share of each, with 0 for it, as classes."
        )


def as_given_labels(
    labels: Any, rows: int | None, shares: Sequence[float], condition_shape: tuple[int, ...] | None
) -> Tensor | None:
    """Return the labels of the data, one for each example.

    Args:
        labels: Classes or conditions; None without.
        rows: How many examples there are; None if the data are not given.
        shares: The share of each class.
        condition_shape: The shape of a condition; None for classes.

    Raises:
        DifrunError: If they do not fit the data or what the network takes.
    """
    if labels is None:
        return None
    if not shares and condition_shape is None:
        raise ConfigError("labels are given for a network without: say classes=K, or condition_shape=....")
    if rows is None:
        raise ConfigError("labels are those of data: give data as well.")
    if condition_shape is not None:
        given = as_data(labels, "labels")
        if given.ndim == 1 and condition_shape == (1,):
            given = given[:, None]
        found = as_condition(given, condition_shape)
    else:
        found = as_labels(labels)
        check_labels(found, len(shares))
    if len(found) != rows:
        raise ConfigError(f"{rows} examples need {rows} labels; got {len(found)}.")
    return found.cpu()
