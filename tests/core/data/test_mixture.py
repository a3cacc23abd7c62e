"""Gaussian mixtures against scipy's densities, their own moments and finite differences."""

import numpy as np
import pytest
import torch
from scipy import stats

from difrun.data import GaussianMixture
from difrun.data.mixture import CHUNK, choose_components
from difrun.errors import DifrunError

WEIGHTS = [0.5, 0.3, 0.2]
MEANS = [[-1.0, 0.5], [2.0, 1.0], [0.0, -3.0]]
COVS = [[[0.4, 0.1], [0.1, 0.3]], [[1.0, -0.6], [-0.6, 0.5]], [[0.2, 0.0], [0.0, 0.05]]]
VARIANCES = [0.4, 0.1, 1.5]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=["full", "isotropic"])
def mixture(request) -> GaussianMixture:
    return GaussianMixture(WEIGHTS, MEANS, COVS if request.param == "full" else VARIANCES)


def covariances(mixture: GaussianMixture) -> np.ndarray:
    """The C_k as full matrices, from the numbers above and not from the mixture's own algebra."""
    return np.array([v * np.eye(2) for v in VARIANCES]) if mixture.isotropic else np.array(COVS)


def scipy_log_prob(
    mixture: GaussianMixture, x: torch.Tensor, alpha: float = 1, sigma: float = 0
) -> np.ndarray:
    densities = [
        w * stats.multivariate_normal(alpha * np.array(m), alpha**2 * c + sigma**2 * np.eye(2)).pdf(x.numpy())
        for w, m, c in zip(WEIGHTS, MEANS, covariances(mixture), strict=True)
    ]
    return np.log(np.sum(densities, axis=0))


def points(n: int = 200) -> torch.Tensor:
    return 2 * torch.randn((n, 2), generator=generator(1), dtype=torch.float64)


def test_log_density_is_that_of_scipy(mixture):
    np.testing.assert_allclose(mixture.log_prob(points()), scipy_log_prob(mixture, points()), rtol=1e-11)


def test_score_is_the_gradient_of_the_log_density(mixture):
    x = points().requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.log_prob(x).sum(), x)
    torch.testing.assert_close(mixture.score(x.detach()), gradient, rtol=1e-9, atol=1e-11)


def test_diffused_is_the_distribution_of_the_noised_variable(mixture):
    noised = mixture.diffused(0.6, 0.8)
    expected = scipy_log_prob(mixture, points(), 0.6, 0.8)
    np.testing.assert_allclose(noised.log_prob(points()), expected, rtol=1e-11)
    torch.testing.assert_close(noised.cov, 0.36 * mixture.cov + 0.64 * torch.eye(2, dtype=torch.float64))
    assert noised.isotropic == mixture.isotropic


def test_eigenvalues_and_eigenvectors_rebuild_the_covariances(mixture):
    for noised, alpha, sigma in ((mixture, 1, 0), (mixture.diffused(0.5, 0.3), 0.5, 0.3)):
        vectors = noised.eigenvectors
        if vectors is None:
            vectors = torch.eye(2).double().expand(3, 2, 2)
        rebuilt = vectors @ torch.diag_embed(noised.eigenvalues) @ vectors.mT
        expected = alpha**2 * covariances(mixture) + sigma**2 * np.eye(2)
        np.testing.assert_allclose(rebuilt, expected, atol=1e-14)


def test_full_and_isotropic_forms_agree():
    isotropic = GaussianMixture(WEIGHTS, MEANS, VARIANCES)
    full = GaussianMixture(WEIGHTS, MEANS, [v * np.eye(2) for v in VARIANCES])
    for of in (GaussianMixture.log_prob, GaussianMixture.score):
        torch.testing.assert_close(of(isotropic, points()), of(full, points()), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(isotropic.cov, full.cov)
    torch.testing.assert_close(isotropic.var, full.var)


@pytest.mark.parametrize("stratified", [False, True])
def test_samples_have_the_moments_of_the_distribution(mixture, stratified):
    """Means and covariances within 5 standard errors; stratified draws vary less."""
    n = 100_000
    x = mixture.sample(n, generator(), stratified=stratified)
    error = (mixture.var / n).sqrt()
    assert ((x.mean(0) - mixture.mean).abs() < 5 * error).all()
    torch.testing.assert_close(mixture.var, mixture.cov.diagonal(), rtol=1e-12, atol=0)
    offset = x - mixture.mean
    products = offset[:, :, None] * offset[:, None, :]
    assert ((products.mean(0) - mixture.cov).abs() < 5 * products.std(0) / n**0.5).all()


def test_samples_follow_the_distribution(mixture):
    """Kolmogorov–Smirnov of the first coordinate against the exact distribution function."""
    x = mixture.sample(20_000, generator(3))[:, 0].numpy()
    stds = np.sqrt(covariances(mixture)[:, 0, 0])

    def cdf(value):
        return sum(w * stats.norm.cdf(value, m[0], s) for w, m, s in zip(WEIGHTS, MEANS, stds, strict=True))

    assert stats.kstest(x, cdf).pvalue > 1e-4


def test_choice_has_the_weights_and_stratified_choice_has_them_exactly():
    n = 30_000
    counts = choose_components(n, torch.tensor(WEIGHTS), generator()).bincount()
    assert stats.chisquare(counts.numpy(), n * np.array(WEIGHTS)).pvalue > 1e-4
    stratified = choose_components(n, torch.tensor(WEIGHTS).double(), generator(), stratified=True)
    assert stratified.bincount().tolist() == [15_000, 9_000, 6_000]
    # In random order: the first tenth holds no exact shares, nor one component only.
    assert stats.chisquare(stratified[:3000].bincount().numpy(), 3000 * np.array(WEIGHTS)).pvalue > 1e-4
    assert not stratified[1:].ge(stratified[:-1]).all()


def test_chunks_join_without_a_seam():
    """More points than one chunk holds, with thousands of components."""
    k = 3000
    mixture = GaussianMixture(
        np.full(k, 1 / k), np.random.default_rng(0).normal(size=(k, 2)), np.full(k, 0.01)
    )
    x = points(2 * CHUNK // k + 5)
    one_by_one = torch.cat([mixture.score(row[None]) for row in x[::500]])
    torch.testing.assert_close(mixture.score(x)[::500], one_by_one, rtol=1e-9, atol=1e-9)
    one_by_one = torch.cat([mixture.log_prob(row[None]) for row in x[::500]])
    torch.testing.assert_close(mixture.log_prob(x)[::500], one_by_one, rtol=1e-12, atol=1e-12)


def test_float32_points_are_evaluated_in_float64(mixture):
    x = points().float()
    narrow = mixture.diffused(1.0, 0.0).log_prob(x)
    assert narrow.dtype == torch.float32
    assert torch.equal(narrow, mixture.log_prob(x.double()).float())
    assert torch.equal(mixture.score(x), mixture.score(x.double()).float())


def test_point_masses_have_no_density_until_diffused():
    mixture = GaussianMixture([0.5, 0.5], [[0.0], [1.0]], [0.0, 0.0])
    assert set(mixture.sample(100, generator())[:, 0].tolist()) == {0.0, 1.0}
    with pytest.raises(DifrunError, match="zero variance"):
        mixture.log_prob(torch.zeros(3, 1))
    x = torch.linspace(-1, 2, 7, dtype=torch.float64)
    expected = np.log((stats.norm.pdf(x, 0, 0.2) + stats.norm.pdf(x, 0.5, 0.2)) / 2)
    np.testing.assert_allclose(mixture.diffused(0.5, 0.2).log_prob(x[:, None]), expected, rtol=1e-11)


@pytest.mark.parametrize(
    ("weights", "means", "covs", "message"),
    [
        ([0.5, 0.6], [[0.0], [1.0]], [1.0, 1.0], "add up to 1, not 1.1"),
        ([1.5, -0.5], [[0.0], [1.0]], [1.0, 1.0], "must not be negative"),
        ([1.0], [0.0], [1.0], r"means of shape \(K, d\), not \(1,\) and \(1,\)"),
        ([0.5, 0.5], [[0.0], [1.0]], [1.0], r"covariances of shape \(1,\) do not fit 2 components in 1 dim"),
        ([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.0, 1.0]]], "not symmetric"),
        ([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]], "negative eigenvalue"),
        ([1.0], [[0.0]], [-1.0], "negative eigenvalue"),
        ([1.0], [[float("nan")]], [1.0], "finite"),
    ],
)
def test_parameters_that_are_not_a_mixture_are_refused(weights, means, covs, message):
    with pytest.raises(DifrunError, match=message):
        GaussianMixture(weights, means, covs)


def test_points_of_another_dimension_are_refused(mixture):
    with pytest.raises(DifrunError, match=r"shape \(5, 3\) do not fit a mixture in \(n, 2\)"):
        mixture.score(torch.zeros(5, 3))
