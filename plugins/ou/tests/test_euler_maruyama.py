"""Samplers on the processes of the plugin: measured orders, exact distributions of affine steps, refined paths."""

from itertools import pairwise

import pytest
import torch

from difrun.grid import logsnr, rho
from difrun.model import ExactMixture
from difrun.sampler import Euler, Heun, generate, integrate
from difrun.testing import affine_moments, endpoint_errors, observed_order, two_gaussians
from difrun_ou.euler_maruyama import EulerMaruyama
from difrun_ou.process import OrnsteinUhlenbeck

from .support import GAUSSIAN, PROCESSES, STEPS, endpoint, sample_moments, start, truth


@pytest.mark.parametrize("name", list(PROCESSES))
@pytest.mark.parametrize("sampler", [Euler(), Heun()], ids=["euler", "heun"])
def test_observed_order_is_the_declared_one(sampler, name):
    """Distance to the exact probability-flow endpoint falls as steps^−order between 40 and 160 steps, to ±0.15."""
    model, noise, exact = endpoint(name)
    errors = endpoint_errors(sampler, model, noise, exact, logsnr, STEPS)
    assert observed_order(STEPS, errors) == pytest.approx(sampler.order, abs=0.15), errors


@pytest.mark.parametrize("name", list(PROCESSES))
def test_half_is_the_probability_flow(name):
    """a = ½ draws nothing, and nears the endpoint of the flow with order 1 (±0.2, between 160 and 640 steps)."""
    model, noise, exact = endpoint(name)
    sampler, steps = EulerMaruyama(a=0.5), (160, 320, 640)
    assert not sampler.stochastic
    errors = endpoint_errors(sampler, model, noise, exact, rho, steps)
    assert observed_order(steps, errors) == pytest.approx(1, abs=0.2), errors


@pytest.mark.parametrize("name", list(PROCESSES))
@pytest.mark.parametrize("a", [0.5, 0.75, 1.0, 2.0])
def test_every_member_of_the_family_has_the_exact_variance(a, name):
    """The variance of samples of a Gaussian converges to the true one: the relative error halves with the step (±20 %).

    Extrapolated to no step at all, from 300 and 600 steps, the variance is exact to 1 %.
    """
    process = PROCESSES[name]
    mean, var = truth(process)
    errors = []
    for steps in (300, 600):
        got_mean, got_var = sample_moments(EulerMaruyama(a=a), process, steps, steps + 1)
        torch.testing.assert_close(got_mean, mean, rtol=0, atol=0.05)
        errors.append(float(got_var[0]) / var - 1)
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.2), errors
    assert 2 * errors[1] - errors[0] == pytest.approx(0, abs=0.01), errors


@pytest.mark.parametrize("a", [0.5, 0.75, 1.0, 2.0])
def test_every_member_of_the_family_draws_from_a_mixture(a):
    """Two Gaussians under OU with 500 steps: mean and variance within 5 standard errors of 4000 samples and 2 %."""
    model, n = ExactMixture(two_gaussians(), PROCESSES["ou"]), 4000
    x = generate(EulerMaruyama(a=a), model, n, rho(model.process, 500), seed=1, dtype=torch.float64)
    true = two_gaussians()
    std = true.var.sqrt()
    assert ((x.mean(0) - true.mean).abs() < 5 * std / n**0.5 + 0.02 * std).all()
    fourth = (x - x.mean(0)).pow(4).mean(0)
    error = ((fourth - true.var**2).clamp_min(0) / n).sqrt()
    assert ((x.var(0) - true.var).abs() < 5 * error + 0.02 * true.var).all()


@pytest.mark.parametrize("a", [0.5, 0.75, 1.0, 2.0])
def test_the_step_from_infinite_noise_is_solved_exactly(a):
    """From λ = −∞: x_s = α_s E[x_0] + σ_s ν, with ν = x_T for a = ½ and fresh noise otherwise."""
    process = PROCESSES["straight"]
    model = ExactMixture(GAUSSIAN, process)
    x = torch.tensor([[0.3, -1.2]], dtype=torch.float64)

    def run(generator, n):
        return integrate(EulerMaruyama(a=a), model, x.expand(n, 2), [1.0, 0.8], generator=generator)

    mean, var = affine_moments(run, 1)
    kept, fresh = (0.8, 0.0) if a == 0.5 else (0.0, 0.8)
    torch.testing.assert_close(mean, 0.2 * GAUSSIAN.mean + kept * x[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(var, torch.full((2,), fresh**2, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_one_step_is_the_formula():
    """x_s = x_t − h (f x_t − a g² s) + √((2a − 1) g² h) z, about μ, with f = −θ and g² = σ²."""
    process = OrnsteinUhlenbeck(theta=0.7, mu=0.5, sigma=1.3)
    model = ExactMixture(two_gaussians(), process)
    x, t, h = start(model), 1.0, 0.4
    score = model.predict(x, process.at(t), "score")

    def run(generator, n):
        return integrate(EulerMaruyama(a=0.8), model, x[:1].expand(n, 2), [t, t - h], generator=generator)

    mean, var = affine_moments(run, 1)
    torch.testing.assert_close(
        mean, (x + h * 0.7 * (x - 0.5) + h * 0.8 * 1.69 * score)[0], rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(var, torch.full((2,), 0.6 * 1.69 * h, dtype=torch.float64), rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ["ou", "vp-linear", "ve"])
@pytest.mark.parametrize("a", [0.75, 1.0])
def test_halving_the_step_refines_the_same_path(a, name):
    """With Brownian noise Euler–Maruyama converges sample by sample, in the median with strong order 1 (±0.25).

    That is the order for additive noise (Kloeden and Platen, 1992, sec. 10.3); the score is exact, of two Gaussians.
    """
    model, counts = ExactMixture(two_gaussians(), PROCESSES[name]), (80, 160)
    runs = [
        generate(
            EulerMaruyama(a=a),
            model,
            200,
            rho(model.process, n),
            seed=2,
            dtype=torch.float64,
            noise="brownian",
        )
        for n in (*counts, 320)
    ]
    distances = [(one - two).square().sum(1).sqrt().median().item() for one, two in pairwise(runs)]
    assert observed_order(counts, distances) == pytest.approx(1, abs=0.25), distances


def test_misuse_is_refused():
    with pytest.raises(ValueError, match=r"'a' must be >= 0.5"):
        EulerMaruyama(a=0.3)
