"""The differentiable sampler: how its grid and its weights are optimised."""

import math

import torch

from difrun.model import ExactMixture
from difrun.sampler.tuning import pilot
from difrun.sampler.tuning import solver as module
from difrun.sampler.tuning.search import fine_solution
from difrun.sampler.tuning.solver import Solver
from difrun.testing import ReferenceVE, two_gaussians


class Poisoned(Solver):
    """Its loss is NaN from the fourth evaluation of a search on."""

    evaluations = 0

    def loss(self, x, truth):
        self.evaluations += 1
        value = super().loss(x, truth)
        return value if self.evaluations < 4 else value * math.nan


def test_a_search_whose_loss_becomes_nan_returns_the_best_grid_so_far():
    """The grid is finite and better than the pilot's, and the search ends early but reports that it is done."""
    model = ExactMixture(two_gaussians(), ReferenceVE())
    noise, truth = fine_solution(model, 32, 3)
    solver, reported = Poisoned(model, pilot(model, 6)), []
    before = Solver.loss(solver, solver.run(noise), truth).item()
    solver.evaluations = 0
    solver.optimise(200, noise, truth, reported.append)
    assert reported[-1] == 200
    assert solver.evaluations < 60  # 200 iterations take more than 200
    assert all(a > b for a, b in zip(solver.candidate()[0], solver.candidate()[0][1:], strict=False))
    after = Solver.loss(solver, solver.run(noise), truth).item()
    assert torch.isfinite(solver.parameters[0]).all()
    assert after < before


def test_weights_are_optimised_with_curvatures_and_the_grid_alone_is_not(monkeypatch):
    """Residuals of as many trajectories as weights, in the plane; half their square is the loss of these."""
    model = ExactMixture(two_gaussians(), ReferenceVE())
    noise, truth = fine_solution(model, 80, 3)
    solver, recorded = Solver(model, pilot(model, 5)), []

    def record(parameters, loss, iterations, watch, residuals):
        recorded.append(residuals)

    monkeypatch.setattr(module, "minimise", record)
    solver.optimise(10, noise, truth, lambda done: None)
    solver.free_weights()
    solver.optimise(10, noise, truth, lambda done: None)
    assert recorded[0] is None
    count = sum(parameter.numel() for parameter in solver.parameters)
    assert 32 < count < 80  # 2 coordinates each: as many trajectories have twice as many
    with torch.no_grad():
        residuals, part = recorded[1](), solver.loss(solver.run(noise[:count]), truth[:count])
    assert residuals.shape == (count, 2)
    assert abs(0.5 * residuals.square().sum() / part - 1) < 1e-12
