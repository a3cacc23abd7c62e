"""Distributions of the training time against SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from difrun.errors import DifrunError
from difrun.loss import LogitNormal, LogNormal, LogSNR, Uniform
from difrun.randomness import Generator
from difrun.testing import ReferenceVE, ReferenceVP

N = 20000


P_VALUE = 1e-6
"""About 5 standard errors."""


def quantiles(distribution, process, n=N):
    like = torch.empty(n, 2, dtype=torch.float64)
    return distribution.sample(process, like, Generator(3)).numpy()


PROCESSES = [ReferenceVP(), ReferenceVE()]


@pytest.mark.parametrize("process", PROCESSES, ids=["vp", "ve"])
def test_times_follow_their_distributions(process):
    """Kolmogorov–Smirnov against SciPy's distributions, cut to the range; every time lies in [t_min, T]."""
    low, high = process.lam_range
    start, end = process.t_min, process.horizon

    def lam(t):
        return process.log_snr(torch.from_numpy(t)).numpy()

    def cut(distribution, a, b):
        return lambda x: (
            (distribution.cdf(x) - distribution.cdf(a)) / (distribution.cdf(b) - distribution.cdf(a))
        )

    first = math.log(start / end / (1 - start / end))
    cases = [
        (Uniform(), lambda t: t, stats.uniform(start, end - start).cdf),
        (LogSNR(), lam, stats.uniform(low, high - low).cdf),
        (LogNormal(-0.5, 0.9), lambda t: -lam(t), cut(stats.norm(-0.5, 0.9), -high, -low)),
        (LogNormal(3.0, 2.0), lambda t: -lam(t), cut(stats.norm(3.0, 2.0), -high, -low)),
        (
            LogitNormal(0.3, 1.5),
            lambda t: np.log(t / end) - np.log1p(-t / end),
            cut(stats.norm(0.3, 1.5), first, np.inf),
        ),
    ]
    for distribution, transform, cdf in cases:
        t = quantiles(distribution, process)
        assert t.min() >= start * (1 - 1e-5), distribution
        assert t.max() <= end, distribution
        inside = t[t < end]  # logit(1) = ∞
        assert len(inside) > 0.999 * N
        assert stats.kstest(transform(inside), cdf).pvalue > P_VALUE, distribution


def test_times_that_miss_the_process_are_refused():
    """Less than a millionth of the distribution in the range: an error that names the range."""
    process, u = ReferenceVE(), torch.rand(3, dtype=torch.float64)
    with pytest.raises(
        DifrunError, match=r"normal in ln\(σ/α\) with mean 9 .* from -6.21 to 3\. Choose a mean in"
    ):
        LogNormal(9.0, 0.5).quantile(process, u)
    with pytest.raises(DifrunError, match=r"normal in logit\(t/T\) with mean -20 .* from -9.21 to inf"):
        LogitNormal(-20.0, 1.0).quantile(process, u)
    assert LogNormal(9.0, 2.0).quantile(process, u).isfinite().all()


def test_times_of_every_stretch_are_stratified():
    """Any 64 consecutive times are spread evenly: their discrepancy is below 0.05, where independent ones have 0.1."""
    process = ReferenceVP()
    u = (quantiles(Uniform(), process, 4000) - process.t_min) / (process.horizon - process.t_min)
    for first in (0, 17, 1000, 3900):
        part = np.sort(u[first : first + 64])
        steps = np.arange(65) / 64
        assert max(np.abs(part - steps[1:]).max(), np.abs(part - steps[:-1]).max()) < 0.05


def test_times_change_with_the_seed_and_keep_the_dtype():
    like = torch.empty(5, 2)
    times = [Uniform().sample(ReferenceVP(), like, Generator(seed)) for seed in (1, 1, 2)]
    assert torch.equal(times[0], times[1])
    assert not torch.equal(times[0], times[2])
    assert times[0].dtype == torch.float32
