"""Rules for metrics: every row counts, in any order, and their number does not."""

import itertools

import torch
from torch import Tensor

from difrun.testing.checks.metric import USABLE, draws, floors, measured
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import NotTried, ensure


def _spread(subject: ComponentUnderTest, a: Tensor, b: Tensor) -> dict[str, float]:
    """The standard deviation of each number over the seed of the metric's own random numbers."""
    if not subject.entry.asks_for("generator"):
        return dict.fromkeys(measured(subject, a, b), 0.0)
    numbers = [measured(subject, a, b, seed) for seed in range(4)]
    return {
        name: float(torch.tensor([each[name] for each in numbers], dtype=torch.float64).std())
        for name in numbers[0]
    }


@check("metric", alone_in=USABLE)
def ignores_the_order_of_rows(subject: ComponentUnderTest) -> None:
    """Sorted sets, one of them backwards, give the numbers of the same sets in another order.

    To 1e-4 of each number, and 5 standard deviations over its own random numbers. Row i of the samples has nothing to
    do with row i of the reference.
    """
    a, b = draws(2, 200)
    if subject.entry.asks_for("labels"):
        raise NotTried("its rows have labels")
    up, down = a[a[:, 0].argsort()], b[b[:, 0].argsort(descending=True)]
    same = measured(subject, up, down.flip(0))
    other, deviation = measured(subject, up, down), _spread(subject, a, b)
    for name, value in same.items():
        bar = 1e-4 * abs(value) + 5 * deviation[name] + 1e-6
        ensure(
            abs(other[name] - value) <= bar,
            f"{name} is {other[name]:.6g} with the reference in the other order",
            f"{value:.6g} ± {bar:.2g}",
        )


@check("metric", alone_in=USABLE)
def uses_every_row(subject: ComponentUnderTest) -> None:
    """Rows moved far out change its numbers, wherever among the samples they are; likewise among the reference.

    A fifth of 200 rows is moved by 50 along a diagonal: the first, the middle or the last of them. Then every other row
    is. A metric that asks for `reference` or `dataset`, and does not change with it, ignores it.
    """
    a, b = draws(2, 200)
    plain = measured(subject, a, b)
    places = {
        "the first fifth": slice(0, 40),
        "the middle fifth": slice(80, 120),
        "the last fifth": slice(160, 200),
    }
    for what, rows in places.items():
        moved = a.clone()
        moved[rows] += 50 * (1 + torch.rand(40, 2, generator=torch.Generator().manual_seed(9)))
        ensure(
            measured(subject, moved, b) != plain, f"{what} of the samples has no effect", "every row to count"
        )
    if not any(subject.entry.asks_for(name) for name in ("reference", "dataset")):
        raise NotTried("it asks for no reference")
    for what, rows in places.items():
        moved = b.clone()
        moved[rows] += 50 * (1 + torch.rand(40, 2, generator=torch.Generator().manual_seed(9)))
        ensure(
            measured(subject, a, moved) != plain,
            f"{what} of the reference has no effect",
            "every row to count",
        )


@check("metric", alone_in=USABLE)
def uses_every_column(subject: ComponentUnderTest) -> None:
    """Each coordinate of the samples changes its numbers, and each of the reference, if it asks for one.

    All rows of one column are moved by 50 to 100, at random.
    """
    a, b = draws(2, 200)
    plain = measured(subject, a, b)
    asks = any(subject.entry.asks_for(name) for name in ("reference", "dataset"))
    for column in range(a.shape[1]):
        far = torch.zeros_like(a)
        far[:, column] = 50 * (1 + torch.rand(len(a), generator=torch.Generator().manual_seed(9)))
        wanted = "every coordinate to count"
        ensure(
            measured(subject, a + far, b) != plain,
            f"column {column + 1} of the samples has no effect",
            wanted,
        )
        if asks:
            ensure(
                measured(subject, a, b + far) != plain,
                f"column {column + 1} of the reference has no effect",
                wanted,
            )


@check("metric", alone_in=USABLE)
def does_not_grow_with_the_number_of_rows(subject: ComponentUnderTest) -> None:
    """For two unequal distributions 800 rows give the numbers of 200, within a factor 1.6 and 5 standard deviations.

    A sum over rows in place of a mean, or a test statistic, grows with their number.
    """
    few, many = draws(6, 200), draws(6, 800)
    values: dict[str, tuple[list[float], list[float]]] = {}
    for k, sets in enumerate((few, many)):
        for a, b in itertools.pairwise(sets):
            for name, value in measured(subject, a.mean(0) + 2 * (a - a.mean(0)) + 1.0, b).items():
                values.setdefault(name, ([], []))[k].append(value)
    deviations = floors(subject, few)
    for name, pair in values.items():
        small, large = (torch.tensor(numbers, dtype=torch.float64) for numbers in pair)
        bar = 5 * float(small.std() + large.std() + deviations[name][1]) / 2 + 1e-9
        low, high = sorted((float(small.mean()) / 1.6, float(small.mean()) * 1.6))
        ensure(
            low - bar <= float(large.mean()) <= high + bar,
            f"{name} is {float(large.mean()):.4g} for 800 rows",
            f"{float(small.mean()):.4g}, as for 200, within a factor 1.6 and ± {bar:.2g}",
        )
