"""The process against an integration of its moments, and its exact score against autograd."""

import numpy as np
import pytest
import torch
from difrun.errors import DifrunError
from difrun.testing import two_gaussians
from scipy.integrate import solve_ivp

from difrun_cld.exact import ExactVelocityScore
from difrun_cld.process import CriticallyDampedLangevin

PROCESSES = [CriticallyDampedLangevin(), CriticallyDampedLangevin(beta=2.5, friction=1.4, gamma=0.3)]


def moments_by_integration(process, mean, cov, t):
    """Mean and covariance of (x, v) at t, from dm = βFm and dC = β(FC + CFᵀ + 2Γ diag(0, 1)), to 1e-11."""
    mass = process.mass
    f = process.beta * np.array([[0, 1 / mass], [-1, -process.friction / mass]])
    q = process.beta * np.diag([0, 2 * process.friction])

    def slope(_, y):
        m, c = y[:2], y[2:].reshape(2, 2)
        return np.concatenate((f @ m, (f @ c + c @ f.T + q).ravel()))

    start = np.concatenate((mean, np.ravel(cov)))
    end = solve_ivp(slope, (0, t), start, method="DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    return end[:2], end[2:].reshape(2, 2)


@pytest.mark.parametrize("process", PROCESSES, ids=("default", "other"))
@pytest.mark.parametrize("t", [1e-3, 0.05, 0.4, 1.0])
def test_mean_and_covariance_are_those_of_the_sde(process, t):
    """Given x_0 over all v_0, and for data of mean 0.7 and variance 0.3."""
    at = process.at(t)
    start = [[0, 0], [0, process.gamma * process.mass]]
    mean, cov = moments_by_integration(process, [1.0, 0.0], start, t)
    np.testing.assert_allclose(at.first, mean, rtol=1e-9)
    np.testing.assert_allclose(at.cov, (cov[0, 0], cov[0, 1], cov[1, 1]), rtol=1e-7, atol=1e-13)
    start[0][0] = 0.3
    mean, cov = moments_by_integration(process, [0.7, 0.0], start, t)
    got_mean, got_cov = process.marginal(at, 0.7, 0.3)
    np.testing.assert_allclose(got_mean, mean, rtol=1e-9)
    np.testing.assert_allclose(got_cov, (cov[0, 0], cov[0, 1], cov[1, 1]), rtol=1e-8)


def test_draws_have_these_moments():
    """`sample`, `path` and `prior`: mean and covariance of 40 000 draws within five standard errors."""
    process, n = PROCESSES[0], 40_000
    x0 = torch.full((n, 1), 0.8, dtype=torch.float64)
    half, end = process.at(0.3), process.at(1.0)
    path = process.path(x0, [0.1, 0.3, 1.0], 2)
    wide = process.prior((n, 2), mean=0.5, var=2.0, generator=3, dtype=torch.float64)
    for draws, mean, cov in (
        (process.sample(x0, 0.3, 1), [0.8 * each for each in half.first], half.cov),
        (path[1], [0.8 * each for each in half.first], half.cov),
        (path[2], [0.8 * each for each in end.first], end.cov),
        (wide, *process.marginal(end, 0.5, 2.0)),
    ):
        xx, xv, vv = cov
        seen = torch.cov(draws.T)
        bars = 5 * (xx / n) ** 0.5, 5 * (vv / n) ** 0.5
        assert abs(float(draws[:, 0].mean()) - mean[0]) < bars[0]
        assert abs(float(draws[:, 1].mean()) - mean[1]) < bars[1]
        for got, true, error in (
            (seen[0, 0], xx, (2 * xx**2 / n) ** 0.5),
            (seen[0, 1], xv, ((xx * vv + xv**2) / n) ** 0.5),
            (seen[1, 1], vv, (2 * vv**2 / n) ** 0.5),
        ):
            assert abs(float(got) - true) < 5 * error


def test_a_path_is_one_path():
    """Cov(u_s, u_t | x_0) = C_s Φᵀ along 40 000 paths, within five standard errors."""
    process, n = PROCESSES[1], 40_000
    early, late = process.path(torch.zeros((n, 1), dtype=torch.float64), [0.2, 0.6], 5)
    xx, xv, vv = process.at(0.2).cov
    from difrun_cld.process import propagator

    a, b, c, d = propagator(process.beta * 0.4, process.friction)
    true = torch.tensor([[a * xx + b * xv, c * xx + d * xv], [a * xv + b * vv, c * xv + d * vv]])
    seen = torch.cov(torch.cat((early, late), dim=1).T)
    for i in range(2):
        for j in range(2):
            error = ((seen[i, i] * seen[2 + j, 2 + j] + true[i, j] ** 2) / n) ** 0.5
            assert abs(seen[i, 2 + j] - true[i, j]) < 5 * error


def test_the_exact_score_is_the_gradient_of_the_exact_density():
    """∇_v log p_t by autograd, to 1e-9; and log p_t integrates to 1 over a fine lattice of (x, v) in one dimension."""
    from difrun.data import GaussianMixture

    process = PROCESSES[0]
    model = ExactVelocityScore(two_gaussians(), process)
    u = process.sample(two_gaussians().sample(6, torch.Generator().manual_seed(1)), 0.3, 2).requires_grad_()
    at = process.at(0.3)
    (gradient,) = torch.autograd.grad(model.log_prob(u, at).sum(), u)
    torch.testing.assert_close(model.predict(u.detach(), at, "score"), gradient[:, 2:], rtol=1e-9, atol=1e-9)
    line = ExactVelocityScore(GaussianMixture([0.3, 0.7], [[-1.0], [1.5]], [0.2, 0.4]), process)
    x, v = (torch.linspace(-side, side, 321, dtype=torch.float64) for side in (8, 4))
    lattice = torch.cartesian_prod(x, v)
    total = line.log_prob(lattice, at).exp().sum() * (x[1] - x[0]) * (v[1] - v[0])
    assert float(total) == pytest.approx(1.0, abs=1e-6)


def test_images_have_a_velocity_for_every_pixel():
    process = PROCESSES[0]
    x0 = torch.rand(5, 3, 4, 4)
    assert process.state_shape((3, 4, 4)) == (6, 4, 4)
    states = process.sample(x0, torch.linspace(0, 1, 5), 1)
    assert states.shape == (5, 6, 4, 4)
    torch.testing.assert_close(process.observed(states)[0], x0[0])  # at t = 0 the data
    assert process.path(x0, [0.0, 0.5], 1).shape == (2, 5, 6, 4, 4)
    assert process.prior((2, 6, 4, 4), mean=x0.mean(0), var=x0.var(0), generator=1).shape == (2, 6, 4, 4)


def test_times_that_are_none_and_shapes_without_an_axis_are_refused():
    process = PROCESSES[0]
    for t in (-0.1, 1.01, float("nan"), torch.tensor([0.1, 2.0])):
        with pytest.raises(DifrunError, match="time runs from 0"):
            process.at(t)
    with pytest.raises(DifrunError, match="must increase"):
        process.path(torch.zeros(2, 1), [0.5, 0.2])
    with pytest.raises(DifrunError, match="at least one axis"):
        process.state_shape(())
    with pytest.raises(ValueError, match="t_min must be less than T = 1"):
        CriticallyDampedLangevin(t_min=2.0)
