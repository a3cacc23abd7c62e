"""The pilot grid: where it puts its steps, how it measures the growth of errors, and what it leaves out."""

import math

import numpy as np
import pytest
import torch
from tests.core.mixtures import ring

from difrun.data import GaussianMixture
from difrun.model import MLP, ExactMixture, NetworkModel
from difrun.sampler import Adams
from difrun.sampler.tuning import pilot
from difrun.sampler.tuning.pilot_grid import FLOOR, PERTURBED, STEPS, _pilot_of, _step_density
from difrun.testing import (
    ReferenceVE,
    ReferenceVP,
)

CLOCKS = np.linspace(4.0, 0.0, STEPS + 1)


def exponential(rate, order):
    """y = e^{rv} at the clocks, scaled so that its derivative of that order is e^{rv}: (STEPS + 1, 1, 1)."""
    return torch.from_numpy(np.exp(rate * CLOCKS) / rate**order)[:, None, None]


@pytest.mark.parametrize("order", [2, 4])
@pytest.mark.parametrize(("rate", "growth"), [(0.3, 0.0), (0.3, -0.6), (0.3, 1.0), (0.01, 0.8)])
def test_steps_are_dense_where_trajectories_bend_and_where_errors_grow(rate, growth, order):
    """The density (A^½ ‖d^k y/dv^k‖)^{1/k} for A = e^{gv} and a derivative e^{rv}: e^{(r + g/2) v/k}, to 2 % inside."""
    gains = torch.from_numpy(np.exp(growth * CLOCKS))[:, None]
    density = _step_density(CLOCKS, exponential(rate, order), gains, order)
    expected = np.exp((rate + growth / 2) * CLOCKS / order)
    inside = slice(15, -15)  # smoothing and differences reach over the ends
    ratio = density[inside] / expected[inside]
    np.testing.assert_allclose(ratio / ratio.mean(), 1, rtol=0.02)


def test_no_stretch_is_left_without_steps():
    """Where the bends differ by 10⁷ the least density is the floor of 5 % of the greatest."""
    density = _step_density(CLOCKS, exponential(8.0, 2), torch.ones(STEPS + 1, 1), 2)
    assert density.min() == pytest.approx(FLOOR * density.max(), rel=1e-12)


def test_the_pilot_puts_steps_where_trajectories_bend():
    """Two far blobs of width 0.05: the densest steps lie between the noise of the distance and that of the width."""
    distribution = GaussianMixture([0.5, 0.5], [[2.0, 2.0], [-2.0, -2.0]], [0.0025, 0.0025])
    model = ExactMixture(distribution, ReferenceVE())
    times = pilot(model, 40)
    noise_levels = np.array([at.sigma / at.alpha for at in model.process.instants(times)])
    widths = -np.diff(np.log(noise_levels))
    densest = noise_levels[1:][widths.argmin()]
    assert 0.05 < densest < 10
    assert pilot(model, 40) == times  # the pilot is run once, and draws nothing that a run draws


def test_the_pilot_measures_how_far_a_kick_grows():
    """Data N(0, C) in the frame of their average variance: known growth, to the 6 % of a solution with 40 steps."""
    variances = torch.tensor([4.0, 0.25], dtype=torch.float64)
    model = ExactMixture(GaussianMixture([1.0], [[0.0, 0.0]], torch.diag(variances)[None]), ReferenceVE())
    model.cov = None
    found = _pilot_of(model)
    clocks, y, gains = found.clocks, found.y, found.gains
    levels = torch.from_numpy(0.03 * np.sinh(clocks) * model.data_std)[:, None]
    # y along an axis, but for a factor
    shrunk = ((variances + levels**2) / (model.data_std**2 + levels**2)).sqrt()
    for k in PERTURBED:
        kick = y[k + 1] - 2 * y[k] + y[k - 1]
        exact = (kick * shrunk[STEPS] / shrunk[k]).norm(dim=1) / kick.norm(dim=1)
        torch.testing.assert_close(gains[k], exact, rtol=0.06, atol=2e-3)
    assert gains[STEPS].tolist() == [1.0] * y.shape[1]


@pytest.mark.parametrize("lost", [math.nan, 1e9])
def test_the_pilot_does_without_trajectories_that_are_lost(lost):
    """Where a half of them is led astray, the others give the grid they give alone; where all are, steps are equal."""

    class Wild(ExactMixture):
        def predict(self, x, at, kind):
            return torch.where(x.sum(1, keepdim=True) > self.border, lost, super().predict(x, at, kind))

    model = Wild(ring(), ReferenceVE())
    model.border = 1.0
    assert 4 < _pilot_of(model).y.shape[1] < 60
    for sampler in (None, Adams()):
        times = np.log(pilot(model, 20, sampler))
        assert np.abs(times - np.log(pilot(ExactMixture(ring(), ReferenceVE()), 20, sampler))).max() < 0.5
    model = Wild(ring(), ReferenceVE())
    model.border = -math.inf
    times = torch.tensor(pilot(model, 20, Adams()), dtype=torch.float64)
    steps = (times / (0.03 * model.data_std)).asinh().diff()
    torch.testing.assert_close(steps, steps.mean().expand(20), rtol=1e-6, atol=1e-6)


def test_the_pilot_works_around_a_centre():
    """A process with a mean gives the grid of the same process without one, for data moved with it, to 1e-3."""

    class Moved(ReferenceVP):
        centre = (5.0, -3.0)

    still = ExactMixture(ring(), ReferenceVP())
    shifted = GaussianMixture(ring().weights, ring().means + torch.tensor([5.0, -3.0]), ring().covs)
    np.testing.assert_allclose(pilot(ExactMixture(shifted, Moved()), 12), pilot(still, 12), rtol=1e-3)


def test_the_pilot_is_run_again_when_the_weights_change():
    """The grid of a network is that of its weights: the same again for the same, another for others."""
    network = MLP((2,), width=8, depth=1, features=4)
    model = NetworkModel(network, ReferenceVP(), (2,), mean=torch.zeros(2), var=torch.ones(2))
    flat = pilot(model, 8)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    bent = pilot(model, 8)
    assert bent == pilot(model, 8)
    assert max(abs(a / b - 1) for a, b in zip(flat[1:-1], bent[1:-1], strict=True)) > 0.01
