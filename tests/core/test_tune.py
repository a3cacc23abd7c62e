"""Tuning: the differentiable sampler is the sampler, and what is found is nearer on noise that it has not seen."""

import math

import attrs
import pytest
import torch

from difrun.builtin.mlp import MLP
from difrun.builtin.multistep import Adams
from difrun.builtin.options import TUNABLE
from difrun.builtin.tuned import Tuned, tuned
from difrun.errors import DifrunError
from difrun.exact import ExactMixture
from difrun.integrate import integrate
from difrun.mixture import GaussianMixture
from difrun.network import NetworkModel
from difrun.pilot import pilot
from difrun.randomness import seed_of
from difrun.testing import ReferenceVE, ReferenceVP, two_gaussians
from difrun.tune import Solver, carried, fine, tune


class MovedVP(ReferenceVP):
    centre = (1.0, -2.0)


def square() -> GaussianMixture:
    """Four Gaussians of standard deviation 0.1 at the corners of a square."""
    means = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    return GaussianMixture([0.25] * 4, means, [0.01] * 4)


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE(), MovedVP()])
def test_the_differentiable_sampler_is_adams(process):
    """On the pilot grid, with the weights of adams and with free ones that have not moved, to 1e-10."""
    model = ExactMixture(two_gaussians(), process)
    noise, _ = fine(model, 8, 0)
    solver = Solver(model, pilot(model, 8))
    expected = integrate(Adams(), model, noise, pilot(model, 8))
    with torch.no_grad():
        torch.testing.assert_close(solver.run(noise), expected, rtol=1e-8, atol=1e-10)
        solver.free_weights()
        torch.testing.assert_close(solver.run(noise), expected, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(carried(model, noise, *solver.state()), expected, rtol=1e-8, atol=1e-10)


def test_both_frames_are_searched_and_the_one_found_is_used():
    """Long data, five steps: the sampler in each frame is `adams` there, and the better of the two is kept and used."""
    model, bare = (ExactMixture(two_gaussians(), ReferenceVE()) for _ in range(2))
    bare.cov = None
    assert model.principal is not None
    noise, truth = fine(model, 64, seed_of(0, "tune"))
    times = pilot(model, 5)
    alone = []
    for isotropic, reference in ((False, model), (True, bare)):
        expected = integrate(Adams(), reference, noise, times)
        solver = Solver(model, times, isotropic)
        with torch.no_grad():
            torch.testing.assert_close(solver.run(noise), expected, rtol=1e-8, atol=1e-10)
        solver.descend(10, noise, truth, lambda done: None)
        alone.append(solver.loss(solver.run(noise), truth).item())
    told: list[tuple[int, int]] = []
    tuning = tune(model, 5, iterations=10, trajectories=64, watch=lambda *done: told.append(done))
    assert told[-1] == (20, 20)
    assert tuning.isotropic == (alone[1] < alone[0])
    for isotropic, reference in ((False, model), (True, bare)):
        model.tunings = {5: attrs.evolve(tuning, isotropic=isotropic)}
        expected = integrate(Adams(), reference, noise, tuning.times)
        torch.testing.assert_close(
            integrate(Tuned(), model, noise, tuned(model, 5)), expected, rtol=1e-8, atol=1e-10
        )


@pytest.mark.parametrize("process", [ReferenceVP(), MovedVP()])
def test_the_gradient_is_that_of_finite_differences(process):
    """In every increment of the grid and in a few of the weights, to 1e-5 of the largest."""
    model = ExactMixture(square(), process)
    noise, truth = fine(model, 16, 0)
    solver = Solver(model, pilot(model, 5))
    solver.free_weights()
    loss = solver.loss(solver.run(noise), truth)
    gradients = torch.autograd.grad(loss, solver.parameters, allow_unused=True)
    largest = max(float(gradient.abs().max()) for gradient in gradients if gradient is not None)
    for parameter, gradient in zip(solver.parameters, gradients, strict=True):
        if gradient is None:
            assert parameter.numel() == 0
            continue
        for k in range(len(parameter)):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter[k] += sign * 1e-5
                    values.append(float(solver.loss(solver.run(noise), truth)))
                    parameter[k] -= sign * 1e-5
            numeric = (values[0] - values[1]) / 2e-5
            assert float(gradient[k]) == pytest.approx(numeric, abs=1e-5 * largest)


def test_a_tuned_grid_gains_and_free_weights_gain_more():
    """Six steps on eight modes: on unseen noise the error falls 1.8 times, then by a half again."""
    angles = torch.arange(8, dtype=torch.float64) * math.pi / 4
    means = 2.8 * torch.stack([angles.cos(), angles.sin()], 1)
    model = ExactMixture(GaussianMixture([0.125] * 8, means, [0.0256] * 8), ReferenceVE())
    grid = tune(model, 6, iterations=30, trajectories=128)
    free = tune(model, 6, iterations=60, trajectories=128, free_weights=True)
    assert grid.changes is None
    assert free.changes is not None
    assert grid.before == free.before
    assert grid.error < grid.before / 1.8
    assert free.error < grid.error / 2
    learnt, _ = fine(model, 128, seed_of(0, "tune"))
    noise, truth = fine(model, 256, seed_of(0, "tune", "held out"))
    assert not torch.isin(noise[:, 0], learnt[:, 0]).any()
    radius = float(truth.square().sum(1).mean().sqrt())
    assert 2.6 < radius < 3
    for tuning in (grid, free):
        error = carried(model, noise, tuning.times, tuning.changes, tuning.isotropic) - truth
        assert tuning.median == pytest.approx(float(error.square().sum(1).median().sqrt()) / radius, rel=1e-6)
        assert tuning.trajectories == 256
        assert tuning.error == pytest.approx(float(error.square().sum(1).mean().sqrt()) / radius, rel=1e-6)


def test_tuning_is_repeatable_and_leaves_the_weights_of_the_network_alone():
    network = MLP((2,), width=8, depth=1, features=4)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator)
    before = [parameter.clone() for parameter in network.parameters()]
    model = NetworkModel(network, ReferenceVP(), (2,), mean=torch.zeros(2), var=torch.ones(2))
    state = torch.random.get_rng_state()
    first, again = (tune(model, 4, iterations=10, trajectories=32, free_weights=True) for _ in range(2))
    assert first == again
    assert first.median <= first.median_before
    assert torch.equal(torch.random.get_rng_state(), state)
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
        assert parameter.grad is None


def test_sampler_and_grid_use_what_was_tuned_and_refuse_what_was_not():
    model = ExactMixture(square(), ReferenceVP())
    tuning = tune(model, 5, iterations=10, trajectories=32, free_weights=True)
    noise, _ = fine(model, 8, 7)
    model.tunings = {5: tuning}
    assert tuned(model, 5) == tuning.times
    expected = carried(model, noise, tuning.times, tuning.changes, tuning.isotropic)
    torch.testing.assert_close(integrate(Tuned(), model, noise, tuned(model, 5)), expected, rtol=0, atol=0)
    with pytest.raises(
        DifrunError, match=r"Nothing is tuned for 6 steps of this model; tuned are 5\. 'difrun tune"
    ):
        tuned(model, 6)
    with pytest.raises(DifrunError, match="--grid tuned"):
        integrate(Tuned(), model, noise, pilot(model, 5))
    for steps, many in ((1, "1 step"), (61, "61 steps")):
        with pytest.raises(DifrunError, match=f"tuned for {many} of this model.* is for 2 to 60 steps"):
            tuned(model, steps)
    assert (TUNABLE[0], TUNABLE[-1]) == (2, 60)
    with pytest.raises(DifrunError, match="2 to 60 steps, not 1"):
        tune(model, 1)
