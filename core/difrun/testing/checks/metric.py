"""Rules for metrics: what they return, and which differences they see."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.data.mixture import GaussianMixture
from difrun.metric.base import reading
from difrun.testing.references import two_gaussians
from difrun.testing.rules import ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.verdict import ensure, ensure_equal, shown

USABLE = {"real", "continuous"}

CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "a shift by 3": lambda x: x + 3.0,
    "twice the spread": lambda x: x.mean(0) + 2 * (x - x.mean(0)),
    "coordinates of different rows": lambda x: torch.stack((x[:, 0], x[:, 1].roll(len(x) // 2)), 1),
    "a mirror image": lambda x: torch.stack((-x[:, 0], x[:, 1]), 1),
    "a third of the spread": lambda x: x.mean(0) + (x - x.mean(0)) / 3,
}
"""Changes of a set of samples, of which a metric must see one."""


def measured(
    subject: ComponentUnderTest,
    samples: Tensor,
    reference: Tensor,
    seed: int = 3,
    stock: Tensor | None = None,
) -> dict[str, float]:
    """The numbers of a metric; samples belong to two classes in turn, and have their sums as conditions.

    The dataset has the reference in every part; for a metric that asks for the reference itself, `stock`, if given.
    """
    labels = torch.arange(len(samples)) % 2
    dataset = two_sets(
        stock if stock is not None and subject.entry.asks_for("reference") else reference, labels
    )
    generator = torch.Generator().manual_seed(seed)
    return subject.made(
        samples=samples,
        reference=reference,
        dataset=dataset,
        labels=labels,
        conditions=samples.flatten(1).sum(1, keepdim=True),
        reference_conditions=reference.flatten(1).sum(1, keepdim=True),
        generator=generator,
    )


def two_sets(reference: Tensor, labels: Tensor) -> Dataset:
    """A dataset with the reference in every part."""
    return Dataset(
        name="two",
        train=reference,
        held_out=reference,
        labels=labels[: len(reference)],
        held_out_labels=labels[: len(reference)],
        classes=("even", "odd"),
    )


def draws(count: int, n: int, mixture: GaussianMixture | None = None) -> list[Tensor]:
    """Independent sets of n examples."""
    mixture = mixture or two_gaussians()
    return [mixture.sample(n, torch.Generator().manual_seed(seed)).float() for seed in range(count)]


def floors(subject: ComponentUnderTest, sets: list[Tensor]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each number between sets of one distribution."""
    same = [measured(subject, a, b) for a, b in itertools.pairwise(sets)]
    values = {
        name: torch.tensor([numbers[name] for numbers in same], dtype=torch.float64) for name in same[0]
    }
    return {name: (value.mean().item(), value.std().item()) for name, value in values.items()}


@check("metric", alone_in=USABLE)
def tells_equal_distributions_from_unequal(subject: ComponentUnderTest) -> None:
    """Another distribution is told from two sets of one distribution: some number moves by 5 standard deviations.

    One of these changes is enough: a shift by 3, twice or a third of the spread, a mirror image, coordinates that
    belong to different rows. So a metric may be blind to the mean, if it sees something else.
    """
    sets = draws(6, 400)
    floor = floors(subject, sets)
    seen = []
    for what, change in CHANGES.items():
        numbers = measured(subject, change(sets[0]), sets[1])
        ensure_equal(sorted(numbers), sorted(floor), "the names of the numbers")
        if any(abs(value - floor[name][0]) > 5 * floor[name][1] + 1e-9 for name, value in numbers.items()):
            return
        seen.append(f"{shown(list(numbers.values()))} for {what}")
    between = ", ".join(
        f"{name} {mean:.4g} ± {5 * deviation:.2g}" for name, (mean, deviation) in floor.items()
    )
    ensure(False, "; ".join(seen), f"for one of these changes, a number outside {between}")


@check("metric", alone_in=USABLE)
def declares_the_side_that_is_worse(subject: ComponentUnderTest) -> None:
    """It returns the numbers whose reading it declares; a set that is shifted or collapsed is not on the good side.

    That is, not by more than 5 standard deviations of the number between sets of one distribution. A number that is
    better for a set collapsed to a twentieth of its spread, where examples are dense, needs another of the same metric
    that is worse, as precision needs recall.
    """
    sets = draws(6, 400)
    floor = floors(subject, sets)
    shifted = measured(subject, sets[0] + 3.0, sets[1])
    missing = set(getattr(subject.target, "readings", {})) - shifted.keys()
    ensure(
        not missing, f"readings of {sorted(missing)}, which it does not return", "readings of what it returns"
    )
    for text, bar in _on_the_good_side(subject, shifted, floor):
        ensure(False, f"of a shifted set, {text}", bar)
    dense = torch.tensor([1.5, 1.0]) + 0.05 * (sets[0] - sets[0].mean(0))
    numbers = measured(subject, dense, sets[1])
    good = _on_the_good_side(subject, numbers, floor)
    if len(good) < sum(abs(value - floor[name][0]) > _bar(floor[name]) for name, value in numbers.items()):
        return  # another number is worse
    for text, bar in good:
        ensure(False, f"of a collapsed set, {text}", bar)


def _bar(floor: tuple[float, float]) -> float:
    return 5 * floor[1] + 1e-9


def _on_the_good_side(
    subject: ComponentUnderTest, numbers: dict[str, float], floor: dict[str, tuple[float, float]]
) -> list[tuple[str, str]]:
    """What is better than its floor by more than its error bar, and what would be right, in words."""
    found = []
    for name, value in numbers.items():
        mean, side, bar = floor[name][0], reading(subject.target, name).better, _bar(floor[name])
        if (side == "lower" and value < mean - bar) or (side == "higher" and value > mean + bar):
            text = f"{name} is {value:.4g}, on the good side ({side}) of its floor {mean:.4g}"
            found.append((text, f"the other side, or {mean:.4g} ± {bar:.2g}"))
    return found


@check("metric", alone_in=USABLE)
def measures_without_side_effects(subject: ComponentUnderTest) -> None:
    """It returns finite Python numbers by name; one seed gives one answer; inputs and global states do not change."""
    a, b = draws(2, 300)
    before = a.clone(), b.clone()
    with global_randomness_untouched():
        first, again = measured(subject, a, b), measured(subject, a, b)
    ensure_numbers(first, "two sets of 300")
    ensure_equal(again, first, "the numbers of a second call")
    ensure_equal(a, before[0], "the samples, after the call,")
    ensure_equal(b, before[1], "the reference, after the call,")


def ensure_numbers(numbers: Any, what: str) -> None:
    """Ensure that a metric returned finite floats by name."""
    ensure(isinstance(numbers, dict) and numbers, f"{what} give {numbers!r}", "at least one number, by name")
    for name, value in numbers.items():
        ensure(
            isinstance(value, float) and math.isfinite(value),
            f"{name} of {what} is {value!r}",
            "a finite Python float",
        )


@check("metric", alone_in=USABLE)
def takes_sets_of_any_kind(subject: ComponentUnderTest) -> None:
    """Its numbers are finite for equal sets, for examples of one column, and of four, and for sets far apart."""
    a, b = draws(2, 200)
    ensure_numbers(measured(subject, a, a.clone()), "two equal sets")
    ensure_numbers(measured(subject, a[:, :1], b[:, :1]), "sets of one column")
    ensure_numbers(measured(subject, torch.cat((a, b), 1), torch.cat((b, a), 1)), "sets of four columns")
    ensure_numbers(measured(subject, a + 1e5, b), "sets far apart")
