"""Rules for datasets and metrics."""

import math
from typing import Any

import torch

from difrun.data.dataset import Dataset
from difrun.metric.base import reading
from difrun.testing.check import ComponentUnderTest, check, global_randomness_untouched
from difrun.testing.checks.component import make_or_skip
from difrun.testing.references import two_gaussians


@check("dataset")
def is_decided_by_its_seed(subject: ComponentUnderTest) -> None:
    """One seed gives one dataset; global random states are untouched."""
    with global_randomness_untouched():
        first = make_or_skip(subject, seed=1)
        again = subject.make(seed=1)
    assert isinstance(first, Dataset)
    assert torch.equal(first.train, again.train)
    assert torch.equal(first.held_out, again.held_out)


@check("dataset")
def has_moments(subject: ComponentUnderTest) -> None:
    """Examples are finite float32 with finite mean and a positive variance; held-out examples have the same mean.

    The means agree within 5 standard errors of the difference per coordinate.
    """
    data = make_or_skip(subject, seed=1)
    assert data.train.dtype == torch.float32
    assert data.train.isfinite().all()
    assert (data.var >= 0).all()
    assert data.var.max() > 0
    error = (data.var / len(data.train) + data.var / len(data.held_out)).sqrt()
    gap = (data.held_out.double().mean(0) - data.train.double().mean(0)).abs()
    assert (gap <= 5 * error + 1e-6).all(), gap / error


@check("dataset")
def holds_out_what_it_does_not_train_on(subject: ComponentUnderTest) -> None:
    """If examples are real vectors, less than 1 % of the held-out examples are among the training examples."""
    data = make_or_skip(subject, seed=1)
    if "real" not in subject.entry.component.provides:
        return
    train = {tuple(row) for row in data.train.flatten(1).tolist()}
    held_out = [tuple(row) for row in data.held_out.flatten(1).tolist()]
    assert sum(row in train for row in held_out) < 0.01 * len(held_out)


@check("dataset")
def draws_fresh_examples_of_its_distribution(subject: ComponentUnderTest) -> None:
    """20 000 fresh examples have the moments of the training data and of the distribution, if it can be drawn from.

    Means and variances agree within 5 standard errors (and 1e-3 of the variance, for a distribution that approximates
    a curve).
    """
    data = make_or_skip(subject, seed=1)
    if data.fresh is None:
        assert data.references == len(data.held_out)
        return
    n = 20000
    fresh = data.fresh(n, torch.Generator().manual_seed(2)).double()
    assert torch.equal(fresh, data.fresh(n, torch.Generator().manual_seed(2)).double())
    assert fresh.shape == (n, *data.shape)
    references = [(data.train.double().mean(0), data.train.double().var(0), 1 / n + 1 / len(data.train))]
    if data.distribution is not None:
        references.append((data.distribution.mean, data.distribution.var, 1 / n))
    fourth = (fresh - fresh.mean(0)).pow(4).mean(0)
    for mean, var, share in references:
        assert ((fresh.mean(0) - mean).abs() <= 5 * (var * share).sqrt() + 1e-3 * var.sqrt()).all()
        assert (
            (fresh.var(0) - var).abs() <= 5 * ((fourth - var**2).clamp_min(0) * share).sqrt() + 1e-3 * var
        ).all()


@check("metric", alone_in={"real", "continuous"})
def tells_equal_distributions_from_unequal(subject: ComponentUnderTest) -> None:
    """A shifted set differs from two sets of one distribution: some number moves by 5 of its standard deviations."""
    n = 400
    sets = [two_gaussians().sample(n, torch.Generator().manual_seed(seed)).float() for seed in range(6)]
    same = [_measure(subject, sets[k], sets[k + 1]) for k in range(5)]
    shifted = _measure(subject, sets[0] + 3.0, sets[1])
    assert shifted.keys() == same[0].keys()
    moved = []
    for name, value in shifted.items():
        values = torch.tensor([numbers[name] for numbers in same], dtype=torch.float64)
        moved.append(abs(value - values.mean().item()) > 5 * values.std().item() + 1e-9)
    assert any(moved), (same, shifted)


@check("metric", alone_in={"real", "continuous"})
def declares_the_side_that_is_worse(subject: ComponentUnderTest) -> None:
    """It returns the numbers whose reading it declares, and a shifted set is not on the good side of the floor.

    That is, not by more than 5 standard deviations of the number between sets of one distribution.
    """
    sets = [two_gaussians().sample(400, torch.Generator().manual_seed(seed)).float() for seed in range(6)]
    same = [_measure(subject, sets[k], sets[k + 1]) for k in range(5)]
    shifted = _measure(subject, sets[0] + 3.0, sets[1])
    declared = set(getattr(subject.target, "readings", {}))
    assert declared <= shifted.keys(), (
        f"readings of {sorted(declared - shifted.keys())}, which it does not return"
    )
    for name, value in shifted.items():
        values = torch.tensor([numbers[name] for numbers in same], dtype=torch.float64)
        away, tolerance = value - values.mean().item(), 5 * values.std().item() + 1e-9
        side = reading(subject.target, name).better
        assert not (side == "lower" and away < -tolerance), (
            f"{name} of a shifted set lies below its floor: not 'lower'"
        )
        assert not (side == "higher" and away > tolerance), (
            f"{name} of a shifted set lies above its floor: not 'higher'"
        )


@check("metric", alone_in={"real", "continuous"})
def measures_without_side_effects(subject: ComponentUnderTest) -> None:
    """It returns finite Python numbers by name; one seed gives one answer; inputs and global states do not change."""
    a, b = (two_gaussians().sample(300, torch.Generator().manual_seed(seed)).float() for seed in (1, 2))
    before = a.clone(), b.clone()
    with global_randomness_untouched():
        first, again = _measure(subject, a, b), _measure(subject, a, b)
    assert first
    assert all(isinstance(value, float) and math.isfinite(value) for value in first.values()), first
    assert first == again
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])


def _measure(subject: ComponentUnderTest, samples: Any, reference: Any) -> dict[str, float]:
    """The numbers of a metric; samples belong to two classes in turn, and have their sums as conditions."""
    labels = torch.arange(len(samples)) % 2
    dataset = Dataset(
        name="two",
        train=reference,
        held_out=reference,
        labels=labels,
        held_out_labels=labels,
        classes=("even", "odd"),
    )
    generator = torch.Generator().manual_seed(3)
    conditions = samples.flatten(1).sum(1, keepdim=True), reference.flatten(1).sum(1, keepdim=True)
    return subject.make(
        conditions=conditions[0],
        reference_conditions=conditions[1],
        samples=samples,
        reference=reference,
        dataset=dataset,
        labels=labels,
        generator=generator,
    )


@check("dataset")
def labels_examples_and_held_out_ones_alike(subject: ComponentUnderTest) -> None:
    """Each class has the same mean and share among held-out and fresh examples as among training examples.

    They agree within 5 standard errors of the difference, in norm. Data without labels have no classes.
    """
    data = make_or_skip(subject, seed=1)
    if data.labels is None:
        assert data.classes == ()
        return
    others = [(data.held_out, data.held_out_labels)]
    if data.fresh_labelled is not None:
        others.append(data.fresh_labelled(5000, torch.Generator().manual_seed(2)))
    for label in range(len(data.classes)):
        trained = data.train[data.labels == label].double()
        share = len(trained) / len(data.train)
        for examples, labels in others:
            assert labels.dtype == torch.int64
            other = examples[labels == label].double()
            error = (share * (1 - share) * (1 / len(data.train) + 1 / len(examples))) ** 0.5
            assert abs(len(other) / len(examples) - share) <= 5 * error + 1e-9
            # In norm, because a coordinate that hardly varies in a class, such as a pixel, has no normal error.
            pooled = torch.cat((trained, other)).var(0) * (1 / len(trained) + 1 / max(1, len(other)))
            assert (other.mean(0) - trained.mean(0)).norm() <= 5 * pooled.sum().sqrt() + 1e-6, data.classes[
                label
            ]
