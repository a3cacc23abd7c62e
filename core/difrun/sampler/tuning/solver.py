"""The sampler `adams` as a differentiable function of its grid and its weights."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from difrun.model.base import ScoreModel
from difrun.model.labels import condition_as_data
from difrun.model.wrappers import Centred
from difrun.sampler.adams import Adams
from difrun.sampler.gaussian_frame import GaussianFrame, gaussian_frame
from difrun.sampler.multistep import MEMORY, altered, combined, weights
from difrun.sampler.tuning.lbfgs import minimise
from difrun.sampler.tuning.result import Candidate

HUBER = 0.05
"""Constant c of the pseudo-Huber norm, in standard deviations of the data."""

LEAST_CURVATURE_TRAJECTORIES = 32
MOST_CURVATURE_TRAJECTORIES = 128
"""Trajectories from which curvatures are computed: as many as give twice as many coordinates as parameters, within
these bounds."""

CURVATURE_COORDINATES = 128
"""Coordinates of an example from which curvatures are computed; of larger examples every k-th, at least this many."""

MOST_CURVATURE_PARAMETERS = 700
"""With more parameters curvatures are not computed, because that takes longer than the search."""


class Solver:
    """The sampler `adams` for one model, differentiable in its grid and its weights.

    The interior clocks are

        φ_k = φ_0 + (φ_n − φ_0) Σ_{i<k} softmax(u)_i.

    Attributes:
        parameters: u and, once they are free, the changes of the weights of every step (corrector, predictor), in units
            of its length, over all earlier slopes that it may use.
    """

    def __init__(self, model: ScoreModel, times: Sequence[float]):
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
        """Return the frame for n rows, which have the classes of the data in their proportions."""
        if n not in self._frames:
            model = condition_as_data(self.model, n)
            if self.process is not model.process:
                model = Centred(model, torch.as_tensor(model.mean))
            self._frames[n] = gaussian_frame(model)
        return self._frames[n]

    def clocks(self) -> list[Any]:
        """Return the clocks of the grid, (steps + 1,): numbers at the ends, tensors in between."""
        inner = self.parameters[0].softmax(0).cumsum(0)[:-1]
        return [self._first, *(self._first + (self._last - self._first) * inner).unbind(), self._last]

    def step_weights(self) -> list[tuple[Tensor, Tensor]]:
        """Return the weights of the corrector and the predictor of every step."""
        scheme, changes = Adams().scheme(self.steps), self._changes()
        if changes is None:
            return weights(self.frame, self.clocks(), *scheme)
        return altered(self.frame, self.clocks(), *scheme, changes)

    def free_weights(self) -> None:
        """Add changes of the weights, which are 0 at first, to the parameters."""
        with torch.no_grad():
            steps = self.step_weights()
        for i, (corrector, _) in enumerate(steps):
            slopes = min(i + 1, MEMORY)
            # A step that is not corrected has no weights for it.
            for count in (slopes if corrector.numel() else 0, slopes):
                change = torch.zeros(*self.frame.change_shape, count, dtype=torch.float64, requires_grad=True)
                self.parameters.append(change)

    def _changes(self) -> list[tuple[Tensor, Tensor]] | None:
        correctors, predictors = self.parameters[1::2], self.parameters[2::2]
        return list(zip(correctors, predictors, strict=True)) or None

    def candidate(self) -> Candidate:
        """Return the present grid, and the changes of the weights if they are free."""
        with torch.no_grad():
            clocks = torch.stack([torch.as_tensor(c, dtype=torch.float64) for c in self.clocks()[1:-1]])
            inner = self.process.time_at(-(self.frame.std * torch.tan(-clocks)).log()).tolist()
            changes = self._changes()
        times = [self.times[0], *inner, self.times[-1]]
        if changes is None:
            return times, None
        return times, [(corrector.tolist(), predictor.tolist()) for corrector, predictor in changes]

    def instants(self, like: Tensor) -> list[Any]:
        """Return the instants of the grid, for x of the shape of `like`; the inner ones are differentiable.

        t(λ) is found by bisection, so its derivative dt/dλ = 1/(α̇/α − σ̇/σ) is inserted by hand.
        """
        lam = -(self.frame.std * torch.tan(-torch.stack(self.clocks()[1:-1]))).log()
        values = self.process.time_at(lam.detach())
        at = self.process.instant(values)
        rate = at.d_alpha / at.alpha - at.d_sigma / at.sigma
        times = (values + (lam - lam.detach()) / rate.detach()).to(like)
        inner = [self.process.instant(t.expand(len(like)), like.ndim) for t in times.unbind()]
        return [self._start, *inner, self._end]

    def run(self, noise: Tensor) -> Tensor:
        """Integrate noise (n, *shape) from T to t_min, differentiably in the parameters."""
        x = noise - self.shift
        frame, instants, slopes = self.frame_of(len(x)), self.instants(x), []
        y = frame.enter(x, instants[0])
        for i, (corrector, predictor) in enumerate(self.step_weights()):
            slopes.append(frame.slope(x, instants[i]))
            is_corrected = corrector.numel() > 0
            y = (
                combined(y, corrector.to(x).unbind(-1), slopes)
                if is_corrected
                else frame.enter(x, instants[i])
            )
            x = frame.leave(combined(y, predictor.to(x).unbind(-1), slopes), instants[i + 1])
        return x + self.shift

    def residuals(self, x: Tensor, truth: Tensor) -> Tensor:
        """Return r (n, d) for samples x: half its squared norm is the loss of a trajectory."""
        c = HUBER * self.frame.std
        errors = (x - truth).flatten(1)
        squares = errors.square().mean(1, keepdim=True)
        return errors * (0.5 * errors.shape[1] * ((squares + c * c).sqrt() + c)).rsqrt()

    def loss(self, x: Tensor, truth: Tensor) -> Tensor:
        """Return the mean pseudo-Huber distance, in a form that does not lose small distances to rounding."""
        return 0.5 * self.residuals(x, truth).square().sum(1).mean()

    def optimise(self, iterations: int, noise: Tensor, truth: Tensor, watch: Callable[[int], Any]) -> None:
        """Minimise the loss over all parameters at once, with all trajectories in every evaluation.

        Args:
            iterations: The most iterations.
            noise: Where the trajectories start, (n, *shape).
            truth: Where they end in the fine solution, (n, *shape).
            watch: Called with the number of iterations done, while the parameters are the best so far.
        """
        parameters, coordinates = sum(p.numel() for p in self.parameters), truth[0].numel()
        n = max(LEAST_CURVATURE_TRAJECTORIES, 2 * parameters // coordinates)
        n = min(len(noise), MOST_CURVATURE_TRAJECTORIES, n)
        stride = max(1, coordinates // CURVATURE_COORDINATES)

        def residuals() -> Tensor:
            subset = self.residuals(self.run(noise[:n]), truth[:n])[:, ::stride]
            return subset * math.sqrt(stride / n)

        # The grid alone responds too nonlinearly for curvatures: each of its steps moves all later ones.
        use_curvatures = len(self.parameters) > 1 and parameters <= MOST_CURVATURE_PARAMETERS
        minimise(
            self.parameters,
            lambda: self.loss(self.run(noise), truth),
            iterations,
            watch,
            residuals if use_curvatures else None,
        )
