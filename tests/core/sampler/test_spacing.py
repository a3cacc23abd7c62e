"""Grids whose times differ by nothing but rounding, or end where no noise can be computed."""

import pytest
import torch

from difrun.errors import DifrunError
from difrun.grid import logsnr
from difrun.model import ExactMixture
from difrun.sampler import Adams, Ancestral, Exponential, Heun, generate, integrate
from difrun.testing import ReferenceVP, two_gaussians

PROCESS = ReferenceVP()
MODEL = ExactMixture(two_gaussians(), PROCESS)
TIMES = logsnr(PROCESS, 20)
REPEATED = [*TIMES[:10], TIMES[9] * (1 - 1e-12), *TIMES[10:]]
"""A grid of 20 steps with one time twice, but for rounding."""


@pytest.mark.parametrize("sampler", [Exponential(), Adams()], ids=lambda sampler: type(sampler).__name__)
@pytest.mark.parametrize("shift", [4e-16, 1e-8])
def test_a_time_that_comes_twice_is_named_to_a_sampler_that_looks_back(sampler, shift):
    """Divided differences over such a step were 1e7 times the data."""
    times = [*TIMES[:10], TIMES[9] * (1 - shift), *TIMES[10:]]
    with pytest.raises(DifrunError, match="are too close for this sampler") as caught:
        generate(sampler, MODEL, 5, times)
    assert f"{times[9]:.17g} and {times[10]:.17g}" in str(caught.value)
    assert "Leave one of them out" in str(caught.value)


def test_a_time_that_comes_twice_changes_nothing_for_a_sampler_that_forgets():
    x = MODEL.prior(50, 1, dtype=torch.float64)
    once, twice = (integrate(Heun(), MODEL, x, times) for times in (TIMES, REPEATED))
    torch.testing.assert_close(twice, once, rtol=0, atol=1e-8)


@pytest.mark.parametrize("sampler", [Exponential(), Adams()], ids=lambda sampler: type(sampler).__name__)
def test_short_steps_among_long_ones_are_allowed(sampler):
    """A step 1/100 of the others: within 0.1 of the fine solution; of 1/1000 it was 1.2 away, and is refused."""
    x = MODEL.prior(50, 1, dtype=torch.float64)
    fine = integrate(sampler, MODEL, x, logsnr(PROCESS, 400))

    def with_a_step(part):
        return integrate(
            sampler, MODEL, x, [*TIMES[:10], TIMES[9] - part * (TIMES[9] - TIMES[10]), *TIMES[10:]]
        )

    assert (with_a_step(1 / 100) - fine).abs().max() < 0.1
    with pytest.raises(DifrunError, match="too close"):
        with_a_step(1 / 1000)


@pytest.mark.parametrize("sampler", [Exponential(), Heun(), Ancestral()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("t", [1e-100, 5e-324])
@pytest.mark.parametrize("end", [[], [0.0]], ids=["there", "and then 0"])
def test_a_time_without_noise_to_compute_with_is_refused(sampler, t, end):
    """It was a ZeroDivisionError, or an error of torch, or samples that are not finite."""
    with pytest.raises(DifrunError, match=f"the noise at t = {t:g} is too little to compute with: σ² = "):
        generate(sampler, MODEL, 5, [*TIMES, t, *end])


def test_double_precision_goes_further():
    found = generate(Heun(), MODEL, 50, [*TIMES, 1e-50], dtype=torch.float64)
    exact = generate(Heun(), MODEL, 50, [*TIMES, 0.0], dtype=torch.float64)
    assert (found - exact).abs().max() < 0.004  # twice the noise that is left at t_min
