"""Rectified flow against its closed forms, and at T, where α = 0, λ = −∞ and f and g² are infinite."""

import math

import numpy as np
import pytest
import torch

from difrun.analysis.signal import signal_at_horizon
from difrun.errors import DifrunError
from difrun.grid import cosine, linear, logsnr, rho
from difrun.model import PREDICTIONS, ExactMixture, NetworkModel
from difrun.sampler import Ancestral, Euler, Heun, integrate
from difrun.testing import affine_moments, two_gaussians
from difrun.testing.references import UnitNoise
from difrun_flow.process import RectifiedFlow

FLOW = RectifiedFlow()
X0 = torch.tensor([[-1.7, 0.9], [0.4, 2.2]], dtype=torch.float64)
NOISE = torch.tensor([[0.3, -1.2], [2.1, 0.7]], dtype=torch.float64)


@pytest.mark.parametrize("t", [1e-9, 0.002, 0.3, 0.999])
def test_fields_are_their_closed_forms(t):
    """To 1e-12, relative."""
    at = FLOW.at(t)
    forms = {
        "alpha": 1 - t,
        "sigma": t,
        "lam": math.log((1 - t) / t),
        "f": -1 / (1 - t),
        "g2": 2 * t / (1 - t),
        "d_alpha": -1,
        "d_sigma": 1,
    }
    for name, value in forms.items():
        assert getattr(at, name) == pytest.approx(value, rel=1e-12), name


def test_the_log_snr_is_inverted_in_closed_form():
    """time_at(λ) = 1/(1 + e^λ) for numbers and tensors, to both ends."""
    lam = torch.tensor([-math.inf, -30.0, -5.0, 0.0, 6.0, 40.0, math.inf], dtype=torch.float64)
    torch.testing.assert_close(FLOW.time_at(lam), 1 / (1 + lam.exp()), rtol=1e-14, atol=0)
    assert FLOW.time_at(-math.inf) == 1.0
    assert FLOW.time_at(0.0) == 0.5
    assert FLOW.t_min == pytest.approx(0.002 / 1.002, rel=1e-12)
    assert RectifiedFlow(noise_floor=0.05).t_min == pytest.approx(0.05 / 1.05, rel=1e-12)


def test_fields_at_the_end_of_time():
    for at in (FLOW.at(1.0), FLOW.at(torch.ones(1))):
        fields = [
            float(getattr(at, name)) for name in ("alpha", "sigma", "lam", "f", "g2", "d_alpha", "d_sigma")
        ]
        assert fields == [0.0, 1.0, -math.inf, -math.inf, math.inf, -1.0, 1.0]


def test_the_end_is_noise_and_nothing_follows_it():
    """x_T = ε, whatever x_0; a path that comes there again stays, and the density there is the normal one."""
    times = [0.4, 1.0, 1.0, 1.0]
    rows = torch.full((6, 1), 3.0, dtype=torch.float64)
    for path in (FLOW.path(rows, times, UnitNoise(5)), FLOW.euler_maruyama(rows, times, UnitNoise(5), 2)):
        assert path.isfinite().all()
        assert torch.equal(path[1], path[2])
        assert torch.equal(path[1], path[3])
        assert path[1, -1] == 0  # the mean, α_T x_0
        assert (path[1] - path[1, -1]).square().sum() == pytest.approx(1, rel=1e-12)
    assert torch.equal(FLOW.sample(X0, 1.0, 1), FLOW.sample(0 * X0, 1.0, 1))
    points = np.array([[0.3, -0.2]])
    normal = math.exp(-0.5 * (0.3**2 + 0.2**2)) / (2 * math.pi)
    assert FLOW.density(points, X0.numpy(), 1.0) == pytest.approx(normal, rel=1e-12)


def test_the_prior_is_standard_normal_whatever_the_data_are():
    mean, var = affine_moments(
        lambda g, n: FLOW.prior((n, 2), mean=[5.0, -3.0], var=9.0, generator=g, dtype=torch.float64), 1
    )
    assert torch.equal(mean, torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(var, torch.ones(2, dtype=torch.float64), rtol=1e-14, atol=0)
    signal = signal_at_horizon(FLOW, torch.tensor([4.0]))
    assert (signal.alpha, signal.snr, signal.correlation) == (0, 0, 0)


def test_the_bridge_from_the_end_forgets_where_it_came_from():
    """q(x_s | x_T, x_0) = q(x_s | x_0) = N(α_s x_0, σ_s²), for numbers and for batches in float32."""
    at, to = FLOW.instants([1.0, 0.7])
    batch = [FLOW.at(torch.full((2,), t), 2) for t in (1.0, 0.7)]
    for pair, tolerance in (((at, to), 1e-14), (batch, 1e-6)):
        bridge = FLOW.bridge(NOISE, X0, *pair)
        torch.testing.assert_close(bridge.mean, 0.3 * X0, rtol=tolerance, atol=tolerance)
        assert float(torch.as_tensor(bridge.std).max()) == pytest.approx(0.7, rel=1e-6)


@pytest.mark.parametrize("t", [FLOW.t_min, 0.5, 1.0])
@pytest.mark.parametrize("source", ["x0", "velocity", "straight", "v"])
def test_conversions_in_float32_at_both_ends(source, t):
    """Every kind from x̂_0 and from mixtures of x̂_0 and noise, within 16 roundings of the terms; numbers and batches."""
    t = torch.tensor(t, dtype=torch.float32).item()
    at = FLOW.at(t)
    x = FLOW.diffuse(X0, NOISE, at)
    a, b = PREDICTIONS[source](at)
    prediction = a * X0 + b * NOISE
    for target, row in PREDICTIONS.items():
        c, d = row(at)
        truth = c * X0 + d * NOISE
        det = at.alpha * b - at.sigma * a
        size = (
            ((c * b - d * a) / det * x).abs()
            + ((at.alpha * d - at.sigma * c) / det * prediction).abs()
            + truth.abs()
        )
        for instant in (at, FLOW.at(torch.full((2,), t), 2)):
            got = FLOW.convert(prediction.float(), x.float(), instant, source, target)
            assert ((got - truth).abs() <= 16 * 2**-24 * size).all(), target


def test_noise_says_nothing_of_the_data_at_the_end():
    """noise and score still convert into each other; x̂_0 does not follow from them, and that is an error in words."""
    at = FLOW.at(1.0)
    assert torch.equal(FLOW.convert(NOISE, NOISE, at, "noise", "score"), -NOISE)
    assert torch.equal(FLOW.convert(-NOISE, NOISE, at, "score", "noise"), NOISE)
    for source in ("noise", "score"):
        for target in ("x0", "velocity", "v", "straight"):
            with pytest.raises(
                DifrunError, match=rf"at t = 1 nothing of the data is left.*{target} does not follow"
            ):
                FLOW.convert(NOISE, NOISE, at, source, target)


def test_exact_predictions_at_the_end():
    """x̂_0 = E[x_0], ε̂ = x, score = −x and velocity = x − E[x_0], in float32 and float64, for a number and a batch."""
    mixture = two_gaussians()
    model = ExactMixture(mixture, FLOW)
    for dtype in (torch.float32, torch.float64):
        x = NOISE.to(dtype)
        mean = mixture.mean.to(dtype).expand(2, 2)
        truth = {"x0": mean, "noise": x, "score": -x, "velocity": x - mean, "straight": x - mean, "v": -mean}
        for at in (FLOW.at(1.0), FLOW.at(torch.ones(2, dtype=dtype), 2)):
            for kind, value in truth.items():
                torch.testing.assert_close(model.predict(x, at, kind), value, msg=kind)


class Probe(torch.nn.Module):
    """A network that keeps the noise level that it was given."""

    def forward(self, x, level):
        self.level = level
        return torch.sin(3 * x) + level.reshape(-1, 1)


MEAN = torch.tensor([0.25, -0.5])


@pytest.mark.parametrize("predicts", list(PREDICTIONS))
def test_a_network_is_finite_at_both_ends(predicts):
    """Predictions, and the problem of training at exactly t = T in float32; a noise predictor says x̂_0 = E[x_0] there.

    The level at T is that of λ = −5, which a draw of training times reaches, and at t = 0 that of t_min.
    """
    model = NetworkModel(Probe(), FLOW, (2,), predicts=predicts, mean=MEAN, var=torch.tensor([0.5, 1.5]))
    levels = {FLOW.t_min: math.log(0.002) / 4, 0.5: 0.0, 0.9999: 5 / 4, 1.0: 5 / 4}
    for t, level in levels.items():
        at, batch = FLOW.at(t), FLOW.at(torch.full((2,), t), 2)
        x = FLOW.diffuse(X0, NOISE, at).float()
        for kind in PREDICTIONS:
            one, many = model.predict(x, at, kind), model.predict(x, batch, kind)
            assert one.isfinite().all(), (t, kind)
            torch.testing.assert_close(many, one, rtol=1e-3, atol=1e-4)
            assert model.network.level.tolist() == pytest.approx([level] * 2, abs=1e-5)
            examples = model.regression(x, X0.float(), NOISE.float(), batch, kind)
            assert all(value.isfinite().all() for value in examples.values()), (t, kind)
    if predicts in ("noise", "score"):
        torch.testing.assert_close(model.predict(x, at, "x0"), MEAN.expand(2, 2))
        assert (model.regression(x, X0.float(), NOISE.float(), batch, "x0")["gain"] == 0).all()
        assert (model.regression(x, X0.float(), NOISE.float(), batch, "noise")["gain"] != 0).all()
    if predicts != "score":  # which at t = 0 is infinite
        assert model.predict(X0.float(), FLOW.at(0.0), predicts).isfinite().all()
        assert model.network.level.item() == pytest.approx(math.log(0.002) / 4)


@pytest.mark.parametrize("grid", [linear, cosine, rho, logsnr])
def test_grids_waste_no_step_where_nothing_is_left(grid):
    """One step leads from T to λ ≥ −5, and every sampler of the core is finite in float32 with 1, 2 and 20 steps."""
    model = ExactMixture(two_gaussians(), FLOW)
    for steps in (1, 2, 20):
        times = grid(FLOW, steps)
        assert FLOW.at(times[1]).lam >= -5 - 1e-9
        for sampler in (Euler(), Heun(), Ancestral()):
            x = integrate(sampler, model, FLOW.prior((50, 2), generator=1), times, generator=2)
            assert x.isfinite().all()


def test_euler_is_the_straight_step():
    """The core's Euler, x_s = α_s x̂_0 + σ_s ε̂, is x + (s − t) u on this process, to 1e-6, also from T and to 0."""
    model = ExactMixture(two_gaussians(), FLOW)
    for t, s in ((1.0, 0.8), (0.8, 0.3), (0.3, FLOW.t_min), (1.0, FLOW.t_min), (0.4, 0.0)):
        x = 3 * NOISE
        got = integrate(Euler(), model, x, [t, s])
        torch.testing.assert_close(
            got, x + (s - t) * model.predict(x, FLOW.at(t), "velocity"), rtol=1e-6, atol=1e-6
        )
