"""Fixed-step and ancestral samplers: closed forms, measured orders, exact distributions of affine steps."""

from functools import cache

import pytest
import torch
from tests.core.networks import Wave
from torch import Tensor

from difrun.data import GaussianMixture
from difrun.grid import cosine, linear, logsnr, quadratic, rho
from difrun.model import Counted, ExactEmpirical, ExactMixture, NetworkModel
from difrun.process import Instant
from difrun.sampler import RK4, Ancestral, Euler, Heun, Kutta3, Midpoint, integrate
from difrun.testing import (
    ReferenceFlow,
    ReferenceVE,
    ReferenceVP,
    affine_moments,
    endpoint_errors,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)


class Centred(ReferenceVP):
    centre = (0.5, -2.0)


PROCESSES = {"vp": ReferenceVP(), "ve": ReferenceVE(), "straight": ReferenceFlow(), "centred": Centred()}
STEPS = (40, 80, 160)


def start(model, n=32):
    return model.process.prior((n, 2), mean=model.mean, var=model.var, generator=0, dtype=torch.float64)


@cache
def endpoint(name):
    model = ExactMixture(two_gaussians(), PROCESSES[name])
    return model, start(model), probability_flow_endpoint(model, start(model))


@pytest.mark.parametrize("name", list(PROCESSES))
@pytest.mark.parametrize(
    "sampler", [Euler(), Midpoint(), Heun(), Kutta3(), RK4()], ids=lambda sampler: type(sampler).__name__
)
def test_observed_order_is_the_declared_one(sampler, name):
    """Doubling the steps divides the distance to the exact probability-flow endpoint by 2^order, to ±0.15 in order.

    From 40 to 160 steps; above order 2 from 160 to 640.
    """
    counts = STEPS if sampler.order <= 2 else (160, 320, 640)
    model, noise, exact = endpoint(name)
    errors = endpoint_errors(sampler, model, noise, exact, logsnr, counts)
    assert observed_order(counts, errors) == pytest.approx(sampler.order, abs=0.15), errors


def test_the_reference_solution_converges():
    """Two tolerances agree to 1e-9, and the flow of a single Gaussian is x_s = m_s + (std_s/std_t)(x_t − m_t)."""
    model, noise, exact = endpoint("vp")
    torch.testing.assert_close(probability_flow_endpoint(model, noise, rtol=1e-8), exact, rtol=0, atol=1e-6)
    gaussian = GaussianMixture([1.0], [[1.0, -0.5]], [0.3])
    for process in PROCESSES.values():
        model = ExactMixture(gaussian, process)
        x = start(model)
        at, to = process.at(process.horizon), process.at(process.t_min)
        centre = process.centre_like(x)
        means = [centre + i.alpha * (model.mean - centre) for i in (at, to)]
        ratio = ((to.alpha**2 * 0.3 + to.var) / (at.alpha**2 * 0.3 + at.var)) ** 0.5
        expected = means[1] + ratio * (x - means[0])
        torch.testing.assert_close(probability_flow_endpoint(model, x), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", list(PROCESSES))
def test_one_euler_step_is_ddim(name):
    """x_s = μ + α_s(x̂_0 − μ) + σ_s ε̂, to rounding."""
    process = PROCESSES[name]
    model = ExactMixture(two_gaussians(), process)
    x = start(model)
    times = [0.9 * process.horizon, 0.2 * process.horizon]
    at, to = process.instants(times)
    centre = process.centre_like(x)
    x0, noise = model.predict(x, at, "x0"), model.predict(x, at, "noise")
    expected = centre + to.alpha * (x0 - centre) + to.sigma * noise
    torch.testing.assert_close(integrate(Euler(), model, x, times), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["vp", "ve"])
def test_one_heun_step_is_the_trapezoidal_rule(name):
    """In y = x/(α + σ) against τ = σ/(α + σ), with the slope ε̂ − x̂_0 at both ends."""
    process = PROCESSES[name]
    model = ExactMixture(two_gaussians(), process)
    x = start(model)
    times = [0.9 * process.horizon, 0.2 * process.horizon]

    def slope(y, i):
        x = (i.alpha + i.sigma) * y
        return model.predict(x, i, "noise") - model.predict(x, i, "x0")

    at, to = process.instants(times)
    h = to.sigma / (to.alpha + to.sigma) - at.sigma / (at.alpha + at.sigma)
    y = x / (at.alpha + at.sigma)
    first = slope(y, at)
    expected = (to.alpha + to.sigma) * (y + 0.5 * h * (first + slope(y + h * first, to)))
    torch.testing.assert_close(integrate(Heun(), model, x, times), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", list(PROCESSES))
def test_a_single_example_is_reached_exactly(name):
    """For data that are one point, ε̂ is right everywhere: Euler is exact in one step, ancestral has the exact
    distribution."""
    process = PROCESSES[name]
    point = torch.tensor([[0.7, -1.1]], dtype=torch.float64)
    model = ExactEmpirical(point, process)
    end = process.at(process.t_min)
    centre = process.centre_like(point)
    mean = centre + end.alpha * (point[0] - centre)
    x = start(model)
    noise = model.predict(x, process.at(process.horizon), "noise")
    expected = mean + end.sigma * noise
    for sampler in (Euler(), Midpoint(), Heun(), Kutta3(), RK4()):
        for steps in (1, 4):
            got = integrate(sampler, model, x, logsnr(process, steps))
            torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)

    def run(generator, n):
        x = process.prior((n, 2), mean=point[0], generator=generator, dtype=torch.float64)
        return integrate(Ancestral(), model, x, logsnr(process, 3), generator=generator)

    got_mean, got_var = affine_moments(run, 4)
    torch.testing.assert_close(got_mean, mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(got_var, torch.full((2,), end.var, dtype=torch.float64), rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", list(PROCESSES))
def test_ancestral_sampling_has_weak_order_one(name):
    """The variance of samples of a Gaussian, exactly: too small, with an error that falls as 1/steps (±0.15)."""
    process = PROCESSES[name]
    model = ExactMixture(GaussianMixture([1.0], [[1.0, -0.5]], [0.3]), process)
    end = process.at(process.t_min)
    true = end.alpha**2 * 0.3 + end.var
    errors = []
    for steps in STEPS:

        def run(generator, n, steps=steps):
            x = process.prior(
                (n, 2), mean=model.mean, var=model.var, generator=generator, dtype=torch.float64
            )
            return integrate(Ancestral(), model, x, logsnr(process, steps), generator=generator)

        mean, var = affine_moments(run, steps + 1)
        centre = process.centre_like(mean)
        torch.testing.assert_close(mean, centre + end.alpha * (model.mean - centre), rtol=0, atol=1e-3)
        errors.append(float(true - var[0]) / true)
    assert all(error > 0 for error in errors)
    assert errors[-1] < 0.1
    assert observed_order(STEPS, errors) == pytest.approx(1, abs=0.15), errors


@pytest.mark.parametrize("grid", [linear, cosine, quadratic, rho, logsnr])
@pytest.mark.parametrize(
    "sampler",
    [Euler(), Midpoint(), Heun(), Kutta3(), RK4(), Ancestral()],
    ids=lambda sampler: type(sampler).__name__,
)
def test_a_horizon_at_which_the_signal_underflows(sampler, grid):
    """α = e^−2000 is 0 in float64: no step divides by it, and one point is still reached with the exact distribution.

    Deterministic samplers end at μ_s + σ_s ε̂, ancestral sampling within 6 σ of it.
    """

    class Long(ReferenceVP):
        horizon = 2000.0

    process = Long()
    point = torch.tensor([[0.7, -1.1]], dtype=torch.float64)
    model = ExactEmpirical(point, process)
    end = process.at(process.t_min)
    x = start(model, 200)
    got = integrate(sampler, model, x, grid(process, 30), generator=1)
    standard = (got - end.alpha * point) / end.sigma
    if sampler.stochastic:
        assert standard.abs().max() < 6
        assert standard.std().item() == pytest.approx(1, abs=5 / 800**0.5)
    else:
        torch.testing.assert_close(standard, x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("sampler", "count"), [(Euler(), 1), (Heun(), 2), (Ancestral(), 1)])
def test_declared_evaluations_are_made(sampler, count):
    model = Counted(ExactMixture(two_gaussians(), ReferenceVP()))
    integrate(sampler, model, start(model, 3), logsnr(model.process, 7), generator=1)
    assert sampler.evaluations == count
    assert sampler.evaluations_in(7) == 7 * count
    assert model.evaluations == 7 * count


@pytest.mark.parametrize("predicts", ["noise", "edm"])
def test_the_steps_of_a_network_are_those_of_the_formulas(predicts):
    """Euler and Heun as their docstrings have them, in y = x/(α + σ) and τ = σ/(α + σ)."""
    model = NetworkModel(Wave().double(), ReferenceVP(), (2,), predicts=predicts, scaled=False)
    x = torch.randn((50, 2), generator=torch.Generator().manual_seed(1)).double()
    at, to = model.process.instants([0.9, 0.6])
    here, there = at.alpha + at.sigma, to.alpha + to.sigma
    h = to.sigma / there - at.sigma / here

    def flow(y: Tensor, where: Instant) -> Tensor:
        x = y * (where.alpha + where.sigma)
        return model.predict(x, where, "noise") - model.predict(x, where, "x0")

    y = x / here
    ahead = y + h * flow(y, at)
    torch.testing.assert_close(
        Euler().step(model, x, at, to, None, None)[0], there * ahead, rtol=1e-10, atol=1e-10
    )
    end = y + h * (flow(y, at) + flow(ahead, to)) / 2
    torch.testing.assert_close(
        Heun().step(model, x, at, to, None, None)[0], there * end, rtol=1e-10, atol=1e-10
    )
