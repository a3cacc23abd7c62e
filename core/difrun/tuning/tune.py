r"""Tuning: the steps, and the weights, with which few evaluations of this very model go furthest.

The sampler `adams` is y_{i+1} = y_i + Σ_j w_ij q_j on a grid of clocks φ_0 < ... < φ_n (`difrun.sampler.multistep`),
and each part of it can be differentiated: the logarithms of the increments of φ, and the weights. Both are found by
L-BFGS on the distance to a fine solution from the same noise, in the pseudo-Huber norm √(‖e‖²/d + c²) − c, which does
not let a few trajectories near a separatrix decide. How the weights act differs by many orders of magnitude: the
search goes along directions in which a part of the trajectories responds alike (`difrun.tuning.lbfgs`).

Where the data have principal axes, the change of a weight is linear in the logarithm of the deviation along an axis.

Free weights are those of a bespoke non-stationary solver (Shaul et al., 2024, arXiv 2403.01329); a tuned grid alone is
in the spirit of Sabour et al. (2024, arXiv 2404.14507).
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import attrs
import torch
from torch import Tensor

from difrun.builtin.options import TUNABLE
from difrun.errors import DifrunError
from difrun.model.labels import condition_on_class_shares
from difrun.model.wrappers import Centred
from difrun.randomness.generator import Generator, seed_of
from difrun.sampler.adams import Adams
from difrun.sampler.gaussian_frame import GaussianFrame, gaussian_frame
from difrun.sampler.integrate import integrate
from difrun.sampler.multistep import MEMORY, Change, Frame, StepWeights, altered, combined, weights
from difrun.tuning.lbfgs import descend
from difrun.tuning.pilot import pilot

FINE_STEPS = 200
"""Steps of the solution that counts as exact."""

GRID_ITERATIONS = 40
"""At most; the few increments of a grid need no more."""

GRID_FIRST = 10
"""Iterations on the grid alone before the weights are free, which go on beside it."""

MANY = 10
"""Steps up to which the weights take the iterations below; with more of them each takes longer, and less is to gain."""

ITERATIONS = 150

HUBER = 0.05
"""c of the pseudo-Huber norm, in standard deviations of the data."""

CHOSEN_BY = 2048
"""At least so many trajectories choose among what was found: those near a separatrix are rare, and differ most."""

ASTRAY = 0.1
"""Distance over the radius of the data beyond which it does not count how far: one such more or less is chance. Where
more than a tenth of the trajectories are as far on the pilot grid, all beyond that tenth."""

FEW_COORDINATES = 16
LEARNT_FROM = 2048, 512
"""Trajectories to learn from, for few coordinates and for many."""

FEW_STEPS = 12
"""Steps below which there are more, up to twice as many: few steps lead more of those astray that begin near a
separatrix; they are rare, and decide."""

RESPONDING = 32, 128
"""At least and at most so many trajectories tell how weights act; in between twice as many coordinates as weights."""

TELLING = 128
"""Coordinates of an example that tell it, at least; of many every k-th."""

MOST_WEIGHTS = 700
"""Parameters beyond which nobody asks how they act: it takes longer than the search."""

Watch = Callable[[int, int], Any]
"""Called with the number of iterations done and of all."""


@attrs.frozen
class Tuning:
    """What was found for one number of steps, and what it gains.

    times: the grid (steps + 1,). changes: what is added to the weights of `adams` on that grid, per step, in units of
    its length and over all earlier slopes that it may use (`difrun.sampler.multistep.Change`); None: nothing.
    error: root mean square distance to the fine solution over the root mean square radius of the data, on noise that
    tuning has not seen; median: of the distances, over the same radius. before, median_before: the same for `adams` on
    the pilot grid. trajectories: on how many it was measured. A few trajectories that end in another mode make up most
    of `error`, and few are few: the median says what happens to the others.
    """

    times: list[float]
    changes: list[Change] | None
    error: float
    before: float
    median: float
    median_before: float
    trajectories: int


State = tuple[list[float], list[Change] | None]
"""Times and changes of a `Tuning`."""


def tune(
    model: Any,
    steps: int,
    *,
    free_weights: bool = False,
    iterations: int | None = None,
    trajectories: int | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Tuning:
    """Optimise the grid of `adams` for `steps` evaluations of `model`; then, if asked, every weight as well.

    trajectories: solved finely to learn from; by default 2048 where the data have at most 16 coordinates, and 512
    beyond, where each tells more, and up to twice as many below twelve steps. iterations: by default 40 for the
    grid alone, which never takes more, and with the weights 150 up to ten steps, and 1500/steps beyond. Of the pilot
    grid and all that the search went through, the one is kept that is nearest to the fine solution on others, at least
    2048, as a search that goes on learns at last by heart how to lead the few next to a separatrix: in the mean of
    ‖e‖, each counted up to a tenth of the radius, or to where nine tenths of the pilot grid's are. Twice as many as
    were learnt from measure the gain.
    Raises DifrunError for fewer than 2 steps or more than 60.
    """
    if steps not in TUNABLE:
        raise DifrunError(
            f"Tuning is for {TUNABLE[0]} to {TUNABLE[-1]} steps, not {steps}: one step has no grid to tune, and beyond "
            "there is nothing to gain."
        )
    if trajectories is None:
        enough = LEARNT_FROM[math.prod(model.shape) > FEW_COORDINATES]
        trajectories = round(enough * min(2.0, max(1.0, FEW_STEPS / steps)))
    if iterations is None:
        iterations = min(ITERATIONS, ITERATIONS * MANY // steps) if free_weights else GRID_ITERATIONS
    found = _searched(
        model,
        steps,
        free_weights,
        iterations,
        fine_solution(model, trajectories, seed_of(seed, "tune")),
        watch,
    )
    task = fine_solution(model, max(CHOSEN_BY, trajectories), seed_of(seed, "tune", "chosen by"))
    distances = [_squares(model, task, state).sqrt() for state in found]
    far = max(ASTRAY * _radius(task), float(distances[0].quantile(0.9).nan_to_num(0.0)))
    nearness = [float(each.clamp(max=far).mean().nan_to_num(math.inf)) for each in distances]
    best = found[nearness.index(min(nearness))]
    task = fine_solution(model, 2 * trajectories, seed_of(seed, "tune", "held out"))
    radius = _radius(task)

    def apart(state: State) -> tuple[float, float]:
        squares = _squares(model, task, state)
        return float(squares.mean().sqrt()) / radius, float(squares.median().sqrt()) / radius

    (before, median_before), (error, median) = apart(found[0]), apart(best)
    return Tuning(*best, error, before, median, median_before, 2 * trajectories)


Task = tuple[Tensor, Tensor]
"""Noise and its fine solution."""


def _searched(
    model: Any, steps: int, free_weights: bool, iterations: int, task: Task, watch: Watch | None
) -> list[State]:
    """The pilot grid, and all that the search for a better one goes through."""
    solver = Solver(model, pilot(model, steps, Adams()))
    found, behind = [solver.state()], 0
    first = min(iterations, GRID_FIRST if free_weights else GRID_ITERATIONS)
    total = first + iterations * free_weights

    def told(done: int) -> None:
        state = solver.state()
        if all(later < t for t, later in pairwise(state[0])):
            found.append(state)
        if watch:
            watch(behind + done, total)

    solver.descend(first, *task, told)
    if free_weights:
        solver.free_weights()
        behind = first
        solver.descend(iterations, *task, told)
    return found


def _squares(model: Any, task: Task, state: State) -> Tensor:
    """Squared distances to the fine solution (n,)."""
    noise, truth = task
    return (carried(model, noise, *state) - truth).square().flatten(1).sum(1)


def _radius(task: Task) -> float:
    """Root mean square norm of the fine solution."""
    return float(task[1].square().flatten(1).sum(1).mean().sqrt())


def fine_solution(model: Any, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise at T and where the probability flow carries it, (n, *shape) each."""
    like = torch.as_tensor(model.mean)
    asked = condition_on_class_shares(model, n)
    noise = asked.prior(n, Generator(seed, device=like.device), dtype=like.dtype, device=like.device)
    return noise, integrate(Adams(), asked, noise, pilot(model, FINE_STEPS))


def carried(
    model: Any,
    noise: Tensor,
    times: Sequence[float],
    changes: list[Change] | None,
) -> Tensor:
    """Where `adams` carries noise on a grid, with weights of its own or with these changed."""
    sampler = ModifiedAdams(given=changes)
    return integrate(sampler, condition_on_class_shares(model, len(noise)), noise, times)


@attrs.frozen
class ModifiedAdams(Adams):
    """`adams` with given changes of its weights."""

    given: list[Change] | None = None

    def rows(self, frame: Frame, instants: Sequence[Any]) -> list[StepWeights]:
        return self.changed(frame, instants, self.given)


class Solver:
    """`adams` for one model, differentiable in its grid and its weights.

    The interior clocks are φ_k = φ_0 + (φ_n − φ_0) Σ_{i<k} softmax(u)_i. parameters: u and, once they are free, the
    changes of the weights in units of the step, over all earlier slopes that a step may use.
    """

    def __init__(self, model: Any, times: Sequence[float]):
        self.model = model
        self.process = model.process.centred()
        self.shift = model.process.centre_like(torch.as_tensor(model.mean))
        self._frames: dict[int, GaussianFrame] = {}
        self.frame = self.frame_of(1)
        self.steps = len(times) - 1
        self.times = list(times)
        instants = self.process.instants(times)
        self._start, self._end = instants[0], instants[-1]
        self._first, self._last = (self.frame.clock(at) for at in (self._start, self._end))
        clocks = torch.tensor([self.frame.clock(at) for at in instants], dtype=torch.float64)
        self.parameters = [clocks.diff().log().requires_grad_()]

    def frame_of(self, n: int) -> GaussianFrame:
        """The frame for n rows of the classes of the data."""
        if n not in self._frames:
            model = condition_on_class_shares(self.model, n)
            if self.process is not model.process:
                model = Centred(model, torch.as_tensor(model.mean))
            self._frames[n] = gaussian_frame(model)
        return self._frames[n]

    def clocks(self) -> list[Any]:
        """The ends as numbers, tensors in between."""
        inner = self.parameters[0].softmax(0).cumsum(0)[:-1]
        return [self._first, *(self._first + (self._last - self._first) * inner).unbind(), self._last]

    def rows(self) -> list[tuple[Tensor, Tensor]]:
        scheme, changes = Adams().scheme(self.steps), self._changes()
        if changes is None:
            return weights(self.frame, self.clocks(), *scheme)
        return altered(self.frame, self.clocks(), *scheme, changes)

    def free_weights(self) -> None:
        """From now on the weights may differ from those of the polynomials on the grid."""
        with torch.no_grad():
            rows = self.rows()
        for i, (corrector, _) in enumerate(rows):
            room = min(i + 1, MEMORY)
            # A step that is not corrected starts from where the last prediction left it.
            for free in (room if corrector.numel() else 0, room):
                change = torch.zeros(*self.frame.ways, free, dtype=torch.float64, requires_grad=True)
                self.parameters.append(change)

    def _changes(self) -> list[tuple[Tensor, Tensor]] | None:
        free = self.parameters[1:]
        return list(zip(free[::2], free[1::2], strict=True)) or None

    def state(self) -> State:
        """The grid, and the changes of the weights where they are free."""
        with torch.no_grad():
            clocks = torch.stack([torch.as_tensor(c, dtype=torch.float64) for c in self.clocks()[1:-1]])
            inner = self.process.time_at(-(self.frame.std * torch.tan(-clocks)).log()).tolist()
            changes = self._changes()
        told = None if changes is None else [(c.tolist(), p.tolist()) for c, p in changes]
        return [self.times[0], *inner, self.times[-1]], told

    def instants(self, like: Tensor) -> list[Any]:
        """Those of the grid; the inner ones differentiable in the clocks.

        t(λ) is found by bisection; its derivative is put in by hand, dt/dλ = 1/(α̇/α − σ̇/σ).
        """
        lam = -(self.frame.std * torch.tan(-torch.stack(self.clocks()[1:-1]))).log()
        now = self.process.time_at(lam.detach())
        there = self.process.instant(now)
        rate = there.d_alpha / there.alpha - there.d_sigma / there.sigma
        times = (now + (lam - lam.detach()) / rate.detach()).to(like)
        inner = [self.process.instant(t.expand(len(like)), like.ndim) for t in times.unbind()]
        return [self._start, *inner, self._end]

    def run(self, noise: Tensor) -> Tensor:
        """Where noise (n, ...) at T is carried, differentiable in the parameters."""
        x = noise - self.shift
        frame, instants, slopes = self.frame_of(len(x)), self.instants(x), []
        y = frame.enter(x, instants[0])
        for i, (corrector, predictor) in enumerate(self.rows()):
            slopes.append(frame.slope(x, instants[i]))
            y = (
                combined(y, corrector.to(x).unbind(-1), slopes)
                if corrector.numel()
                else frame.enter(x, instants[i])
            )
            x = frame.leave(combined(y, predictor.to(x).unbind(-1), slopes), instants[i + 1])
        return x + self.shift

    def residuals(self, x: Tensor, truth: Tensor) -> Tensor:
        """r (n, d), half the square norm of which is the loss of a trajectory."""
        c = HUBER * self.frame.std
        gaps = (x - truth).flatten(1)
        squares = gaps.square().mean(1, keepdim=True)
        return gaps * (0.5 * gaps.shape[1] * ((squares + c * c).sqrt() + c)).rsqrt()

    def loss(self, x: Tensor, truth: Tensor) -> Tensor:
        """The mean pseudo-Huber distance, written so that a small one survives rounding."""
        return 0.5 * self.residuals(x, truth).square().sum(1).mean()

    def descend(self, iterations: int, noise: Tensor, truth: Tensor, told: Callable[[int], Any]) -> None:
        """L-BFGS on all parameters at once, with all the noise: they are few, and the loss is smooth in them."""
        count = sum(parameter.numel() for parameter in self.parameters)
        least, most = RESPONDING
        few = min(len(noise), most, max(least, 2 * count // truth[0].numel()))
        stride = max(1, truth[0].numel() // TELLING)

        def residuals() -> Tensor:
            found = self.residuals(self.run(noise[:few]), truth[:few])[:, ::stride]
            return found * math.sqrt(stride / few)

        # The grid alone is too far from linear to be led by that: its steps act on all later ones.
        led = len(self.parameters) > 1 and count <= MOST_WEIGHTS
        descend(
            self.parameters,
            lambda: self.loss(self.run(noise), truth),
            iterations,
            told,
            residuals if led else None,
        )
