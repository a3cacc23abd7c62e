"""DDPM and DDIM against Gaussian conditioning, their own formulas, each other, and the exact distribution of their
samples."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from difrun.data import GaussianMixture
from difrun.data.toy import blobs
from difrun.grid import logsnr
from difrun.model import ExactMixture
from difrun.randomness import Generator
from difrun.sampler import Ancestral, Euler, generate, integrate
from difrun.testing import (
    ReferenceVE,
    affine_moments,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)
from difrun.testing.references import NoNoise
from difrun_ddpm.grid import integer
from difrun_ddpm.process import DDPM
from difrun_ddpm.samplers import DDIM, DDPMSampler

CHAIN = DDPM(steps=20, rescale=True)
POINT = GaussianMixture([1.0], [[0.7, -1.1]], [0.0])
GAUSSIAN = GaussianMixture([1.0], [[1.0, -0.5]], [0.3])


def one_step(sampler, process, mixture, x, t, s, end=0.0):
    """Exact mean and variance of one step from x at t to s, on a grid that ends at `end`."""
    model = ExactMixture(mixture, process)
    instants = process.instants([t, s, end] if end < s else [t, s])
    state = sampler.prepare(model, instants)

    def run(generator, rows):
        return sampler.step(model, x.expand(rows, -1), *instants[:2], state, generator)[0]

    return affine_moments(run, 1)


def conditioned(betas, n, x0, x_n):
    """Mean and variance of x_{n−1} given x_0 and x_n: the joint covariance of the chain, conditioned."""
    means, cov = [x0], np.zeros((n + 1, n + 1))
    for k in range(1, n + 1):
        means.append(math.sqrt(1 - betas[k - 1]) * means[-1])
        cov[k, :k] = cov[:k, k] = math.sqrt(1 - betas[k - 1]) * cov[k - 1, :k]
        cov[k, k] = (1 - betas[k - 1]) * cov[k - 1, k - 1] + betas[k - 1]
    gain = cov[n - 1, n] / cov[n, n]
    return means[n - 1] + gain * (x_n - means[n]), cov[n - 1, n - 1] - gain * cov[n, n - 1]


@pytest.mark.parametrize(
    "sampler", [DDPMSampler(), DDIM(eta=1.0), Ancestral()], ids=["ddpm", "ddim-1", "ancestral"]
)
@pytest.mark.parametrize("n", [2, 3, 11, 20])
def test_one_step_is_the_conditional_of_the_chain(n, sampler):
    """For data that are one point, x_{n−1} ~ q(x_{n−1} | x_n, x_0), by conditioning the joint normal distribution,
    to 1e-9."""
    x = torch.tensor([[0.4, -0.3]], dtype=torch.float64)
    got_mean, got_var = one_step(sampler, CHAIN, POINT, x, n, n - 1)
    for axis in range(2):
        mean, var = conditioned(CHAIN.variances.numpy(), n, POINT.mean[axis].item(), x[0, axis].item())
        assert got_mean[axis].item() == pytest.approx(mean, rel=1e-9)
        assert got_var[axis].item() == pytest.approx(var, rel=1e-9)


@pytest.mark.parametrize(("t", "s"), [(20, 19), (17, 4), (2, 1)])
def test_the_forward_variance_is_beta(t, s):
    """σ²_{t|s} = 1 − ∏(1 − β) over the steps s + 1 ... t: β_n for one; the mean is that of the posterior."""
    x = torch.tensor([[0.4, -0.3]], dtype=torch.float64)
    mean, var = one_step(DDPMSampler(variance="forward"), CHAIN, GAUSSIAN, x, t, s)
    expected, _ = one_step(DDPMSampler(), CHAIN, GAUSSIAN, x, t, s)
    torch.testing.assert_close(mean, expected, rtol=1e-12, atol=1e-12)
    forward = 1 - np.prod(1 - CHAIN.variances.numpy()[s:t])
    assert var[0].item() == pytest.approx(forward, rel=1e-9)


def test_the_forward_variance_is_exact_for_standard_normal_data():
    """From x_T ~ N(0, I) samples of data N(0, I) have variance α² + σ² = 1, to rounding, for any number of steps.

    The last step has the posterior's variance: less noise than N(0, I) needs, by 1 − Π/κ² of a step to t_min.
    """
    unit = GaussianMixture([1.0], [[0.0]], [1.0])
    for steps in (3, 20):
        times = integer(CHAIN, steps)
        at, to = CHAIN.instants(times[-2:])
        ratio = at.alpha / to.alpha
        missing = (1 - ratio**2) - to.var * (1 - ratio**2 * to.var / at.var)

        def run(generator, rows, times=times):
            x = generator.normal(torch.empty(rows, 1, dtype=torch.float64))
            return integrate(
                DDPMSampler(variance="forward"), ExactMixture(unit, CHAIN), x, times, generator=generator
            )

        _, var = affine_moments(run, steps + 1)
        assert var.item() == pytest.approx(1 - missing, rel=1e-9)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("process", [CHAIN, ReferenceVE()], ids=["ddpm", "ve"])
def test_one_step_of_ddim_is_its_formula(process, eta):
    """x_s = α_s x̂_0 + √(σ_s² − η²κ²) ε̂ + ηκz; on the chain κ² = (1 − ᾱ_s)/(1 − ᾱ_t)(1 − ᾱ_t/ᾱ_s), their eq. 16."""
    model = ExactMixture(two_gaussians(), process)
    x = torch.tensor([[0.4, -0.3]], dtype=torch.float64)
    for t, s in ((20, 19), (13, 5), (2, 1)):
        at, to = process.instants([t, s])
        kappa2 = to.var / at.var * (at.var - (at.alpha / to.alpha) ** 2 * to.var)
        if process is CHAIN:
            bar = np.cumprod(1 - CHAIN.variances.numpy())
            bar_t, bar_s = bar[t - 1], bar[s - 1]
            assert kappa2 == pytest.approx((1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s), rel=1e-9)
        along = math.sqrt(to.var - eta**2 * kappa2)
        expected = to.alpha * model.predict(x, at, "x0") + along * model.predict(x, at, "noise")
        mean, var = one_step(DDIM(eta=eta), process, two_gaussians(), x, t, s)
        torch.testing.assert_close(mean, expected[0], rtol=1e-9, atol=1e-10)
        assert var[0].item() == pytest.approx(eta**2 * kappa2, rel=1e-9, abs=1e-25)


def test_eta_leads_from_the_flow_to_ancestral_sampling():
    """η = 0 is Euler's method, η = 1 is DDPM and the bridge of the core: sample by sample, to 1e-9, with one noise."""
    model, times = ExactMixture(two_gaussians(), DDPM()), integer(DDPM(), 20)
    x = model.process.prior((50, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)

    def run(sampler, random):
        return integrate(sampler, model, x, times, generator=random)

    torch.testing.assert_close(run(DDIM(), NoNoise()), run(Euler(), NoNoise()), rtol=1e-9, atol=1e-9)
    ancestral = run(Ancestral(), 1)
    torch.testing.assert_close(run(DDIM(eta=1.0), 1), ancestral, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(run(DDPMSampler(), 1), ancestral, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spacing", ["trailing", "quadratic"])
def test_any_sub_sequence_brings_a_point_back(spacing):
    """For data that are one point, every η on every sub-sequence ends in N(α x_0, σ²) of t_min, to 1e-8."""
    process = DDPM(steps=30)
    model = ExactMixture(POINT, process)
    end, start = process.at(process.t_min), process.at(30)
    for eta in (0.0, 0.5, 1.0):
        for steps in (1, 2, 7, 29, 30):

            def run(generator, rows, steps=steps, eta=eta):
                noise = generator.normal(torch.empty(rows, 2, dtype=torch.float64))
                x = start.alpha * POINT.mean + start.sigma * noise
                times = integer(process, steps, spacing=spacing)
                return integrate(DDIM(eta=eta), model, x, times, generator=generator)

            mean, var = affine_moments(run, steps + 1)
            torch.testing.assert_close(mean, end.alpha * POINT.mean, rtol=1e-8, atol=1e-8)
            torch.testing.assert_close(var, torch.full((2,), end.var, dtype=torch.float64), rtol=1e-8, atol=0)


def test_deterministic_ddim_is_of_order_one():
    """Distance to the exact probability-flow endpoint falls as steps^−1 (±0.15) between 40 and 160 steps."""
    process = DDPM()
    model = ExactMixture(two_gaussians(), process)
    x = process.prior((32, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)
    exact = probability_flow_endpoint(model, x)
    steps = (40, 80, 160)
    ends = [integrate(DDIM(), model, x, logsnr(process, k), generator=NoNoise()) for k in steps]
    errors = [(end - exact).square().mean().sqrt().item() for end in ends]
    assert observed_order(steps, errors) == pytest.approx(1, abs=0.15), errors


@pytest.mark.parametrize(
    "sampler", [DDPMSampler(), DDPMSampler(variance="forward"), DDIM(eta=0.5), DDIM(eta=1.0)], ids=str
)
def test_the_variance_of_samples_converges_at_order_one(sampler):
    """Exact variance of samples of N(m, 0.3): its error halves (±15 %) from 200 to 400 steps on a logsnr grid."""
    process = DDPM()
    model, end = ExactMixture(GAUSSIAN, process), process.at(process.t_min)
    errors = []
    for steps in (200, 400):

        def run(generator, rows, steps=steps):
            x = process.prior(
                (rows, 2), mean=model.mean, var=model.var, generator=generator, dtype=torch.float64
            )
            return integrate(sampler, model, x, logsnr(process, steps), generator=generator)

        mean, var = affine_moments(run, steps + 1)
        torch.testing.assert_close(mean, end.alpha * GAUSSIAN.mean, rtol=0, atol=0.02)
        errors.append(var[0].item() / (end.alpha**2 * 0.3 + end.var) - 1)
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.15), errors


# Two blobs at ±(2, 2) of variance 0.1, N = 100, β ≤ 0.02: √ᾱ_N = 0.60, and the distribution from which sampling
# starts tells.


def expected_size(process, times, spread_u, spread_v, offset_u=0.0):
    """Exact E|x| per axis of DDPM samples, by quadrature.

    Along u = (x + y)/√2 and v = (x − y)/√2 the blobs are ±2√2 and 0, and the axes are independent. Starts are
    ±offset_u + spread_u z and spread_v z. v is an affine chain; E|u/√2 + v/√2| is carried back step by step in u, by
    Gauss–Hermite quadrature of 24 nodes and cubic splines on 3001 points.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    weights = weights / weights.sum()
    instants, a, data_var = process.instants(times), 2 * math.sqrt(2), 0.1
    moves, var_v = [], spread_v**2
    for at, to in pairwise(instants):
        share = at.alpha / to.alpha * to.var / at.var
        fresh = to.alpha * (1 - at.alpha / to.alpha * share)
        noise = math.sqrt(to.var * fresh / to.alpha)
        total = at.alpha**2 * data_var + at.var
        gain = at.alpha * data_var / total
        moves.append((at, total, share, fresh, gain, noise))
        var_v = (share + fresh * gain) ** 2 * var_v + noise**2
    u = np.linspace(-9, 9, 3001)
    # Folded normal distribution: E|m + s z| = s √(2/π) e^(−m²/2s²) + m erf(m/(s√2)), with m = u/√2 and s² = Var(v)/2.
    m, s = u / math.sqrt(2), math.sqrt(var_v / 2)
    erf = np.vectorize(math.erf)
    value = s * math.sqrt(2 / math.pi) * np.exp(-(m**2) / (2 * s**2)) + m * erf(m / (s * math.sqrt(2)))
    for at, total, share, fresh, gain, noise in reversed(moves):
        plus = np.tanh(at.alpha * a * u / total)
        x0 = a * plus * (1 - gain * at.alpha) + gain * u
        spline = CubicSpline(u, value)
        value = spline((share * u + fresh * x0)[:, None] + noise * nodes) @ weights
    # A finer rule at the start, where the value jumps from one blob to the other.
    z = np.linspace(-8, 8, 4001)
    density = np.exp(-(z**2) / 2)
    return float(CubicSpline(u, value)(offset_u + spread_u * z) @ density / density.sum())


@pytest.mark.parametrize(
    ("options", "start", "claim"),
    [
        ({}, "noised data", 2.0),
        ({}, "full covariance", 1.9854),
        ({}, "moment-matched", 1.963),
        ({}, "N(0, I)", 1.939),
        ({"rescale": True}, "full covariance", 1.997),
        ({"rescale": True}, "moment-matched", 1.997),
        ({"rescale": True}, "N(0, I)", 1.997),
    ],
)
def test_a_chain_that_ends_with_signal_left_shrinks_the_blobs(options, start, claim):
    """Mean |x| per axis of 20 000 samples: the exact value of the chain within 5 standard errors (0.0015 each).

    From the true distribution of x_N it is 2.000. Where 60 % of the signal is left, x_N is not normal, and a normal
    start gives 1.985 with the right covariance, 1.963 with the right variance per axis, and 1.939 with N(0, I).
    With --process.rescale all give 1.997.
    """
    process, n = DDPM(steps=100, **options), 20000
    mixture = blobs(seed=0).distribution
    model, times, at = ExactMixture(mixture, process), integer(process, 100), process.at(100)
    if start == "moment-matched":
        x = generate(DDPMSampler(), model, n, times, seed=1, chunk=n, dtype=torch.float64)
        spread, offset = ((at.alpha**2 * 4.1 + at.var) ** 0.5,) * 2, 0.0
    elif start == "full covariance":
        end = GaussianMixture(
            [1.0], mixture.mean[None] * at.alpha, [at.alpha**2 * mixture.cov + at.var * torch.eye(2)]
        )
        noise = end.sample(n, torch.Generator().manual_seed(1))
        x = integrate(DDPMSampler(), model, noise, times, generator=3)
        # Variances 8.1 along the line through the blobs, 0.1 across it.
        spread, offset = tuple((at.alpha**2 * var + at.var) ** 0.5 for var in (8.1, 0.1)), 0.0
    elif start == "N(0, I)":
        generator = Generator(1)
        noise = generator.normal(torch.empty(n, 2, dtype=torch.float64))
        x = integrate(DDPMSampler(), model, noise, times, generator=generator)
        spread, offset = (1.0, 1.0), 0.0
    else:
        noised = process.sample(mixture.sample(n, torch.Generator().manual_seed(1)), 100.0, 2)
        x = integrate(DDPMSampler(), model, noised, times, generator=3)
        spread, offset = ((at.alpha**2 * 0.1 + at.var) ** 0.5,) * 2, at.alpha * 2 * math.sqrt(2)
    size = x.abs().mean(1)
    error = size.std().item() / n**0.5
    assert error < 0.002
    expected = expected_size(process, times, *spread, offset)
    assert expected == pytest.approx(claim, abs=0.0006)
    assert size.mean().item() == pytest.approx(expected, abs=5 * error)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="'eta' must be <= 1"):
        DDIM(eta=1.2)
    with pytest.raises(ValueError, match="'variance' must be in"):
        DDPMSampler(variance="large")
