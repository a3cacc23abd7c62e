"""Checks of posteriors: they pass exact ones, and find those that are too narrow, too wide or shifted."""

import numpy as np
import pytest
import torch

from difrun.data import ConditionalMixture, GaussianMixture
from difrun.errors import DifrunError
from difrun.metric import c2st, expected_coverage, rank_p_values, ranks

CASES, DRAWS = 600, 99


@pytest.fixture(scope="module")
def linear_gaussian():
    """θ ~ N(0, I), c = A θ + ½ ε: pairs, and exact posterior draws N(B c, S) by the textbook formula."""
    random = torch.Generator().manual_seed(0)
    a = torch.tensor([[1.0, 0.5], [-0.3, 0.8]]).double()
    theta = torch.randn((CASES, 2), generator=random).double()
    c = theta @ a.T + 0.5 * torch.randn((CASES, 2), generator=random).double()
    cov = torch.linalg.inv(torch.eye(2).double() + a.T @ a / 0.25)
    mean = c @ (cov @ a.T / 0.25).T
    root = torch.linalg.cholesky(cov)

    def draws(width=1.0, shift=0.0):
        noise = torch.randn((CASES, DRAWS, 2), generator=random).double()
        return mean[:, None] + shift + width * noise @ root.T

    joint = GaussianMixture(
        torch.ones(1),
        torch.zeros(1, 4),
        torch.cat(
            (
                torch.cat((torch.eye(2).double(), a.T), 1),
                torch.cat((a, a @ a.T + 0.25 * torch.eye(2).double()), 1),
            )
        )[None],
    )
    return theta, c, draws, ConditionalMixture(joint, 2)


def test_exact_posteriors_are_calibrated(linear_gaussian):
    theta, c, draws, conditional = linear_gaussian
    ours = conditional.sample(c.repeat_interleave(DRAWS, 0), torch.Generator().manual_seed(1)).reshape(
        CASES, DRAWS, 2
    )
    for each in (draws(), ours):
        assert (rank_p_values(ranks(each, theta), DRAWS) > 1e-3).all()
        for coverage in expected_coverage(each, theta):
            assert abs(coverage.found - coverage.level) < 4 * coverage.error


@pytest.mark.parametrize(("width", "shift"), [(0.6, 0.0), (1.6, 0.0), (1.0, 0.3)])
def test_wrong_posteriors_are_found(linear_gaussian, width, shift):
    theta, _, draws, _ = linear_gaussian
    wrong = draws(width, shift)
    assert (rank_p_values(ranks(wrong, theta), DRAWS) < 1e-6).all()
    worst = max(abs(each.found - each.level) / each.error for each in expected_coverage(wrong, theta))
    assert worst > 4


def test_ranks_count_the_draws_below():
    draws = torch.tensor([[[0.0], [1.0], [2.0]]])
    assert ranks(draws, torch.tensor([[1.5]])).tolist() == [[2]]
    # 10 ranks in 3 bins: the bins hold 4, 3 and 3 ranks; a rank each fits them exactly.
    assert float(rank_p_values(torch.arange(10)[:, None], 9, bins=3)) == pytest.approx(1)
    with pytest.raises(DifrunError, match=r"expected \(cases, draws, ...\)"):
        ranks(draws, torch.zeros(2, 1))
    with pytest.raises(DifrunError, match="bins for ranks from 0 to 9"):
        rank_p_values(torch.zeros(5, 1, dtype=torch.int64), 9, bins=20)


def test_the_classifier_finds_what_can_be_found():
    """Two normal sets at distance 2 are told apart in Φ(1) = 84 % of the cases, equal ones in half."""
    random = torch.Generator().manual_seed(3)
    a, b, apart = (
        torch.randn((600, 2), generator=random) + shift for shift in (0, 0, torch.tensor([2.0, 0]))
    )
    seeded = torch.Generator().manual_seed
    assert c2st(a, b, generator=seeded(0))["c2st"] == pytest.approx(0.5, abs=0.06)
    assert c2st(a, apart, generator=seeded(0))["c2st"] == pytest.approx(0.8413, abs=0.045)
    small = a[:50], b[:50]
    assert c2st(*small, generator=seeded(0)) == c2st(*map(np.asarray, small), generator=seeded(0))
    with pytest.raises(DifrunError, match="at least 20 points"):
        c2st(a[:5], b, generator=seeded(0))


def test_the_classifier_takes_points_of_all_of_a_set_in_order():
    """Two samples of one mixture of two modes, one of them sorted: more points than are used, and no difference."""
    random = torch.Generator().manual_seed(4)
    a, b = (
        torch.randn((6000, 2), generator=random) + 3 * torch.randint(2, (6000, 1), generator=random)
        for _ in range(2)
    )
    found = c2st(a[a[:, 0].argsort()], b, generator=torch.Generator().manual_seed(0))["c2st"]
    assert found == pytest.approx(0.5, abs=0.03)
