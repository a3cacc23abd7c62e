"""The sets of points that a metric is called with, repetition by repetition: the base of every comparison."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.metric.calls import Metric, Numbers, PointSet, finite_numbers, on_offer
from difrun.plugin.containment import restored
from difrun.plugin.signatures import call
from difrun.randomness.generator import torch_generator

RESAMPLES = 24
"""How many sets are drawn with replacement to estimate a standard error, which is then known to 15 %."""


@attrs.frozen
class Comparison(ABC):
    """A metric, and the points it is called with.

    Attributes:
        metric: The metric.
        dataset: The data.
        samples: The samples (N, *shape), on the CPU.
        n: How many points each set has.
        seed: The seed of all random choices.
        repeats: How many repetitions are asked for.
        options: The options of the metric.
    """

    metric: Metric
    dataset: Dataset
    samples: Tensor
    n: int
    seed: int
    repeats: int
    options: Mapping[str, Any]

    @property
    def repetitions(self) -> int:
        """How many repetitions there are."""
        return self.repeats

    @abstractmethod
    def sets(self, index: int, random: torch.Generator, with_floor: bool) -> tuple[PointSet, PointSet | None]:
        """Return the sets of one repetition.

        Args:
            index: The number of the repetition, from 0.
            random: The source of random numbers.
            with_floor: Whether the floor is computed too.

        Returns:
            The samples and, for the floor, the real examples that stand in their place; None without the floor.
        """

    @property
    def repeats_one_value(self) -> bool:
        """Whether every repetition compares the same samples with the same examples, so that there is no deviation."""
        return False

    @property
    def repeats_one_floor(self) -> bool:
        """Whether every repetition of the floor compares the same examples."""
        return False

    def whole_value(self) -> Numbers | None:
        """The value of all samples, instead of the mean over repetitions; None to take that mean."""
        return None

    def whole_floor(self) -> Numbers | None:
        """The floor of all real examples, instead of the mean over repetitions; None to take that mean."""
        return None

    def evaluate(self, index: int, point_set: PointSet) -> Numbers:
        """Call the metric with a set and the random numbers of a repetition."""
        generator = torch_generator(self.seed, "metric", index)
        with restored():
            returned = call("metric", self.metric, on_offer(point_set, self.dataset, generator), self.options)
        return finite_numbers(self.metric, returned)
