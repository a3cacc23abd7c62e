"""What benchmarks/quality.py measures against: its targets, its exact endpoints and its errors, in closed form."""

import math
import sys
from pathlib import Path

import pytest
import torch

from difrun.data import GaussianMixture

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def targets(monkeypatch):
    """The module benchmarks/targets.py."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import targets

    yield targets
    del sys.modules["targets"]


def rotated() -> GaussianMixture:
    """One Gaussian in three dimensions, off the origin, with axes of its own."""
    axes = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)).double())[0]
    cov = axes @ torch.diag(torch.tensor([0.05, 0.4, 1.5], dtype=torch.float64) ** 2) @ axes.T
    return GaussianMixture([1.0], [[2.0, -1.0, 0.5]], (0.5 * (cov + cov.T))[None])


def test_radii_of_the_targets(targets):
    """√E|x|²: √(R² + 2 s²) on circles of radius R; 16 and the mean trace of the covariances in 64 dimensions."""
    assert targets.radius(targets.gmm8()) == pytest.approx(math.sqrt(1.4**2 + 2 * 0.08**2), rel=1e-12)
    rings = math.sqrt((44 * 1.4**2 + 20 * 0.5**2) / 64 + 2 * 0.05**2)
    assert targets.radius(targets.rings64()) == pytest.approx(rings, rel=1e-12)
    distribution = targets.gmm64d()
    traces = distribution.covs.diagonal(dim1=1, dim2=2).sum(1)
    assert targets.radius(distribution) == pytest.approx(
        math.sqrt(16 + float(distribution.weights @ traces)), rel=1e-12
    )
    assert distribution.eigenvalues.sqrt().min() == pytest.approx(0.05, rel=0.02)
    assert distribution.eigenvalues.sqrt().max() == pytest.approx(0.5, rel=0.02)


def test_endpoints_of_one_gaussian_are_those_of_the_closed_form(targets):
    """The flow of N(m, C) is z − m = √(C + σ²) times a constant: the end is m + C^½ (C + 80²)^−½ (z − m), to 1e-8."""
    distribution = rotated()
    z = targets.start(distribution, 32, seed=0)
    values, axes = torch.linalg.eigh(distribution.covs[0])
    shrink = (values / (values + 80.0**2)).sqrt()
    exact = distribution.means + ((z - distribution.means) @ axes * shrink) @ axes.T
    torch.testing.assert_close(targets.endpoints(distribution, z), exact, rtol=0, atol=1e-8)


def test_endpoints_on_the_ring_follow_the_symmetry(targets):
    """Noise turned by 45° ends turned by 45°; with 1e-7 as its tolerance the solver ends within 1e-5."""
    distribution = targets.gmm8()
    z = targets.start(distribution, 64, seed=3)
    c = math.sqrt(0.5)
    turn = torch.tensor([[c, c], [-c, c]], dtype=torch.float64)
    ends = targets.endpoints(distribution, z)
    torch.testing.assert_close(targets.endpoints(distribution, z @ turn), ends @ turn, rtol=0, atol=1e-7)
    torch.testing.assert_close(targets.endpoints(distribution, z, rtol=1e-7), ends, rtol=0, atol=1e-5)


def test_errors_are_medians_over_sets_of_noise(targets):
    """Distances 1, 2 and 4 radii in three sets: the median set counts; a turn by 45° lands in the next component."""
    distribution = targets.gmm8()
    exact = distribution.means.repeat(3, 1)
    away = torch.tensor([1.0, 4.0, 2.0], dtype=torch.float64).repeat_interleave(8)[:, None]
    moved = exact * (1 + away * targets.radius(distribution) / 1.4)
    found = targets.error(distribution, moved, exact, 3)
    assert (found.rms, found.median, found.strayed) == pytest.approx((2.0, 2.0, 0.0))
    x = exact.clone()
    x[:2] = exact[1:3]  # two of the eight in the first set
    x[8:10] = exact[9:11]  # and in the second
    found = targets.error(distribution, x, exact, 3)
    apart = 2 * 1.4 * math.sin(math.pi / 8) / targets.radius(distribution)
    assert found.rms == pytest.approx(apart * math.sqrt(2 / 8))
    assert found.strayed == pytest.approx(2 / 8)
    assert found.median == pytest.approx(0.0, abs=1e-12)


def test_the_component_of_a_point_weighs_widths(targets):
    """Of two Gaussians with one mean, a far point belongs to the wide one and the mean to the narrow one."""
    wide = torch.diag(torch.tensor([4.0, 1.0], dtype=torch.float64))
    covs = torch.stack((0.01 * torch.eye(2, dtype=torch.float64), wide))
    distribution = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [0.0, 0.0]], covs)
    points = torch.tensor([[0.0, 0.0], [1.5, 0.0]], dtype=torch.float64)
    assert targets.component(distribution, points).tolist() == [0, 1]


def test_the_denoiser_counts_its_calls(targets):
    """And is m + C/(C + σ²) (z − m) for one Gaussian."""
    denoiser = targets.Denoiser(rotated())
    distribution, z = denoiser.distribution, torch.tensor([[1.0, 0.0, -2.0]], dtype=torch.float64)
    noisy = distribution.covs[0] + 0.7**2 * torch.eye(3, dtype=torch.float64)
    exact = distribution.means + (z - distribution.means) @ torch.linalg.solve(noisy, distribution.covs[0])
    torch.testing.assert_close(denoiser(z, 0.7), exact, rtol=1e-10, atol=1e-10)
    assert denoiser.calls == 1
