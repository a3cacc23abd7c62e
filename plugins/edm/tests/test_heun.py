"""Heun with churn against Algorithm 2 of Karras et al. (2022, arXiv 2206.00364), and the exact distribution of its
samples."""

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

from difrun.data import GaussianMixture
from difrun.grid import logsnr, rho
from difrun.model import Counted, ExactMixture
from difrun.sampler import generate, integrate
from difrun.testing import (
    ReferenceVP,
    affine_moments,
    endpoint_errors,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)
from difrun.testing.references import CountedNoise
from difrun_edm.heun import ChurnedHeun
from difrun_edm.process import EDM

from .reference import PROCESSES, Formula, Kept, denoised, start

GAUSSIAN = GaussianMixture([1.0], [[1.0, -0.5]], [0.3])
START = np.array([[1.3, -0.4], [-2.2, 0.8], [0.1, 3.0]])


def algorithm_2(z, levels, churn, low, high, noise_scale, noises):
    """Algorithm 2 in its own coordinates, with the noises given; no last Euler step, as the levels end above 0."""
    noises, n = list(noises), len(levels) - 1
    for t, later in pairwise(levels):
        gamma = min(churn / n, math.sqrt(2) - 1) if low <= t <= high else 0.0
        hat = t + gamma * t
        if gamma > 0:
            z = z + math.sqrt(hat**2 - t**2) * noise_scale * noises.pop(0)
        d = (z - denoised(z, hat)) / hat
        ahead = z + (later - hat) * d
        z = z + (later - hat) * (0.5 * d + 0.5 * (ahead - denoised(ahead, later)) / later)
    assert not noises
    return z


@pytest.mark.parametrize("options", [(0.0, 0.05, 50.0, 1.0), (3.0, 0.1, 1.5, 1.1), (90.0, 0.0, 0.7, 0.9)])
@pytest.mark.parametrize("process", [ReferenceVP(), EDM(sigma_max=20.0)], ids=["vp", "edm"])
def test_it_is_algorithm_2(process, options):
    """To 1e-11, in z = x/α and σ/α, for a model that is a formula: deterministic, with churn, and with γ at √2 − 1."""
    times = rho(process, 11)
    instants = process.instants(times)
    generator = Kept(3)
    sampler = ChurnedHeun(**dict(zip(("s_churn", "s_tmin", "s_tmax", "s_noise"), options, strict=True)))
    x = torch.from_numpy(START)
    got = integrate(sampler, Formula(process), x, times, generator=generator)
    noises = [noise.numpy() for noise in generator.dealt]
    levels = [at.sigma / at.alpha for at in instants]
    expected = instants[-1].alpha * algorithm_2(START / instants[0].alpha, levels, *options, noises)
    torch.testing.assert_close(got, torch.from_numpy(expected), rtol=1e-11, atol=1e-11)


@cache
def endpoint(name):
    model = ExactMixture(two_gaussians(), PROCESSES[name])
    return model, start(model), probability_flow_endpoint(model, start(model))


@pytest.mark.parametrize("name", list(PROCESSES))
def test_without_churn_it_is_of_second_order(name):
    """No random number, and an error that falls as steps^−2 between 40 and 160 steps, to ±0.15."""
    model, noise, exact = endpoint(name)
    sampler, steps = ChurnedHeun(s_churn=0.0), (40, 80, 160)
    assert not sampler.stochastic
    errors = endpoint_errors(sampler, model, noise, exact, logsnr, steps)
    assert observed_order(steps, errors) == pytest.approx(2, abs=0.15), errors


def sample_moments(sampler, process, steps):
    """Exact mean and variance of samples of one Gaussian: every step is affine in x and in its noise."""
    model = ExactMixture(GAUSSIAN, process)

    def run(generator, n):
        x = process.prior((n, 2), mean=model.mean, var=model.var, generator=generator, dtype=torch.float64)
        return integrate(sampler, model, x, rho(process, steps), generator=generator)

    return affine_moments(run, steps + 1)


@pytest.mark.parametrize("name", list(PROCESSES))
def test_churn_leaves_the_exact_distribution(name):
    """Error of mean and variance of samples of a Gaussian: below 2 % at 120 steps, and 4 times less at 240 (±25 %)."""
    process = PROCESSES[name]
    end = process.at(process.t_min)
    centre = process.centre_like(GAUSSIAN.mean)
    mean, var = centre + end.alpha * (GAUSSIAN.mean - centre), end.alpha**2 * 0.3 + end.var
    errors = []
    for steps in (120, 240):
        got_mean, got_var = sample_moments(ChurnedHeun(s_churn=20.0, s_tmin=0.01), process, steps)
        torch.testing.assert_close(got_mean, mean, rtol=0, atol=0.02)
        errors.append(float(got_var[0]) / var - 1)
    assert abs(errors[0]) < 0.02
    assert errors[1] == pytest.approx(errors[0] / 4, rel=0.25), errors


@pytest.mark.parametrize("name", ["edm", "vp", "straight"])
def test_it_draws_from_a_mixture(name):
    """Two Gaussians, default churn, 100 steps: mean and variance within 5 standard errors of 4000 samples and 2 %."""
    model, n = ExactMixture(two_gaussians(), PROCESSES[name]), 4000
    x = generate(ChurnedHeun(), model, n, rho(model.process, 100), seed=1, dtype=torch.float64)
    true = two_gaussians()
    std = true.var.sqrt()
    assert ((x.mean(0) - true.mean).abs() < 5 * std / n**0.5 + 0.02 * std).all()
    fourth = (x - x.mean(0)).pow(4).mean(0)
    assert ((x.var(0) - true.var).abs() < 5 * ((fourth - true.var**2) / n).sqrt() + 0.02 * true.var).all()


@pytest.mark.parametrize("s_noise", [0.0, 0.8, 1.3])
def test_s_noise_scales_the_noise(s_noise):
    """From one x, the variance after one churned step is s_noise² times that with s_noise = 1; the mean is the same."""
    process = PROCESSES["edm"]
    model = ExactMixture(GAUSSIAN, process)

    def moments(scale):
        def run(generator, n):
            x = torch.full((n, 2), 0.4, dtype=torch.float64)
            return integrate(
                ChurnedHeun(s_churn=0.3, s_noise=scale), model, x, [2.0, 1.5], generator=generator
            )

        return affine_moments(run, 1)

    mean, var = moments(1.0)
    got_mean, got_var = moments(s_noise)
    assert (var > 0.01).all()
    torch.testing.assert_close(got_mean, mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(got_var, s_noise**2 * var, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", list(PROCESSES))
@pytest.mark.parametrize(("low", "high"), [(0.0, 1000.0), (0.05, 50.0), (0.3, 1.0)])
def test_noise_is_added_within_the_window(low, high, name):
    """One draw for every step, but that from T, whose σ/α lies in [s_tmin, s_tmax], and none elsewhere."""
    process = PROCESSES[name]
    model = ExactMixture(GAUSSIAN, process)
    times = logsnr(process, 30)
    generator = CountedNoise(1)
    sampler = ChurnedHeun(s_churn=10.0, s_tmin=low, s_tmax=high)
    integrate(sampler, model, start(model, 3), times, generator=generator)
    inside = [at.t for at in process.instants(times[1:-1]) if low <= at.sigma / at.alpha <= high]
    assert generator.draws == len(inside)
    assert 0 < len(inside) <= 29


@pytest.mark.parametrize("name", list(PROCESSES))
def test_noise_is_raised_by_the_churn_and_never_beyond_the_horizon(name):
    """σ/α at t̂ is (1 + γ) σ/α at t, with γ = s_churn/N or √2 − 1; near T it is that at T."""
    process = PROCESSES[name].centred()
    model = ExactMixture(GAUSSIAN, process)
    instants = process.instants(logsnr(process, 20))
    top = process.at(process.horizon)
    for churn, gamma in ((2.0, 0.1), (30.0, math.sqrt(2) - 1)):
        raised = ChurnedHeun(s_churn=churn, s_tmin=0.0, s_tmax=1e9).prepare(model, instants)
        assert len(raised) == 19
        for at in instants[1:-1]:
            hat = raised[at.t]
            expected = max(at.lam - math.log(1 + gamma), top.lam)
            assert hat.t <= process.horizon
            assert hat.lam == pytest.approx(expected, abs=1e-9)


def test_evaluations_are_counted():
    model = Counted(ExactMixture(GAUSSIAN, PROCESSES["straight"]))
    for churn in (0.0, 40.0):
        model.reset()
        integrate(ChurnedHeun(s_churn=churn), model, start(model, 3), logsnr(model.process, 7), generator=1)
        assert model.evaluations == 14 == 7 * ChurnedHeun.evaluations


def test_misuse_is_refused():
    with pytest.raises(ValueError, match=r"s_tmin = 3 must be less than s_tmax = 1"):
        ChurnedHeun(s_tmin=3.0, s_tmax=1.0)
    with pytest.raises(ValueError, match=r"'s_churn' must be >= 0"):
        ChurnedHeun(s_churn=-1.0)
    for given in ({"s_noise": 1.003}, {"s_tmin": 0.1}, {"s_tmax": 10.0}):
        with pytest.raises(
            ValueError, match=f"without churn there is no use for {next(iter(given))}; leave it"
        ):
            ChurnedHeun(s_churn=0.0, **given)
