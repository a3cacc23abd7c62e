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


def first_thousand(samples, reference):
    """Looks at the first 1000 rows, and does not say so."""
    return {"gap": gap(samples[:1000], reference[:1000])}


def subsample(samples, reference):
    """Looks at 100 rows, the same ones every time."""
    rows = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))[:100]
    return {"gap": gap(samples[rows], reference)}


def once_each(samples, reference):
    """Looks at equal rows once."""
    return {"gap": gap(samples.unique(dim=0), reference.unique(dim=0))}


def other_reference(samples, reference, dataset):
    """Compares with the training examples in place of the reference."""
    return {"gap": gap(samples, dataset.train)}


def _trimmed(x):
    cut = len(x) // 10
    return x.sort(0).values[cut : len(x) - cut]


def trimmed(samples, reference):
    """Leaves out a tenth of every coordinate at both ends, and does not say so."""
    return {"gap": gap(_trimmed(samples), _trimmed(reference))}


def winsorised(samples, reference):
    """Clamps to the quantiles, and does not say so."""

    def inside(x):
        return x.clamp(x.quantile(0.06, 0), x.quantile(0.94, 0))

    return {"gap": gap(inside(samples), inside(reference))}


@reads({"gap": Reading("lower")}, robust=True)
def robust(samples, reference):
    """Distance of trimmed means, and says so."""
    return trimmed(samples, reference)


@reads({"nearest": Reading("lower")})
def nearest(samples, reference):
    """Mean distance to the nearest example of the reference: better for a set that has collapsed."""
    return {"nearest": float(torch.cdist(samples, reference).amin(1).mean())}


@reads({"overlap": Reading("higher")})
def overlap(samples, reference):
    """Overlap of histograms, which is better the larger it is."""
    bins = [
        [torch.histc(x.clamp(-6, 6), 12, -6, 6) / len(x) for x in both.T] for both in (samples, reference)
    ]
    shared = [float(torch.minimum(ours, theirs).sum()) for ours, theirs in zip(*bins, strict=True)]
    return {"overlap": sum(shared) / len(shared)}


def falling(samples, reference):
    """Falls like n^(−1/4)."""
    return {"gap": (1 + gap(samples, reference)) * len(samples) ** -0.25}


def half(samples, reference):
    """Computes in bfloat16."""
    return {"gap": gap(samples.bfloat16().float(), reference.bfloat16().float())}


def overflowing(samples, reference):
    """Computes in float16, which ends at 65504."""
    return {"gap": gap(samples.half().float(), reference.half().float())}
