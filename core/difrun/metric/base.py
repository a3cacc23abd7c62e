"""Metrics beside their floors: samples against data means little without data against data."""

import inspect
import statistics
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import attrs
import torch
from torch import Tensor

from difrun.data.checks import check_finite
from difrun.data.dataset import Dataset
from difrun.errors import DifrunError
from difrun.randomness.generator import torch_generator

Metric = Callable[..., dict[str, float]]
"""``metric(samples, reference, *, generator, **options) -> {name: number}``.

samples, reference: tensors of one shape (n, *shape), in the model's units. generator: a `torch.Generator`,
for random projections and subsets. A metric may return several numbers, each under its own name. A component that
provides ``distribution`` compares with what is known of the distribution itself: it gets the `Dataset` in the place
of the reference. One that provides ``labels`` is of samples with classes: ``metric(samples, labels, dataset, *,
generator, **options)``, with labels (n,) int64; what it compares with it takes from the dataset
(`Dataset.real_pair_of`), by the generator. One that provides ``data`` gets the dataset beside the reference:
``metric(samples, reference, dataset, *, ...)``.
"""

M = TypeVar("M", bound=Callable[..., Any])


@attrs.frozen
class Reading:
    """How to read one number of a metric.

    better: the side of the floor on which samples do no harm: "lower" for distances, "higher" for shares of good
        samples. None: samples are worse on either side.
    ratio: whether value/floor means something. False where the floor is noise, as that of an unbiased estimate
        whose mean is 0 for equal distributions; None: not known (`difrun.report.verdict.ratio` then looks at its
        spread).
    meaning: what the number is, in one line.
    """

    better: Literal["lower", "higher"] | None = None
    ratio: bool | None = None
    meaning: str = ""


def reads(
    readings: Mapping[str, Reading],
    most: str = "",
    exact: Callable[..., Mapping[str, float]] | None = None,
) -> Callable[[M], M]:
    """Declare how the numbers of a metric are read: a decorator, number -> `Reading`.

    most: the option that bounds how many points of each set the metric compares; empty where it compares all.
    exact: (dataset, **options) -> {number: its exact value for the distribution of the dataset}, of those that are
    known. Such a number is judged by its exact value in place of its floor.
    """

    def declare(metric: M) -> M:
        metric.readings = dict(readings)  # type: ignore[attr-defined]
        metric.most = most  # type: ignore[attr-defined]
        metric.exact = exact  # type: ignore[attr-defined]
        return metric

    return declare


RESAMPLES = 24
"""Sets drawn with replacement, from whose spread a standard error is found: to 15 % of it."""


def compared(metric: Metric, n: int, **options: Any) -> int:
    """How many points of sets of size n a metric compares: n, or fewer where it declares an option that bounds them."""
    name = getattr(metric, "most", "")
    if not name:
        return n
    return min(n, options[name] if name in options else inspect.signature(metric).parameters[name].default)


def reading(metric: Metric, number: str) -> Reading:
    """How to read a number of a metric; a `Reading` that says nothing where the metric does not declare it."""
    return getattr(metric, "readings", {}).get(number, Reading())


def measure(
    metric: Metric,
    samples: Tensor,
    dataset: Dataset,
    *,
    seed: int,
    repeats: int = 6,
    floors: Mapping[str, Mapping[str, float | None]] | None = None,
    distribution: bool = False,
    data: bool = False,
    labels: Tensor | None = None,
    **options: Any,
) -> dict[str, dict[str, float | None]]:
    """A metric of samples and of real data: name -> {"value", "value_sd", "floor", "floor_sd"}, and "exact" if known.

    For each of `repeats` repetitions two independent sets of real examples A and B are taken, of equal size
    n, and n of the samples, S, without replacement. With one generator seed for both (the same projections
    and subsets),

        value = metric(S, A),    floor = metric(B, A);

    the mean and the standard deviation over the repetitions are returned. What A and B are:

    * where the dataset can be drawn from (`fresh`): fresh draws, new ones in each repetition, and n =
      len(samples);
    * else A is from the held-out examples and B from the training examples, random subsets without
      replacement, and n is the smallest of the three sets. Repetitions then share examples, so the standard
      deviation is too small; where both sets are used whole, every repetition compares the same two, and it is
      None. A model that has learnt its training set by heart reaches the floor, not 0.

    distribution: the metric compares with the distribution itself: it is called with the dataset in the place of A.
    The value is then that of all n samples, and its standard deviation that of `RESAMPLES` sets drawn from them with
    replacement: a standard error. Where no more real examples can be drawn, the floor is that of n held-out
    examples, likewise.

    data: the metric is called with the dataset beside the reference.

    labels: the classes of the samples, for a metric that provides ``labels``: it is called with samples, their labels
    and the dataset, and for the floor with real examples of the same classes (`Dataset.real_pair_of`). Where the data
    have fewer of a class than there are samples of it, so many are compared. The floor is of training examples; with
    `distribution`, as above, of held-out ones.

    Samples of the true distribution give value ≈ floor, whatever the metric. `reading` says which side of it is worse.

    samples: (N, *shape) in the model's units. options: the metric's own. floors: what this gave for other samples of
    the same number, under the same seed and options; the floors are then taken from there, not computed again.
    Raises `DifrunError` when samples have the wrong shape or are not finite, and ValueError for repeats < 2.
    """
    if repeats < 2:
        raise ValueError(f"repeats must be at least 2 for a standard deviation, not {repeats}")
    if labels is not None:
        return _of_labelled(metric, samples, labels, dataset, seed, repeats, floors, distribution, options)
    n = comparable(samples, dataset)
    samples = samples.detach().cpu()
    more: dict[str, Any] = {"dataset": dataset} if data else {}
    values: dict[str, list[float]] = {}
    apart: dict[str, list[float]] = {}
    finite = distribution and dataset.references is not None
    held_out = dataset.reference(n, torch_generator(seed, "metric", 0, "real")) if finite else samples[:0]
    for i in range(max(repeats, RESAMPLES) if distribution else repeats):
        real = torch_generator(seed, "metric", i, "real")
        sets = []
        if distribution:
            reference: Any = dataset
            if floors is None and (finite or i < repeats):
                again = (
                    held_out[torch.randint(n, (n,), generator=real)] if finite else dataset.reference(n, real)
                )
                sets.append((apart, again))
            sets.append((values, samples[torch.randint(n, (n,), generator=real)]))
        else:
            reference, other = dataset.real_pair(n, real)
            sets.append((values, samples[torch.randperm(len(samples), generator=real)[:n]]))
            sets += [(apart, other)] if floors is None else []
        for found, points in sets:
            result = metric(
                points, reference, generator=torch_generator(seed, "metric", i), **more, **options
            )
            for name, number in result.items():
                found.setdefault(name, []).append(number)
    # One pairing, n of n with n of n, has no spread: what is left of one is that of random projections, or of rounding.
    whole = not distribution and dataset.references == n == compared(metric, n, **options)
    if floors is None:
        single = whole and len(dataset.train) == n
        floors = {
            name: {
                "floor": statistics.fmean(several),
                "floor_sd": None if single else statistics.stdev(several),
            }
            for name, several in apart.items()
        }
        if finite:
            whole_set = metric(held_out, dataset, generator=torch_generator(seed, "metric", 0), **options)
            floors = {name: {**floor, "floor": whole_set[name]} for name, floor in floors.items()}
    means = {name: statistics.fmean(numbers) for name, numbers in values.items()}
    if distribution:
        means = metric(samples[:n], dataset, generator=torch_generator(seed, "metric", 0), **options)
    declared = getattr(metric, "exact", None)
    exact = {} if declared is None else declared(dataset, **options)
    return {
        name: {
            "value": means[name],
            "value_sd": None if whole and len(samples) == n else statistics.stdev(several),
            **({"exact": exact[name]} if name in exact else {}),
            "floor": floors[name]["floor"],
            "floor_sd": floors[name]["floor_sd"],
        }
        for name, several in values.items()
    }


def _of_labelled(
    metric: Metric,
    samples: Tensor,
    labels: Tensor,
    dataset: Dataset,
    seed: int,
    repeats: int,
    floors: Mapping[str, Mapping[str, float | None]] | None,
    distribution: bool,
    options: Mapping[str, Any],
) -> dict[str, dict[str, float | None]]:
    """`measure` for a metric of labels."""
    comparable(samples, dataset)
    if labels.shape != samples.shape[:1]:
        raise DifrunError(f"{len(samples)} samples with {len(labels)} labels; each needs one.")
    samples, labels = samples.detach().cpu(), labels.cpu()
    values: dict[str, list[float]] = {}
    apart: dict[str, list[float]] = {}
    for i in range(repeats):
        real = torch_generator(seed, "metric", i, "real")
        order = _within_reach(torch.randperm(len(samples), generator=real), labels, dataset)
        sets = [(values, samples[order], labels[order])]
        if floors is None:
            sets.append(
                (apart, dataset.real_pair_of(labels[order], real)[0 if distribution else 1], labels[order])
            )
        for found, points, theirs in sets:
            result = metric(points, theirs, dataset, generator=torch_generator(seed, "metric", i), **options)
            for name, number in result.items():
                found.setdefault(name, []).append(number)
    if floors is None:
        floors = {
            name: {"floor": statistics.fmean(several), "floor_sd": statistics.stdev(several)}
            for name, several in apart.items()
        }
    return {
        name: {
            "value": statistics.fmean(several),
            "value_sd": statistics.stdev(several),
            "floor": floors[name]["floor"],
            "floor_sd": floors[name]["floor_sd"],
        }
        for name, several in values.items()
    }


def _within_reach(order: Tensor, labels: Tensor, dataset: Dataset) -> Tensor:
    """`order` without the samples of a class beyond the real examples that there are of it."""
    kept = torch.ones_like(order, dtype=torch.bool)
    for label in labels.unique().tolist():
        most = dataset.examples_of_class(label)
        if most is not None:
            kept[(labels[order] == label).nonzero()[most:, 0]] = False
    return order[kept]


def comparable(samples: Tensor, dataset: Dataset) -> int:
    """n, the size of the sets that `measure` compares. Raises `DifrunError` when they cannot be."""
    if tuple(samples.shape[1:]) != dataset.shape or len(samples) < 2:
        raise DifrunError(
            f"samples of shape {tuple(samples.shape)} cannot be measured against dataset '{dataset.name}': "
            f"expected (n, {', '.join(map(str, dataset.shape))}) with n at least 2."
        )
    check_finite(samples, "samples", dataset.columns)
    if dataset.references is None:
        return len(samples)
    return min(len(samples), dataset.references, len(dataset.train))
