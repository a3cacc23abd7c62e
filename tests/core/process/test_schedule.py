"""Schedules against closed forms."""

import math

import pytest
import torch

from difrun.errors import DifrunError
from difrun.process import GaussianProcess, Instant, Schedule
from difrun.process.schedule import LAM_FORGOTTEN
from difrun.testing import ReferenceFlow, ReferenceVE, ReferenceVP

VP = {
    "alpha": lambda t: math.exp(-t),
    "var": lambda t: -math.expm1(-2 * t),
    "lam": lambda t: -t - 0.5 * math.log(-math.expm1(-2 * t)),
    "f": lambda t: -1.0,
    "g2": lambda t: 2.0,
    "d_alpha": lambda t: -math.exp(-t),
    "d_sigma": lambda t: math.exp(-2 * t) / math.sqrt(-math.expm1(-2 * t)),
}
VE = {
    "alpha": lambda t: 1.0,
    "var": lambda t: t**2,
    "lam": lambda t: -math.log(t),
    "f": lambda t: 0.0,
    "g2": lambda t: 2 * t,
    "d_alpha": lambda t: 0.0,
    "d_sigma": lambda t: 1.0,
}
STRAIGHT = {
    "alpha": lambda t: 1 - t,
    "var": lambda t: t**2,
    "lam": lambda t: math.log((1 - t) / t),
    "f": lambda t: -1 / (1 - t),
    "g2": lambda t: 2 * t + 2 * t**2 / (1 - t),
    "d_alpha": lambda t: -1.0,
    "d_sigma": lambda t: 1.0,
}
FORMS = [(ReferenceVP(), VP), (ReferenceVE(), VE), (ReferenceFlow(), STRAIGHT)]
IDS = ["vp", "ve", "straight"]


@pytest.mark.parametrize(("process", "forms"), FORMS, ids=IDS)
@pytest.mark.parametrize("t", [1e-9, 1e-4, 0.1, 0.9])
def test_fields_are_their_closed_forms(process, forms, t):
    """To 1e-12, relative, also where 1 − e^−2t would cancel; for numbers, and for float32 tensors to 1e-5."""
    at = process.at(t)
    single = process.at(torch.tensor([t], dtype=torch.float32), 2)
    exact32 = torch.tensor(t, dtype=torch.float32).item()
    for name, form in forms.items():
        assert getattr(at, name) == pytest.approx(form(t), rel=1e-12), name
        assert getattr(single, name).shape == (1, 1)
        assert getattr(single, name).item() == pytest.approx(form(exact32), rel=1e-5, abs=1e-7), name


def test_instants_are_numbers_and_batches_broadcast():
    process = ReferenceVP()
    for at, t in zip(process.instants([0.5, 1.0, 0.25]), (0.5, 1.0, 0.25), strict=True):
        assert at.t == t
        assert at.alpha == pytest.approx(math.exp(-t), rel=1e-14)
    batch = process.at(torch.tensor([0.5, 1.0, 0.25]), 4)
    assert batch.alpha.shape == batch.g2.shape == (3, 1, 1, 1)


@pytest.mark.parametrize(("process", "forms"), FORMS, ids=IDS)
def test_derivatives_do_not_depend_on_the_grad_mode(process, forms):
    """Automatic differentiation works under no_grad and inference_mode, where it could silently give zeros."""
    times = torch.tensor([0.3, 0.6], dtype=torch.float64)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert process.at(0.3).g2 == pytest.approx(forms["g2"](0.3), rel=1e-12)
            inside = process.at(times.clone(), 2).g2
        assert inside[1].item() == pytest.approx(forms["g2"](0.6), rel=1e-12)
        assert not inside.requires_grad


def test_ends_of_time():
    """σ/α = noise_floor at t_min; λ is cut at −5 where a process forgets its data, and nowhere else."""
    assert ReferenceVE().t_min == pytest.approx(0.002, rel=1e-12)
    assert ReferenceVP().t_min == pytest.approx(0.5 * math.log1p(0.002**2), rel=1e-9)
    assert ReferenceFlow().t_min == pytest.approx(0.002 / 1.002, rel=1e-12)
    assert ReferenceVE().lam_range == pytest.approx((-math.log(20), -math.log(0.002)))
    assert ReferenceFlow().lam_range == pytest.approx((LAM_FORGOTTEN, -math.log(0.002)))
    assert ReferenceFlow().at(1.0).lam == -math.inf
    far = ReferenceVE()
    far.horizon = 20000.0  # λ(T) = −9.9
    assert far.lam_range == pytest.approx((-math.log(20000), -math.log(0.002)))
    assert (ReferenceFlow().forgets, far.forgets) == (True, False)


def test_time_at_inverts_and_clips():
    process = ReferenceVE()
    lam = torch.linspace(-2.9, 9, 40, dtype=torch.float64)
    torch.testing.assert_close(process.time_at(lam), torch.exp(-lam), rtol=1e-13, atol=0)
    assert process.time_at(0.5) == pytest.approx(math.exp(-0.5), rel=1e-13)
    assert process.time_at(-5.0) == 20.0
    assert 0 <= process.time_at(math.inf) < 1e-50


@pytest.mark.parametrize("process", [process for process, _ in FORMS], ids=IDS)
def test_the_table_of_times_is_accurate(process):
    """time_near is within 1e-5, relative, of time_at, and keeps the dtype."""
    low, high = process.lam_range
    lam = (
        torch.rand(20000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * (high - low)
        + low
    )
    torch.testing.assert_close(process.time_near(lam), process.time_at(lam), rtol=1e-5, atol=0)
    near = process.time_near(lam.float())
    assert near.dtype == torch.float32
    torch.testing.assert_close(near.double(), process.time_at(lam), rtol=3e-5, atol=0)


def test_a_noise_floor_that_is_never_reached_is_an_error():
    process = ReferenceVP()
    process.noise_floor = 100.0
    with pytest.raises(DifrunError, match=r"noise_floor = 100 is never reached.*54"):
        _ = process.t_min


def test_a_schedule_says_what_it_lacks():
    class Bare(Schedule):
        horizon = 1.0

    at = Bare().at(torch.tensor([0.5]))
    with pytest.raises(NotImplementedError, match="Bare must define log_alpha"):
        at.alpha  # noqa: B018
    with pytest.raises(NotImplementedError, match="Bare must define variance"):
        at.var  # noqa: B018


@pytest.mark.parametrize("t", [-1e-3, 1.01, math.nan, math.inf])
def test_times_outside_are_refused(t):
    """Numbers, grids and tensors; T rounded to float32 is T, and `instant` does not look."""
    process = ReferenceFlow()
    for ask in (
        lambda: process.at(t),
        lambda: process.instants([0.5, t, 0.2]),
        lambda: process.at(torch.tensor([0.5, t, 0.2]), 2),
    ):
        with pytest.raises(DifrunError, match=r"time runs from 0 \(data\) to T = 1; got"):
            ask()
    process.horizon = 0.9946
    rounded = torch.tensor([0.9946])
    assert process.at(rounded).t is rounded
    assert process.at(torch.empty(0), 2).t.shape == (0, 1)
    assert process.instant(torch.tensor([t]), 2).t.shape == (1, 1)


class LongOU(GaussianProcess):
    """dx = −θx dt + √(2θ) dw with θ = 1 up to T = 2000, where α = e^−2000 is 0 in float64."""

    horizon = 2000.0

    def log_alpha(self, t):
        return -t

    def variance(self, t):
        return -torch.expm1(-2 * t)


def test_a_signal_too_small_for_its_format():
    """f = −1 and g² = 2 wherever α underflows, in float64 (t > 745) and in float32 (t > 87)."""
    process = LongOU()
    for at in process.instants([2000.0, 1500.0, 800.0, 1.0]):
        assert at.f == pytest.approx(-1.0, rel=1e-12)
        assert at.g2 == pytest.approx(2.0, rel=1e-12)
        assert at.lam == pytest.approx(-at.t - 0.5 * math.log(at.var), rel=1e-12)
    assert process.at(2000.0).alpha == 0.0
    batch = process.at(torch.tensor([2000.0, 100.0, 1.0]), 2)
    torch.testing.assert_close(batch.f, torch.full((3, 1), -1.0), rtol=1e-6, atol=0)
    torch.testing.assert_close(batch.g2, torch.full((3, 1), 2.0), rtol=1e-6, atol=0)


def test_instants_of_a_grid_are_those_of_its_times():
    """Every field of a grid's instants against the tensor formula at that time, in whatever order they are read."""
    process = ReferenceVP()
    times = [4.0, 1.3, 0.2, process.t_min]
    fields = ("g2", "alpha", "d_sigma", "f", "sigma", "var", "lam", "d_alpha", "d_var", "log_alpha")
    for at, t in zip(process.instants(times), times, strict=True):
        direct = Instant(process, torch.tensor(t, dtype=torch.float64))
        assert at.t == t
        for name in fields:
            value = getattr(at, name)
            assert isinstance(value, float)
            assert value == pytest.approx(float(getattr(direct, name)), rel=1e-14)
