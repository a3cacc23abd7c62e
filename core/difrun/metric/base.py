"""Metrics beside their floors: samples against data mean little without data against data."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import attrs
from torch import Tensor

from difrun.data.casts import as_data, as_labels, with_numbers
from difrun.data.dataset import Dataset
from difrun.metric.calls import Metric, Numbers
from difrun.metric.comparison import Comparison, comparison_for
from difrun.randomness.generator import torch_generator

M = TypeVar("M", bound=Callable[..., Any])

Floors = Mapping[str, Mapping[str, float | None]]
"""Number of a metric -> "floor" and "floor_sd"."""


@attrs.frozen
class Reading:
    """How to read one number of a metric.

    Attributes:
        better: The good side of the floor: "lower" for distances, "higher" for shares of good samples. None: both
            sides are bad.
        ratio: Whether value/floor means something. False if the floor is noise, as for an unbiased estimate whose
            mean is 0 for equal distributions. None: not known; `difrun.report.floors.ratio` then looks at the
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
    robust: bool = False,
) -> Callable[[M], M]:
    """Declare how the numbers of a metric are read. A decorator.

    Args:
        readings: Number -> how to read it.
        most: The option that bounds how many points of each set the metric compares; empty if it compares all.
        exact: (dataset, **options) -> {number: its exact value for the distribution of the dataset}, for the numbers
            whose value is known. Such a number is judged by its exact value instead of its floor.
        robust: Whether a tenth of the examples may lie anywhere and count for nothing, as for medians and trimmed
            means. The conformance kit then asks for no effect of examples far out.
    """

    def declare(metric: M) -> M:
        metric.readings = dict(readings)  # type: ignore[attr-defined]
        metric.most = most  # type: ignore[attr-defined]
        metric.exact = exact  # type: ignore[attr-defined]
        metric.robust = robust  # type: ignore[attr-defined]
        return metric

    return declare


def reading(metric: Metric, number: str) -> Reading:
    """Return how to read a number of a metric.

    Args:
        metric: The metric.
        number: The name of the number, a key of what the metric returns.

    Returns:
        What `reads` declares; an empty `Reading` if it declares nothing for this number.
    """
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

    Each of `repeats` repetitions takes two independent sets of real examples, A and B, and a set S of the samples,
    drawn without replacement. All three have size n. With one generator seed for both numbers (the same projections
    and subsets),

        value = metric(S, A),    floor = metric(B, A).

    If the dataset can be drawn from (`fresh`), A and B are new draws in each repetition, and n = len(samples).
    Otherwise A and B are random subsets of the held-out and of the training examples, without replacement, and n is
    the size of the smallest of the three sets. Repetitions then share examples, so the standard deviation is too
    small. If A and B are all examples of their sets, every repetition compares the same two sets, and the standard
    deviation is None. A model that has memorised its training set reaches the floor, not 0.

    The signature of the metric decides what the samples are compared with (`difrun.metric.comparison`):

    * A metric that asks for `dataset` and not for `reference` compares with the distribution itself. Its value is that
      of all n samples. Its standard deviation is that over 24 sets drawn from them with replacement, which is a
      standard error. If no new examples can be drawn, the floor is computed in the same way from n held-out examples.
    * A metric that asks for `labels` gets real examples of the classes of the samples, for the floor and as reference
      (`Dataset.real_pair_of`). If the data have fewer examples of a class than there are samples of it, only that many
      are compared. The floor is that of training examples; if the metric asks for no reference, of held-out examples.
    * A metric that asks for `conditions` gets those of the samples, and real examples given the same, if their
      distribution is known; else held-out examples, with their own as `reference_conditions`.

    Samples of the true distribution give value ≈ floor, whatever the metric. `reading` says which side of the floor is
    worse.

    Args:
        metric: The metric.
        samples: The samples (N, *shape), in the units of the model.
        dataset: The data.
        seed: The seed of all random choices.
        repeats: How many repetitions, at least 2.
        floors: What this function returned for the same number of other samples, with the same seed and options. The
            floors are taken from it instead of being computed again.
        labels: The classes (N,) or conditions (N, *shape) of the samples, if they have any.
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
    # Of the precision of the data, which is float32.
    samples = with_numbers(as_data(samples, "samples"), "samples").float()
    if labels is not None and not (isinstance(labels, Tensor) and labels.is_floating_point()):
        labels = as_labels(labels)
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
