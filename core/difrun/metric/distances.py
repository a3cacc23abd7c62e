"""Distances between two sets of points. `difrun.metric.measure` puts each beside its floor."""

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from difrun.data.casts import as_data, data_on_cpu
from difrun.errors import DifrunError
from difrun.metric.base import Reading, reads

_PAIRS = 2**18
"""Distances held at once by a metric that sums over all pairs (2 MB, which a cache holds)."""

_SORTED = 2**23
"""Projected coordinates held at once by sliced-w2 (32 MB for each set)."""


@reads({"sliced-w2": Reading("lower", True, "Distance of the projections on a line, over random directions")})
def sliced_w2(
    samples: Tensor, reference: Tensor, *, generator: torch.Generator, projections: int = 256
) -> dict[str, float]:
    r"""Sliced 2-Wasserstein distance, in units of the data.

        SW₂² = mean over directions θ of (1/n) Σ_i (a_(i) − b_(i))²

    Here a and b are the sorted projections of the two sets on θ, and the `projections` directions θ are drawn uniformly
    from the unit sphere. In one dimension it is W₂ itself. It is blind to local blur, and for separated modes it mostly
    measures the noise of the counts.

    References:
        Bonneel, Rabin, Peyré and Pfister, 2015: sliced Wasserstein distances.
    """
    a, b = _vectors(samples, reference)
    count = 1 if a.shape[1] == 1 else projections
    directions = torch.randn((count, a.shape[1]), generator=generator, device=generator.device).to(a)
    directions /= directions.norm(dim=1, keepdim=True)
    total = 0.0
    for part in directions.split(max(1, _SORTED // len(a))):
        # numpy sorts rows several times faster than torch on a CPU.
        difference = np.sort((part @ a.T).numpy(), axis=1) - np.sort((part @ b.T).numpy(), axis=1)
        total += float(np.square(difference, dtype=np.float64).mean(1).sum())
    return {"sliced-w2": math.sqrt(total / count)}


@reads(
    {
        "mean": Reading(
            "lower", True, "Sliced W2 of a class from its own real examples, mean over the classes"
        ),
        "worst": Reading("lower", True, "The same distance for the class where it is largest"),
    }
)
def per_class(
    samples: Tensor, reference: Tensor, labels: Tensor, *, generator: torch.Generator, projections: int = 256
) -> dict[str, float]:
    """Sliced 2-Wasserstein distance between the samples of a class and real examples of it.

    It detects samples that are good as a whole, but belong to the wrong classes.

    Args:
        samples: The samples (n, *shape).
        reference: Real examples (n, *shape); row i is of class labels[i].
        labels: The classes (n,), int64.
        generator: For the random directions.
        projections: How many directions.

    Returns:
        "mean" and "worst" of `sliced_w2` over the classes with at least two samples.

    Raises:
        DifrunError: If no class has two samples.
    """
    samples, reference = as_data(samples, "samples"), as_data(reference, "the reference")
    distances = []
    for label in labels.unique().tolist():
        rows = labels == label
        if int(rows.sum()) > 1:
            numbers = sliced_w2(samples[rows], reference[rows], generator=generator, projections=projections)
            distances.append(numbers["sliced-w2"])
    if not distances:
        raise DifrunError("metric 'per-class' needs at least two samples of a class.")
    return {"mean": sum(distances) / len(distances), "worst": max(distances)}


@reads(
    {
        "joint-w2": Reading(
            "lower", True, "Sliced W2 distance of pairs of sample and condition from real pairs"
        )
    }
)
def joint_w2(
    samples: Tensor,
    reference: Tensor,
    conditions: Tensor,
    reference_conditions: Tensor,
    *,
    generator: torch.Generator,
    projections: int = 256,
) -> dict[str, float]:
    """Sliced 2-Wasserstein distance between pairs (sample, condition) and real pairs.

    It detects samples that are good as a whole, but do not belong to their conditions. Both are in the units of the
    model. An entry that was not given, NaN, counts as 0.

    Args:
        samples: The samples (n, *shape).
        reference: Real examples (n, *shape).
        conditions: The conditions of the samples (n, ...).
        reference_conditions: Those of the real examples (n, ...).
        generator: For the random directions.
        projections: How many directions.

    Returns:
        "joint-w2".
    """
    pairs = (
        torch.cat(
            (
                data_on_cpu(x, "points").flatten(1),
                data_on_cpu(c, "conditions").flatten(1).nan_to_num(nan=0.0),
            ),
            dim=1,
        )
        for x, c in ((samples, conditions), (reference, reference_conditions))
    )
    return {"joint-w2": sliced_w2(*pairs, generator=generator, projections=projections)["sliced-w2"]}


@reads(
    {
        "w2": Reading(
            "lower",
            True,
            "Root-mean-square distance from one set to the other, matched at least cost",
        )
    },
    most="max_points",
)
def w2(
    samples: Tensor, reference: Tensor, *, generator: torch.Generator, max_points: int = 1000
) -> dict[str, float]:
    r"""2-Wasserstein distance, in units of the data.

        W₂² = min over matchings π of (1/n) Σ_i |x_i − y_π(i)|²

    The optimal transport is exact, by the network simplex of POT, between random subsets of at most `max_points` of
    each set. Its floor falls with n and rises with the dimension: compare at equal n only.

    Raises:
        DifrunError: If the solver does not finish.

    References:
        Bonneel, van de Panne, Paris and Heidrich, 2011: the network simplex.
    """
    import ot  # a second to import, for this metric alone

    a, b = _subsets(samples, reference, max_points, generator)
    cost = torch.cdist(a.double(), b.double()).square().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the solver's state is read from its log instead
        value, log = ot.emd2([], [], cost, numItermax=10_000_000, log=True)
    if log["warning"] is not None:
        raise DifrunError(f"metric 'w2': optimal transport between {len(a)} points failed: {log['warning']}")
    return {"w2": math.sqrt(max(0.0, float(value)))}


@reads(
    {
        "energy": Reading(
            "lower",
            False,
            "Energy distance; 0 on average for equal distributions, so its floor is noise",
        )
    },
    most="max_points",
)
def energy(
    samples: Tensor, reference: Tensor, *, generator: torch.Generator, max_points: int = 5000
) -> dict[str, float]:
    r"""Energy distance, unbiased, in units of the data.

        E = 2 E|X − Y| − E|X − X'| − E|Y − Y'|

    Each mean is over pairs of different points (a U-statistic). The estimate has mean 0 for equal distributions, so it
    may be negative. This is the squared distance; scipy.stats.energy_distance is the root of the biased form, in which
    a point is also paired with itself.

    References:
        Székely and Rizzo, 2013: energy statistics.
    """
    a, b = _subsets(samples, reference, max_points, generator)
    n = len(a)
    cross = _sum_of_distances(a, b) / n**2
    within = (_sum_of_distances(a, a) + _sum_of_distances(b, b)) / (n * (n - 1))
    return {"energy": 2 * cross - within}


@reads(
    {
        "density": Reading(
            "higher", True, "How many data are near a sample: less where samples lie beside the data"
        ),
        "coverage": Reading("higher", True, "Share of the data that have a sample near them"),
        "precision": Reading("higher", True, "Share of the samples that lie where data are"),
        "recall": Reading("higher", True, "Share of the data that lie where samples are"),
    },
    most="max_points",
)
def density_coverage(
    samples: Tensor, reference: Tensor, *, generator: torch.Generator, k: int = 5, max_points: int = 2000
) -> dict[str, float]:
    r"""Density and coverage, precision and recall, by nearest neighbours.

    Let B(z) be the closed ball around z whose radius is the distance to the k-th nearest other point of z's own set.
    With real points x and samples y,

        density = mean over y of (1/k) #{x : y ∈ B(x)},    coverage = share of x with some y ∈ B(x),
        precision = share of y in some B(x),                recall = share of x in some B(y).

    Equal distributions give density 1 and coverage about 1 − 2^−k. All four fall as samples get worse, and see local
    blur.

    Raises:
        DifrunError: If the sets have k points or fewer.

    References:
        Naeem et al., 2020: density and coverage.
        Kynkäänniemi et al., 2019: precision and recall.
    """
    y, x = _subsets(samples, reference, max_points, generator)
    if len(x) <= k:
        raise DifrunError(f"metric 'density-coverage' with k = {k} needs more than {k} points, not {len(x)}.")
    x, y = x.double(), y.double()  # float32 would lose the distances between close points
    between = torch.cdist(x, y)
    inside_x = between <= _radii(x, k)[:, None]
    inside_y = between <= _radii(y, k)
    return {
        "density": float(inside_x.double().sum(0).mean()) / k,
        "coverage": float(inside_x.any(1).double().mean()),
        "precision": float(inside_x.any(0).double().mean()),
        "recall": float(inside_y.any(1).double().mean()),
    }


def _radii(points: Tensor, k: int) -> Tensor:
    """Distance of each point to its k-th nearest other point (the nearest point of all is the point itself)."""
    distances = torch.cdist(points, points)
    distances.fill_diagonal_(0.0)
    return distances.kthvalue(k + 1, dim=1).values


def _vectors(samples: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets as rows on the CPU, in float64 if one of them is. Raises DifrunError unless they have one shape."""
    samples, reference = data_on_cpu(samples, "samples"), data_on_cpu(reference, "the reference")
    if samples.shape != reference.shape or samples.ndim < 2 or len(samples) < 2:
        raise DifrunError(
            f"a metric compares two sets of equal size; got shapes {tuple(samples.shape)} and "
            f"{tuple(reference.shape)}."
        )
    dtype = torch.promote_types(samples.dtype, reference.dtype)
    a, b = (z.to(dtype).flatten(1) for z in (samples, reference))
    if dtype == torch.float64:  # in the user's units, perhaps far from 0, where squares would lose the digits
        centre = a.mean(0)
        return a - centre, b - centre
    return a, b


def _subsets(
    samples: Tensor, reference: Tensor, most: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """At most `most` random rows of each set, chosen independently."""
    a, b = _vectors(samples, reference)
    if len(a) <= most:
        return a, b
    device = generator.device
    first, second = (
        torch.randperm(len(a), generator=generator, device=device)[:most].cpu() for _ in range(2)
    )
    return a[first], b[second]


def _sum_of_distances(a: Tensor, b: Tensor) -> float:
    parts = a.double().split(max(1, _PAIRS // len(b)))
    return sum(float(torch.cdist(part, b.double()).sum()) for part in parts)
