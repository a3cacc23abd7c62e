r"""Grid refinement: the steps with which a multistep method has the least error along reference trajectories.

Along a trajectory that is known finely, a step of `difrun.sampler.multistep` can be judged without the model: its
weights times the known slopes are compared with the known integral of the slope. From node i − 1 to node i let the
predictor miss the integral by P_i, and the corrector, given the exact slope at node i, by C_i. The step then adds to
the error D_i = P_i if it is not corrected, as the last step, and otherwise

    D_i = C_i + (w/h) ln(A_{i−1}/A_i) P_i,

because the corrector is given the slope at the predicted point, and takes it with the weight w in a step of length h.
A_i is the factor by which the flow amplifies an error from node i to the end, measured along one direction. The refined
grid minimises the mean over trajectories of E, where

    E² = Σ_i A_i^{3/2} ‖D_i‖².

The pilot places its steps by the leading term of an expansion in their length; D_i is also right for long steps. The
sum is over squares, because errors of two steps that cancel on these few trajectories need not cancel on others.
"""

import attrs
import torch
from torch import Tensor

from difrun.sampler.multistep import Frame, coefficients, combined, weights
from difrun.sampler.tuning.lbfgs import minimise

POINTS = 6
"""Grid points through which slopes and their integrals are interpolated."""

ITERATIONS = 20

_TINY = 1e-30
"""Added under a square root, which has no derivative at 0."""


@attrs.frozen(eq=False)
class ReferenceTrajectories:
    """Trajectories that are known at the places 0, 1, ..., k − 1 of a fine grid.

    A place between two of these is a fractional number.

    Attributes:
        frame: The coordinates in which the slopes are given.
        clocks: The clock of the frame at the places, (k,).
        slopes: The slopes q there, (k, n, d).
        log_gains: The logarithm of the amplification A from there to the end, (k, n).
        integrals: ∫ q from place 0 on, (k, n, d).
    """

    frame: Frame
    clocks: Tensor
    slopes: Tensor
    log_gains: Tensor
    integrals: Tensor = attrs.field(init=False)

    @integrals.default
    def _integrate(self) -> Tensor:
        first = _first_point(torch.arange(len(self.clocks) - 1), len(self.clocks))
        nodes = self.frame.nodes(self.clocks)
        rows = coefficients(
            nodes[first[:, None] + torch.arange(POINTS)].movedim(1, -1), nodes[:-1], nodes[1:]
        )
        increments = torch.zeros_like(self.slopes)
        for p, row in enumerate(rows.reshape(len(first), -1, POINTS).unbind(-1)):
            increments[1:] += row[:, None] * self.slopes[first + p]
        return increments.cumsum(0)

    def interpolate(self, values: Tensor, places: Tensor) -> Tensor:
        """Interpolate values at the places of the fine grid, (k, ...), to other places by Lagrange polynomials.

        Args:
            values: Shape (k, ...).
            places: Shape (m,).

        Returns:
            Shape (m, ...), differentiable in the places.
        """
        first = _first_point(places.detach().floor().long(), len(values))
        knots = torch.arange(POINTS, dtype=places.dtype)
        same = torch.eye(POINTS, dtype=torch.bool)
        offsets = ((places - first)[:, None] - knots)[:, None].expand(-1, POINTS, -1)
        numerators = torch.where(same, 1.0, offsets).prod(-1)
        denominators = torch.where(same, 1.0, knots[:, None] - knots).prod(-1)
        return torch.einsum(
            "mp,mp...->m...", numerators / denominators, values[first[:, None] + torch.arange(POINTS)]
        )

    def error(self, places: Tensor, order: int, corrected: bool) -> Tensor:
        """Return the mean of E for the steps between `places`, of a method of that order (`weights`)."""
        clocks = self.interpolate(self.clocks, places)
        slopes, integrals, log_gains = (
            self.interpolate(values, places).unbind()
            for values in (self.slopes, self.integrals, self.log_gains)
        )
        nodes, start = self.frame.nodes(clocks), float(clocks[0].detach())
        steps = weights(self.frame, [start, *clocks[1:]], order, corrected)
        total, predictor_error = torch.zeros_like(slopes[0]), torch.zeros_like(slopes[0])
        for i, (corrector, predictor) in enumerate(steps):
            if i > 0:
                step_error = predictor_error
                if corrector.numel():
                    share = corrector[..., -1] / (nodes[i] - nodes[i - 1])
                    corrected_y = combined(integrals[i - 1], corrector.unbind(-1), slopes[: i + 1])
                    growth = (log_gains[i - 1] - log_gains[i])[:, None]
                    step_error = corrected_y - integrals[i] + growth * share * predictor_error
                total = total + (1.5 * log_gains[i]).exp()[:, None] * step_error.square()
            predicted_y = combined(integrals[i], predictor.unbind(-1), slopes[: i + 1])
            predictor_error = predicted_y - integrals[i + 1]
        total = total + predictor_error.square()
        return (total.sum(1) + _TINY).sqrt().mean()

    def refined(self, places: Tensor, order: int, corrected: bool) -> Tensor:
        """Return the places of equally many steps between the same ends with which `error` is least.

        Args:
            places: Where the search starts, (steps + 1,).
            order: The order of the predictor.
            corrected: Whether the method is corrected.

        Returns:
            Shape (steps + 1,), increasing.
        """
        start, end = places[0], places[-1]
        log_widths = places.diff().log().requires_grad_()

        def current_places() -> Tensor:
            inner = log_widths.softmax(0).cumsum(0)[:-1]
            return torch.cat([start[None], start + (end - start) * inner, end[None]])

        # The logarithm of the error, because the first step of L-BFGS has the size of the gradient.
        minimise([log_widths], lambda: self.error(current_places(), order, corrected).log(), ITERATIONS)
        return current_places().detach()


def _first_point(places: Tensor, count: int) -> Tensor:
    """The first of the POINTS grid points, among `count`, that surround each place."""
    return (places - (POINTS // 2 - 1)).clamp(0, count - POINTS)
