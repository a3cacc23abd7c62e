"""The chain against its tables, written out in NumPy: β, ᾱ, the curve between integers, and the advice."""

import math

import numpy as np
import pytest
import torch

from difrun.errors import ConfigError, DifrunError
from difrun.options import build
from difrun.process.spline import MonotoneSpline
from difrun_ddpm.options import DDPMOptions
from difrun_ddpm.process import DDPM

CHAINS = [
    {},
    {"steps": 100},
    {"steps": 100, "rescale": True},
    {"steps": 10, "rescale": True},
    {"schedule": "scaled-linear", "beta_start": 8.5e-4, "beta_end": 0.012},
    {"schedule": "cosine"},
    {"schedule": "cosine", "steps": 20},
    {"steps": 2, "schedule": "cosine"},
    {"steps": 1, "beta_start": 0.02},
]


def table(schedule="linear", steps=1000, beta_start=1e-4, beta_end=0.02, rescale=False):
    """β_1 ... β_N by the definitions, in float64."""
    if schedule == "cosine":

        def bar(n):
            return math.cos(math.pi / 2 * (n / steps + 0.008) / 1.008) ** 2

        return np.array([min(1 - bar(n) / bar(n - 1), 0.999) for n in range(1, steps + 1)])
    if schedule == "linear":
        betas = np.linspace(beta_start, beta_end, steps)
    else:
        betas = np.linspace(beta_start**0.5, beta_end**0.5, steps) ** 2
    return np.minimum(betas * 1000 / steps, 0.999) if rescale else betas


@pytest.mark.parametrize("options", CHAINS, ids=str)
def test_integer_times_are_the_chain(options):
    """α² = ᾱ_n = ∏(1 − β) and σ² = 1 − ᾱ_n at t = 0 ... N, to rounding; as numbers and as a batch in float32."""
    process, betas = DDPM(**options), table(**options)
    bar = np.concatenate([[1.0], np.cumprod(1 - betas)])
    np.testing.assert_allclose(process.variances.numpy(), betas, rtol=1e-10)
    assert process.horizon == len(betas)
    instants = process.instants(range(len(bar)))
    np.testing.assert_allclose([at.alpha**2 for at in instants], bar, rtol=1e-10)
    np.testing.assert_allclose([at.var for at in instants], 1 - bar, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(process.log_snrs[1:], 0.5 * np.log(bar[1:] / (1 - bar[1:])), rtol=0, atol=1e-9)
    batch = process.at(torch.arange(len(bar), dtype=torch.float32))
    np.testing.assert_allclose(batch.alpha.numpy() ** 2, bar, rtol=1e-5)
    np.testing.assert_allclose(batch.var.numpy(), 1 - bar, rtol=1e-6)


def test_the_known_end_of_a_short_chain():
    """T = 100, β from 1e-4 to 0.02: ᾱ_T = 0.36356, √ᾱ_T = 0.60296, and x_T | x_0 = 2 has mean 1.2059."""
    at = DDPM(steps=100).at(100)
    assert at.alpha**2 == pytest.approx(0.3635632480554922, rel=1e-12)
    assert 2 * at.alpha == pytest.approx(1.2059241237416096, rel=1e-12)
    assert at.alpha**2 * 0.1 + at.var == pytest.approx(0.672793076750057, rel=1e-12)


@pytest.mark.parametrize("options", CHAINS, ids=str)
def test_times_in_between_are_a_smooth_variance_preserving_process(options):
    """α² + σ² = 1, λ falls, g² = −2f > 0, f and its slope are continuous at integers, and σ²/t → β(0) at 0."""
    process = DDPM(**options)
    times = np.linspace(0, process.horizon, 3001)[1:]
    instants = process.instants(times)
    assert max(abs(at.alpha**2 + at.var - 1) for at in instants) < 1e-12
    assert (np.diff([at.lam for at in instants]) < 0).all()
    for at in instants:
        assert at.g2 == pytest.approx(-2 * at.f, rel=1e-9)
        assert at.g2 > 0
    for n in range(1, min(process.steps, 50)):
        gap = 1e-6
        before, left, right, after = process.instants([n - 2 * gap, n - gap, n + gap, n + 2 * gap])
        assert right.g2 == pytest.approx(left.g2, rel=1e-4)
        size = abs(process.at(n).g2)
        assert (left.g2 - before.g2) / gap == pytest.approx((after.g2 - right.g2) / gap, abs=1e-3 * size), n
    tiny = process.at(1e-9)
    assert tiny.var / 1e-9 == pytest.approx(process.at(0.0).g2, rel=1e-6)


@pytest.mark.parametrize("options", CHAINS, ids=str)
def test_the_inverse_is_exact(options):
    """time_at(λ(t)) = t to a relative 1e-9, for t from 1e-6 to N, integers included."""
    process = DDPM(**options)
    times = np.concatenate(
        [np.geomspace(1e-6, process.horizon, 400), np.arange(1, min(process.steps, 200) + 1)]
    )
    lam = process.log_snr(torch.from_numpy(times))
    np.testing.assert_allclose(process.time_at(lam).numpy(), times, rtol=1e-9)
    assert process.time_at(process.log_snrs[1].item()) == pytest.approx(1, rel=1e-12)
    assert process.time_at(-1e3) == process.horizon


def test_the_spline_is_monotone_and_smooth_through_any_increasing_points():
    """Rises from 1e-6 to 10: through the points, increasing, two derivatives continuous, inverse exact."""
    rises = 10 ** np.random.default_rng(0).uniform(-6, 1, 40)
    y = np.concatenate([[0.0], np.cumsum(rises)])
    spline = MonotoneSpline(torch.from_numpy(y))
    np.testing.assert_allclose(spline(torch.arange(41.0, dtype=torch.float64)), y, rtol=1e-13, atol=1e-15)
    x = torch.linspace(0, 40, 8001, dtype=torch.float64)
    assert (spline(x).diff() > 0).all()
    np.testing.assert_allclose(spline.inverse(spline(x)), x, rtol=0, atol=1e-5)
    np.testing.assert_allclose(spline.inverse(torch.from_numpy(y)), np.arange(41), rtol=0, atol=1e-12)

    def derivatives(x):
        x = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(spline(x).sum(), x, create_graph=True)
        return first.detach(), torch.autograd.grad(first.sum(), x)[0]

    knots = torch.arange(1.0, 40.0, dtype=torch.float64)
    # The bend changes within a stretch as short as the ratio of two neighbouring rises, 1e-7 here.
    for left, right in zip(derivatives(knots - 1e-13), derivatives(knots), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-9)


def test_a_straight_line_stays_one():
    """Constant β gives ᾱ(t) = (1 − β)^t at every t."""
    process = DDPM(steps=50, beta_start=0.03, beta_end=0.03)
    for t in (1e-4, 0.3, 7.7, 49.9):
        assert process.at(t).alpha ** 2 == pytest.approx(0.97**t, rel=1e-12)


def test_one_step_of_the_path_is_one_step_of_the_chain():
    """α_{n|n−1} = √(1 − β_n) and σ²_{n|n−1} = β_n."""
    process, betas = DDPM(steps=100), table(steps=100)
    for n in (1, 2, 50, 100):
        at, to = process.instants([n, n - 1])
        ratio = at.alpha / to.alpha
        assert ratio**2 == pytest.approx(1 - betas[n - 1], rel=1e-12)
        assert at.var - ratio**2 * to.var == pytest.approx(betas[n - 1], rel=1e-9)


def test_advice_where_the_chain_ends_too_early():
    """N = 100 without rescaling leaves √ᾱ_N = 0.60, and the advice names the flag and what it would leave."""
    (text,) = DDPM(steps=100).advice()
    assert "0.60" in text
    assert "--process.rescale" in text
    left = math.sqrt(np.prod(1 - table(steps=100, rescale=True)))
    assert f"leaves {left:.2g}" in text
    for options in ({}, {"steps": 100, "rescale": True}, {"schedule": "cosine", "steps": 50}):
        assert DDPM(**options).advice() == []
    (text,) = DDPM(beta_end=0.001).advice()
    assert "larger beta_end" in text
    assert "rescale" not in text
    (text,) = DDPM(steps=100, beta_end=0.001, rescale=True).advice()
    assert "larger beta_end" in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 0}, "steps.*must be >= 1"),
        ({"beta_end": 1.0}, "beta_end.*must be >= 1e-09, < 1; got 1"),
        ({"beta_start": 0.0}, "beta_start.*must be >= 1e-09"),
        ({"beta_start": 0.1}, "beta_end = 0.02 must not be smaller than beta_start = 0.1"),
        ({"schedule": "cosine", "rescale": True}, "rescale is for the linear and the scaled-linear"),
        ({"schedule": "cosine", "beta_end": 0.01}, "cosine schedule has no beta_end; leave it out"),
        (
            {"schedule": "cosine", "beta_start": 0.1, "beta_end": 0.2},
            "no beta_start and beta_end; leave them",
        ),
        ({"schedule": "sqrt"}, "schedule"),
        ({"stepz": 10}, "no 'stepz'. Did you mean 'steps'"),
    ],
)
def test_options_out_of_range_are_errors(given, message):
    with pytest.raises(ConfigError, match=message):
        build(DDPMOptions, given, "process 'ddpm'")


def test_python_users_are_protected_too():
    with pytest.raises(ValueError, match="'schedule' must be in"):
        DDPM(schedule="sqrt")


def test_a_chain_that_never_reaches_the_noise_floor_is_an_error():
    with pytest.raises(DifrunError, match=r"noise_floor = 0\.5 is never reached"):
        _ = DDPM(steps=1, noise_floor=0.5).t_min
