"""Log-likelihood by the probability flow, against closed forms, mixtures and its own normalisation."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from tests.core.processes import Shifted, Straight
from torch import nn

from difrun.analysis import log_likelihood
from difrun.data import GaussianMixture
from difrun.data.toy import blobs, rings
from difrun.errors import DifrunError
from difrun.model import MLP, ExactEmpirical, ExactMixture, NetworkModel, ScoreModel
from difrun.testing import ReferenceVE, ReferenceVP, observed_order, two_gaussians

PROCESSES = [ReferenceVP(), ReferenceVE(), Straight(), Shifted()]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=lambda process: type(process).__name__)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noised(distribution, process, n, seed=0):
    """n draws of the distribution noised to t_min, float64."""
    return process.sample(distribution.sample(n, generator(seed)), process.t_min, generator(seed + 1))


def exact_prior(model):
    at = model.process.at(model.process.horizon)
    return lambda x: model.log_prob(x, at)


@each_process
@pytest.mark.parametrize(
    ("distribution", "n"),
    [(blobs(seed=0, n=100).distribution, 200), (rings(seed=0, n=100).distribution, 16)],
    ids=["blobs", "rings"],
)
def test_a_hundred_steps_are_right_to_1e_4_nats(process, distribution, n):
    """Against the distribution noised to t_min: 1e-5 nats on average, the worst point to 2e-3, for wide and for fine
    data."""
    model = ExactMixture(distribution, process)
    x = noised(distribution, process, n)
    error = log_likelihood(model, x, prior=exact_prior(model)).nats - model.log_prob(
        x, process.at(process.t_min)
    )
    assert error.abs().mean() < 1e-5
    assert error.abs().max() < 2e-3


@each_process
def test_the_matched_prior_changes_little(process):
    """Blobs from the moment-matched normal instead of p_T: their difference at x_T, no more. Mean within 5 errors."""
    distribution = blobs(seed=0, n=100).distribution
    model = ExactMixture(distribution, process)
    x = noised(distribution, process, 400)
    gap = (
        log_likelihood(model, x, steps=50).nats
        - log_likelihood(model, x, steps=50, prior=exact_prior(model)).nats
    )
    # KL(p_T ‖ normal of equal moments) is that of the fourth cumulants, far below the spread of single points.
    assert abs(gap.mean()) < 5 * gap.std() / 20 + 1e-5
    assert gap.std() < 0.1


@each_process
def test_gaussian_data_need_one_step(process):
    """The frame is that of N(m, σ_d² I): one step is exact to 1e-9; other variances per coordinate to 1e-7 in 100."""
    for covs, steps, tolerance in (
        ([0.3], 1, 1e-9),
        ([[[0.3, 0.0], [0.0, 2.0]]], 100, 1e-7),
    ):
        distribution = GaussianMixture([1.0], [[1.0, -2.0]], covs)
        x = noised(distribution, process, 50)
        at = process.at(process.t_min)
        centre = process.centre_like(x)
        mean = (centre + at.alpha * (distribution.mean - centre)).numpy()
        expected = stats.multivariate_normal(mean, np.diag(at.alpha**2 * distribution.var + at.var)).logpdf(
            x.numpy()
        )
        found = log_likelihood(ExactMixture(distribution, process), x, steps=steps)
        np.testing.assert_allclose(found.nats.numpy(), expected, atol=tolerance)
        assert not found.probe_error.any()


def test_it_is_the_density_of_the_prior_transported_by_the_flow():
    """Not of the data: with a prior of the wrong variance v the flow of N(0, s²) gives N(0, v S_0²/S_T²)."""
    process = ReferenceVP()
    model = ExactMixture(GaussianMixture([1.0], [[0.0]], [0.5]), process)
    model.var = torch.tensor([3.0], dtype=torch.float64)
    start, end = process.instants([process.t_min, process.horizon])
    prior = end.alpha**2 * 3.0 + end.var
    scale = (start.alpha**2 * 0.5 + start.var) / (end.alpha**2 * 0.5 + end.var)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    expected = stats.norm(0, math.sqrt(prior * scale)).logpdf(x[:, 0].numpy())
    np.testing.assert_allclose(log_likelihood(model, x).nats.numpy(), expected, atol=1e-7)


@each_process
def test_halving_the_step_divides_the_error_by_sixteen(process):
    distribution = two_gaussians()
    model = ExactMixture(distribution, process)
    x, prior = noised(distribution, process, 40), exact_prior(model)
    truth = model.log_prob(x, process.at(process.t_min))
    steps = [30, 60, 120]
    errors = [float((log_likelihood(model, x, steps=n, prior=prior).nats - truth).norm()) for n in steps]
    assert observed_order(steps, errors) == pytest.approx(4, abs=0.5), errors


def network(process, shape=(1,), seed=0, dtype=torch.float64):
    """An untrained network, with weights that make a flow far from that of any data."""
    net = MLP(shape, width=16, depth=2)
    draw = generator(seed)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3, generator=draw)
    return NetworkModel(
        net.to(dtype), process, shape, mean=torch.full(shape, 0.5), var=torch.full(shape, 1.5)
    )


@pytest.mark.parametrize("process", PROCESSES[:3], ids=lambda process: type(process).__name__)
def test_the_density_of_any_network_integrates_to_one(process):
    """In one dimension, on a wide grid, to 3e-4: for a flow that is that of no distribution, in 100 steps."""
    x = torch.linspace(-60, 60, 2001, dtype=torch.float64)[:, None]
    density = log_likelihood(network(process), x).nats.exp()
    assert float(torch.trapezoid(density, x[:, 0])) == pytest.approx(1, abs=3e-4)


def test_a_network_in_float32_is_nearly_itself_in_float64():
    process = ReferenceVP()
    x = torch.randn((50, 3), generator=generator())
    single = log_likelihood(network(process, (3,), dtype=torch.float32), x).nats
    double = log_likelihood(network(process, (3,)), x.double()).nats
    assert single.dtype == torch.float64
    assert (single - double).abs().max() < 1e-3


def four_dimensions():
    covs = torch.stack(
        [torch.diag(torch.tensor(d)) for d in ([0.2, 0.5, 1.0, 0.3], [0.4, 0.1, 0.6, 0.8])]
    ).double()
    turn = torch.linalg.qr(torch.randn((4, 4), generator=generator(3), dtype=torch.float64))[0]
    covs = turn @ covs @ turn.T
    return GaussianMixture([0.4, 0.6], [[0.0, 1.0, -1.0, 0.5], [1.5, -0.5, 0.0, -1.0]], (covs + covs.mT) / 2)


def test_random_probes_are_unbiased_and_their_error_is_calibrated():
    """z = (estimate − exact)/error over 300 points with 40 probes: mean 0 and variance 1, to 5 standard errors."""
    process = ReferenceVP()
    model = ExactMixture(four_dimensions(), process)
    x = noised(model.mixture, process, 300)
    exact = log_likelihood(model, x, steps=20, probes=0)
    found = log_likelihood(model, x, steps=20, probes=40, seed=7)
    assert not exact.probe_error.any()
    assert (found.probe_error > 0).all()
    z = (found.nats - exact.nats) / found.probe_error
    assert abs(z.mean()) < 5 / 300**0.5
    # The variance of a t variable of 39 degrees of freedom is 1.05, and of its estimate from 300 about 0.09².
    assert abs(z.var() - 39 / 37) < 0.5
    single = log_likelihood(model, x, steps=20, probes=1)
    assert single.probe_error.isnan().all()


def test_the_error_of_probes_falls_with_their_number():
    """By the root of 16 between 2 and 32 probes, within a fifth, over 300 points."""
    model = ExactMixture(four_dimensions(), ReferenceVE())
    x = noised(model.mixture, model.process, 300)
    exact = log_likelihood(model, x, steps=20).nats
    few, many = (log_likelihood(model, x, steps=20, probes=k).nats - exact for k in (2, 32))
    assert float(few.std() / many.std()) == pytest.approx(4, rel=0.2)


def test_random_signs_are_exact_where_coordinates_do_not_mix():
    """vᵀ A v = tr A for a diagonal A and signs v: one probe of N(m, diag) has no error."""
    distribution = GaussianMixture([1.0], [[1.0, -2.0]], [[[0.3, 0.0], [0.0, 2.0]]])
    model = ExactMixture(distribution, ReferenceVP())
    x = noised(distribution, model.process, 20)
    torch.testing.assert_close(
        log_likelihood(model, x, probes=1).nats, log_likelihood(model, x, probes=0).nats, rtol=0, atol=1e-10
    )


def test_chunks_seeds_and_global_randomness():
    """The result depends on the seed of the probes and on nothing else."""
    model = ExactMixture(four_dimensions(), ReferenceVP())
    x = noised(model.mixture, model.process, 50)
    before = torch.get_rng_state()
    options = {"steps": 5, "probes": 3}
    whole = log_likelihood(model, x, seed=1, **options)
    parts = log_likelihood(model, x, seed=1, chunk=7, **options)
    torch.testing.assert_close(whole.nats, parts.nats, rtol=1e-12, atol=1e-12)
    assert not torch.equal(whole.nats, log_likelihood(model, x, seed=2, **options).nats)
    assert torch.equal(before, torch.get_rng_state())
    ticks = []
    log_likelihood(model, x, steps=5, chunk=20, watch=lambda done, total: ticks.append((done, total)))
    assert ticks == [(k, 15) for k in range(1, 16)]


def test_examples_of_any_shape():
    """Images (1, 2, 2): the exact model of five of them, noised to t_min, against its mixture in four dimensions."""
    data = torch.randn((5, 1, 2, 2), generator=generator(), dtype=torch.float64)
    process = ReferenceVP()
    process.noise_floor = 0.1
    model = ExactEmpirical(data, process)
    flat = ExactMixture(model.mixture, process)
    x = noised(model.mixture, process, 30)
    prior = exact_prior(flat)
    found = log_likelihood(model, x.reshape(-1, 1, 2, 2), prior=lambda x: prior(x.flatten(1)), steps=200)
    expected = flat.log_prob(x, process.at(process.t_min))
    assert (found.nats - expected).abs().mean() < 1e-4


class Detached(ExactMixture):
    def predict(self, x, at, kind):
        return super().predict(x, at, kind).detach()


class Wild(ScoreModel):
    """A flow that diverges."""

    shape, mean, var, kind = (2,), 0.0, torch.ones(2), "x0"

    def __init__(self, process):
        self.process = process

    def forward(self, x, at):
        return 1e4 * x**3


def test_invalid_arguments_are_refused():
    model = ExactMixture(two_gaussians(), ReferenceVP())
    x = torch.zeros(3, 2, dtype=torch.float64)
    for options, words in (
        ({"steps": 0}, "at least 1 step"),
        ({"probes": -1}, "0 \\(exact divergence\\) or more"),
    ):
        with pytest.raises(DifrunError, match=words):
            log_likelihood(model, x, **options)
    with pytest.raises(DifrunError, match=r"shape \(3, 5\) do not fit a model of examples of shape \(2,\)"):
        log_likelihood(model, torch.zeros(3, 5))
    with pytest.raises(DifrunError, match="needs derivatives of the model"):
        log_likelihood(Detached(two_gaussians(), ReferenceVP()), x)
    with pytest.raises(DifrunError, match="3 of 3 log-likelihoods are not finite"):
        log_likelihood(Wild(ReferenceVP()), x + 1)
    model.process = object()
    with pytest.raises(DifrunError, match="needs a Gaussian process"):
        log_likelihood(model, x)
