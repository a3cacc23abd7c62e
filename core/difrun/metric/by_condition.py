"""Samples with conditions, compared with real examples with theirs."""

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.data.condition import all_equal
from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.metric.calls import PointSet
from difrun.metric.sets import Comparison


@attrs.frozen
class ByCondition(Comparison):
    """Samples with conditions against real examples with theirs.

    Where the distribution of x given the condition is known, the real examples are drawn from it, given the conditions
    of the samples, row by row. Otherwise they are held-out examples, and training examples for the floor, with their
    own conditions; the conditions of the samples must then be distributed as those of the data.

    Attributes:
        conditions: The conditions of the samples (N, *shape).
    """

    conditions: Tensor

    @override
    def sets(self, index: int, random: torch.Generator, with_floor: bool) -> tuple[PointSet, PointSet | None]:
        rows = torch.randperm(len(self.samples), generator=random)[: self.n]
        given = self.conditions[rows]
        exact = self.dataset.conditional
        if exact is not None:
            reference, other = (exact.sample(given, random).float() for _ in range(2))
            of_reference = of_other = given
        else:
            reference, of_reference = self._examples("held-out", random)
            other, of_other = self._examples("training", random)
        point_set = PointSet(
            self.samples[rows], reference, conditions=given, reference_conditions=of_reference
        )
        floor = PointSet(other, reference, conditions=of_other, reference_conditions=of_reference)
        return point_set, floor if with_floor else None

    def _examples(self, split: str, random: torch.Generator) -> tuple[Tensor, Tensor]:
        condition = self.dataset.condition
        assert condition is not None
        held_out = split == "held-out"
        examples = self.dataset.held_out if held_out else self.dataset.train
        conditions = condition.held_out if held_out else condition.train
        chosen = torch.randperm(len(examples), generator=random)[: self.n]
        return examples[chosen], conditions[chosen]


def comparable_conditions(conditions: Tensor | None, samples: Tensor, dataset: Dataset) -> Tensor:
    """Return the conditions of the samples.

    Raises:
        DifrunError: If there are none, not one for each, or a single one or gaps where only those of the data can be
            compared.
    """
    if conditions is None or dataset.condition is None:
        raise DifrunError("the metric compares samples with their conditions, and these samples have none.")
    if len(conditions) != len(samples):
        raise DifrunError(f"{len(samples)} samples with {len(conditions)} conditions; each needs one.")
    if dataset.conditional is not None:
        return conditions
    if dataset.condition.completes and bool(conditions.isnan().any()):
        raise DifrunError(
            "the metric compares pairs of sample and condition, and these conditions have gaps; the rows of the data "
            "have every column known. Take a metric of the samples alone, such as sliced-w2."
        )
    if all_equal(conditions):
        raise DifrunError(
            "all samples have one condition, and what the data are given it is not known; only samples given the "
            "conditions of the data can be compared with them."
        )
    return conditions
