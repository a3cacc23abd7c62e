"""Tuning: the differentiable sampler is the sampler, and a tuned one has a smaller error on unseen noise."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from difrun.builtin.options import TUNABLE
from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.grid import cosine, linear
from difrun.model import MLP, ExactMixture, NetworkModel, proportional_labels
from difrun.randomness import seed_of
from difrun.sampler import Adams, integrate
from difrun.sampler.tuning import Tuning, pilot, tune
from difrun.sampler.tuning.search import fine_solution, solve
from difrun.sampler.tuning.solver import Solver
from difrun.sampler.tuning.tuned import Tuned, tuned
from difrun.testing import ReferenceVE, ReferenceVP, two_gaussians


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
    noise, _ = fine_solution(model, 8, 0)
    solver = Solver(model, pilot(model, 8))
    expected = integrate(Adams(), model, noise, pilot(model, 8))
    with torch.no_grad():
        torch.testing.assert_close(solver.run(noise), expected, rtol=1e-8, atol=1e-10)
        solver.free_weights()
        torch.testing.assert_close(solver.run(noise), expected, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(solve(model, noise, *solver.candidate()), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("process", [ReferenceVP(), ReferenceVE(), MovedVP()])
def test_changed_weights_are_used_as_they_were_optimised(process):
    """Any grid and any changes, on data with principal axes: the solver, `solve` and `tuned` give the same samples."""
    model = ExactMixture(two_gaussians(), process)
    assert model.principal is not None
    noise, _ = fine_solution(model, 8, 0)
    solver, generator = Solver(model, pilot(model, 6)), torch.Generator().manual_seed(0)
    solver.free_weights()
    # σ_d and the deviations along the two axes, from the covariance
    variances = np.linalg.eigvalsh(model.mixture.cov.numpy())
    logs = 0.5 * np.log(variances / variances.mean())
    along = solver.frame.along_axes(torch.tensor([[2.0, -1.0], [10.0, 3.0]], dtype=torch.float64))
    np.testing.assert_allclose(along, np.stack([2 + 10 * logs, -1 + 3 * logs], 1), rtol=1e-12)
    assert [tuple(p.shape) for p in solver.parameters[1:5]] == [(2, 0), (2, 1), (2, 2), (2, 2)]
    with torch.no_grad():
        before = solver.run(noise)
        for parameter in solver.parameters:
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        expected = solver.run(noise)
    assert float((expected - before).abs().median()) > 1e-3
    times, changes = solver.candidate()
    torch.testing.assert_close(solve(model, noise, times, changes), expected, rtol=1e-7, atol=1e-9)
    model.tunings = {6: Tuning(times, changes, 0.0, 0.0, 0.0, 0.0, 8)}
    found = integrate(Tuned(), model, noise, tuned(model, 6))
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


def test_labelled_data_are_tuned_with_their_classes():
    """The trajectories of which curvatures are computed have the same classes as in the whole set."""
    model = ExactMixture(two_gaussians(), ReferenceVE(), torch.tensor([0, 1]))
    model.shares = (0.3, 0.7)
    noise, _ = fine_solution(model, 40, 0)
    solver = Solver(model, pilot(model, 4))
    labelled = integrate(
        Adams(), model.condition_on(proportional_labels(model.shares, 40)), noise, pilot(model, 4)
    )
    with torch.no_grad():
        torch.testing.assert_close(solver.run(noise), labelled, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(solver.run(noise[:8]), labelled[:8], rtol=1e-8, atol=1e-10)
    assert tune(model, 4, iterations=10, trajectories=32, free_weights=True).error < 1


@pytest.mark.parametrize("distribution", [square(), two_gaussians()], ids=["round", "long"])
@pytest.mark.parametrize("process", [ReferenceVP(), MovedVP()])
def test_the_gradient_is_that_of_finite_differences(process, distribution):
    """In every increment of the grid and every weight, on round data and on long ones, to 1e-5 of the largest."""
    model = ExactMixture(distribution, process)
    noise, truth = fine_solution(model, 16, 0)
    solver = Solver(model, pilot(model, 5))
    solver.free_weights()
    loss = solver.loss(solver.run(noise), truth)
    gradients = torch.autograd.grad(loss, solver.parameters, allow_unused=True)
    largest = max(float(gradient.abs().max()) for gradient in gradients if gradient is not None)
    for parameter, gradient in zip(solver.parameters, gradients, strict=True):
        if gradient is None:
            assert parameter.numel() == 0
            continue
        for k in np.ndindex(*parameter.shape):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter[k] += sign * 1e-5
                    values.append(float(solver.loss(solver.run(noise), truth)))
                    parameter[k] -= sign * 1e-5
            numeric = (values[0] - values[1]) / 2e-5
            assert float(gradient[k]) == pytest.approx(numeric, abs=1e-5 * largest)


def test_a_tuned_grid_gains_and_free_weights_gain_more():
    """Six steps on eight modes: on unseen noise the median falls 3 times by the grid, and then by more than a half."""
    angles = torch.arange(8, dtype=torch.float64) * math.pi / 4
    means = 2.8 * torch.stack([angles.cos(), angles.sin()], 1)
    model = ExactMixture(GaussianMixture([0.125] * 8, means, [0.0256] * 8), ReferenceVE())
    grid = tune(model, 6, iterations=30, trajectories=512)
    free = tune(model, 6, iterations=100, trajectories=512, free_weights=True)
    assert grid.changes is None
    assert free.changes is not None
    assert grid.before == free.before
    assert grid.median < grid.median_before / 3
    assert free.median < grid.median / 2
    assert free.error < grid.error < grid.before
    learnt, _ = fine_solution(model, 512, seed_of(0, "tune"))
    noise, truth = fine_solution(model, 1024, seed_of(0, "tune", "held out"))
    assert not torch.isin(noise[:, 0], learnt[:, 0]).any()
    radius = float(truth.square().sum(1).mean().sqrt())
    assert 2.6 < radius < 3
    for tuning in (grid, free):
        error = solve(model, noise, tuning.times, tuning.changes) - truth
        assert tuning.median == pytest.approx(float(error.square().sum(1).median().sqrt()) / radius, rel=1e-6)
        assert tuning.trajectories == 1024
        assert tuning.error == pytest.approx(float(error.square().sum(1).mean().sqrt()) / radius, rel=1e-6)


@pytest.mark.parametrize(
    ("shape", "steps", "free", "expected"),
    [
        ((2,), 5, True, (4096, 150)),
        ((2,), 8, True, (3072, 150)),
        ((16,), 12, True, (2048, 125)),
        ((17,), 8, True, (768, 150)),
        ((17,), 20, True, (512, 75)),
        ((17,), 60, False, (512, 40)),
    ],
)
def test_default_numbers_of_trajectories_and_iterations(monkeypatch, shape, steps, free, expected):
    """They are those that docs and --help state."""

    class Enough(Exception):
        pass

    def search(model, steps, free, iterations, training, watch):
        raise Enough(len(training[0]), iterations)

    monkeypatch.setattr(
        "difrun.sampler.tuning.search.fine_solution", lambda model, n, seed: (torch.zeros(n), torch.zeros(n))
    )
    monkeypatch.setattr("difrun.sampler.tuning.search._search", search)
    with pytest.raises(Enough) as raised:
        tune(SimpleNamespace(shape=shape), steps, free_weights=free)
    assert raised.value.args == expected


def test_the_candidate_nearest_on_other_trajectories_is_selected(monkeypatch):
    """Of four grids of five steps; on 2048 trajectories that are used neither to optimise nor to measure."""
    model, requested = ExactMixture(square(), ReferenceVP()), []
    good = pilot(model, 5, Adams())
    bad = [linear(model.process, 5), cosine(model.process, 5)]
    candidates = [(times, None) for times in (bad[0], good, bad[1], bad[0])]
    errors = []
    noise, truth = fine_solution(model, 256, 5)
    for times, _ in candidates:
        errors.append(float((solve(model, noise, times, None) - truth).norm(dim=1).clamp(max=0.1).mean()))
    assert min(errors[0], errors[2]) > 2 * errors[1]

    def record(model, n, seed):
        requested.append((n, seed))
        return fine_solution(model, n, seed)

    monkeypatch.setattr("difrun.sampler.tuning.search.fine_solution", record)
    monkeypatch.setattr("difrun.sampler.tuning.search._search", lambda *arguments: candidates)
    tuning = tune(model, 5, trajectories=64)
    assert tuning.times == good
    assert tuning.before > 1.5 * tuning.error
    assert [n for n, _ in requested] == [64, 2048, 128]
    assert len({seed for _, seed in requested}) == 3


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


def test_sampler_and_grid_use_a_tuning_and_refuse_to_work_without_one():
    model = ExactMixture(square(), ReferenceVP())
    tuning = tune(model, 5, iterations=10, trajectories=32, free_weights=True)
    noise, _ = fine_solution(model, 8, 7)
    model.tunings = {5: tuning}
    assert tuned(model, 5) == tuning.times
    expected = solve(model, noise, tuning.times, tuning.changes)
    torch.testing.assert_close(integrate(Tuned(), model, noise, tuned(model, 5)), expected, rtol=0, atol=0)
    with pytest.raises(
        DifrunError, match=r"Nothing is tuned for 6 steps of this model; it is tuned for 5\. 'difrun tune"
    ):
        tuned(model, 6)
    with pytest.raises(DifrunError, match="--grid tuned"):
        integrate(Tuned(), model, noise, pilot(model, 5))
    long = ExactMixture(two_gaussians(), ReferenceVP())
    long.tunings = {5: tuning}
    with pytest.raises(DifrunError, match=r"for a model of other data.*tune again"):
        integrate(Tuned(), long, noise, tuned(long, 5))
    for steps, many in ((1, "1 step"), (61, "61 steps")):
        with pytest.raises(DifrunError, match=f"tuned for {many} of this model.* is for 2 to 60 steps"):
            tuned(model, steps)
    assert (TUNABLE[0], TUNABLE[-1]) == (2, 60)
    with pytest.raises(DifrunError, match="2 to 60 steps, not 1"):
        tune(model, 1)
