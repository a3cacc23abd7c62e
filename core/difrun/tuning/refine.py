r"""A grid refined: the steps with which a multistep method errs least along trajectories that are known.

Where trajectories are known, a step of `difrun.sampler.multistep` can be judged without the model: its
weights times the known slopes, against the known integral of the slope. From node i − 1 to node i let the predictor
miss that by P_i, and the corrector, given the exact slope at node i, by C_i. What the step adds to the error is
D_i = P_i where nothing is corrected, as in the last step, and otherwise

    D_i = C_i + (w/h) ln(A_{i−1}/A_i) P_i,

as the corrector is given the slope where the predictor has led, and takes it with weight w in a step of length h. A_i
is the factor by which the flow stretches an error from node i to the end, measured along one direction. The refined
grid has the least mean over trajectories of E, E² = Σ_i A_i^{3/2} ‖D_i‖².

The pilot lays its grid by the leading term of an expansion in the length of steps; D is right where they are long. The
sum is over squares: errors of two steps that cancel on these few trajectories need not cancel on others.
"""

import attrs
import torch
from torch import Tensor

from difrun.sampler.multistep import Frame, coefficients, combined, weights
from difrun.tuning.lbfgs import descend

POINTS = 6
"""Known places through which slopes and their integrals are interpolated."""

ITERATIONS = 20

_LEAST = 1e-30
"""Added under a root, which has no derivative at 0."""


@attrs.frozen(eq=False)
class ReferenceTrajectories:
    """Trajectories known at the places 0, 1, ..., k − 1 of a fine grid.

    frame: in which the slopes are known. clocks: its clocks at the places (k,). slopes: q there, (k, n, d). log_gains:
    ln A (k, n). integrals: ∫ q from place 0 on, (k, n, d).
    """

    frame: Frame
    clocks: Tensor
    slopes: Tensor
    log_gains: Tensor
    integrals: Tensor = attrs.field(init=False)

    @integrals.default
    def _integrated(self) -> Tensor:
        first = _first(torch.arange(len(self.clocks) - 1), len(self.clocks))
        nodes = self.frame.nodes(self.clocks)
        rows = coefficients(
            nodes[first[:, None] + torch.arange(POINTS)].movedim(1, -1), nodes[:-1], nodes[1:]
        )
        steps = torch.zeros_like(self.slopes)
        for p, row in enumerate(rows.reshape(len(first), -1, POINTS).unbind(-1)):
            steps[1:] += row[:, None] * self.slopes[first + p]
        return steps.cumsum(0)

    def between(self, values: Tensor, places: Tensor) -> Tensor:
        """Values known at the places, (k, ...), at other places (m,): (m, ...), differentiable in these."""
        first = _first(places.detach().floor().long(), len(values))
        knots = torch.arange(POINTS, dtype=places.dtype)
        same = torch.eye(POINTS, dtype=torch.bool)
        gaps = ((places - first)[:, None] - knots)[:, None].expand(-1, POINTS, -1)
        above = torch.where(same, 1.0, gaps).prod(-1)
        below = torch.where(same, 1.0, knots[:, None] - knots).prod(-1)
        return torch.einsum("mp,mp...->m...", above / below, values[first[:, None] + torch.arange(POINTS)])

    def error(self, places: Tensor, order: int, corrected: bool) -> Tensor:
        """The mean of E for the steps between some places, of a method of that order (`weights`)."""
        clocks = self.between(self.clocks, places)
        slopes, integrals, logs = (
            self.between(values, places).unbind() for values in (self.slopes, self.integrals, self.log_gains)
        )
        nodes, start = self.frame.nodes(clocks), float(clocks[0].detach())
        total, missed = torch.zeros_like(slopes[0]), torch.zeros_like(slopes[0])
        for i, (corrector, predictor) in enumerate(
            weights(self.frame, [start, *clocks[1:]], order, corrected)
        ):
            if i > 0:
                added = missed
                if corrector.numel():
                    share = corrector[..., -1] / (nodes[i] - nodes[i - 1])
                    led = combined(integrals[i - 1], corrector.unbind(-1), slopes[: i + 1])
                    added = led - integrals[i] + (logs[i - 1] - logs[i])[:, None] * share * missed
                total = total + (1.5 * logs[i]).exp()[:, None] * added.square()
            missed = combined(integrals[i], predictor.unbind(-1), slopes[: i + 1]) - integrals[i + 1]
        total = total + missed.square()
        return (total.sum(1) + _LEAST).sqrt().mean()

    def refined(self, places: Tensor, order: int, corrected: bool) -> Tensor:
        """Places of as many steps, with the same ends, where `error` is least near those given; increasing."""
        start, end = places[0], places[-1]
        widths = places.diff().log().requires_grad_()

        def spread() -> Tensor:
            inner = widths.softmax(0).cumsum(0)[:-1]
            return torch.cat([start[None], start + (end - start) * inner, end[None]])

        # The logarithm, as L-BFGS begins with a step of the size of the gradient.
        descend([widths], lambda: self.error(spread(), order, corrected).log(), ITERATIONS)
        return spread().detach()


def _first(places: Tensor, count: int) -> Tensor:
    """The first of the POINTS places among `count` that surround each."""
    return (places - (POINTS // 2 - 1)).clamp(0, count - POINTS)
