"""One call of a metric: the values that it may ask for, and the numbers that it returns."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.options.parsing import shown_briefly
from difrun.plugin.signatures import Lazy

Metric = Callable[..., dict[str, float]]
"""``metric(samples, reference, *, generator, **options) -> {name: number}``.

A metric gets, by name, what its signature asks for: samples, reference, dataset, labels, conditions, generator
(docs/arguments.md). It may return several numbers, each under its own name.
"""

Numbers = dict[str, float]

MOST_NUMBERS, MOST_OF_A_NAME = 5000, 100
"""The most numbers that a metric may return, and the most characters in the name of one."""

LARGEST = 1e100
"""The largest number that a metric may return: squares of larger ones, and their sums, may overflow."""


@attrs.frozen
class PointSet:
    """Points that a metric is called with.

    Attributes:
        points: Samples or real examples, with shape (n, *shape).
        reference: What they are compared with; None if it is to be drawn by class, with the metric's own generator.
        labels: Their classes (n,), if they have any.
        conditions: Their conditions (n, *shape), if they have any.
        reference_conditions: Those of the reference.
    """

    points: Tensor
    reference: Tensor | None = None
    labels: Tensor | None = None
    conditions: Tensor | None = None
    reference_conditions: Tensor | None = None


def on_offer(of: PointSet, dataset: Dataset, generator: torch.Generator) -> dict[str, Any]:
    """Return the values that a metric may ask for; the reference of points with labels is drawn only if it does.

    Args:
        of: The points that the metric is called with.
        dataset: The data.
        generator: The source of random numbers, which the metric gets too.

    Returns:
        The values by the names that the signature of the metric has.
    """
    # Copies: what one metric writes into them is no matter of the next one.
    offered: dict[str, Any] = {
        "samples": of.points.clone(),
        "dataset": dataset,
        "generator": generator,
        "reference": None if of.reference is None else of.reference.clone(),
    }
    if of.conditions is not None:
        offered |= {"conditions": of.conditions, "reference_conditions": of.reference_conditions}
    if of.labels is not None:
        labels = of.labels
        offered["labels"] = labels
        offered["reference"] = Lazy(lambda: dataset.real_pair_of(labels, generator)[0])
    return offered


def finite_numbers(metric: Metric, returned: Any) -> Numbers:
    """Return what a metric returned as finite floats. Raises ValueError for anything else."""
    name = getattr(metric, "__qualname__", type(metric).__name__)
    keys = list(itertools.islice(returned, MOST_NUMBERS + 1)) if isinstance(returned, Mapping) else []
    if not keys or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"{name} must return a dict, name -> number; it returned {shown_briefly(returned)}")
    if len(keys) > MOST_NUMBERS:
        raise ValueError(f"{name} returned more than {MOST_NUMBERS} numbers")
    numbers = {}
    for key in keys:
        if not key or len(key) > MOST_OF_A_NAME or not key.isprintable():
            raise ValueError(
                f"{name} returned a number called {key!a:.100}; expected a name of 1 to {MOST_OF_A_NAME} printable "
                "characters"
            )
        numbers[key] = _float(returned[key])
        if not abs(numbers[key]) <= LARGEST:  # nor is NaN
            raise ValueError(
                f"{name} returned {_shown(returned[key])} for {key}; expected a finite number of at most "
                f"{LARGEST:g}"
            )
    return numbers


def _shown(value: Any) -> str:
    return f"the text {value!a:.100}" if isinstance(value, str | bytes) else shown_briefly(value)


def _float(value: Any) -> float:
    """A number as a float; NaN for what is none, such as text or a tensor of several numbers."""
    if isinstance(value, Tensor):
        value = value.detach()
    try:
        return math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last: a tensor of several numbers
        return math.nan
