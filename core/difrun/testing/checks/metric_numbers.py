"""Rules for metrics: numbers that depend neither on how many rows there are, nor on rounding to half precision."""

import itertools

import torch
from torch import Tensor

from difrun.testing.checks.metric import USABLE, draws, measured
from difrun.testing.checks.metric_rows import most_rows
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import ensure


@check("metric", alone_in=USABLE)
def does_not_grow_with_the_number_of_rows(subject: ComponentUnderTest) -> None:
    """For two unequal distributions 1600 rows give the numbers of 100, within a factor 1.5 and 5 standard errors.

    A sum over rows in place of a mean, or a test statistic, grows with their number; what falls as n^−¼ is found, too.
    The number of rows is at most the one that the metric says that it compares (`reads`, `most`).
    """
    many = min(1600, most_rows(subject))
    numbers = {n: _of_unequal(subject, n, count) for n, count in ((100, 16), (many, 2))}
    for name, small in numbers[100].items():
        large = numbers[many].get(name)
        ensure(
            large is not None,
            f"{name} is not returned for {many} rows",
            "the names of the numbers for 100 rows",
        )
        assert large is not None  # for the type checker
        mean, bar = (
            float(small.mean()),
            7 * float((small.var() / len(small) + large.var() / len(large)).sqrt()) + 1e-9,
        )
        low, high = sorted((mean / 1.5, mean * 1.5))
        ensure(
            low - bar <= float(large.mean()) <= high + bar,
            f"{name} is {float(large.mean()):.4g} for {many} rows",
            f"{mean:.4g}, as for 100, within a factor 1.5 and ± {bar:.2g}",
        )


def _of_unequal(subject: ComponentUnderTest, n: int, count: int) -> dict[str, Tensor]:
    """The numbers for a set that is shifted by 3 and half as wide again, from some pairs of sets of n."""
    found: dict[str, list[float]] = {}
    for a, b in itertools.pairwise(draws(count + 1, n)):
        for name, value in measured(subject, a.mean(0) + 1.5 * (a - a.mean(0)) + 3.0, b).items():
            found.setdefault(name, []).append(value)
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}


@check("metric", alone_in=USABLE)
def measures_in_single_precision(subject: ComponentUnderTest) -> None:
    """Numbers tell samples from the same rounded to half precision, as far as they tell smaller changes.

    A metric that casts to float16 or bfloat16 gives the very same numbers for rounded samples, and other ones if all
    samples grow by a quarter of a rounding. Three pairs of 500.
    """
    pairs = list(itertools.pairwise(draws(4, 500)))
    plain = [measured(subject, a, b) for a, b in pairs]
    for dtype, share in ((torch.float16, 2.0**-11), (torch.bfloat16, 2.0**-8)):
        rounded = [measured(subject, a.to(dtype).float(), b) for a, b in pairs]
        grown = [measured(subject, a * (1 + share / 4), b) for a, b in pairs] if rounded == plain else plain
        ensure(
            not all(one != other for one, other in zip(grown, plain, strict=True)),
            f"samples that are rounded to {dtype} give the same numbers, and others nearer to them do not",
            "numbers computed from the digits of float32",
        )
