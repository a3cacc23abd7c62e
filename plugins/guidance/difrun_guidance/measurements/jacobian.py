r"""The posterior covariance V[x_0 | x_t], which moves x̂_0 towards a measurement: from the model, or from the data.

By the second-order Tweedie formula V = (σ²/α) J with J = ∂x̂_0/∂x_t. J is symmetric, so V v is a reverse pass. An
error e of a network's Jacobian becomes an error (σ²/α) e of V. With much noise this is larger than the data, and V has
negative eigenvalues. There the data look Gaussian through the noise, and with their covariance C

    V = C (I + (α²/σ²) C)⁻¹.

The one turns smoothly into the other, from half an octave below `jacobian_below` to half an octave above it.
"""

import math
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.data import cast_like
from difrun.errors import DifrunError
from difrun.model import innermost
from difrun_guidance.measurements.base import Measurement, method
from difrun_guidance.measurements.options import MethodOptions

LARGEST = 1024
"""The most numbers in an example for which C is a full matrix; beyond, it is diagonal."""


@method
class CovarianceMethod(Measurement, MethodOptions):
    """A method that needs the posterior covariance V.

    Up to the noise `jacobian_below`, V comes from the model's Jacobian; beyond it, from the covariance of the data.
    """

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._below = self.jacobian_below
        if self._below is None and hasattr(innermost(self.inner), "network"):
            self._below = 1.0
        if self._below is not None:
            self._spectrum = self._data_spectrum()

    def apply_covariance(self, r: Tensor, x: Tensor, x0: Tensor, u: Tensor, at: Any) -> Tensor:
        """Compute V Hᵀ u.

        Args:
            r: The residual y − A(x̂_0), with shape (n, m) and its graph back to x̂_0 and x.
            x: The noisy input x_t, with shape (n, *shape).
            x0: The x̂_0 of x.
            u: The vector, with shape (n, m).
            at: The instant.

        Returns:
            V Hᵀ u, with shape (n, *shape).

        Raises:
            DifrunError: If no gradient comes through A.
        """
        share = self._gaussian_share(x, at)
        all_gaussian = bool((torch.as_tensor(share) == 1).all())
        none_gaussian = bool((torch.as_tensor(share) == 0).all())
        product = torch.zeros_like(x)
        if not all_gaussian:
            product = (1 - share) * (at.var / at.alpha) * _gradient(r, x, -u)
        if not none_gaussian:
            product = product + share * self._gaussian_covariance(_gradient(r, x0, -u), at)
        return product

    @override
    def evaluation_point(self, x: Tensor, at: Any) -> tuple[Tensor, Any]:
        """The point and the instant, moved to where the process begins to forget its data if they lie beyond.

        Beyond, x̂_0 and Δ hardly change, while J goes to 0 and (σ²/α) J no longer says what Δ is.
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
        octave = (-at.lam - math.log(self._below * self.data_std)) / math.log(2) + 0.5
        if isinstance(octave, Tensor):
            octave = octave.reshape(-1, *[1] * (x.ndim - 1)).clamp(0, 1)
        else:
            octave = min(1.0, max(0.0, octave))
        return octave**2 * (3 - 2 * octave)

    def _gaussian_covariance(self, v: Tensor, at: Any) -> Tensor:
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

    def _data_spectrum(self) -> tuple[Tensor, Tensor | None]:
        """Eigenvalues (d,) and eigenvectors (d, d) of C; its diagonal and None if examples are large or missing."""
        if self.context is None or math.prod(self.shape) > LARGEST:
            return torch.as_tensor(self.var).detach().cpu().double().expand(self.shape).flatten(), None
        values, axes = torch.linalg.eigh(self.context.dataset.cov)
        return values.clamp(min=0), axes


def _gradient(r: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """The product (∂r/∂x)ᵀ v; the graph is kept."""
    try:
        return torch.autograd.grad(r, x, v, retain_graph=True)[0]
    except RuntimeError as error:
        raise DifrunError(
            f"no gradient comes through the measurement: {error}. `measure` must consist of operations that autograd "
            "can follow, all the way from its argument."
        ) from error
