"""The exact model of p(x | c): against gradients of the density, and through the whole sampling chain."""

import math

import pytest
import torch

from difrun.data import ConditionalMixture, GaussianMixture
from difrun.errors import DifrunError
from difrun.grid.fixed import logsnr
from difrun.model import ExactConditional, ExactMixture
from difrun.process.gaussian import GaussianProcess
from difrun.sampler.fixed_step import Heun
from difrun.sampler.integration import generate


class OU(GaussianProcess):
    """α = exp(−t), α² + σ² = 1, with a mean of its own."""

    horizon = 4.0

    def __init__(self, centre=0.0):
        self.centre = centre

    def log_alpha(self, t):
        return -t

    def variance(self, t):
        return -torch.expm1(-2 * t)


def joint_mixture():
    """Three components of (x_1, x_2, c) that lean in different ways."""
    lean = torch.tensor([[0.15, 0.1], [-0.2, 0.05], [0.0, 0.25]], dtype=torch.float64)
    covs = torch.diag(torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)).repeat(3, 1, 1)
    covs[:, :2, 2] = covs[:, 2, :2] = lean
    means = torch.tensor([[1.5, 0.0, 0.8], [-1.0, 1.0, -0.5], [0.0, -1.2, 0.1]], dtype=torch.float64)
    return GaussianMixture([0.5, 0.3, 0.2], means, covs)


def noised_conditional(joint, alpha, var, centre, x, c):
    """Log p_t(x | c) = log p_t(x, c) − log p(c), with the joint density of x_t and c."""
    scale = torch.tensor([alpha, alpha, 1.0], dtype=torch.float64)
    shift = torch.tensor([(1 - alpha) * centre, (1 - alpha) * centre, 0.0], dtype=torch.float64)
    covs = scale[:, None] * joint.covs * scale + torch.diag(
        torch.tensor([var, var, 0.0], dtype=torch.float64)
    )
    noised = GaussianMixture(joint.weights, joint.means * scale + shift, covs)
    of_c = GaussianMixture(joint.weights, joint.means[:, 2:], joint.covs[:, 2:, 2:])
    return noised.log_prob(torch.cat((x, c), 1)) - of_c.log_prob(c)


@pytest.mark.parametrize("centre", [0.0, 0.7])
def test_the_score_is_the_gradient_of_the_noised_conditional(centre):
    """In float64 to 1e-9; rows without c have the score of p_t(x)."""
    joint, process = joint_mixture(), OU(centre)
    model = ExactConditional(ConditionalMixture(joint, 2), process)
    random = torch.Generator().manual_seed(0)
    x, c = (torch.randn((6, size), generator=random, dtype=torch.float64) for size in (2, 1))
    for t in (0.05, 0.7, 3.0):
        at = process.at(t)
        point = x.clone().requires_grad_()
        log_p = noised_conditional(joint, at.alpha, at.var, centre, point, c)
        expected = torch.autograd.grad(log_p.sum(), point)[0]
        given = model.condition_on(c)
        torch.testing.assert_close(given.predict(x, at, "score"), expected, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(given.log_prob(x, at), log_p.detach(), rtol=1e-9, atol=1e-9)
        # Tweedie: x̂_0 from the score.
        x0 = centre + (x - centre + at.var * expected) / at.alpha
        torch.testing.assert_close(given.predict(x, at, "x0"), x0, rtol=1e-8, atol=1e-8)
        some = c.clone()
        some[::2] = math.nan
        plain = ExactMixture(ConditionalMixture(joint, 2).marginal(), process).predict(x, at, "score")
        mixed = model.condition_on(some).predict(x, at, "score")
        torch.testing.assert_close(mixed[::2], plain[::2])
        torch.testing.assert_close(mixed[1::2], expected[1::2], rtol=1e-9, atol=1e-9)


def test_rows_may_be_at_different_times():
    process = OU()
    model = ExactConditional(ConditionalMixture(joint_mixture(), 2), process)
    x, c, times = (
        torch.randn(4, 2).double(),
        torch.randn(4, 1).double(),
        torch.tensor([0.1, 0.4, 1.0, 2.0]).double(),
    )
    together = model.condition_on(c).predict(x, process.instant(times, 2), "noise")
    for i, t in enumerate(times.tolist()):
        alone = model.condition_on(c[i : i + 1]).predict(x[i : i + 1], process.at(t), "noise")
        torch.testing.assert_close(together[i : i + 1], alone)


def sliced_w2(a, b, projections=64):
    angles = torch.arange(projections).double() * math.pi / projections
    directions = torch.stack([angles.cos(), angles.sin()])
    gap = (a.double() @ directions).sort(0).values - (b.double() @ directions).sort(0).values
    return float(gap.square().mean().sqrt())


def test_samples_given_five_conditions_are_at_the_floor_of_the_exact_conditional():
    """Sliced W2 to the exact conditional, for five values of c, beside that of two exact sets.

    The samples of all five c come from one batch, so rows keep their own condition through the chain. Samples of the
    distribution of all c are farther away for each.
    """
    conditional, n = ConditionalMixture(joint_mixture(), 2), 1000
    process = OU()
    model = ExactConditional(conditional, process)
    values = torch.tensor([-1.2, -0.4, 0.1, 0.7, 1.5]).double()
    c = values.repeat(n)[:, None]
    samples = generate(Heun(), model, len(c), logsnr(process, 16), labels=c, seed=3, chunk=4000)
    anything = generate(Heun(), model, n, logsnr(process, 16), seed=4)
    random = torch.Generator().manual_seed(5)
    for value in values:
        given = torch.full((n, 1), float(value)).double()
        exact = conditional.sample(given, random)
        floors = torch.tensor([sliced_w2(conditional.sample(given, random), exact) for _ in range(8)])
        drawn = samples[c[:, 0] == value]
        assert sliced_w2(drawn, exact) < floors.mean() + 4 * floors.std() + 0.01
        assert sliced_w2(anything, exact) > 2.5 * floors.mean()


def test_known_coordinates_keep_their_values_and_the_others_follow_the_exact_conditional():
    """A Gaussian of three coordinates, one of them known; mean and covariance of the others within 5 errors."""
    root = torch.tensor([[1.0, 0, 0], [0.8, 0.6, 0], [-0.5, 0.4, 0.7]]).double()
    joint = GaussianMixture(torch.ones(1), torch.tensor([[0.5, -0.5, 1.0]]).double(), (root @ root.T)[None])
    process, n = OU(), 4000
    model = ExactConditional(ConditionalMixture(joint, 3, completes=True), process)
    given = torch.tensor([[math.nan, 1.3, math.nan]]).double().expand(n, 3)
    samples = generate(Heun(), model, n, logsnr(process, 30), labels=given).double()
    assert torch.equal(samples[:, 1], torch.full((n,), 1.3))
    cov, mean, unknown = joint.covs[0], joint.means[0], [0, 2]
    expected = mean[unknown] + cov[unknown, 1] / cov[1, 1] * (1.3 - mean[1])
    left = cov[unknown][:, unknown] - cov[unknown, 1:2] @ cov[1:2, unknown] / cov[1, 1]
    free = samples[:, unknown]
    assert ((free.mean(0) - expected).abs() < 5 * (left.diagonal() / n).sqrt() + 0.01).all()
    assert ((free.T.cov() - left).abs() < 5 * math.sqrt(2 / n) * left.diagonal().max() + 0.01).all()


def test_conditions_of_the_wrong_form_are_refused():
    model = ExactConditional(ConditionalMixture(joint_mixture(), 2), OU())
    with pytest.raises(DifrunError, match=r"conditions of shape \(3, 2\); this model takes \(n, 1\)"):
        model.condition_on(torch.zeros(3, 2))
    with pytest.raises(DifrunError, match="4 samples need 4 conditions, not 3"):
        generate(Heun(), model, 4, [4.0, 0.1], labels=torch.zeros(3, 1))
    with pytest.raises(DifrunError, match="takes no condition"):
        ExactMixture(joint_mixture(), OU()).condition_on(torch.zeros(3, 1))
