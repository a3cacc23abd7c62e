"""The evidence lower bound, against closed forms, entropies and the exact density."""

import math

import pytest
import torch
from tests.core.processes import Shifted, Straight
from torch import nn
from torch.distributions import Normal, kl_divergence

from difrun.analysis import elbo, entropy
from difrun.analysis.lower_bound import BINS, EvenInAngle
from difrun.data import GaussianMixture
from difrun.data.toy import blobs
from difrun.errors import DifrunError
from difrun.model import MLP, ExactMixture, NetworkModel
from difrun.testing import ReferenceVE, ReferenceVP, two_gaussians
from difrun.testing.references import Disturbed


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(dtype):
    """An untrained network in three dimensions, with weights that are not small."""
    net = MLP((3,), width=16, depth=2)
    draw = generator()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3, generator=draw)
    return NetworkModel(
        net.to(dtype), ReferenceVP(), (3,), mean=torch.full((3,), 0.5), var=torch.full((3,), 1.5)
    )


PROCESSES = [ReferenceVP(), ReferenceVE(), Straight(), Shifted()]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda process: type(process).__name__)
GAUSSIAN = GaussianMixture([1.0], [[0.7, -0.4]], [0.6])


def angles(process, std):
    """sin² θ at t_min and at T."""
    ends = process.instants([process.t_min, process.horizon])
    return [at.var / (at.alpha**2 * std**2 + at.var) for at in ends]


@each_process
def test_every_term_in_closed_form_for_gaussian_data(process):
    """Each example of N(m, σ_d² I), with 32 times and 300 repetitions, within 5 standard errors (0.02 nats).

    With z = (x_0 − m)/σ_d the diffusion term is ½‖z‖² Δ + (d/2)(log Δ' − Δ), Δ the growth of sin² θ and log Δ' that of
    its logarithm; E‖ε̂ − ε‖² = cos² θ (sin² θ ‖z‖² + cos² θ d) at t_min.
    """
    x0 = GAUSSIAN.sample(6, generator())
    found = elbo(ExactMixture(GAUSSIAN, process), x0.repeat(300, 1), times=32)
    z2 = ((x0 - GAUSSIAN.mean).square().sum(1)) / 0.6
    low, high = angles(process, math.sqrt(0.6))
    growth = high - low
    diffusion = 0.5 * z2 * growth + (math.log(high / low) - growth)
    start, end = process.instants([process.t_min, process.horizon])
    last = (1 - low) * (low * z2 + 2 * (1 - low))
    reconstruction = 0.5 * last + math.log(2 * math.pi * start.var / start.alpha**2)
    centre = process.centre_like(x0)
    q = Normal(centre + end.alpha * (x0 - centre), torch.full_like(x0, end.sigma))
    distribution = Normal(
        centre + end.alpha * (GAUSSIAN.mean - centre), math.sqrt(end.alpha**2 * 0.6 + end.var)
    )
    torch.testing.assert_close(found.prior[:6], kl_divergence(q, distribution).sum(1), rtol=1e-9, atol=1e-12)
    for values, expected in ((found.diffusion, diffusion), (found.reconstruction, reconstruction)):
        repeats = values.reshape(300, 6)
        error = repeats.std(0) / 300**0.5
        assert (error < 0.025).all()
        assert ((repeats.mean(0) - expected).abs() < 5 * error + 1e-9).all()


@each_process
def test_the_exact_score_leaves_no_gap(process):
    """prior + diffusion + (d/2) log(2πe σ²) is the entropy of the noised distribution plus KL(p_T ‖ prior), to 5
    errors.

    In pairs with −log p of the noised distribution, 3000 examples: standard error below 0.02 nats.
    """
    distribution = blobs(seed=0, n=100).distribution
    model, n = ExactMixture(distribution, process), 3000
    x0 = distribution.sample(n, generator())
    start, end = process.instants([process.t_min, process.horizon])
    found = elbo(model, x0)
    bound = found.prior + found.diffusion + math.log(2 * math.pi * math.e * start.var)
    x_t = process.sample(x0, process.t_min, generator(1))
    x_end = process.sample(x0, process.horizon, generator(2))
    location, scale = process.prior_moments(x_end, mean=model.mean, var=model.var)
    left = model.log_prob(x_end, end) - Normal(location, scale).log_prob(x_end).sum(1)
    gap = bound + model.log_prob(x_t, start) - left
    error = gap.std() / n**0.5
    assert error < 0.02
    assert abs(gap.mean()) < 5 * error
    # And with the distribution's entropy itself, whose mean over examples varies more.
    spread = (bound - left).std() / n**0.5
    noised = entropy(distribution.diffused(start.alpha, start.sigma)).value
    assert abs((bound - left).mean() - noised) < 5 * spread


def test_the_bound_of_the_exact_score_is_log_p_of_every_example():
    """At a noise-to-signal ratio of 0.002 the whole bound is log p(x_0) of the distribution itself, example by
    example."""
    distribution, process = two_gaussians(), ReferenceVE()
    x0 = distribution.sample(8, generator())
    repeats = elbo(ExactMixture(distribution, process), x0.repeat(200, 1), times=64).nats.reshape(200, 8)
    error = repeats.std(0) / 200**0.5
    assert (error < 0.03).all()
    # KL(p_T ‖ prior) is 2e-4 here.
    assert ((repeats.mean(0) - distribution.log_prob(x0)).abs() < 5 * error + 1e-3).all()


@each_process
def test_an_error_of_the_model_lowers_the_bound_by_its_weighted_square(process):
    """An error δ h of ε̂ lowers the bound by δ²‖h‖² ∫ dλ weighted by h², and by ½ δ²‖h‖² at t_min: to 5 errors.

    h = α/√(α² + σ²) in both coordinates: with σ_d = 1, h = cos θ, and the integral of h² over λ = −log tan θ is the
    growth of log sin θ. (The terms linear in δ have mean 0.)
    """
    distribution, delta = two_gaussians(), 0.5
    x0 = distribution.sample(2000, generator())
    model = ExactMixture(distribution, process)

    def h(x, at):
        return at.alpha * (at.alpha**2 + at.var) ** -0.5 * torch.ones_like(x)

    exact, off = elbo(model, x0), elbo(Disturbed(model, delta, h), x0)
    low, high = angles(process, 1.0)
    cost = delta**2 * 2 * (0.5 * math.log(high / low) + 0.5 * (1 - low))
    loss = exact.nats - off.nats
    error = loss.std() / len(x0) ** 0.5
    assert error < 0.1 * cost
    assert abs(loss.mean() - cost) < 5 * error
    assert off.nats.mean() < distribution.log_prob(x0).mean()


def test_control_variates_change_the_variance_and_not_the_mean(monkeypatch):
    """Without control variates: the same mean, to 5 standard errors, and at least 3 times the variance."""
    distribution = blobs(seed=0, n=100).distribution
    model = ExactMixture(distribution, ReferenceVP())
    x0 = distribution.sample(2000, generator())
    with_factors = elbo(model, x0).nats
    nothing = torch.zeros(BINS, dtype=torch.float64)
    monkeypatch.setattr(
        "difrun.analysis.lower_bound._SquaredErrors._fit_controls", lambda self, x0, chunk: (nothing, nothing)
    )
    without = elbo(model, x0, seed=1).nats
    gap, plain_gap = (with_factors - distribution.log_prob(x0)), (without - distribution.log_prob(x0))
    assert abs(gap.mean() - plain_gap.mean()) < 5 * ((gap.var() + plain_gap.var()) / 2000) ** 0.5
    assert plain_gap.var() > 3 * gap.var()


@each_process
def test_times_are_even_in_the_logarithm_of_the_angle(process):
    """Quantiles of the distribution: log sin θ from t_min (u = 0) to T (u = 1), in equal parts, to 1e-6."""
    distribution = EvenInAngle(1.3)
    u = torch.linspace(0, 1, 11, dtype=torch.float64)
    t = distribution.quantile(process, u)
    found = [at.sigma / math.hypot(1.3 * at.alpha, at.sigma) for at in process.instants(t.tolist())]
    low, high = distribution.ends(process)
    expected = low + (high - low) * u
    torch.testing.assert_close(torch.tensor(found).double().log(), expected, rtol=0, atol=1e-6)
    assert t[0] == pytest.approx(process.t_min)
    assert t[-1] == pytest.approx(process.horizon, rel=1e-6)


def test_float32_chunks_seeds_and_global_randomness():
    model, wide = network(torch.float32), network(torch.float64)
    x0 = torch.randn((60, 3), generator=generator())
    before = torch.get_rng_state()
    found = elbo(model, x0, times=8, seed=3)
    assert found.nats.dtype == torch.float64
    assert not found.nats.requires_grad
    parts = elbo(model, x0, times=8, seed=3, chunk=7 * 8)
    torch.testing.assert_close(found.nats, parts.nats, rtol=1e-4, atol=1e-3)
    double = elbo(wide, x0.double(), times=512).nats.mean()
    single = elbo(model, x0, times=512).nats
    assert abs(single.mean() - double) < 0.05 * single.std()
    assert not torch.equal(found.nats, elbo(model, x0, times=8, seed=4).nats)
    assert torch.equal(before, torch.get_rng_state())


def test_invalid_arguments_are_refused():
    model = ExactMixture(two_gaussians(), ReferenceVP())
    with pytest.raises(DifrunError, match="at least 1 time per example, not 0"):
        elbo(model, torch.zeros(3, 2), times=0)
    with pytest.raises(DifrunError, match="do not fit a model"):
        elbo(model, torch.zeros(3, 4))
    with pytest.raises(DifrunError, match=r"examples: inf in row 1, column 1 \(3 of 3 rows"):
        elbo(model, torch.full((3, 2), torch.inf))
