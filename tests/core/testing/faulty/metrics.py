"""Metrics with one known fault each, for the tests of the conformance kit."""

import math

import torch

from difrun.errors import DifrunError
from difrun.metric import Reading, reads


def gap(samples, reference):
    return float((samples.mean(0) - reference.mean(0)).norm())


def fine(samples, reference):
    """Distance of the means."""
    return {"gap": gap(samples, reference)}


def spread(samples, reference):
    """Ratio of the spreads; blind to the means on purpose."""
    return {"spread": float((samples.std(0) / reference.std(0)).log().abs().mean())}


def paired(samples, reference):
    """Compares row i with row i."""
    return {"paired": float((samples - reference).square().mean())}


def cumulative(samples, reference):
    """Weights rows by where they are."""
    weight = torch.linspace(0.5, 1.5, len(samples))[:, None]
    return {"weighted": float(((weight * samples).mean(0) - (weight * reference).mean(0)).norm())}


def blind(samples, reference):
    """Ignores the reference."""
    return {"norm": float(samples.mean(0).norm())}


def first_half(samples, reference):
    """Looks at the first half of the samples."""
    return {"gap": gap(samples[: len(samples) // 2], reference)}


def few_references(samples, reference):
    """Looks at 50 rows of the reference."""
    return {"gap": gap(samples, reference[:50])}


def middle(samples, reference):
    """Leaves out the first and the last fifth of the samples."""
    fifth = len(samples) // 5
    return {"gap": gap(samples[fifth : len(samples) - fifth], reference)}


def total(samples, reference):
    """A sum over rows."""
    return {"total": gap(samples, reference) * len(samples)}


def statistic(samples, reference):
    """A test statistic, which grows with the root of the number of rows."""
    return {"t": gap(samples, reference) * len(samples) ** 0.5}


def logarithm(samples, reference):
    """The logarithm of the distance, −∞ for equal sets."""
    distance = gap(samples, reference)
    return {"log gap": math.log(distance) if distance else -math.inf}


def two_columns(samples, reference):
    """Takes two columns for granted."""
    return {"gap": abs(float(samples[:, 1].mean() - reference[:, 1].mean())) + gap(samples, reference)}


def constant(samples, reference):
    """Sees nothing but whether there are samples."""
    return {"one": 1.0 + 0.0 * gap(samples, reference)}


def idle(samples, reference, *, scale=1.0):
    """Ignores its scale."""
    return fine(samples, reference)


def faint(samples, reference):
    """Hardly changes with what it measures."""
    return {"faint": 1.0 + 1e-12 * gap(samples, reference)}


def rolling(samples, reference):
    """Uses the global random state."""
    torch.rand(1)
    return fine(samples, reference)


def always_refuses(samples, reference):
    """Refuses every set."""
    raise DifrunError("these samples cannot be measured")


def unlabelled(samples, reference, labels):
    """Requires labels, and does not say so."""
    return fine(samples, reference)


def unconditioned(samples, reference, conditions):
    """Requires conditions, and does not say so."""
    return fine(samples, reference)


@reads({"gap": Reading("higher")})
def upside(samples, reference):
    """Distance of the means, declared to be better the larger it is."""
    return fine(samples, reference)


@reads({"width": Reading("lower")})
def missing(samples, reference):
    """Declares a number that it does not return."""
    return fine(samples, reference)


def first_column(samples, reference):
    """Looks at the first column alone."""
    return {"gap": gap(samples[:, :1], reference[:, :1])}


def whole(samples, reference):
    """Returns a whole number."""
    return {"gap": round(1e6 * gap(samples, reference))}


def tensors(samples, reference):
    """Returns a tensor."""
    return {"gap": (samples.mean(0) - reference.mean(0)).norm()}


def sorting(samples, reference):
    """Sorts its samples in place."""
    samples.copy_(samples.sort(0).values)
    return fine(samples, reference)
