r"""The noise of a table of N entries as a smooth function of time, and its inverse.

At node k = 0 ... N the table has u_k = log(1 + σ²/α²) = log(1 + e^−2λ), a form of the log-SNR λ = log(α/σ) that is 0
where there is no noise. The shares of signal and noise in x_t are

    a = α/√(α² + σ²) = e^{−u/2},    b = σ/√(α² + σ²) = √(1 − e^−u).

Between nodes a `MonotoneSpline` follows v = u or, where the table ends in pure noise (u_N = ∞), v = 1 − a. Both are
linear in t where σ² is, near the data, and 1 − a is so at the end as well. If σ itself is linear in t near the data,
as a rectified flow has it, the spline follows √v.
"""

import torch
from torch import Tensor

from difrun.process.spline import MonotoneSpline

_SMALL = 1e-8
"""u below which (1 − e^−u)/u is 1 − u/2 in float64."""


class NoiseCurve:
    """u(t) through the values of a table, with a and b.

    Args:
        u: u_0 = 0 < u_1 < ... < u_N at t = 0 ... N, (N + 1,) float64. The last may be infinite.
        root: Whether the spline follows √v rather than v.
    """

    def __init__(self, u: Tensor, *, root: bool = False):
        self.u = u
        self.root = root
        self.ends_in_noise = bool(u[-1].isinf())
        self._spline = MonotoneSpline(self._followed(u))

    def __call__(self, t: Tensor) -> Tensor:
        """Return u(t), differentiable, in the dtype and on the device of t."""
        v = self._v(t)
        if not self.ends_in_noise:
            return v
        # Each form is accurate at its end; the other is kept away from its pole, as its slope would be infinite there.
        near = v < 0.5
        return -2 * torch.where(
            near,
            torch.log1p(-torch.where(near, v, 0.5)),
            torch.where(near, 0.5, self.signal(t)).log(),
        )

    def signal(self, t: Tensor) -> Tensor:
        """Return a(t), with a finite derivative also where it is 0."""
        if not self.ends_in_noise:
            return (-0.5 * self._v(t)).exp()
        left = self._spline.remainder(t)
        return left * (1 + self._spline(t)) if self.root else left

    def noise(self, t: Tensor) -> Tensor:
        """Return b(t), accurate near t = 0; with `root`, its derivative is finite there."""
        if not self.root:
            return self.noise_var(t).sqrt()
        y = self._spline(t)
        return y * (2 - y**2).sqrt() if self.ends_in_noise else y * _ratio(y**2)

    def noise_var(self, t: Tensor) -> Tensor:
        """Return b(t)² = 1 − e^−u, accurate near t = 0."""
        v = self._v(t)
        return v * (2 - v) if self.ends_in_noise else -torch.expm1(-v)

    def inverse(self, u: Tensor) -> Tensor:
        """Return t with u(t) = u, for u in float64 on the CPU, clipped to the ends of the curve."""
        return self._spline.inverse(self._followed(u))

    def _followed(self, u: Tensor) -> Tensor:
        """What the spline follows."""
        v = -torch.expm1(-0.5 * u) if self.ends_in_noise else u
        return v.sqrt() if self.root else v

    def _v(self, t: Tensor) -> Tensor:
        y = self._spline(t)
        return y**2 if self.root else y


def _ratio(u: Tensor) -> Tensor:
    """√((1 − e^−u)/u), with a finite derivative at u = 0."""
    small = u < _SMALL
    safe = torch.where(small, torch.ones_like(u), u)
    return torch.where(small, 1 - u / 4, (-torch.expm1(-safe) / safe).sqrt())
