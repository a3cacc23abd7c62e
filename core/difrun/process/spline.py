r"""A monotone curve through the points (k, y_k), k = 0 ... N, and its inverse, both in closed form.

Between k and k + 1 let ξ = x − k, Δ = y_{k+1} − y_k > 0, and let r_0 = d_k/Δ and r_1 = d_{k+1}/Δ be the slopes d > 0 at
the ends in units of Δ. The curve is the rational quadratic

    (y − y_k)/Δ = w(ξ) = [ξ² + r_0 ξ(1 − ξ)] / [1 + (r_0 + r_1 − 2) ξ(1 − ξ)],

which is increasing for all positive slopes. Its second derivative is continuous at the point k if

    d_k² (1/Δ_− + 1/Δ_+) + d_k (d_{k−1}/Δ_− + d_{k+1}/Δ_+ − 2) − (Δ_− + Δ_+) = 0,

where Δ_− and Δ_+ are the rises to the left and to the right of k. The equation has one positive root d_k for given
neighbours. With given slopes at both ends, the system has one positive solution. As w is a ratio of two quadratics,
ξ(w) is the root of a quadratic.

References:
    Gregory and Delbourgo (1982), IMA J. Numer. Anal. 2, 123; sec. 4 for the slopes.
"""

from functools import cached_property

import torch
from torch import Tensor

from difrun.data.casts import CastCache

_ITERATIONS = 200


class MonotoneSpline:
    """A strictly increasing, twice continuously differentiable curve through given points.

    The slope at an end is the squared rise of the last interval over the mean rise of the last two. Up to second order
    it is the slope of the parabola through three points, and it is always positive.

    Args:
        y: The strictly increasing values at x = 0 ... N, with shape (N + 1,), N ≥ 1.
    """

    def __init__(self, y: Tensor):
        self.y = y.double()
        self._casts = CastCache()

    def __call__(self, x: Tensor) -> Tensor:
        """Evaluate y(x), differentiably, in the dtype and on the device of x; beyond its ends it is constant."""
        y, _, rise, left, right = self._tables(x)
        k, xi = self._place(x)
        bow = xi * (1 - xi)
        return y[k] + rise[k] * (xi**2 + left[k] * bow) / (1 + (left[k] + right[k] - 2) * bow)

    def remainder(self, x: Tensor) -> Tensor:
        """Return y_N − y(x), without cancellation where the curve ends: exactly 0 at N."""
        _, after, rise, left, right = self._tables(x)
        k, xi = self._place(x)
        bow, xi = xi * (1 - xi), 1 - xi
        return after[k + 1] + rise[k] * (xi**2 + right[k] * bow) / (1 + (left[k] + right[k] - 2) * bow)

    def _place(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The interval k in which x lies, and ξ there."""
        x = x.clamp(0, len(self.y) - 1)
        start = x.detach().floor().clamp_max(len(self.y) - 2)
        return start.long(), x - start

    def inverse(self, y: Tensor) -> Tensor:
        """Find the x with y(x) = y, for y in float64 on the CPU, clipped to the ends of the curve."""
        start, _, rise, left, right = self._tables(self.y)
        y = y.clamp(start[0], start[-1])
        k = (torch.searchsorted(start, y.detach().contiguous(), right=True) - 1).clamp(0, len(rise) - 1)
        w = (y - start[k]) / rise[k]
        bend = w * (left[k] + right[k] - 2)
        a, b = 1 - left[k] + bend, left[k] - bend
        # The root in the form that does not cancel: a ξ² + b ξ − w = 0.
        return k + 2 * w / (b + (b**2 + 4 * a * w).sqrt())

    @cached_property
    def slopes(self) -> Tensor:
        """The slopes dy/dx at the points, with shape (N + 1,)."""
        rise = self.y.diff()
        if len(rise) == 1:
            return rise.expand(2)
        inner = 0.5 * (rise[1:] + rise[:-1])
        slopes = torch.cat([rise[:1] ** 2 / inner[0], inner, rise[-1:] ** 2 / inner[-1]])
        left, right = 1 / rise[:-1], 1 / rise[1:]
        # Jacobi's iteration; where y is nearly straight it halves the error.
        for _ in range(_ITERATIONS):
            half = 0.5 * (slopes[:-2] * left + slopes[2:] * right) - 1
            root = (half**2 + 2 * (left + right) * inner).sqrt()
            # The positive root in the form that does not cancel, for either sign of `half`.
            new = torch.where(half < 0, (root - half) / (left + right), 2 * inner / (root + half))
            converged = bool(((new - slopes[1:-1]).abs() <= 1e-15 * new).all())
            slopes = torch.cat([slopes[:1], new, slopes[-1:]])
            if converged:
                break
        return slopes

    def _tables(self, like: Tensor) -> tuple[Tensor, ...]:
        """(y, y_N − y, Δ, r_0, r_1) in the dtype and on the device of `like`."""
        return self._casts.like(like, self._wide_tables)

    def _wide_tables(self) -> tuple[Tensor, ...]:
        rise = self.y.diff()
        return self.y, self.y[-1] - self.y, rise, self.slopes[:-1] / rise, self.slopes[1:] / rise
