"""Entropies of mixtures, against closed forms and one-dimensional integrals."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from difrun.analysis import entropy
from difrun.data import GaussianMixture, toy
from difrun.errors import DifrunError


def of_normal(var, d=1):
    return 0.5 * d * math.log(2 * math.pi * math.e * var)


def on_the_line(weights, means, var):
    """−∫ p log p of a mixture in one dimension by adaptive quadrature, to 1e-11."""

    def integrand(x):
        p = sum(w * stats.norm.pdf(x, m, math.sqrt(var)) for w, m in zip(weights, means, strict=True))
        return -p * math.log(p) if p > 0 else 0.0

    reach = 12 * math.sqrt(var)
    return quad(integrand, min(means) - reach, max(means) + reach, points=means, epsabs=1e-11, limit=400)[0]


@pytest.mark.parametrize("distance", [0.05, 0.2, 0.3, 0.5, 2.0])
def test_blobs_are_a_line_times_a_normal(distance):
    """Two blobs, apart or overlapping: H of the mixture at ±a√2 on the line plus H of N(0, v), to 1e-6."""
    distribution = toy.blobs(seed=0, n=100, distance=distance).distribution
    reach = distance * math.sqrt(2)
    expected = on_the_line([0.5, 0.5], [-reach, reach], 0.1) + of_normal(0.1)
    assert entropy(distribution) == (pytest.approx(expected, abs=1e-6), 0.0)


def test_known_entropies_of_the_datasets():
    """On the line: quadrature; well separated modes: log K + H of one; all to 1e-6.

    The half-circles, with noise 0.02, 0.05 and 0.1: numbers of an independent two-dimensional quadrature.
    """
    line = toy.bimodal_1d(seed=0, n=100, weight=0.3).distribution
    assert entropy(line).value == pytest.approx(on_the_line([0.3, 0.7], [-1.0, 1.0], 0.0625), abs=1e-6)
    gmm = toy.gmm(seed=0, n=100, std=0.05).distribution
    assert entropy(gmm).value == pytest.approx(math.log(8) + of_normal(0.0025, 2), abs=1e-9)
    for noise, expected in ((0.02, -0.8181564230), (0.05, 0.1204551710), (0.1, 0.8490044360)):
        found = entropy(toy.rings(seed=0, n=100, noise=noise).distribution)
        assert found == (pytest.approx(expected, abs=1e-6), 0.0)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_one_gaussian_in_closed_form(d):
    root = torch.randn((d, d), generator=torch.Generator().manual_seed(d), dtype=torch.float64)
    cov = root @ root.T
    distribution = GaussianMixture([1.0], torch.ones(1, d), cov[None])
    expected = stats.multivariate_normal(np.ones(d), cov.numpy()).entropy()
    assert entropy(distribution) == (pytest.approx(expected, abs=1e-10), 0.0)


def test_unequal_covariances_in_the_plane():
    """Components that do not overlap: Σ w_k (H_k − log w_k), to 1e-6."""
    covs = [[[0.2, 0.1], [0.1, 0.4]], [[0.5, -0.2], [-0.2, 0.3]]]
    distribution = GaussianMixture([0.3, 0.7], [[-20.0, 0.0], [20.0, 1.0]], covs)
    parts = [stats.multivariate_normal([0, 0], cov).entropy() for cov in covs]
    expected = 0.3 * (parts[0] - math.log(0.3)) + 0.7 * (parts[1] - math.log(0.7))
    assert entropy(distribution).value == pytest.approx(expected, abs=1e-6)


def test_many_dimensions_are_sampled_and_say_so():
    """Three overlapping Gaussians on a line in five dimensions: H on the line plus four normals, to 5 errors."""
    means = torch.zeros(3, 5, dtype=torch.float64)
    means[:, 0] = torch.tensor([-1.0, 0.3, 1.4])
    distribution = GaussianMixture([0.2, 0.5, 0.3], means, [0.3, 0.3, 0.3])
    expected = on_the_line([0.2, 0.5, 0.3], [-1.0, 0.3, 1.4], 0.3) + of_normal(0.3, 4)
    found = entropy(distribution)
    assert 0 < found.error < 0.01
    assert abs(found.value - expected) < 5 * found.error


def test_a_grid_that_would_be_too_large_is_sampled():
    """Variances a million apart: no grid, but a sample with its error, right to 5 of them."""
    distribution = GaussianMixture([0.5, 0.5], [[0.0, 0.0], [100.0, 0.0]], [1e-6, 1.0])
    expected = math.log(2) + 0.5 * (of_normal(1e-6, 2) + of_normal(1.0, 2))
    found = entropy(distribution)
    assert 0 < found.error < 0.02
    assert abs(found.value - expected) < 5 * found.error


def test_a_distribution_without_a_density_is_refused():
    with pytest.raises(DifrunError, match="zero variance"):
        entropy(GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [0.0, 1.0]))
    with pytest.raises(DifrunError, match="zero variance"):
        entropy(GaussianMixture([1.0], [[0.0, 1.0]], [0.0]))
