r"""Tuning: the time grid, and the weights, with which few evaluations of a given model have the least error.

The sampler `adams` is y_{i+1} = y_i + Σ_j w_ij q_j on a grid of clocks φ_0 < ... < φ_n (`difrun.sampler.multistep`). It
can be differentiated with respect to the increments of φ and to the weights (`difrun.sampler.tuning.solver`). Both are
optimised by L-BFGS on the distance e to a fine solution from the same noise, in the pseudo-Huber norm √(‖e‖²/d + c²) −
c, so that a few trajectories near a separatrix do not dominate.

References:
    Shaul et al. (2024), arXiv 2403.01329: free weights make a bespoke non-stationary solver.
    Sabour et al. (2024), arXiv 2404.14507: a grid that is optimised for a model.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import attrs
import torch
from torch import Tensor
from typing_extensions import override

from difrun.builtin.options import TUNABLE
from difrun.errors import DifrunError
from difrun.model.base import ScoreModel
from difrun.model.eval_mode import in_eval_mode
from difrun.model.labels import condition_as_data
from difrun.randomness.generator import Generator, seed_of
from difrun.sampler.adams import Adams
from difrun.sampler.integration import integrate
from difrun.sampler.multistep import Change, Frame, StepWeights
from difrun.sampler.tuning.pilot_grid import pilot
from difrun.sampler.tuning.result import Candidate, Tuning
from difrun.sampler.tuning.solver import Solver

FINE_STEPS = 200
"""Steps of the fine solution, which counts as exact."""

GRID_ITERATIONS = 40
"""Most iterations on the grid alone; its few increments need no more."""

GRID_WARM_UP = 10
"""Iterations on the grid alone before the weights are optimised as well."""

WEIGHT_ITERATIONS = 150
"""Iterations on grid and weights, up to `FULL_STEPS` steps."""

FULL_STEPS = 10
"""With more steps an iteration takes longer and there is less to gain, so that there are fewer iterations."""

SELECTION_TRAJECTORIES = 2048
"""Least number of trajectories on which the best candidate is selected: those near a separatrix are rare, and differ
most between candidates."""

CLIP = 0.1
"""Errors are clipped at this times the radius of the data when candidates are compared: how many trajectories are worse
is a matter of chance. If more than a tenth are worse on the pilot grid, errors are clipped at its 0.9 quantile."""

FEW_COORDINATES = 16
"""Most coordinates of an example for which training takes more trajectories."""

TRAINING_TRAJECTORIES_FEW_COORDINATES = 2048
TRAINING_TRAJECTORIES = 512

FEW_STEPS = 12
"""With fewer steps there are up to twice as many trajectories: few steps send more of those that begin near a
separatrix to the wrong side, and these rare trajectories decide."""

Watch = Callable[[int, int], Any]
"""Called with the number of iterations done and in all."""

Reference = tuple[Tensor, Tensor]
"""Noise at T and its fine solution, (n, *shape) each."""


@in_eval_mode
def tune(
    model: ScoreModel,
    steps: int,
    *,
    free_weights: bool = False,
    iterations: int | None = None,
    trajectories: int | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Tuning:
    """Optimise the grid of `adams`, and if asked its weights, for a number of evaluations of a model.

    Three independent sets of trajectories are used: one to optimise on, one to select the best of the pilot grid and
    all grids that the search reports, and one to measure the gain. The selection minimises the mean clipped error
    (`CLIP`). It is needed because a long search finally fits the few training trajectories next to a separatrix.

    Args:
        model: The model, on a Gaussian process.
        steps: The number of steps, 2 to 60.
        free_weights: Whether to optimise the weights after the grid, and the grid with them.
        iterations: The most iterations. None: 40 for the grid alone (which never takes more); with the weights 150 up
            to ten steps, and 1500/steps beyond.
        trajectories: How many to optimise on. None: 2048 for data of at most 16 coordinates and 512 for larger data,
            where each says more; up to twice as many for fewer than twelve steps. The best is selected on at least 2048
            others, and the gain is measured on twice this number.
        seed: The seed of the noise of all trajectories.
        watch: Called with the progress of the search.

    Raises:
        DifrunError: For fewer than 2 steps or more than 60.
    """
    if steps not in TUNABLE:
        raise DifrunError(
            f"Tuning is for {TUNABLE[0]} to {TUNABLE[-1]} steps, not {steps}: one step has no grid to tune, and beyond "
            "there is nothing to gain."
        )
    if trajectories is None:
        trajectories = _default_trajectories(math.prod(model.shape), steps)
    if iterations is None:
        iterations = _default_iterations(steps, free_weights)
    training = fine_solution(model, trajectories, seed_of(seed, "tune"))
    candidates = _search(model, steps, free_weights, iterations, training, watch)
    selection = fine_solution(
        model, max(SELECTION_TRAJECTORIES, trajectories), seed_of(seed, "tune", "chosen by")
    )
    best = _select(model, candidates, selection)
    test = fine_solution(model, 2 * trajectories, seed_of(seed, "tune", "held out"))
    before, median_before = _relative_errors(model, candidates[0], test)
    error, median = _relative_errors(model, best, test)
    return Tuning(*best, error, before, median, median_before, 2 * trajectories)


def _default_trajectories(coordinates: int, steps: int) -> int:
    few = coordinates <= FEW_COORDINATES
    trajectories = TRAINING_TRAJECTORIES_FEW_COORDINATES if few else TRAINING_TRAJECTORIES
    return round(trajectories * min(2.0, max(1.0, FEW_STEPS / steps)))


def _default_iterations(steps: int, free_weights: bool) -> int:
    if not free_weights:
        return GRID_ITERATIONS
    return min(WEIGHT_ITERATIONS, WEIGHT_ITERATIONS * FULL_STEPS // steps)


def _search(
    model: ScoreModel,
    steps: int,
    free_weights: bool,
    iterations: int,
    training: Reference,
    watch: Watch | None,
) -> list[Candidate]:
    """The pilot grid, and the best candidate at every report of the search."""
    solver = Solver(model, pilot(model, steps, Adams()))
    candidates, done_before = [solver.candidate()], 0
    grid_iterations = min(iterations, GRID_WARM_UP if free_weights else GRID_ITERATIONS)
    total = grid_iterations + (iterations if free_weights else 0)

    def record(done: int) -> None:
        candidate = solver.candidate()
        if all(later < t for t, later in pairwise(candidate[0])):
            candidates.append(candidate)
        if watch:
            watch(done_before + done, total)

    solver.optimise(grid_iterations, *training, record)
    if free_weights:
        solver.free_weights()
        done_before = grid_iterations
        solver.optimise(iterations, *training, record)
    return candidates


def _select(model: ScoreModel, candidates: Sequence[Candidate], selection: Reference) -> Candidate:
    """The candidate with the least mean clipped error; the first is the pilot grid."""
    distances = [_squared_distances(model, candidate, selection).sqrt() for candidate in candidates]
    limit = max(CLIP * _radius(selection), float(distances[0].quantile(0.9).nan_to_num(0.0)))
    errors = [float(d.clamp(max=limit).mean().nan_to_num(math.inf)) for d in distances]
    return candidates[errors.index(min(errors))]


def _relative_errors(model: ScoreModel, candidate: Candidate, test: Reference) -> tuple[float, float]:
    """Root mean square and median distance to the fine solution, over the radius of the data."""
    squares, radius = _squared_distances(model, candidate, test), _radius(test)
    return float(squares.mean().sqrt()) / radius, float(squares.median().sqrt()) / radius


def _squared_distances(model: ScoreModel, candidate: Candidate, reference: Reference) -> Tensor:
    """Squared distances to the fine solution, (n,)."""
    noise, truth = reference
    return (solve(model, noise, *candidate) - truth).square().flatten(1).sum(1)


def _radius(reference: Reference) -> float:
    """Root mean square norm of the fine solution."""
    return float(reference[1].square().flatten(1).sum(1).mean().sqrt())


@in_eval_mode
def fine_solution(model: ScoreModel, n: int, seed: int) -> Reference:
    """Draw noise at T, and solve the probability flow from there in `FINE_STEPS` steps."""
    like = torch.as_tensor(model.mean)
    conditioned = condition_as_data(model, n)
    generator = Generator(seed, device=like.device)
    noise = conditioned.prior(n, generator, dtype=like.dtype, device=like.device)
    return noise, integrate(Adams(), conditioned, noise, pilot(model, FINE_STEPS))


def solve(
    model: ScoreModel, noise: Tensor, times: Sequence[float], changes: list[Change] | None = None
) -> Tensor:
    """Integrate noise with `adams` on a grid; `changes`, if given, are added to its weights."""
    sampler = ModifiedAdams(changes=changes)
    return integrate(sampler, condition_as_data(model, len(noise)), noise, times)


@attrs.frozen
class ModifiedAdams(Adams):
    """`adams` with changes of its weights."""

    changes: list[Change] | None = None

    @override
    def rows(self, frame: Frame, instants: Sequence[Any]) -> list[StepWeights]:
        return self.changed(frame, instants, self.changes)
