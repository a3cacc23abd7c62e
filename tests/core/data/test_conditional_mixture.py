"""Conditionals of Gaussian mixtures, against Bayes' theorem and the formulas of one Gaussian."""

import math

import pytest
import torch

from difrun.data import ConditionalMixture, GaussianMixture, conditional_mixture
from difrun.errors import DifrunError


def joint_mixture(size=3, components=3, seed=0):
    """A mixture with full covariances, in `size` dimensions."""
    draw = torch.Generator().manual_seed(seed)
    roots = torch.randn((components, size, size), generator=draw, dtype=torch.float64)
    covs = roots @ roots.mT + 0.3 * torch.eye(size, dtype=torch.float64)
    weights = torch.rand(components, generator=draw, dtype=torch.float64) + 0.2
    means = 2 * torch.randn((components, size), generator=draw, dtype=torch.float64)
    return GaussianMixture(weights / weights.sum(), means, covs)


def test_the_density_is_that_of_bayes():
    """log p(x | c) = log p(x, c) − log p(c), for rows of several c, and log p(x) where c is not known."""
    joint = joint_mixture(4)
    conditional = ConditionalMixture(joint, 2)
    draws = joint.sample(20, torch.Generator().manual_seed(1))
    x, c = draws[:, :2], draws[:, 2:].clone()
    expected = joint.log_prob(draws) - conditional.of_condition().log_prob(c)
    torch.testing.assert_close(conditional.log_prob(x, c), expected)
    c[::3] = math.nan
    expected[::3] = conditional.marginal().log_prob(x[::3])
    c[1, 0] = math.nan  # only the second entry is known
    pair = GaussianMixture(
        joint.weights, joint.means[:, [0, 1, 3]], joint.covs[:, [0, 1, 3]][:, :, [0, 1, 3]]
    )
    entry = GaussianMixture(joint.weights, joint.means[:, 3:], joint.covs[:, 3:, 3:])
    expected[1] = pair.log_prob(draws[1:2, [0, 1, 3]])[0] - entry.log_prob(draws[1:2, 3:])[0]
    torch.testing.assert_close(conditional.log_prob(x, c), expected)


def test_draws_have_the_moments_of_the_conditional():
    conditional = ConditionalMixture(joint_mixture(), 2)
    n, given = 40_000, torch.tensor([[0.4]], dtype=torch.float64)
    x = conditional.sample(given.expand(n, 1), torch.Generator().manual_seed(2))
    mean, var = (part[0] for part in conditional.moments(given))
    assert ((x.mean(0) - mean).abs() < 5 * (var / n).sqrt()).all()
    # The fourth moment bounds the error of the variance.
    error = ((x - mean).pow(4).mean(0) / n).sqrt()
    assert ((x.var(0) - var).abs() < 5 * error).all()


@pytest.mark.parametrize("known", [(1,), (0, 2)])
def test_known_coordinates_of_a_gaussian_leave_the_textbook_conditional(known):
    """Mean m_u + S_uk S_kk⁻¹ (v − m_k), covariance S_uu − S_uk S_kk⁻¹ S_ku; known coordinates keep their values."""
    joint = joint_mixture(components=1)
    conditional = ConditionalMixture(joint, 3, completes=True)
    row = torch.tensor([0.7, -1.2, 0.4], dtype=torch.float64)
    given = torch.full((3,), math.nan, dtype=torch.float64)
    k, u = list(known), [j for j in range(3) if j not in known]
    given[k] = row[k]
    mean, cov = joint.means[0], joint.covs[0]
    solved = torch.linalg.inv(cov[k][:, k])
    part = conditional.given(given[None])[0]
    torch.testing.assert_close(part.means[0, 0, u], mean[u] + cov[u][:, k] @ solved @ (row[k] - mean[k]))
    torch.testing.assert_close(part.means[0, 0, k], row[k], rtol=1e-12, atol=1e-12)
    whole = part.axes[0] @ torch.diag(part.variances[0]) @ part.axes[0].T
    torch.testing.assert_close(whole[u][:, u], cov[u][:, u] - cov[u][:, k] @ solved @ cov[k][:, u])
    assert whole[k].abs().max() < 1e-12


def test_what_has_no_density_is_refused():
    flat = GaussianMixture(torch.ones(1), torch.zeros(1, 2), torch.diag(torch.tensor([1.0, 0.0]))[None])
    with pytest.raises(DifrunError, match="no density"):
        ConditionalMixture(flat, 1).given(torch.zeros(1, 1))
    with pytest.raises(DifrunError, match="fixed by the condition"):
        ConditionalMixture(joint_mixture(), 3, completes=True).log_prob(torch.zeros(1, 3), torch.zeros(1, 3))
    with pytest.raises(DifrunError, match="2 entries; the mixture has 1"):
        ConditionalMixture(joint_mixture(), 2).given(torch.zeros(1, 2))


def test_few_patterns_of_gaps_are_remembered_and_all_are_right(monkeypatch):
    """Rows of d columns have up to 2^d patterns; those that were forgotten are computed again, to the same numbers."""
    monkeypatch.setattr(conditional_mixture, "MOST_PATTERNS", 5)
    conditional = ConditionalMixture(joint_mixture(4), 4, completes=True)
    rows = torch.randn((16, 4), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    hidden = torch.arange(16)[:, None] // 2 ** torch.arange(4) % 2 == 1
    rows[hidden] = math.nan
    first = conditional.moments(rows)
    assert len(conditional._patterns) == 5
    for again, expected in zip(conditional.moments(rows), first, strict=True):
        assert torch.equal(again, expected)
    one = ConditionalMixture(joint_mixture(4), 4, completes=True)
    each = torch.cat([one.moments(row[None])[0] for row in rows])
    torch.testing.assert_close(each, first[0])
