"""The search of `difrun.tuning.tune`: what it does where the line search meets what is no number."""

import importlib
import math

import torch

from difrun.model import ExactMixture
from difrun.testing import ReferenceVE, two_gaussians
from difrun.tuning import pilot
from difrun.tuning.tune import Solver, fine_solution

TUNE = importlib.import_module("difrun.tuning.tune")  # `difrun.tuning.tune` is the function


class Poisoned(Solver):
    """Its loss is NaN from the fourth evaluation of a search on."""

    evaluations = 0

    def loss(self, x, truth):
        self.evaluations += 1
        value = super().loss(x, truth)
        return value if self.evaluations < 4 else value * math.nan


def test_a_search_that_loses_its_way_keeps_the_best_that_it_met():
    """The grid is finite and better than the pilot's, and the search ends early but tells that it is done."""
    model = ExactMixture(two_gaussians(), ReferenceVE())
    noise, truth = fine_solution(model, 32, 3)
    solver, told = Poisoned(model, pilot(model, 6)), []
    before = Solver.loss(solver, solver.run(noise), truth).item()
    solver.evaluations = 0
    solver.descend(200, noise, truth, told.append)
    assert told[-1] == 200
    assert solver.evaluations < 60  # a search of 200 iterations takes more than as many
    assert all(a > b for a, b in zip(solver.state()[0], solver.state()[0][1:], strict=False))
    after = Solver.loss(solver, solver.run(noise), truth).item()
    assert torch.isfinite(solver.parameters[0]).all()
    assert after < before


def test_weights_are_searched_by_how_trajectories_respond_and_the_grid_alone_is_not(monkeypatch):
    """Residuals of as many trajectories as weights, in the plane; half their square is the loss of these."""
    model = ExactMixture(two_gaussians(), ReferenceVE())
    noise, truth = fine_solution(model, 80, 3)
    solver, given = Solver(model, pilot(model, 5)), []

    def noted(parameters, loss, iterations, told, residuals):
        given.append(residuals)

    monkeypatch.setattr(TUNE, "descend", noted)
    solver.descend(10, noise, truth, lambda done: None)
    solver.free_weights()
    solver.descend(10, noise, truth, lambda done: None)
    assert given[0] is None
    count = sum(parameter.numel() for parameter in solver.parameters)
    assert 32 < count < 80  # 2 coordinates each: as many trajectories have twice as many
    with torch.no_grad():
        residuals, part = given[1](), solver.loss(solver.run(noise[:count]), truth[:count])
    assert residuals.shape == (count, 2)
    assert abs(0.5 * residuals.square().sum() / part - 1) < 1e-12
