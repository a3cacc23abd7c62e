"""Multistep methods: coefficients against exact integrals, orders against the exact flow."""

import math

import numpy as np
import pytest
import torch
from tests.core.mixtures import ring

from difrun.config.plan import ChosenComponent
from difrun.data import GaussianMixture
from difrun.grid import logsnr, rho
from difrun.model import ExactEmpirical, ExactMixture
from difrun.plugin import get_registry
from difrun.runs.build import grid_times
from difrun.sampler import Adams, Euler, Exponential, Heun, integrate
from difrun.sampler.gaussian_frame import GaussianFrame, PrincipalFrame, gaussian_frame
from difrun.sampler.multistep import coefficients
from difrun.sampler.tuning import pilot
from difrun.testing import (
    ReferenceFlow,
    ReferenceVE,
    ReferenceVP,
    observed_order,
    probability_flow_endpoint,
    two_gaussians,
)

NODES = [-1.3, -0.7, -0.4, 0.1]


def noise(model, n=64, seed=0):
    process = model.process
    return process.prior((n, 2), mean=model.mean, var=model.var, generator=seed, dtype=torch.float64)


def rms(x):
    return x.square().sum(1).mean().sqrt().item()


@pytest.mark.parametrize("degree", range(4))
def test_coefficients_integrate_polynomials_exactly(degree):
    """Σ w_j c_j^k = ∫ c^k dc for k below the number of nodes, to rounding."""
    weights = coefficients(NODES, 0.1, 0.9).numpy()
    exact = (0.9 ** (degree + 1) - 0.1 ** (degree + 1)) / (degree + 1)
    assert np.dot(weights, np.power(NODES, degree)) == pytest.approx(exact, rel=1e-12, abs=1e-13)


def test_coefficients_integrate_the_kernel_exactly():
    """∫ e^c c dc = [(c − 1) e^c]: the kernel costs no accuracy, however steep."""
    weights = coefficients(NODES, 0.1, 4.0, torch.exp).numpy()
    exact = (4.0 - 1) * math.exp(4) - (0.1 - 1) * math.exp(0.1)
    assert np.dot(weights, NODES) == pytest.approx(exact, rel=1e-12)


def test_many_integrals_at_once_are_those_of_each():
    """Three sets of nodes with their own ends, kernel included, to rounding."""
    nodes = torch.tensor([NODES, [0.0, 0.2, 0.3, 0.7], [1.0, 1.1, 1.5, 2.0]], dtype=torch.float64)
    starts, ends = torch.tensor([[0.1, 0.7, 2.0], [0.9, 0.8, 2.6]], dtype=torch.float64)
    together = coefficients(nodes, starts, ends, torch.exp)
    each = [coefficients(*part, torch.exp) for part in zip(nodes, starts, ends, strict=True)]
    torch.testing.assert_close(together, torch.stack(each), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", [GaussianFrame, PrincipalFrame])
@pytest.mark.parametrize("mean", [(0.0, 0.0), (3.0, -1.0)])
@pytest.mark.parametrize("t", [0.01, 0.7])
def test_the_slope_in_the_gaussian_frame_is_the_derivative_of_the_flow(kind, mean, t):
    """q = −dy/dφ, each axis with its φ, by central differences along the flow; enter undoes leave; at both ends."""
    distribution = GaussianMixture(
        [0.3, 0.7], [[mean[0] - 1.4, mean[1]], [mean[0] + 0.6, mean[1]]], [0.2, 0.1]
    )
    assert distribution.mean.tolist() == pytest.approx(mean, abs=1e-12)
    process = ReferenceVP()
    model = ExactMixture(distribution, process)
    frame = kind(model)
    at = process.at(t)
    x = noise(model, 16)
    torch.testing.assert_close(frame.leave(frame.enter(x, at), at), x, rtol=1e-12, atol=1e-12)
    h = 1e-4 * t
    before, after = process.at(t - h), process.at(t + h)
    slopes = [model.predict(x, at, "velocity") * step for step in (-h, h)]
    # x moves along its velocity; its curvature adds the same h² at both ends, which the difference removes
    y = [frame.enter(x + move, there) for move, there in zip(slopes, (before, after), strict=True)]
    clocks = torch.tensor([frame.clock(before), frame.clock(after)], dtype=torch.float64)
    rate = (y[0] - y[1]) / -frame.nodes(clocks).diff(dim=0)
    torch.testing.assert_close(frame.slope(x, at), rate, rtol=1e-5, atol=1e-6)


def test_exponential_of_order_one_is_ddim():
    """The first-order method of the log-SNR frame is Euler in the straight frame, to rounding."""
    model = ExactMixture(two_gaussians(), ReferenceVP())
    times, x = logsnr(model.process, 12), noise(model)
    one, two = (integrate(s, model, x, times) for s in (Exponential(predictor_order=1), Euler()))
    torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)


def test_adams_is_exact_on_the_gaussian_of_its_frame():
    """Data N(m, σ_d² I): the slope vanishes, and one step from T to t_min is exact to rounding."""
    distribution = GaussianMixture([1.0], [[3.0, -1.0]], [0.49])
    model = ExactMixture(distribution, ReferenceVE())
    process, x = model.process, noise(model)
    start, end = process.at(process.horizon), process.at(process.t_min)
    frame = GaussianFrame(model)
    exact = frame.leave(frame.enter(x, start), end)
    torch.testing.assert_close(integrate(Adams(), model, x, logsnr(process, 1)), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE(), ReferenceFlow()], ids=["vp", "ve", "flow"])
def test_adams_is_exact_on_any_gaussian(process):
    """Data N(m, C), condition 180: one step to t_min is x ↦ αm + (V V_T⁻¹)^½ (x − α_T m), V = α²C + σ²I."""
    mean, turn = torch.tensor([3.0, -1.0], dtype=torch.float64), 0.7
    cos, sin = math.cos(turn), math.sin(turn)
    axes = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    variances = torch.tensor([0.05, 9.0], dtype=torch.float64)
    model = ExactMixture(GaussianMixture([1.0], mean[None], (axes * variances @ axes.T)[None]), process)
    x = noise(model)
    start, end = process.at(process.horizon), process.at(process.t_min)
    stretch = ((end.alpha**2 * variances + end.var) / (start.alpha**2 * variances + start.var)).sqrt()
    exact = end.alpha * mean + (x - start.alpha * mean) @ axes * stretch @ axes.T
    torch.testing.assert_close(integrate(Adams(), model, x, logsnr(process, 1)), exact, rtol=1e-7, atol=1e-8)


def test_principal_axes_are_taken_where_the_data_are_not_round():
    """Axes and deviations of a known covariance; none for a circle; a constant coordinate counts as narrow."""
    flat = GaussianMixture([1.0], [[0.0, 0.0]], [[[4.0, 0.0], [0.0, 0.25]]])
    axes, stds = ExactMixture(flat, ReferenceVP()).principal
    assert stds.tolist() == pytest.approx([0.5, 2.0])
    assert axes.abs().tolist() == [[0.0, 1.0], [1.0, 0.0]]
    round_model = ExactMixture(ring(), ReferenceVP())
    assert round_model.principal is None
    assert type(gaussian_frame(round_model)) is GaussianFrame
    line = torch.tensor([[-1.0, 2.0], [1.0, 2.0]])
    model = ExactEmpirical(line, ReferenceVP())
    assert model.principal[1].tolist() == pytest.approx([math.sqrt(1e-4 * 0.5), 1.0])
    ends = integrate(Adams(), model, noise(model, 32), pilot(model, 20))
    ends = ends / model.process.at(model.process.t_min).alpha
    assert float(torch.cdist(ends.float(), line).amin(1).median()) < 0.005


def test_principal_axes_of_images_are_those_of_their_pixels():
    """A distribution of four coordinates and the same as 2 x 2 images: the same samples, in float32 to 1e-5."""
    data = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 1.0, 0.3, 0.1])
    flat, images = (ExactEmpirical(part, ReferenceVP()) for part in (data, data.reshape(50, 2, 2)))
    x = flat.process.prior((8, 4), mean=flat.mean, var=flat.var, generator=1)
    assert type(gaussian_frame(images)) is PrincipalFrame
    times = logsnr(flat.process, 12)
    expected = integrate(Adams(), flat, x.double(), times)
    for model, start in ((flat, x), (images, x.reshape(8, 2, 2))):
        found = integrate(Adams(), model, start, times)
        assert found.shape == start.shape
        torch.testing.assert_close(found.reshape(8, 4).double(), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE()], ids=["vp", "ve"])
@pytest.mark.parametrize(
    "sampler",
    [Adams(fixed_order=k) for k in (1, 2, 3, 4, 5)]
    + [Exponential(predictor_order=k) for k in (1, 2, 3, 4)]
    + [Exponential(predictor_order=k, corrected=True) for k in (1, 2, 3)],
    ids=str,
)
def test_every_order_is_reached(sampler, process):
    """Distance to the exact end of the flow as steps^−order, ±0.25; orders above 3 from 160 to 640 steps."""
    model = ExactMixture(two_gaussians(), process)
    x = noise(model, 16)
    truth = probability_flow_endpoint(model, x, rtol=1e-12)
    counts = (40, 80, 160) if sampler.order <= 3 else (160, 320, 640)
    errors = [rms(integrate(sampler, model, x, logsnr(process, n)) - truth) for n in counts]
    assert observed_order(counts, errors) == pytest.approx(sampler.order, abs=0.25), errors


@pytest.mark.parametrize(("evaluations", "bound"), [(10, 8e-3), (20, 4e-3)])
def test_adams_on_a_pilot_grid_beats_heun_at_equal_evaluations(evaluations, bound):
    """Eight modes, variance exploding from 80: relative error below `bound`, and a fifth of Heun's on the ρ grid."""
    process = ReferenceVE()
    model = ExactMixture(ring(), process)
    x = noise(model, 128, seed=3)
    truth = probability_flow_endpoint(model, x, rtol=1e-9)
    error = rms(integrate(Adams(), model, x, pilot(model, evaluations)) - truth) / 1.4
    heun = rms(integrate(Heun(), model, x, rho(process, evaluations // 2)) - truth) / 1.4
    assert error < bound
    assert error < heun / 5


def test_principal_axes_pay_where_the_data_are_long_and_thin():
    """Two rows of twelve modes, eleven times as long as wide: with six steps two thirds of the error, or less."""
    along = torch.arange(12) * 0.8 - 4.4
    rows = torch.cat([torch.stack([along, torch.full((12,), side)], 1) for side in (0.25, -0.25)])
    cos, sin = math.cos(0.5), math.sin(0.5)
    means = rows @ torch.tensor([[cos, sin], [-sin, cos]])
    distribution = GaussianMixture(torch.full((24,), 1 / 24), means, torch.full((24,), 0.07**2))
    errors = []
    for cov in (distribution.cov, None):
        model = ExactMixture(distribution, ReferenceVE())
        model.cov = cov
        x = noise(model, 256, seed=5)
        truth = integrate(Adams(), model, x, pilot(model, 300))
        errors.append(rms(integrate(Adams(), model, x, pilot(model, 6)) - truth))
    assert errors[0] < errors[1] / 1.5, errors


def test_rounding_does_not_move_the_grid():
    """The pilot in float32, as networks are solved, gives the noise levels of the one in float64 to a factor e^0.2."""
    single = ExactMixture(ring(), ReferenceVE())
    single.mean, single.var = single.mean.float(), single.var.float()
    grids = [np.log(pilot(model, 40)) for model in (single, ExactMixture(ring(), ReferenceVE()))]
    assert np.abs(grids[0] - grids[1]).max() < 0.2


@pytest.mark.parametrize(("name", "alone"), [("pilot", pilot), ("logsnr", logsnr)])
def test_a_grid_gets_the_model_or_its_process_as_it_asks(name, alone):
    model = ExactMixture(ring(), ReferenceVE())
    entry = get_registry().get("grid", name)
    times = grid_times(ChosenComponent("grid", entry, entry.component.options()), model, 9)
    assert times == alone(model if alone is pilot else model.process, 9)
