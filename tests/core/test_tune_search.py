"""The search of `difrun.tune`: what it does where the line search meets what is no number."""

import math

import torch

from difrun.exact import ExactMixture
from difrun.pilot import pilot
from difrun.testing import ReferenceVE, two_gaussians
from difrun.tune import Solver, fine


class Poisoned(Solver):
    """Its loss is NaN from the fourth evaluation of a search on."""

    evaluations = 0

    def run(self, noise):
        self.evaluations += 1
        return super().run(noise)

    def loss(self, x, truth):
        value = super().loss(x, truth)
        return value if self.evaluations < 4 else value * math.nan


def test_a_search_that_loses_its_way_keeps_the_best_that_it_met():
    """The grid is finite and better than the pilot's, and the search ends early but tells that it is done."""
    model = ExactMixture(two_gaussians(), ReferenceVE())
    noise, truth = fine(model, 32, 3)
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
