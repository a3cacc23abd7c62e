"""Metrics beside their floors: samples against data mean little without data against data."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import attrs
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.metric.comparison import Comparison, Metric, Numbers, comparison_for
from difrun.randomness.generator import torch_generator

M = TypeVar("M", bound=Callable[..., Any])

Floors = Mapping[str, Mapping[str, float | None]]
"""Number of a metric -> "floor" and "floor_sd"."""


@attrs.frozen
class Reading:
    """How to read one number of a metric.

    Attributes:
        better: The side of the floor on which samples do no harm: "lower" for distances, "higher" for shares of good
            samples. None: samples are worse on either side.
        ratio: Whether value/floor means something. False where the floor is noise, as that of an unbiased estimate
            whose mean is 0 for equal distributions. None: not known; `difrun.report.floors.ratio` then looks at the
            deviation of the floor.
        meaning: What the number is, in one line.
    """

    better: Literal["lower", "higher"] | None = None
    ratio: bool | None = None
    meaning: str = ""


def reads(
    readings: Mapping[str, Reading],
    most: str = "",
    exact: Callable[..., Mapping[str, float]] | None = None,
) -> Callable[[M], M]:
    """Declare how the numbers of a metric are read. A decorator.

    Args:
        readings: Number -> how to read it.
        most: The option that bounds how many points of each set the metric compares; empty where it compares all.
        exact: (dataset, **options) -> {number: its exact value for the distribution of the dataset}, for the numbers
            whose value is known. Such a number is judged by its exact value in place of its floor.
    """

    def declare(metric: M) -> M:
        metric.readings = dict(readings)  # type: ignore[attr-defined]
        metric.most = most  # type: ignore[attr-defined]
        metric.exact = exact  # type: ignore[attr-defined]
        return metric

    return declare


def reading(metric: Metric, number: str) -> Reading:
    """How to read a number of a metric; an empty `Reading` where the metric does not declare it."""
    return getattr(metric, "readings", {}).get(number, Reading())


def measure(
    metric: Metric,
    samples: Tensor,
    dataset: Dataset,
    *,
    seed: int,
    repeats: int = 6,
    floors: Floors | None = None,
    labels: Tensor | None = None,
    **options: Any,
) -> dict[str, dict[str, float | None]]:
    """Measure samples, and real data for comparison.

    For each of `repeats` repetitions two independent sets of real examples A and B are taken, of equal size n, and n
    of the samples, S, without replacement. With one generator seed for both (the same projections and subsets),

        value = metric(S, A),    floor = metric(B, A).

    Where the dataset can be drawn from (`fresh`), A and B are new draws in each repetition, and n = len(samples).
    Elsewhere A is from the held-out examples and B from the training examples, random subsets without replacement,
    and n is the smallest of the three sets. Repetitions then share examples, so the standard deviation is too small;
    where both sets are used whole, every repetition compares the same two, and it is None. A model that has learnt
    its training set by heart reaches the floor, not 0.

    What the metric asks for by its signature decides what it is compared with (`difrun.metric.comparison`):

    * a metric that asks for `dataset` and not for `reference` is compared with the distribution itself. The value is
      then that of all n samples, and its standard deviation that of 24 sets drawn from them with replacement: a
      standard error. Where no more real examples can be drawn, the floor is that of n held-out examples, likewise;
    * a metric that asks for `labels` gets, for the floor and as reference, real examples of the classes of the samples
      (`Dataset.real_pair_of`). Where the data have fewer of a class than there are samples of it, only that many are
      compared. The floor is of training examples; without a reference, of held-out ones.

    Samples of the true distribution give value ≈ floor, whatever the metric. `reading` says which side of the floor is
    worse.

    Args:
        metric: The metric.
        samples: The samples (N, *shape), in the units of the model.
        dataset: The data.
        seed: The seed of all random choices.
        repeats: How many repetitions, at least 2.
        floors: What this function gave for as many other samples, under the same seed and options. The floors are
            taken from there, and not computed again.
        labels: The classes of the samples (N,), where they have any.
        **options: The options of the metric.

    Returns:
        Name of a number -> "value", "value_sd", "floor", "floor_sd": mean and standard deviation over the repetitions;
        and "exact", if that is known.

    Raises:
        DifrunError: If samples or labels have the wrong shape, or are not finite, or the metric asks for labels and
            there are none.
        ValueError: If `repeats` is below 2.
    """
    if repeats < 2:
        raise ValueError(f"repeats must be at least 2 for a standard deviation, not {repeats}")
    comparison = comparison_for(metric, samples, dataset, labels, seed, repeats, options)
    values, floor_values = _repeated(comparison, with_floor=floors is None)
    if floors is None:
        floors = _floors(comparison, floor_values)
    means = comparison.whole_value() or _means(values)
    declared = getattr(metric, "exact", None)
    exact = {} if declared is None else declared(dataset, **options)
    return {
        name: {
            "value": means[name],
            "value_sd": None if comparison.repeats_one_value else statistics.stdev(numbers),
            **({"exact": exact[name]} if name in exact else {}),
            "floor": floors[name]["floor"],
            "floor_sd": floors[name]["floor_sd"],
        }
        for name, numbers in values.items()
    }


def _repeated(
    comparison: Comparison, with_floor: bool
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """The numbers of the samples and of the floor in all repetitions."""
    values: dict[str, list[float]] = {}
    floors: dict[str, list[float]] = {}
    for index in range(comparison.repetitions):
        random = torch_generator(comparison.seed, "metric", index, "real")
        samples, real = comparison.sets(index, random, with_floor)
        for collected, points in ((values, samples), (floors, real)):
            if points is not None:
                for name, number in comparison.evaluate(index, points).items():
                    collected.setdefault(name, []).append(number)
    return values, floors


def _floors(comparison: Comparison, numbers: Mapping[str, list[float]]) -> Floors:
    """Mean and standard deviation of the floor."""
    means = comparison.whole_floor() or _means(numbers)
    return {
        name: {
            "floor": means[name],
            "floor_sd": None if comparison.repeats_one_floor else statistics.stdev(each),
        }
        for name, each in numbers.items()
    }


def _means(numbers: Mapping[str, list[float]]) -> Numbers:
    return {name: statistics.fmean(each) for name, each in numbers.items()}
