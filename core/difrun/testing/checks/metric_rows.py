"""Rules for metrics: every row counts, in any order."""

import itertools
import math

import torch
from torch import Tensor

from difrun.options.attrs_fields import values
from difrun.testing.checks.metric import USABLE, draws, measured
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import NotTried, ensure, shown


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

    A fifth of 200 rows is moved by 50 along a diagonal: the first, the middle or the last of them. Likewise the last
    fifth of 2000 rows, or of as many as the metric says that it compares (`reads`, `most`). A metric that asks for
    `reference` or `dataset`, and does not change with it, ignores it.
    """
    asks = any(subject.entry.asks_for(name) for name in ("reference", "dataset"))
    for n in (200, most_rows(subject)):
        a, b = draws(2, n)
        plain, fifth = measured(subject, a, b, stock=b), n // 5
        places = {
            "the first fifth": slice(0, fifth),
            "the middle fifth": slice(2 * fifth, 3 * fifth),
            "the last fifth": slice(n - fifth, n),
        }
        for what, rows in places.items():
            if n > 200 and "last" not in what:
                continue
            for which in ("samples", "reference") if asks else ("samples",):
                moved = (a if which == "samples" else b).clone()
                moved[rows] += _far(fifth)
                pair = (moved, b) if which == "samples" else (a, moved)
                ensure(
                    measured(subject, *pair, stock=b) != plain,
                    f"{what} of {n} rows of the {which} has no effect",
                    "every row to count",
                )
    if not asks:
        raise NotTried("it asks for no reference")


def _far(n: int) -> Tensor:
    return 50 * (1 + torch.rand(n, 2, generator=torch.Generator().manual_seed(9)))


def most_rows(subject: ComponentUnderTest) -> int:
    """2000 rows, or as many as a metric says that it compares."""
    option = getattr(subject.target, "most", "")
    bound = values(subject.options).get(option) if option else None
    return 2000 if bound is None else max(200, min(2000, int(bound)))


@check("metric", alone_in=USABLE)
def counts_every_row_once(subject: ComponentUnderTest) -> None:
    """Single rows moved far out change its numbers, and equal rows count as often as they occur.

    Of 12 single rows among 200, at least 9 have an effect if they are moved by 1000 along a diagonal, one way or the
    other. Half of the rows is replaced by copies of the other half, in two ways.
    """
    a, b = draws(2, 200)
    plain = measured(subject, a, b)
    rows = range(7, 200, 17)
    without = [
        row for row in rows if all(measured(subject, _moved(a, row, by), b) == plain for by in (1e3, -1e3))
    ]
    text = f"{len(without)} of {len(rows)} single rows have no effect, such as row {without[0] if without else 0}"
    ensure(len(without) <= len(rows) // 4, text, "every row to count")
    first, few = a[:100], a[:50]
    once, twice = (measured(subject, torch.cat((first, *more)), b) for more in ((first,), (few, few)))
    ensure(
        once != twice, "which of 100 rows occur twice or thrice among 200 has no effect", "copies to count"
    )


def _moved(x: Tensor, row: int, by: float) -> Tensor:
    moved = x.clone()
    moved[row] += by
    return moved


@check("metric", alone_in=USABLE)
def sees_examples_far_out(subject: ComponentUnderTest) -> None:
    """Of 1500 samples 9 % far out, to all sides, move a number out of its range between sets of one distribution.

    By at least half of the width of that range, over 3 pairs of sets. A metric to which a tenth of the examples may be
    lost, such as a distance of trimmed means, declares it (`reads`, `robust`).
    """
    if getattr(subject.target, "robust", False):
        raise NotTried("it declares to be robust")
    sets = draws(4, min(1500, most_rows(subject)))
    same = [measured(subject, a, b) for a, b in itertools.pairwise(sets)]
    spoilt = sets[0].clone()
    rows = spoilt[::11]
    angle = 2 * math.pi * torch.rand(len(rows), 1, generator=torch.Generator().manual_seed(16))
    rows += 60 * torch.cat((angle.cos(), angle.sin()), 1)
    texts = []
    seen = measured(subject, spoilt, sets[1])
    for name, value in seen.items():
        low, high = (pick(each.get(name, math.nan) for each in same) for pick in (min, max))
        beyond = 0.5 * (high - low)
        if not low - beyond <= value <= high + beyond:
            return
        texts.append(f"{name} from {low - beyond:.4g} to {high + beyond:.4g}")
    ensure(
        False,
        f"{shown(list(seen.values()))} with {len(rows)} of {len(spoilt)} samples far out",
        f"a number outside {', '.join(texts)}; else declare `robust`",
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
