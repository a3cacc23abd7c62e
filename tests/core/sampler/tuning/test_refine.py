"""Grids refined on reference trajectories: the error of a step, against integrals by hand and steps that are taken."""

import math
from types import SimpleNamespace

import pytest
import torch
from tests.core.mixtures import ring

from difrun.data import GaussianMixture
from difrun.model import ExactMixture
from difrun.sampler import Adams, Heun, integrate
from difrun.sampler.gaussian_frame import GaussianFrame, PrincipalFrame
from difrun.sampler.tuning import pilot
from difrun.sampler.tuning.pilot_grid import COORDINATES, REFINED, STEPS, _pilot_of, _project
from difrun.sampler.tuning.refine import ReferenceTrajectories
from difrun.testing import ReferenceVE, ReferenceVP

CLOCKS = torch.linspace(-1.5, -0.1, 81, dtype=torch.float64)
PLACES = torch.tensor([0.0, 21.3, 47.8, 80.0], dtype=torch.float64)
NODES = -1.5 + PLACES * 1.4 / 80


def isotropic() -> GaussianFrame:
    return GaussianFrame(SimpleNamespace(mean=torch.zeros(2), data_std=1.0))


def principal() -> PrincipalFrame:
    stds = torch.tensor([0.4, 1.3], dtype=torch.float64)
    axes = torch.eye(2, dtype=torch.float64)
    return PrincipalFrame(SimpleNamespace(mean=torch.zeros(2), data_std=1.0, principal=(axes, stds)))


@pytest.mark.parametrize("frame", [isotropic(), principal()], ids=["isotropic", "principal"])
def test_slopes_and_their_integrals_are_interpolated(frame):
    """q = e^φ sin 2φ, φ the clock of each axis, and its integral in closed form, to 1e-8."""

    def closed(clock):
        return clock.exp() * ((2 * clock).sin() - 2 * (2 * clock).cos()) / 5

    def axes(clocks):
        nodes = frame.nodes(clocks)
        return nodes if nodes.ndim == 2 else nodes[:, None].expand(-1, 2)

    at = axes(CLOCKS)
    slopes = (at.exp() * (2 * at).sin())[:, None]
    known = ReferenceTrajectories(frame, CLOCKS, slopes, torch.zeros(81, 1, dtype=torch.float64))
    there = axes(known.interpolate(CLOCKS, PLACES))
    torch.testing.assert_close(known.interpolate(CLOCKS, PLACES), NODES, rtol=1e-12, atol=1e-12)
    for found, exact in (
        (known.interpolate(known.slopes, PLACES), there.exp() * (2 * there).sin()),
        (known.interpolate(known.integrals, PLACES), closed(there) - closed(at[:1])),
    ):
        torch.testing.assert_close(found[:, 0], exact, rtol=1e-8, atol=1e-8)


def miss(rate: float, gain: float = 0.0) -> ReferenceTrajectories:
    """y = e^{a φ}, a = `rate`, one trajectory and coordinate, where errors grow as e^{g φ}, g = `gain`."""
    slopes = (rate * (rate * CLOCKS).exp())[:, None, None]
    return ReferenceTrajectories(isotropic(), CLOCKS, slopes, (gain * (CLOCKS[-1] - CLOCKS))[:, None])


@pytest.mark.parametrize("corrected", [False, True])
def test_the_error_of_steps_is_that_of_steps_that_are_taken(corrected):
    """dy/dc = a y from the exact y and slopes of earlier nodes: each step taken with its predictor and, where it is
    corrected, with the slope at the predicted place; E from these distances and exact growth, to 1e-7.
    """
    rate, (a, b, c, d) = 0.8, NODES.tolist()

    def y(clock):
        return math.exp(rate * clock)

    def slope(clock):
        return rate * y(clock)

    # Euler's step, then two of two nodes; correctors of one node more
    led = [y(a) + (b - a) * slope(a)]
    for before, start, end in ((a, b, c), (b, c, d)):
        h = end - start
        led.append(
            y(start) + h * slope(start) + h * h / 2 * (slope(start) - slope(before)) / (start - before)
        )
    missed = [led[0] - y(b), led[1] - y(c), led[2] - y(d)]
    # trapezium: the slope at the predicted place
    missed[0] = y(a) + (b - a) / 2 * (slope(a) + rate * led[0]) - y(b)
    if corrected:
        # the polynomial through three slopes, over its last interval
        h, before = c - b, b - a
        newest = h * (2 * h + 3 * before) / (6 * (h + before))
        middle = h * (h + 3 * before) / (6 * before)
        oldest = -(h**3) / (6 * before * (h + before))
        missed[1] = y(b) + newest * rate * led[1] + middle * slope(b) + oldest * slope(a) - y(c)
    total = sum(math.exp(1.5 * rate * (d - node)) * e * e for node, e in zip((b, c, d), missed, strict=True))
    found = miss(rate, rate).error(PLACES, 2, corrected)
    assert found.item() == pytest.approx(total**0.5, rel=1e-7)


def test_refined_places_have_the_least_error():
    """With five steps, moving any refined place by a tenth of a place either way increases the error."""
    known = miss(-3.0, 1.0)
    start = torch.linspace(0, 80, 6, dtype=torch.float64)
    found = known.refined(start, 2, True)
    assert found[0] == 0
    assert found[-1] == 80
    assert (found.diff() > 0).all()
    least = known.error(found, 2, True)
    assert least < 0.5 * known.error(start, 2, True)
    for k in range(1, 5):
        for step in (-0.1, 0.1):
            moved = found.clone()
            moved[k] += step
            assert known.error(moved, 2, True) > least


def gain(distribution, process, steps):
    """Root mean square distance on the refined grid over that on the plain one; 4096 trajectories against 400 steps,
    which are right to 1e-8.
    """
    model = ExactMixture(distribution, process)
    x = process.prior((4096, 2), mean=model.mean, var=model.var, generator=3, dtype=torch.float64)
    exact = integrate(Adams(), model, x, pilot(model, 400))
    ends = (integrate(Adams(), model, x, pilot(model, steps, sampler)) for sampler in (Adams(), None))
    refined, plain = ((end - exact).square().sum(1).mean().sqrt().item() for end in ends)
    return refined / plain


@pytest.mark.parametrize("steps", [30, 40])
@pytest.mark.parametrize("process", [ReferenceVE(), ReferenceVP()], ids=["ve", "vp"])
def test_the_pilot_gains_by_refinement(process, steps):
    """Eight modes: at most 0.75 of the distance. Measured: 0.64 and 0.62, 0.62 and 0.59."""
    assert gain(ring(), process, steps) < 0.75


@pytest.mark.parametrize("process", [ReferenceVE(), ReferenceVP()], ids=["ve", "vp"])
def test_refinement_is_along_principal_axes(process):
    """Six long and thin modes, 15 steps: at most 0.85 of the distance, measured 0.70 and 0.60.

    With slopes that are not in the units of the end it is 1.25 and 1.08, in the frame of one σ_d 1.09 and 0.92.
    """
    random = torch.Generator().manual_seed(0)
    means = torch.randn(6, 2, generator=random, dtype=torch.float64) * torch.tensor([3.0, 0.3])
    cov = torch.diag(torch.tensor([0.3, 0.02], dtype=torch.float64) ** 2)
    assert gain(GaussianMixture([1 / 6] * 6, means, cov.expand(6, 2, 2)), process, 15) < 0.85


def test_no_other_sampler_gets_the_refined_grid():
    """Heun, and `adams` of another order, have grids of their own; below 13 steps nothing is refined."""
    model = ExactMixture(ring(), ReferenceVE())
    plain = pilot(model, 20)
    assert pilot(model, 20, Heun()) == plain
    refined = pilot(model, 20, Adams())
    assert refined != plain
    assert pilot(model, 20, Adams(fixed_order=4)) == refined  # what 20 steps are
    assert pilot(model, 20, Adams(fixed_order=3)) not in (plain, refined)
    assert pilot(model, 12, Adams()) == pilot(model, 12)


def test_refinement_does_not_evaluate_the_model():
    """A grid of 20 steps after one of 8 costs no evaluation; grids are stored, and a copy is returned."""
    model = ExactMixture(ring(), ReferenceVE())
    pilot(model, 8)
    model.predict = None
    times = pilot(model, 20, Adams())
    assert len(times) == 21
    times[3] = 0.0
    assert pilot(model, 20, Adams())[3] > 0.0


def test_refinement_differentiates_under_any_grad_mode():
    """The same grid under torch.inference_mode, torch.no_grad and neither."""
    grids = []
    for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad):
        with mode():
            grids.append(pilot(ExactMixture(ring(), ReferenceVE()), 20, Adams()))
    assert grids[0] == grids[1] == grids[2]


def test_slopes_of_many_coordinates_are_projected(monkeypatch):
    """300 coordinates: mean squares of 64 trajectories stay within five standard errors, 1/√(32 · 64); the noise levels
    of the grid within 15 %, a quarter of a step.
    """
    values = torch.randn(1, 64, 300, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert _project(values[..., :COORDINATES]).shape == (1, 64, COORDINATES)
    ratio = _project(values).square().sum() / values.square().sum()
    assert float(ratio) == pytest.approx(1, abs=5 / math.sqrt(32 * COORDINATES))
    random = torch.Generator().manual_seed(0)
    distribution = GaussianMixture([0.25] * 4, 0.2 * torch.randn(4, 300, generator=random), [0.01] * 4)
    grids = []
    for coordinates in (COORDINATES, 300):
        monkeypatch.setattr("difrun.sampler.tuning.pilot_grid.COORDINATES", coordinates)
        model = ExactMixture(distribution, ReferenceVE())
        grids.append(torch.tensor(pilot(model, 20, Adams())))
        assert _pilot_of(model).slopes.shape == (STEPS + 1, 64, coordinates)
    assert 20 in REFINED
    torch.testing.assert_close(grids[0], grids[1], rtol=0.15, atol=0)
