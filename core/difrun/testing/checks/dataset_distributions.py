"""Rules for datasets: all parts are draws of one distribution, and its density and entropy are right."""

import math
from collections.abc import Iterator

import torch
from scipy import stats
from torch import Tensor

from difrun.data.dataset import Dataset
from difrun.testing.checks.dataset import MOST
from difrun.testing.rules import ComponentUnderTest, check
from difrun.testing.verdict import NotTried, ensure, ensure_close

P_VALUE = 1e-7
DIRECTIONS = 12
"""Random directions along which two sets are compared, beside their first coordinates."""


@check("dataset")
def draws_every_part_from_one_distribution(subject: ComponentUnderTest) -> None:
    """Training, held-out and fresh examples, and those of the exact distribution, cannot be told apart.

    Two-sample Kolmogorov–Smirnov tests of up to 2000 examples each, along coordinates, random directions, and in the
    distance from their common mean: p > 1e-7 for each. As many numbers of a coordinate occur more than once, within 2 %
    and 5 standard errors: rounded or clipped numbers do, and others do not.
    """
    data = subject.made(seed=1)
    parts = dict(_parts(data))
    train = parts.pop("training")
    for name, part in parts.items():
        _ensure_alike(train, part, f"{name} examples, against training examples")
        _ensure_as_many_equal(train, part, f"{name} examples, against training examples")
    if {"fresh", "exact"} <= parts.keys():
        _ensure_alike(parts["exact"], parts["fresh"], "fresh examples, against the exact distribution")


def _parts(data: Dataset) -> Iterator[tuple[str, Tensor]]:
    yield "training", data.train
    yield "held-out", data.held_out
    if data.fresh is not None:
        yield "fresh", data.fresh(MOST, torch.Generator().manual_seed(2))
    if data.fresh_labelled is not None:
        yield "fresh labelled", data.fresh_labelled(MOST, torch.Generator().manual_seed(3))[0]
    if data.distribution is not None:
        yield (
            "exact",
            data.distribution.sample(MOST, torch.Generator().manual_seed(4)).reshape(-1, *data.shape),
        )


def _ensure_alike(first: Tensor, second: Tensor, what: str) -> None:
    a, b = _spread(first).flatten(1).double(), _spread(second).flatten(1).double()
    dim = a.shape[1]
    draw = torch.Generator().manual_seed(5)
    directions = torch.randn(dim, DIRECTIONS, generator=draw, dtype=torch.float64) / math.sqrt(dim)
    centre = torch.cat((a, b)).mean(0)
    for where, view in (
        ("along a coordinate", lambda x: x[:, : min(dim, DIRECTIONS)]),
        ("along a random direction", lambda x: (x - centre) @ directions),
        ("in the distance from the mean", lambda x: (x - centre).norm(dim=1, keepdim=True)),
    ):
        ours, theirs = view(a), view(b)
        # A hair's breadth, so that values that are equal but for rounding count as equal.
        hair = 1e-6 * float(ours.abs().max() + 1e-30)
        for k in range(ours.shape[1]):
            columns = [torch.round(column[:, k] / hair).numpy() for column in (ours, theirs)]
            test = stats.ks_2samp(*columns, method="asymp")
            ensure(
                test.pvalue > P_VALUE,
                f"{what}, {where}: Kolmogorov–Smirnov distance {test.statistic:.3g}, p = {test.pvalue:.2g}; standard "
                f"deviations {theirs[:, k].std():.4g} and {ours[:, k].std():.4g}",
                f"p > {P_VALUE:g}",
            )


def _ensure_as_many_equal(first: Tensor, second: Tensor, what: str) -> None:
    """Ensure that numbers of a coordinate occur more than once as often in both sets."""
    n = min(len(first), len(second), MOST)
    a, b = (_some(part, n).flatten(1)[:, :DIRECTIONS] for part in (first, second))
    for k in range(a.shape[1]):
        ours, theirs = (_repeated(column[:, k]) for column in (a, b))
        bar = 0.02 + 5 * (max(ours, theirs) * (1 - max(ours, theirs)) * 2 / n) ** 0.5
        ensure(
            abs(ours - theirs) <= bar,
            f"{what}: {theirs:.1%} of the numbers of coordinate {k + 1} occur more than once, and {ours:.1%}",
            f"equal shares ± {bar:.1%}",
        )


def _repeated(numbers: Tensor) -> float:
    counts = numbers.unique(return_counts=True)[1]
    return float(counts[counts > 1].sum()) / len(numbers)


def _some(x: Tensor, n: int) -> Tensor:
    return x[torch.linspace(0, len(x) - 1, n).long()]


def _spread(x: Tensor) -> Tensor:
    """At most `MOST` rows, from the whole of x: examples may be sorted by class."""
    return x if len(x) <= MOST else _some(x, MOST)


@check("dataset")
def knows_the_density_of_its_distribution(subject: ComponentUnderTest) -> None:
    """`log_density` is that of its draws: E[−log p] is the `entropy`, and p has integral 1.

    Both within 5 standard errors: the first over 5000 draws; the second, for up to three coordinates, by importance
    sampling from training examples blurred by noise, and from a broad Gaussian.
    """
    data = subject.made(seed=1)
    if data.log_density is None or data.entropy is None:
        raise NotTried("it gives no log_density and entropy")
    draws = data.train if data.fresh is None else data.fresh(5000, torch.Generator().manual_seed(6))
    nats = -data.log_density(draws).double()
    bar = 5 * float(nats.std()) / len(nats) ** 0.5 + 1e-3
    ensure_close(float(nats.mean()), float(data.entropy), "the mean of −log p over draws", atol=bar)
    if math.prod(data.shape) > 3:
        return
    points, log_q = _proposals(data.train.flatten(1).double(), 10_000)
    inside = data.log_density(points.float().reshape(-1, *data.shape)).double().flatten()
    ratio = (inside - log_q).exp()
    # Cut off, the mean is at most the integral, and its error stays small where a density does not fall off.
    cut = ratio.clamp(max=20.0)
    bar = 5 * float(cut.std()) / len(cut) ** 0.5 + 5e-3
    ensure(
        float(cut.mean()) <= 1 + bar,
        f"the integral of the density is at least {float(cut.mean()):.4g}",
        f"1 ± {bar:.2g}",
    )
    bar = 5 * float(ratio.std()) / len(ratio) ** 0.5 + 5e-3
    ensure_close(float(ratio.mean()), 1.0, "the integral of the density", atol=bar)


def _proposals(train: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Points, and the log density q that they are drawn from: near training examples, and far from them."""
    draw = torch.Generator().manual_seed(7)
    few = train[torch.randperm(len(train), generator=draw)[:500]]
    dim = few.shape[1]
    width = 2 * float(torch.cdist(few, few).fill_diagonal_(torch.inf).amin(1).median()) + 1e-12
    centre, broad = few.mean(0), 3 * float(few.std(0).max()) + width
    near = few[torch.randint(len(few), (n // 2,), generator=draw)]
    near = near + width * torch.randn(near.shape, generator=draw, dtype=torch.float64)
    far = centre + broad * torch.randn(n - n // 2, dim, generator=draw, dtype=torch.float64)
    points = torch.cat((near, far)).float().double()

    def log_normal(squares: Tensor, scale: float) -> Tensor:
        return -0.5 * squares / scale**2 - dim * math.log(scale * math.sqrt(2 * math.pi))

    kernels = [
        torch.logsumexp(log_normal(torch.cdist(rows, few).square(), width), dim=1) - math.log(len(few))
        for rows in points.split(5000)
    ]
    wide = log_normal((points - centre).square().sum(1), broad)
    return points, torch.logaddexp(torch.cat(kernels), wide) - math.log(2)
