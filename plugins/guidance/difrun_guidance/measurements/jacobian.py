r"""V[x_0 | x_t], the posterior covariance that moves x̂_0 towards a measurement: from the model, or from the data.

By the second-order Tweedie formula V = (σ²/α) J with J = ∂x̂_0/∂x_t, and V v is a reverse pass (J is symmetric). An
error e of a network's Jacobian becomes one of (σ²/α) e in V: with much noise this is larger than the data, and V has
negative eigenvalues. There the data look Gaussian through the noise, and with their covariance C

    V = C (I + (α²/σ²) C)⁻¹.

Between half an octave below and above `jacobian_below` the one goes over into the other.
"""

import math
from typing import Any

import torch
from torch import Tensor

from difrun.data import cast_like
from difrun.errors import DifrunError
from difrun.model import innermost
from difrun_guidance.measurements.base import Measurement, method
from difrun_guidance.measurements.options import MethodOptions

LARGEST = 1024
"""Numbers in an example above which C is taken as diagonal."""


@method
class Differentiated(Measurement, MethodOptions):
    """A measurement by a method that needs V. See the module; the options say up to which noise it is the model's."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._below = self.jacobian_below
        if self._below is None and hasattr(innermost(self.inner), "network"):
            self._below = 1.0
        if self._below is not None:
            self._spectrum = self._of_data()

    def pull(self, r: Tensor, x: Tensor, x0: Tensor, u: Tensor, at: Any) -> Tensor:
        """V Hᵀ u (n, *shape), for r = y − A(x̂_0) (n, m) with its graph back to x̂_0 and x.

        Raises DifrunError where no gradient comes through A.
        """
        share = self._gaussian_share(x, at)
        everywhere, nowhere = (bool((torch.as_tensor(share) == part).all()) for part in (1, 0))
        moved = torch.zeros_like(x)
        if not everywhere:
            moved = (1 - share) * (at.var / at.alpha) * _gradient(r, x, -u)
        if not nowhere:
            moved = moved + share * self._spread(_gradient(r, x0, -u), at)
        return moved

    def within_sight(self, x: Tensor, at: Any) -> tuple[Tensor, Any]:
        """x and the instant, or what they are where a process begins to forget its data.

        Beyond that x̂_0 and Δ hardly move, while J goes to 0 and (σ²/α) J no longer says what Δ is.
        """
        if self._below is not None or not self.process.forgets:
            return x, at
        first = self.process.time_at(self.process.lam_range[0])
        if isinstance(at.t, Tensor):
            if not bool((at.t > first).any()):
                return x, at
            here = self.process.instant(at.t.clamp(max=first))
        elif at.t <= first:
            return x, at
        else:
            here = self.process.at(first)
        centre = self.process.centre_like(x)
        mean = torch.as_tensor(self.inner.mean, dtype=x.dtype, device=x.device) - centre
        return centre + here.alpha * mean + (here.sigma / at.sigma) * (x - centre - at.alpha * mean), here

    def _gaussian_share(self, x: Tensor, at: Any) -> Any:
        """The weight of the V of Gaussian data: 0 with little noise, 1 with much, smooth in log(σ/α)."""
        if self._below is None:
            return 0.0
        place = (-at.lam - math.log(self._below * self.data_std)) / math.log(2) + 0.5
        if isinstance(place, Tensor):
            place = place.reshape(-1, *[1] * (x.ndim - 1)).clamp(0, 1)
        else:
            place = min(1.0, max(0.0, place))
        return place**2 * (3 - 2 * place)

    def _spread(self, v: Tensor, at: Any) -> Tensor:
        """C (I + (α²/σ²) C)⁻¹ v."""
        values, axes = self._spectrum
        values = cast_like(values, v)
        axes = None if axes is None else cast_like(axes, v)
        ratio = at.alpha**2 / at.var
        flat = v.flatten(1) if axes is None else v.flatten(1) @ axes
        if isinstance(ratio, Tensor):
            ratio = ratio.reshape(-1, 1)
        flat = flat * values / (1 + ratio * values)
        return (flat if axes is None else flat @ axes.T).reshape(v.shape)

    def _of_data(self) -> tuple[Tensor, Tensor | None]:
        """Eigenvalues (d,) and eigenvectors (d, d) of C; its diagonal and None without examples, or with large ones."""
        if self.context is None or math.prod(self.shape) > LARGEST:
            return torch.as_tensor(self.var).detach().cpu().double().expand(self.shape).flatten(), None
        values, axes = torch.linalg.eigh(self.context.dataset.cov)
        return values.clamp(min=0), axes


def _gradient(r: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """(∂r/∂x)ᵀ v, keeping the graph."""
    try:
        return torch.autograd.grad(r, x, v, retain_graph=True)[0]
    except RuntimeError as error:
        raise DifrunError(
            f"no gradient comes through the measurement: {error}. `measure` must be made of operations that autograd "
            "can follow, all the way from its argument."
        ) from error
