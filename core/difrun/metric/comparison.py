"""What is compared with what: the sets of points that a metric gets, repetition by repetition.

`difrun.metric.measure` puts a metric of samples beside its floor, the same metric of real examples. There are four
ways to do so, each a `Comparison`; `comparison_for` chooses one by the signature of the metric.
"""

import inspect
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.data.checks import check_finite
from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.metric.by_condition import ByCondition, comparable_conditions
from difrun.metric.calls import Metric, Numbers, PointSet
from difrun.metric.sets import RESAMPLES, Comparison
from difrun.plugin.signatures import asks_for, requires
from difrun.randomness.generator import torch_generator


class WithReference(Comparison):
    """Samples against a set of real examples. For the floor, a second set of real examples replaces the samples."""

    @override
    def sets(self, index: int, random: torch.Generator, with_floor: bool) -> tuple[PointSet, PointSet | None]:
        reference, other = self.dataset.real_pair(self.n, random)
        chosen = torch.randperm(len(self.samples), generator=random)[: self.n]
        floor = PointSet(other, reference) if with_floor else None
        return PointSet(self.samples[chosen], reference), floor

    @property
    @override
    def repeats_one_value(self) -> bool:
        # All n points are compared with all n points: only random projections and rounding differ.
        return self._compares_all_references and len(self.samples) == self.n

    @property
    @override
    def repeats_one_floor(self) -> bool:
        return self._compares_all_references and len(self.dataset.train) == self.n

    @property
    def _compares_all_references(self) -> bool:
        return self.dataset.references == self.n == compared(self.metric, self.n, **self.options)


class WithDistribution(Comparison):
    """Samples against the distribution itself, as far as the dataset knows it.

    The standard deviation is that over sets drawn from the samples with replacement, which is a standard error. If no
    new examples can be drawn, the floor is computed in the same way from held-out examples.
    """

    @property
    @override
    def repetitions(self) -> int:
        return max(self.repeats, RESAMPLES)

    @cached_property
    def _held_out(self) -> Tensor | None:
        """The n held-out examples of the floor; None if new examples can be drawn."""
        if self.dataset.references is None:
            return None
        return self.dataset.reference(self.n, torch_generator(self.seed, "metric", 0, "real"))

    @override
    def sets(self, index: int, random: torch.Generator, with_floor: bool) -> tuple[PointSet, PointSet | None]:
        floor = None
        if with_floor:
            held_out = self._held_out
            if held_out is not None:
                floor = PointSet(held_out[torch.randint(self.n, (self.n,), generator=random)])
            elif index < self.repeats:
                floor = PointSet(self.dataset.reference(self.n, random))
        return PointSet(self.samples[torch.randint(self.n, (self.n,), generator=random)]), floor

    @override
    def whole_value(self) -> Numbers | None:
        return self.evaluate(0, PointSet(self.samples[: self.n]))

    @override
    def whole_floor(self) -> Numbers | None:
        held_out = self._held_out
        return None if held_out is None else self.evaluate(0, PointSet(held_out))


@attrs.frozen
class ByClass(Comparison):
    """Samples with classes against real examples of the same classes, row by row.

    For the floor, real examples of these classes replace the samples: training examples if the metric asks for a
    reference (which consists of held-out examples), else held-out examples.

    Attributes:
        labels: The classes of the samples (N,).
    """

    labels: Tensor

    @override
    def sets(self, index: int, random: torch.Generator, with_floor: bool) -> tuple[PointSet, PointSet | None]:
        rows = self._comparable(torch.randperm(len(self.samples), generator=random))
        labels = self.labels[rows]
        floor = None
        if with_floor:
            held_out, trained = self.dataset.real_pair_of(labels, random)
            floor = PointSet(trained if asks_for(self.metric, "reference") else held_out, labels=labels)
        return PointSet(self.samples[rows], labels=labels), floor

    def _comparable(self, rows: Tensor) -> Tensor:
        """The rows, with at most as many of each class as it has real examples."""
        within_reach = torch.ones_like(rows, dtype=torch.bool)
        for label in self.labels.unique().tolist():
            most = self.dataset.examples_of_class(label)
            if most is not None:
                within_reach[(self.labels[rows] == label).nonzero()[most:, 0]] = False
        return rows[within_reach]


def comparison_for(
    metric: Metric,
    samples: Tensor,
    dataset: Dataset,
    labels: Tensor | None,
    seed: int,
    repeats: int,
    options: Mapping[str, Any],
) -> Comparison:
    """The comparison that the signature of a metric asks for.

    Raises:
        DifrunError: If samples or labels cannot be compared with the data.
    """
    n = comparable(samples, dataset)
    facts = (metric, dataset, samples.detach().cpu(), n, seed, repeats, options)
    conditions = None
    if labels is not None and labels.is_floating_point():
        conditions, labels = labels.cpu(), None
    if labels is None and requires(metric, "labels"):
        raise DifrunError("the metric compares samples with classes, and these samples have none.")
    if requires(metric, "conditions"):
        return ByCondition(*facts, comparable_conditions(conditions, samples, dataset))
    if labels is not None and asks_for(metric, "labels"):
        if labels.shape != samples.shape[:1]:
            raise DifrunError(f"{len(samples)} samples with {len(labels)} labels; each needs one.")
        return ByClass(*facts, labels.cpu())
    if asks_for(metric, "dataset") and not asks_for(metric, "reference"):
        return WithDistribution(*facts)
    return WithReference(*facts)


def compared(metric: Metric, n: int, **options: Any) -> int:
    """How many points of sets of size n a metric compares: n, or fewer if one of its options bounds them."""
    name = getattr(metric, "most", "")
    if not name:
        return n
    return min(n, options[name] if name in options else inspect.signature(metric).parameters[name].default)


def comparable(samples: Tensor, dataset: Dataset) -> int:
    """The size n of the sets that `measure` compares.

    Raises:
        DifrunError: If the samples have the wrong shape, are fewer than two, or are not finite.
    """
    if tuple(samples.shape[1:]) != dataset.shape or len(samples) < 2:
        raise DifrunError(
            f"samples of shape {tuple(samples.shape)} cannot be measured against dataset '{dataset.name}': "
            f"expected (n, {', '.join(map(str, dataset.shape))}) with n at least 2."
        )
    check_finite(samples, "samples", dataset.columns)
    if dataset.references is None:
        return len(samples)
    return min(len(samples), dataset.references, len(dataset.train))
