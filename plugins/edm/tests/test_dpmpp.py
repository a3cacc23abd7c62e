"""DPM-Solver++ against the algorithms of Lu et al. (2022, arXiv 2211.01095) in NumPy, and against exact integrals."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from difrun.grid import logsnr, rho
from difrun.model import Counted, ExactMixture, ScoreModel
from difrun.sampler import integrate
from difrun.testing import (
    ReferenceVP,
    endpoint_errors,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)
from difrun.testing.references import NoNoise
from difrun_edm.dpmpp import REACH, Multistep2, Multistep3, SingleStep2
from difrun_edm.process import EDM

from .reference import PROCESSES, Formula, denoised, start

SOLVERS = {"2s": SingleStep2(), "2m": Multistep2(), "3m": Multistep3()}
STEPS = (40, 80, 160)
TIMES = [4.0, 3.1, 2.5, 1.2, 0.9, 0.35, 0.05, 0.002]
START = np.array([[1.3, -0.4], [-2.2, 0.8], [0.1, 3.0]])


@cache
def endpoint(name):
    model = ExactMixture(two_gaussians(), PROCESSES[name])
    return model, start(model), probability_flow_endpoint(model, start(model))


@pytest.mark.parametrize("grid", [logsnr, rho], ids=["logsnr", "rho"])
@pytest.mark.parametrize("name", list(PROCESSES))
@pytest.mark.parametrize("solver", list(SOLVERS))
def test_observed_order_is_the_declared_one(solver, name, grid):
    """Distance to the exact probability-flow endpoint falls as steps^−order between 40 and 160 steps, to ±0.25."""
    model, noise, exact = endpoint(name)
    sampler = SOLVERS[solver]
    errors = endpoint_errors(sampler, model, noise, exact, grid, STEPS)
    assert observed_order(STEPS, errors) == pytest.approx(sampler.order, abs=0.25), errors


def columns(process, times):
    """α, σ, λ of ReferenceVP (e^−t) or EDM, in closed form."""
    t = np.array(times)
    alpha = np.exp(-t) if isinstance(process, ReferenceVP) else np.ones_like(t)
    sigma = np.sqrt(-np.expm1(-2 * t)) if isinstance(process, ReferenceVP) else t
    return alpha, sigma, np.log(alpha / sigma)


def algorithm_2(process, x, times):
    """DPM-Solver++(2M), Algorithm 2: with its buffer Q, h_i = λ_i − λ_{i−1} and r_i = h_{i−1}/h_i."""
    alpha, sigma, lam = columns(process, times)
    buffer = [denoised(x / alpha[0], sigma[0] / alpha[0])]
    for i in range(1, len(times)):
        h = lam[i] - lam[i - 1]
        if i == 1:
            d = buffer[0]
        else:
            r = (lam[i - 1] - lam[i - 2]) / h
            d = (1 + 1 / (2 * r)) * buffer[-1] - 1 / (2 * r) * buffer[-2]
        x = sigma[i] / sigma[i - 1] * x - alpha[i] * (np.exp(-h) - 1) * d
        buffer.append(denoised(x / alpha[i], sigma[i] / alpha[i]))
    return x


def algorithm_1(process, x, times):
    """DPM-Solver++(2S), Algorithm 1, with r = ½."""
    alpha, sigma, lam = columns(process, times)
    r = 0.5
    for i in range(1, len(times)):
        h = lam[i] - lam[i - 1]
        middle = lam[i - 1] + r * h
        if isinstance(process, ReferenceVP):
            a = (1 + math.exp(-2 * middle)) ** -0.5
            s = math.sqrt(1 - a**2)
        else:
            a, s = 1.0, math.exp(-middle)
        first = denoised(x / alpha[i - 1], sigma[i - 1] / alpha[i - 1])
        u = s / sigma[i - 1] * x - a * (math.exp(-r * h) - 1) * first
        d = (1 - 1 / (2 * r)) * first + 1 / (2 * r) * denoised(u / a, s / a)
        x = sigma[i] / sigma[i - 1] * x - alpha[i] * (math.exp(-h) - 1) * d
    return x


@pytest.mark.parametrize("process", [ReferenceVP(), EDM(sigma_max=4.0)], ids=["vp", "edm"])
@pytest.mark.parametrize(("solver", "algorithm"), [("2m", algorithm_2), ("2s", algorithm_1)])
def test_it_is_the_algorithm_of_the_paper(solver, algorithm, process):
    """To 1e-12, for a model that is a formula, on a grid of uneven steps."""
    got = integrate(SOLVERS[solver], Formula(process), torch.from_numpy(START), TIMES)
    expected = torch.from_numpy(algorithm(process, START, TIMES))
    # The inverse of λ of a process without a closed form is exact to about 1e-13 of t.
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


class Polynomial(ScoreModel):
    """x̂_0 = Σ c_k λ^k, whatever x is."""

    kind = "x0"

    def __init__(self, process, *coefficients):
        self.process, self.shape, self.coefficients = process, (1,), coefficients

    def value(self, lam):
        return sum(c * lam**k for k, c in enumerate(self.coefficients))

    def forward(self, x, at):
        return torch.full_like(x, self.value(at.lam))


def exact(model, x, at, to):
    """x_s = (σ_s/σ_t) x_t + σ_s ∫ e^λ x̂_0(λ) dλ."""
    integral, _ = quad(lambda lam: math.exp(lam) * model.value(lam), at.lam, to.lam, epsabs=0, epsrel=1e-12)
    return to.sigma / at.sigma * x + to.sigma * integral


@pytest.mark.parametrize(
    ("solver", "coefficients", "after"),
    [
        ("2s", (0.7,), 0),
        ("2m", (0.7,), 0),
        ("3m", (0.7,), 0),
        ("3m", (0.7, -1.1), 0),
        ("3m", (0.7, -1.1, 0.4), 2),
    ],
)
@pytest.mark.parametrize("process", [ReferenceVP(), EDM(sigma_max=4.0)], ids=["vp", "edm"])
def test_polynomials_are_integrated_exactly(process, solver, coefficients, after):
    """A constant by all; lines by 3M from its start on; parabolas by it after two steps. Steps grow, within `REACH`."""
    model = Polynomial(process, *coefficients)
    lam = process.at(process.horizon).lam + np.concatenate([[0], np.cumsum(0.3 * 1.15 ** np.arange(6))])
    times = [process.horizon, *process.time_at(torch.from_numpy(lam[1:])).tolist()]
    seen = [torch.tensor([[1.5]], dtype=torch.float64)]
    integrate(SOLVERS[solver], model, seen[0], times, watch=lambda k, to, x: seen.append(x))
    at, to = process.instants([times[after], times[-1]])
    expected = exact(model, seen[after], at, to)
    torch.testing.assert_close(seen[-1], expected, rtol=1e-11, atol=1e-11)


def test_a_much_longer_step_looks_back_less():
    """3M at h/h_1 = 1.2 uses three evaluations, at 1.4 two, at 1.6 one: exact for parabolas, lines, constants."""
    process = EDM()
    for ratio, degree in ((1.2, 2), (1.4, 1), (1.6, 0)):
        lam = np.cumsum([0.0, 0.4, 0.4, 0.4, 0.4 * ratio])
        at, to = process.instants(process.time_at(torch.from_numpy(lam)).tolist()[-2:])
        for k in range(3):
            model = Polynomial(process, *(0.3, 0.8, -0.5)[: k + 1])
            x = [torch.tensor([[1.5]], dtype=torch.float64)]
            times = process.time_at(torch.from_numpy(lam)).tolist()
            integrate(Multistep3(), model, x[0], times, watch=lambda k, to, y, x=x: x.append(y))
            gap = (x[-1] - exact(model, x[-2], at, to)).abs().item()
            assert (gap < 1e-12) == (k <= degree), (ratio, k, gap)
    assert 1 < REACH[1] < REACH[0]


@pytest.mark.parametrize("solver", list(SOLVERS))
@pytest.mark.parametrize("name", list(PROCESSES))
def test_the_first_step_from_nothing_is_finite(name, solver):
    """One step, and three, in both formats; for one step the multistep methods are DDIM."""
    model, noise, _ = endpoint(name)
    process = model.process
    for dtype in (torch.float32, torch.float64):
        for steps in (1, 3):
            assert integrate(SOLVERS[solver], model, noise.to(dtype), logsnr(process, steps)).isfinite().all()
    if solver != "2s":
        at, to = process.instants([process.horizon, process.t_min])
        centre = process.centre_like(noise)
        x0, eps = model.predict(noise, at, "x0"), model.predict(noise, at, "noise")
        expected = centre + to.alpha * (x0 - centre) + to.sigma * eps
        got = integrate(SOLVERS[solver], model, noise, logsnr(process, 1))
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)


def test_evaluations_are_counted():
    for solver, each in (("2s", 2), ("2m", 1), ("3m", 1)):
        model = Counted(endpoint("vp")[0])
        integrate(SOLVERS[solver], model, start(model, 3), logsnr(model.process, 7), generator=NoNoise())
        assert model.evaluations == 7 * each == 7 * SOLVERS[solver].evaluations
