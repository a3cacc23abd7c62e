"""What only this sampler does: its coefficients in closed form, and exact moments for every amount of noise."""

import math

import pytest
import torch
from difrun.data import GaussianMixture
from difrun.grid import logsnr
from difrun.model import ExactMixture
from difrun.randomness import Generator
from difrun.sampler import integrate
from difrun.testing import (
    ReferenceFlow,
    ReferenceVP,
    affine_moments,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)

from difrun_er_sde.sampler import ErSde


def test_the_integral_is_the_closed_form() -> None:
    """φ = r: r_s log(r_t/r_s). φ = r²: r_s² (1/r_s − 1/r_t)."""
    assert ErSde(noise="ode")._integral(0.2, 5.0) == pytest.approx(0.2 * math.log(25), rel=1e-12)
    assert ErSde(noise="sde")._integral(0.2, 5.0) == pytest.approx(0.04 * (5 - 0.2), rel=1e-12)


def test_one_step_of_the_reverse_sde_is_that_of_ancestral_sampling() -> None:
    """φ = r², without a slope: mean and deviation of q(x_s | x_t, x̂_0)."""
    process = ReferenceVP()
    model = ExactMixture(two_gaussians(), process)
    at, to = process.instants([1.0, 0.7])
    x = torch.tensor([[0.3, -0.4], [1.0, 2.0]], dtype=torch.float64)
    bridge = process.bridge(x, model.predict(x, at, "x0"), at, to)
    got, _ = ErSde(noise="sde", corrected=False).step(model, x, at, to, None, Generator(3))
    torch.testing.assert_close(got, bridge.mean + bridge.std * Generator(3).normal(x), rtol=1e-12, atol=1e-12)


def test_without_noise_the_order_is_two() -> None:
    """The distance to the exact end of the probability flow, solved to 1e-10."""
    model = ExactMixture(two_gaussians(), ReferenceVP())
    x = model.prior(32, 0, dtype=torch.float64)
    end = probability_flow_endpoint(model, x)
    for corrected, order in ((False, 1), (True, 2)):
        counts = (40, 80, 160)
        sampler = ErSde(noise="ode", corrected=corrected)
        errors = [
            float((integrate(sampler, model, x, logsnr(model.process, n)) - end).square().mean().sqrt())
            for n in counts
        ]
        assert observed_order(counts, errors) == pytest.approx(order, abs=0.2), errors


@pytest.mark.parametrize("noise", ["er", "sde"])
@pytest.mark.parametrize("corrected", [False, True])
def test_moments_of_a_gaussian_converge(noise, corrected) -> None:
    """The exact variance of the samples of N(m, v), relative to the true one, falls as 1/steps at least."""
    process = ReferenceVP()
    model = ExactMixture(GaussianMixture([1.0], [[1.0, -0.5]], [[[0.2, 0.0], [0.0, 0.5]]]), process)
    sampler, errors = ErSde(noise=noise, corrected=corrected), []
    for steps in (20, 40, 80):

        def run(generator: Generator, n: int, steps: int = steps) -> torch.Tensor:
            x = model.prior(n, generator, dtype=torch.float64)
            return integrate(sampler, model, x, logsnr(process, steps), generator=generator)

        mean, var = affine_moments(run, steps + 1)
        at = process.at(process.t_min)
        errors.append(float((var / (at.alpha**2 * model.var + at.var) - 1).abs().max()))
        assert float((mean - at.alpha * model.mean).abs().max()) < 0.2
    assert errors[-1] < 0.2
    assert observed_order((20, 40, 80), errors) > 0.75, errors


def test_it_starts_from_pure_noise() -> None:
    """On a rectified flow, where α = 0 at T, the first step forgets the start if it draws noise; else it scales it."""
    model = ExactMixture(two_gaussians(), ReferenceFlow())
    at, to = model.process.instants([1.0, 0.9])
    x = torch.tensor([[0.3, -0.4]], dtype=torch.float64)
    x0 = model.predict(x, at, "x0")
    drawn, _ = ErSde(noise="er").step(model, x, at, to, None, Generator(1))
    torch.testing.assert_close(drawn, to.alpha * x0 + to.sigma * Generator(1).normal(x))
    flowed, _ = ErSde(noise="ode").step(model, x, at, to, None, Generator(1))
    torch.testing.assert_close(flowed, to.alpha * x0 + to.sigma * x)
