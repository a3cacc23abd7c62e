"""Rules for datasets: their seed, their parts, and their classes."""

from collections.abc import Callable
from typing import Any

import torch
from scipy import stats
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.testing.rules import ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.verdict import (
    NotTried,
    RuleBroken,
    ensure,
    ensure_close,
    ensure_different,
    ensure_equal,
    ensure_finite,
)

MOST = 2000
"""Most examples of each part that are compared."""


@check("dataset")
def is_decided_by_its_seed(subject: ComponentUnderTest) -> None:
    """One seed gives one dataset; if it asks for `seed`, another gives another; global random states do not change."""
    first = subject.made(seed=1)  # it may import a library, which may use a global random state
    with global_randomness_untouched():
        again = subject.make(seed=1)
    ensure(isinstance(first, Dataset), f"it makes a {type(first).__name__}", "a difrun.data.Dataset")
    ensure_equal(again.train, first.train, "the training examples of one seed, made twice,")
    ensure_equal(again.held_out, first.held_out, "the held-out examples of one seed, made twice,")
    if subject.entry.asks_for("seed"):
        other = subject.make(seed=2)
        same = _same(first.train, other.train) and _same(first.held_out, other.held_out)
        ensure(
            not same, "seeds 1 and 2 give the same examples", "others; leave out `seed` if nothing is drawn"
        )


def _same(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.equal(first, second)


@check("dataset")
def has_moments(subject: ComponentUnderTest) -> None:
    """Examples are finite float32 with finite mean and a positive variance; held-out examples have the same mean.

    The means agree within 5 standard errors of the difference per coordinate.
    """
    data = subject.made(seed=1)
    ensure_equal(data.train.dtype, torch.float32, "the dtype of the examples")
    ensure_finite(data.train, "training examples")
    ensure(data.var.max() > 0, "all training examples are equal", "examples that vary")
    # Of both parts together: a coordinate may be the same in one of them, as spins at a low temperature are.
    var = torch.cat((data.train, data.held_out)).double().var(0)
    error = 5 * (var / len(data.train) + var / len(data.held_out)).sqrt() + 1e-6
    held_out, train = (part.double().mean(0) / error for part in (data.held_out, data.train))
    ensure_close(held_out, train, "a coordinate of the mean of the held-out examples, in error bars,", atol=1)


@check("dataset")
def holds_out_what_it_does_not_train_on(subject: ComponentUnderTest) -> None:
    """Held-out and fresh examples are no nearer to training examples than these are to one another.

    A pair counts as equal within a thousandth of the usual distance of a training example to its nearest one. The share
    of held-out examples with an equal one in training may exceed that among training examples, as data on few points
    have, by 1 % and 5 standard errors; likewise that of 500 fresh examples. Nor are they nearer on the whole than
    training examples are to one another: Kolmogorov–Smirnov, p > 1e-7. This rule is for real vectors.
    """
    data = subject.made(seed=1)
    if "real" not in subject.entry.component.provides:
        raise NotTried("examples are not real vectors")
    train = data.train.flatten(1).double()
    some = train[: 2 * MOST]
    among = torch.cdist(some, some).fill_diagonal_(torch.inf).amin(1)
    usual = float(among[among > 0].median()) if bool((among > 0).any()) else 0.0
    near = 1e-3 * usual
    twice = float((among <= near).double().mean())
    parts = {"held-out": data.held_out[:MOST]}
    if data.fresh is not None:
        parts["fresh"] = data.fresh(500, torch.Generator().manual_seed(2))
    for name, part in parts.items():
        asked = part.flatten(1).double()
        distances = torch.cat([torch.cdist(rows, train).amin(1) for rows in asked.split(500)])
        copies = distances <= near
        share = float(copies.double().mean())
        # Nearest neighbours are sought among all training examples, and those of training examples among some.
        allowed = min(1.0, twice * max(1.0, len(train) / len(some))) + 0.01
        allowed += 5 * (allowed * (1 - min(allowed, 1)) / len(asked)) ** 0.5
        ensure(
            share <= max(allowed, 0.01),
            f"{share:.1%} of the {name} examples are training examples, within {near:.2g}",
            f"at most {allowed:.1%}: {twice:.1%} of the training examples occur twice",
        )
        if len(some) == len(train):
            test = stats.ks_2samp(distances.numpy(), among.numpy(), alternative="greater", method="asymp")
            ensure(
                test.pvalue > 1e-7,
                f"{name} examples are {distances.median():.3g} from the nearest training example, in the median; "
                f"p = {test.pvalue:.2g}",
                f"no nearer than these are to one another, {among.median():.3g}: p > 1e-07",
            )


@check("dataset")
def draws_fresh_examples_by_its_generator(subject: ComponentUnderTest) -> None:
    """`fresh(n, generator)` gives n new examples; the generator alone decides which, and another seed gives others."""
    data = subject.made(seed=1)
    draws: dict[str, Callable[[int, Any], Any]] = {}
    if data.fresh is not None:
        draws["fresh"] = data.fresh
    if data.fresh_labelled is not None:
        draws["fresh_labelled"] = lambda n, generator: data.fresh_labelled(n, generator)[0]
    if not draws:
        ensure_equal(data.references, len(data.held_out), "the number of references without `fresh`")
        raise NotTried("its distribution cannot be drawn from")
    for name, draw in draws.items():
        with global_randomness_untouched():
            first, again, other = (draw(50, torch.Generator().manual_seed(seed)) for seed in (2, 2, 3))
        ensure_equal(tuple(first.shape), (50, *data.shape), f"the shape of {name}(50)")
        ensure_equal(again, first, f"{name} of one seed, drawn twice,")
        ensure_different(first, other, f"{name} of seed 3", "other examples than those of seed 2")
        generator = torch.Generator().manual_seed(2)
        ensure_different(draw(50, generator), draw(50, generator), f"{name} drawn again", "new examples")
        _ensure_new_rows(first, data.train, name)


def _ensure_new_rows(drawn: Tensor, train: Tensor, name: str) -> None:
    """Ensure that examples which are drawn together are no more often equal than training examples are."""
    few = train[: len(drawn)]
    equal, usual = (len(rows) - len(rows.flatten(1).unique(dim=0)) for rows in (drawn, few))
    allowed = usual + 5 * max(1, usual) ** 0.5
    ensure(
        equal <= allowed,
        f"{equal} of {len(drawn)} rows of {name} are copies of others",
        f"at most {allowed:.0f}",
    )


@check("dataset")
def labels_examples_and_held_out_ones_alike(subject: ComponentUnderTest) -> None:
    """Each class has the same mean and share among held-out and fresh examples as among training examples.

    They agree within 5 standard errors of the difference, in norm. Where `component_labels` says which part of the
    distribution is which class, the training examples agree with it. Data without labels have no classes.
    """
    data = subject.made(seed=1)
    if data.labels is None:
        ensure_equal(data.classes, (), "the classes of data without labels")
        raise NotTried("its examples have no labels")
    others = [("held-out", data.held_out, data.held_out_labels)]
    if data.fresh_labelled is not None:
        others.append(("fresh", *data.fresh_labelled(5000, torch.Generator().manual_seed(2))))
    for name, examples, labels in others:
        ensure_equal(labels.dtype, torch.int64, f"the dtype of the labels of {name} examples")
        for label, title in enumerate(data.classes):
            _compare_class(data, label, f"{name} examples of class '{title}'", examples, labels)
    if data.component_labels is not None:
        for label, title in enumerate(data.classes):
            trained, known = data.train[data.labels == label].double(), data.class_distribution(label)
            bar = 5 * (known.var.sum() / len(trained)).sqrt() + 1e-3 * known.var.sum().sqrt()
            off = (trained.flatten(1).mean(0) - known.mean.flatten()).norm()
            ensure(
                off <= bar,
                f"the mean of training examples of class '{title}' is off by {off:.4g} from that of its components",
                f"0 ± {bar:.2g}",
            )


def _compare_class(data: Dataset, label: int, what: str, examples: Tensor, labels: Tensor) -> None:
    """Ensure that a class is as large, and lies where it does, among training examples."""
    if data.labels is None:
        raise RuleBroken("no labels", "labels of the training examples")
    trained, other = data.train[data.labels == label].double(), examples[labels == label].double()
    share = len(trained) / len(data.train)
    error = 5 * (share * (1 - share) * (1 / len(data.train) + 1 / len(examples))) ** 0.5 + 1e-9
    ensure_close(len(other) / len(examples), share, f"the share of {what}", atol=error)
    # In norm, because a coordinate that hardly varies in a class, such as a pixel, has no normal error.
    pooled = torch.cat((trained, other)).var(0) * (1 / len(trained) + 1 / max(1, len(other)))
    off, bar = (other.mean(0) - trained.mean(0)).norm(), 5 * pooled.sum().sqrt() + 1e-6
    ensure(
        off <= bar, f"the mean of {what} is {off:.4g} away from that of training examples", f"0 ± {bar:.2g}"
    )
