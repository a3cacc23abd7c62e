"""Time grids against their formulas."""

import math

import numpy as np
import pytest

from difrun.errors import DifrunError
from difrun.grid import check, fixed
from difrun.testing import ReferenceVE, ReferenceVP

ALL = [fixed.linear, fixed.cosine, fixed.quadratic, fixed.rho, fixed.logsnr]


def test_rho_is_that_of_karras():
    """For σ = t: t_k = (σ_max^{1/ρ} + k/n (σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ (arXiv 2206.00364, eq. 5)."""
    process = ReferenceVE()
    for power in (1.0, 7.0):
        k = np.arange(19) / 18
        expected = (20 ** (1 / power) + k * (0.002 ** (1 / power) - 20 ** (1 / power))) ** power
        np.testing.assert_allclose(fixed.rho(process, 18, rho=power), expected, rtol=1e-10)
    assert fixed.rho(process, 18) == fixed.rho(process, 18, rho=7.0)


def test_logsnr_divides_the_noise_by_equal_factors():
    for process in (ReferenceVE(), ReferenceVP()):
        lam = [at.lam for at in process.instants(fixed.logsnr(process, 25))]
        np.testing.assert_allclose(np.diff(lam), (lam[-1] - lam[0]) / 25, rtol=1e-9)


def test_linear_and_cosine_times():
    process = ReferenceVP()
    span, k = 4 - process.t_min, np.arange(11) / 10
    np.testing.assert_allclose(fixed.linear(process, 10), 4 - span * k, rtol=1e-12, atol=1e-15)
    expected = process.t_min + span * (1 - np.sin(np.pi / 2 * k))
    np.testing.assert_allclose(fixed.cosine(process, 10), expected, rtol=1e-12, atol=1e-15)


def test_quadratic_times_are_quadratic_in_their_number():
    """Second differences are constant, and with t_min → 0 the times are those of DDIM, T (i/n)² (arXiv 2010.02502)."""
    times = fixed.quadratic(ReferenceVP(), 12)
    np.testing.assert_allclose(np.diff(times, 3), 0, atol=1e-13)

    class Deep(ReferenceVE):
        noise_floor = 1e-14

    np.testing.assert_allclose(fixed.quadratic(Deep(), 10), 20 * (np.arange(10, -1, -1) / 10) ** 2, atol=1e-6)


@pytest.mark.parametrize("grid", ALL)
@pytest.mark.parametrize("process", [ReferenceVE(), ReferenceVP()], ids=["ve", "vp"])
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_ends_are_exact_and_times_decrease(grid, process, steps):
    times = grid(process, steps)
    assert len(times) == steps + 1
    assert (times[0], times[-1]) == (process.horizon, process.t_min)
    assert (np.diff(times) < 0).all()


@pytest.mark.parametrize("grid", ALL)
@pytest.mark.parametrize("steps", [0, -3])
def test_no_steps_are_an_error(grid, steps):
    with pytest.raises(DifrunError, match=f"at least 1 step, not {steps}"):
        grid(ReferenceVP(), steps)


@pytest.mark.parametrize(
    ("times", "steps", "message"),
    [
        ([4.0, 1.0, 1.0, "end"], 3, "4 strictly decreasing times"),
        ([4.0, 1.0, "end"], 3, "4 strictly decreasing times"),
        (["end", 1.0, 4.0], 2, "3 strictly decreasing times"),
        ([3.0, 1.0, "end"], 2, "runs from 3 to"),
        ([4.0, 1.0, 0.5], 2, "from 4 to 0.5, not from T = 4"),
        ([math.nan, 1.0, "end"], 2, "3 strictly decreasing times"),
    ],
)
def test_a_wrong_grid_is_an_error(times, steps, message):
    process = ReferenceVP()
    with pytest.raises(DifrunError, match=message):
        check([process.t_min if t == "end" else t for t in times], process, steps)
