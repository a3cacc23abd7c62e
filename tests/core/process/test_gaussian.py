"""Gaussian processes against closed forms and SciPy. Exact moments come from unit noise (`affine_moments`)."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from difrun.errors import DifrunError
from difrun.process import GaussianProcess
from difrun.testing import ReferenceVE, ReferenceVP, affine_moments
from difrun.testing.references import UnitNoise


class Centred(ReferenceVP):
    centre = (0.5, -2.0)


MU = torch.tensor([0.5, -2.0], dtype=torch.float64)


def moments_along(process, x0, times):
    """Mean (len(times),) and covariance matrix of `path` from x0, exactly."""
    draws = sum(t > 0 for t in times)
    rows = torch.full((draws + 1, 1), x0, dtype=torch.float64)
    path = process.path(rows, times, UnitNoise(draws))[:, :, 0]
    response = path[:, :-1] - path[:, -1:]
    return path[:, -1], response @ response.T


def test_paths_have_the_covariance_of_the_process():
    """Cov(x_s, x_t | x_0) of dX = −X dt + √2 dW is e^−|t−s| − e^−(t+s), to 1e-14; equal times give equal values."""
    times = [0.0, 1e-7, 0.01, 0.01, 0.5, 2.0, 4.0]
    mean, cov = moments_along(ReferenceVP(), 1.7, times)
    for i, s in enumerate(times):
        assert mean[i].item() == pytest.approx(1.7 * math.exp(-s), rel=1e-14)
        for j, t in enumerate(times):
            true = math.exp(-abs(t - s)) * -math.expm1(-2 * min(s, t))
            assert cov[i, j].item() == pytest.approx(true, abs=1e-14, rel=1e-8)


def test_paths_of_scaled_brownian_motion():
    """α = 1, σ = t: Cov(x_s, x_t) = min(s, t)²."""
    times = [0.1, 1.0, 3.0, 20.0]
    _, cov = moments_along(ReferenceVE(), 0.0, times)
    expected = (
        torch.minimum(*torch.meshgrid(*[torch.tensor(times, dtype=torch.float64)] * 2, indexing="ij")) ** 2
    )
    torch.testing.assert_close(cov, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE()], ids=["vp", "ve"])
def test_bridge_is_the_conditional_of_the_joint_distribution(process):
    """Against conditioning the 2 x 2 Gaussian of (x_s, x_t) given x_0 on x_t."""
    s, t, x0, x_t = 0.3, 1.1, -0.7, 1.9
    mean, cov = (a.numpy() for a in moments_along(process, x0, [s, t]))
    gain = cov[0, 1] / cov[1, 1]
    at, to = process.instants([t, s])
    rows = torch.full((2, 1), x_t, dtype=torch.float64)

    def run(generator, n):
        return process.bridge(rows, torch.full((n, 1), x0, dtype=torch.float64), at, to).sample(generator)

    bridge_mean, bridge_var = affine_moments(run, 1)
    assert bridge_mean.item() == pytest.approx(mean[0] + gain * (x_t - mean[1]), rel=1e-12)
    assert bridge_var.item() == pytest.approx(cov[0, 0] - gain * cov[0, 1], rel=1e-12)
    batch = [process.at(torch.full((1,), time, dtype=torch.float64), 2) for time in (t, s)]
    distribution = process.bridge(rows[:1], torch.full((1, 1), x0, dtype=torch.float64), *batch)
    assert distribution.mean.item() == pytest.approx(bridge_mean.item(), rel=1e-12)


def test_euler_maruyama_is_its_recursion():
    """m ← (1 − h) m and v ← (1 − h)² v + 2h, whatever the intervals are."""
    steps, times = 12, [0.4, 1.2]
    sizes = [0.4 / 6] * 6 + [0.8 / 6] * 6
    mean, var = 1.3, 0.0
    for h in sizes:
        mean, var = (1 - h) * mean, (1 - h) ** 2 * var + 2 * h

    def run(generator, n):
        x0 = torch.full((n, 1), 1.3, dtype=torch.float64)
        return ReferenceVP().euler_maruyama(x0, times, generator, substeps=6)[-1]

    seen_mean, seen_var = affine_moments(run, steps)
    assert seen_mean.item() == pytest.approx(mean, rel=1e-12)
    assert seen_var.item() == pytest.approx(var, rel=1e-12)


def test_a_centre_shifts_everything_and_nothing_else():
    """x_t = μ + α(x_0 − μ) + σε for sample, path, prior, bridge and density; `centred` has μ = 0."""
    process, plain = Centred(), ReferenceVP()
    x0 = torch.tensor([[0.1, 1.0], [3.0, -1.0], [0.4, 0.4]], dtype=torch.float64)
    close = {"rtol": 1e-13, "atol": 1e-13}
    assert_close = torch.testing.assert_close
    assert_close(process.sample(x0, 0.7, 1), MU + plain.sample(x0 - MU, 0.7, 1), **close)
    assert_close(process.path(x0, [0.1, 2.0], 1), MU + plain.path(x0 - MU, [0.1, 2.0], 1), **close)
    simulated = process.euler_maruyama(x0, [0.1, 2.0], 1, 3)
    assert_close(simulated, MU + plain.euler_maruyama(x0 - MU, [0.1, 2.0], 1, 3), **close)
    priors = [
        p.prior((3, 2), mean=m, var=2.0, generator=1, dtype=torch.float64)
        for p, m in ((process, x0[0]), (plain, x0[0] - MU))
    ]
    assert_close(priors[0], MU + priors[1], **close)
    at, to = plain.instants([1.0, 0.5])
    bridge = process.bridge(x0, x0 + 1, at, to)
    assert_close(bridge.mean, MU + plain.bridge(x0 - MU, x0 + 1 - MU, at, to).mean, **close)
    points = x0 + 0.2
    assert_close(process.density(points, x0, 0.3), plain.density(points - MU, x0 - MU, 0.3), **close)
    centred = process.centred()
    assert centred.centre_like(x0) == 0.0
    assert centred.at(0.7).g2 == process.at(0.7).g2
    assert centred.t_min == process.t_min
    assert plain.centred() is plain
    for kind in ("noise", "score", "velocity", "v", "straight"):
        there = process.convert(x0, points, at, "x0", kind)
        assert_close(there, plain.convert(x0 - MU, points - MU, at, "x0", kind), **close)
        assert_close(process.convert(there, points, at, kind, "x0"), x0, rtol=1e-12, atol=1e-12)


def test_prior_has_the_moments_of_the_noised_data():
    """N(μ + α_T(m − μ), α_T² v + σ_T²), exactly; with v = 0 it is the distribution of x_T given x_0 = m."""
    process = Centred()
    alpha2 = math.exp(-8)

    def run(generator, n):
        return process.prior(
            (n, 2), mean=[2.0, 1.0], var=[0.5, 3.0], generator=generator, dtype=torch.float64
        )

    mean, var = affine_moments(run, 1)
    expected = MU + math.exp(-4) * (torch.tensor([2.0, 1.0]) - MU)
    torch.testing.assert_close(mean, expected, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(
        var, alpha2 * torch.tensor([0.5, 3.0]).double() + 1 - alpha2, rtol=1e-14, atol=0
    )
    _, var = affine_moments(lambda g, n: process.prior((n, 2), mean=1.0, generator=g, dtype=torch.float64), 1)
    torch.testing.assert_close(var, torch.full((2,), 1 - alpha2, dtype=torch.float64), rtol=1e-14, atol=0)


@pytest.mark.parametrize("t", [0.002, 0.1, 2.0])
def test_density_is_that_of_scipy(t):
    rng = np.random.default_rng(0)
    data, points = rng.normal(size=(7, 2)), rng.normal(size=(5, 2))
    points[:2] = data[:2] + t * rng.normal(size=(2, 2))
    expected = np.mean([stats.multivariate_normal(m, t**2 * np.eye(2)).pdf(points) for m in data], axis=0)
    np.testing.assert_allclose(ReferenceVE().density(points, data, t), expected, rtol=1e-10)


def test_density_in_float32_keeps_small_distances():
    """Near data that are far from 0, where |x|² − 2x·m + |m|² would cancel: within 0.2 % (it was 20 %)."""
    data = 2 + 0.3 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    process = ReferenceVE()
    points = process.sample(data, process.t_min, 1)
    truth = process.density(points.double(), data.double(), process.t_min)
    torch.testing.assert_close(
        process.density(points, data, process.t_min).double(), truth, rtol=2e-3, atol=0
    )


def test_arrays_of_every_kind_are_taken():
    """NumPy arguments in any position or by keyword; whole numbers become float64; lists give NumPy."""
    process = ReferenceVP()
    numbers = np.array([[1, 2], [3, 4]])
    assert process.sample(numbers, 0.5, 1).dtype == np.float64
    np.testing.assert_array_equal(process.sample([[1, 2], [3, 4]], 0.5, 1), process.sample(numbers, 0.5, 1))
    each = np.array([0.5, 1.5])
    np.testing.assert_array_equal(
        process.sample(numbers, t=each, generator=1), process.sample(numbers, torch.tensor(each), 1)
    )
    by_name = process.density(numbers, data=numbers + 0.1, t=0.5)
    np.testing.assert_array_equal(by_name, process.density(numbers, numbers + 0.1, 0.5))
    x0 = torch.zeros(2, 2)
    assert process.sample(x0, torch.tensor(each), 1).dtype == torch.float32
    assert process.sample(x0, each, 1).dtype == torch.float32
    assert process.path(numbers, np.array([0.1, 0.2]), 1).shape == (2, 2, 2)
    assert process.sample(np.zeros((0, 2)), 0.5, 1).shape == (0, 2)


class Forgetful(ReferenceVP):
    """Rectified flow, α = 1 − t, σ = t, held at T = 1: nothing of the data is left, and f is infinite."""

    horizon = 1.0

    def log_alpha(self, t):
        return torch.log1p(-t.clamp_max(1))

    def alpha(self, t):
        return 1 - t.clamp_max(1)

    def variance(self, t):
        return t.clamp_max(1) ** 2


def test_formulas_hold_where_no_signal_is_left():
    """At α = 0 paths are N(0, 1) and stay where they are; the bridge from there is the marginal of x_s given x_0."""
    process, times = Forgetful(), [0.4, 1.0, 1.0, 1.0]
    mean, cov = moments_along(process, 3.0, times)
    assert mean.tolist() == pytest.approx([1.8, 0, 0, 0])
    assert cov[1:, 1:].flatten().tolist() == pytest.approx([1.0] * 9, rel=1e-12)
    assert cov[0].tolist() == pytest.approx([0.16, 0, 0, 0], abs=1e-15)
    rows = torch.full((12, 1), 3.0, dtype=torch.float64)
    simulated = process.euler_maruyama(rows, times, UnitNoise(11), 3)
    assert torch.equal(simulated[1], simulated[3])
    assert simulated[1, -1] == 0
    assert (simulated[1] - simulated[1, -1]).square().sum() == pytest.approx(1, rel=1e-12)
    one = torch.ones(1, 1, dtype=torch.float64)
    distribution = process.bridge(5 * one, 3 * one, *process.instants([1.0, 0.7]))
    assert (distribution.mean.item(), distribution.std) == pytest.approx((0.9, 0.7))


def test_misuse_is_an_error_in_words():
    process = ReferenceVP()
    x0 = torch.zeros(3, 2)
    for times in ([0.5, 0.2], [-1.0, 0.2], []):
        for path in (process.path, process.euler_maruyama):
            with pytest.raises(DifrunError, match="times of a path must increase"):
                path(x0, times)
    for t in (-0.5, 4.1, math.nan, torch.tensor([0.1, 0.2, 4.1])):
        with pytest.raises(DifrunError, match=r"time runs from 0 \(data\) to T = 4; got (-0.5|4.1|nan)"):
            process.sample(x0, t)
    with pytest.raises(DifrunError, match="T = 4; got 5"):
        process.path(x0, [0.5, 5.0])
    with pytest.raises(DifrunError, match="T = 4; got 5"):
        process.density(x0, x0, 5.0)
    with pytest.raises(DifrunError, match="no density at t = 0"):
        process.density(x0, x0, 0.0)
    with pytest.raises(DifrunError, match="μ has 2 numbers; examples of shape \\(3,\\)"):
        Centred().sample(torch.zeros(5, 3), 0.5)
    with pytest.raises(DifrunError, match="μ has 2 numbers"):
        Centred().sample(torch.zeros(5, 1), 0.5)
    with pytest.raises(NotImplementedError, match="GaussianProcess must define log_alpha"):
        GaussianProcess().log_alpha(torch.tensor([0.5]))


def test_paths_and_bridges_where_the_signal_underflows():
    """dX = −X dt + √2 dW up to T = 2000, where e^−2000 is 0 in float64: paths and bridges stay exact.

    Cov(x_s, x_t | x_0) = e^−|t−s| − e^−(t+s); from x_t the bridge to s keeps e^−(t−s) of x_t, to 1e-11.
    """

    class Long(ReferenceVP):
        horizon = 2000.0

    process, times = Long(), [1.0, 1500.0, 1500.5, 2000.0]
    mean, cov = moments_along(process, 1.7, times)
    for i, s in enumerate(times):
        assert mean[i].item() == pytest.approx(1.7 * math.exp(-s), rel=1e-12)
        for j, t in enumerate(times):
            true = math.exp(-abs(t - s)) - math.exp(-(s + t))
            assert cov[i, j].item() == pytest.approx(true, rel=1e-11, abs=1e-200)
    at, to = process.instants([1500.5, 1500.0])
    x, x0 = torch.ones(2, 1, dtype=torch.float64), torch.full((2, 1), 3.0, dtype=torch.float64)
    mean, var = affine_moments(lambda g, n: process.bridge(x[:n], x0[:n], at, to).sample(g), 1)
    assert mean.item() == pytest.approx(math.exp(-0.5), rel=1e-11)
    assert var.item() == pytest.approx(1 - math.exp(-1.0), rel=1e-11)
    simulated = process.euler_maruyama(x, [1500.0, 2000.0], 1, substeps=2000)
    assert simulated.isfinite().all()
