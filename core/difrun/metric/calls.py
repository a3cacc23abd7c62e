"""One call of a metric: the values that it may ask for, and the numbers that it returns."""

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
    offered: dict[str, Any] = {
        "samples": of.points,
        "dataset": dataset,
        "generator": generator,
        "reference": of.reference,
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
    if not isinstance(returned, Mapping) or not returned or not all(isinstance(key, str) for key in returned):
        raise ValueError(f"{name} must return a dict, name -> number; it returned {shown_briefly(returned)}")
    numbers = {}
    for key, value in returned.items():
        try:
            numbers[key] = float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError):  # the last: a tensor of several numbers
            numbers[key] = math.nan
        if not math.isfinite(numbers[key]):
            raise ValueError(f"{name} returned {shown_briefly(value)} for {key}; expected a finite number")
    return numbers
