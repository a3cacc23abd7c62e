"""Inversion against the exact flow on the line, where it keeps the order of points: F_T(x_T) = F_{t_min}(x_{t_min})."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.grid import rho
from difrun.model import ExactMixture
from difrun.sampler import RK4, Adaptive, Ancestral, Euler, Heun, Kutta3, Midpoint
from difrun.sampler.adams import Adams
from difrun.sampler.exponential import Exponential
from difrun.sampler.inversion import invert, rms
from difrun.testing import ReferenceVP

WEIGHTS, MEANS, STDS = np.array([0.3, 0.7]), np.array([-1.0, 1.0]), np.array([0.4, 0.6])
MIXTURE = GaussianMixture(WEIGHTS, MEANS[:, None], STDS**2)
VP = ReferenceVP()
MODEL = ExactMixture(MIXTURE, VP)
X0 = torch.linspace(-1.8, 2.2, 41, dtype=torch.float64)[:, None]


def cdf(x, t):
    """Distribution function of x_t, and its density."""
    at = VP.at(t)
    mean, std = at.alpha * MEANS, np.hypot(at.alpha * STDS, at.sigma)
    z = (x[:, None] - mean) / std
    return (WEIGHTS * norm.cdf(z)).sum(1), (WEIGHTS * norm.pdf(z) / std).sum(1)


def exact_noise(x0):
    """The point x_T of the same rank as α x_0 at t_min, by Newton's method."""
    rank, _ = cdf(VP.at(VP.t_min).alpha * x0, VP.t_min)
    x = norm.ppf(rank)
    for _ in range(50):
        value, density = cdf(x, VP.horizon)
        x = x - (value - rank) / density
    return x


EXACT = torch.from_numpy(exact_noise(X0[:, 0].numpy()))[:, None]

SAMPLERS = {
    "euler": Euler(),
    "midpoint": Midpoint(),
    "heun": Heun(),
    "kutta3": Kutta3(),
    "rk4": RK4(),
    "adams": Adams(fixed_order=3),
    "exponential": Exponential(predictor_order=2),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_way_up_has_the_order_of_the_sampler(name):
    """Against the exact noise; the way back is at least as good, and for methods of even order one order better."""
    sampler, counts = SAMPLERS[name], (40, 80, 160)
    up, back = [], []
    for steps in counts:
        x, returned = invert(MODEL, X0, sampler, rho(VP, steps))
        up.append(float(rms(x - EXACT).square().mean().sqrt()))
        back.append(float(rms(returned - X0).square().mean().sqrt()))
    order = -np.polyfit(np.log(counts), np.log(up), 1)[0]
    assert order == pytest.approx(sampler.order, abs=0.3), up
    assert -np.polyfit(np.log(counts), np.log(back), 1)[0] > sampler.order - 0.4, back
    assert up[-1] < 0.05


def test_a_gaussian_is_carried_in_closed_form():
    """x_T = μ_T + S_T/S (x − μ), for N(m, s²) with S² = α²s² + σ²; in chunks as at once."""
    m, s = 0.5, 0.8
    model = ExactMixture(GaussianMixture([1.0], [[m]], [s**2]), VP)
    end, start = VP.at(VP.t_min), VP.at(VP.horizon)
    spread = [math.hypot(at.alpha * s, at.sigma) for at in (end, start)]
    exact = start.alpha * m + spread[1] / spread[0] * end.alpha * (X0 - m)
    x, returned = invert(model, X0, RK4(), rho(VP, 60), chunk=7)
    torch.testing.assert_close(x, exact, atol=1e-5, rtol=0)
    torch.testing.assert_close(returned, X0, atol=1e-6, rtol=0)
    torch.testing.assert_close(x, invert(model, X0, RK4(), rho(VP, 60))[0])


@pytest.mark.parametrize(
    ("sampler", "x0", "message"),
    [
        (Ancestral(), X0, "needs a deterministic sampler; Ancestral draws random numbers"),
        (Adaptive(), X0, "Adaptive does not say that its own may be"),
        (Heun(), X0[:, [0, 0]], r"examples of shape \(41, 2\) do not fit"),
    ],
)
def test_what_cannot_be_inverted_is_refused(sampler, x0, message):
    with pytest.raises(DifrunError, match=message):
        invert(MODEL, x0, sampler, rho(VP, 5))


def test_what_leaves_the_numbers_is_told():
    far = X0.clone()
    far[3] = 1e300
    with pytest.raises(DifrunError, match=r"examples: inf in row 4, column 1 \(1 of 41 rows"):
        invert(MODEL, far.float(), Heun(), rho(VP, 5))
    far[3] = 1e38
    with pytest.raises(DifrunError, match=r"1 of 41 examples have no finite way .* is number 3"):
        invert(MODEL, far.float(), Heun(), rho(VP, 5))
