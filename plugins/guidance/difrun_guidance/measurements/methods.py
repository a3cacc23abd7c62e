r"""DPS, ΠGDM and MMPS: three estimates of Cov[y | x_t], and with them of ∇ log p(y | x_t).

            Cov[y | x_t]                 V[x_0 | x_t] is taken as
    DPS     √(σ_y² (σ_y² + ‖r‖²/m))/ζ    nothing: the residual r = y − A(x̂_0) takes its place
    ΠGDM    σ_y² I + v_t H Hᵀ            v_t I, v_t = σ² σ_d²/(α² σ_d² + σ²), as for data N(m, σ_d² I)
    MMPS    σ_y² I + H V Hᵀ              itself

Each moves x̂_0 by V Hᵀ u with u = Cov[y | x_t]⁻¹ r and the V of `difrun_guidance.measurements.jacobian`. MMPS is exact
for a Gaussian p(x_0) and a linear A.
"""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.model import total_var
from difrun_guidance.measurements.base import LinearMeasurement, method
from difrun_guidance.measurements.conjugate_gradients import conjugate_gradients
from difrun_guidance.measurements.jacobian import CovarianceMethod
from difrun_guidance.measurements.options import DPSOptions, MMPSOptions, PiGDMOptions


@method
class DPS(CovarianceMethod, DPSOptions):
    r"""Diffusion posterior sampling, which puts all of p(x_0 | x_t) at x̂_0.

    With the residual r = y − A(x̂_0) of m numbers, the addition to the score is

        s_y = ζ Jᵀ Hᵀ r / √(σ_y² (σ_y² + ‖r‖²/m)) = −ζ (m/σ_y) ∇ √(σ_y² + ‖r‖²/m).

    The paper subtracts ζ' ∇‖r‖ after each of 1000 ancestral steps. A model of the score, used on any grid, cannot do
    that. As long as ‖r‖/√m is above σ_y, this force is the same, and its strength does not depend on ‖r‖. At ‖r‖ = 0 it
    is that of the likelihood N(y; A(x̂_0), σ_y²/ζ). One reverse pass per evaluation.

    References:
        Chung et al. (2023), arXiv 2209.14687, Algorithm 1.
    """

    @override
    def shift(self, x: Tensor, x0: Tensor, at: Any) -> Tensor:
        r = self.residual_of(x0)
        total = self.sigma_y * (self.sigma_y**2 + r.detach().square().mean(1, keepdim=True)).sqrt()
        return self.zeta * self.apply_covariance(r, x, x0, r.detach() / total, at)


@method
class PiGDM(CovarianceMethod, PiGDMOptions):
    r"""Pseudoinverse-guided diffusion, for noisy y.

        s_y = Jᵀ Hᵀ (σ_y² I + v_t H Hᵀ)⁻¹ (y − A(x̂_0)),    v_t = σ² σ_d²/(α² σ_d² + σ²).

    The inverse is applied by conjugate gradients, which do not evaluate the network. One reverse pass per evaluation.

    References:
        Song, Vahdat, Mardani and Kautz (2023), ICLR, "Pseudoinverse-guided diffusion models for inverse problems",
        eq. 6 to 8.
    """

    @override
    def shift(self, x: Tensor, x0: Tensor, at: Any) -> Tensor:
        variance = at.var * self.data_std**2 / total_var(at, self.data_std)
        if isinstance(variance, Tensor):
            variance = variance.reshape(-1, *[1] * (x.ndim - 1))
        leaf = x0.detach().requires_grad_()
        y = self.observe(leaf)
        fixed = leaf.detach()

        def covariance(p: Tensor) -> Tensor:
            (back,) = torch.autograd.grad(y, leaf, p, retain_graph=True)
            return self.sigma_y**2 * p + self.jvp(fixed, variance * back)

        r = self.residual_of(x0)
        # An iteration without the network costs next to nothing: go on until rounding stops progress.
        u = conjugate_gradients(
            covariance,
            r.detach(),
            least=self.sigma_y**2,
            iterations=min(r.shape[1], 200),
            tolerance=10 * torch.finfo(x.dtype).eps,
        )
        return self.apply_covariance(r, x, x0, u, at)


@method
class MMPS(CovarianceMethod, MMPSOptions):
    r"""Moment matching posterior sampling.

        s_y = Jᵀ Hᵀ (σ_y² I + H V Hᵀ)⁻¹ (y − A(x̂_0)),    V = V[x_0 | x_t] = (σ²/α) J.

    H V Hᵀ p is a reverse pass through x̂_0 and A, then a derivative of A. The inverse is applied by conjugate gradients,
    in at most `iterations` + 1 reverse passes per evaluation. As in the paper, the gradient ignores that V changes with
    x.

    References:
        Rozet, Andry, Lanusse and Louppe (2024), arXiv 2405.13712, Algorithm 1.
    """

    @override
    def shift(self, x: Tensor, x0: Tensor, at: Any) -> Tensor:
        r = self.residual_of(x0)
        fixed = x0.detach()

        def covariance(p: Tensor) -> Tensor:
            return self.sigma_y**2 * p + self.jvp(fixed, self.apply_covariance(r, x, x0, p, at))

        u = conjugate_gradients(
            covariance,
            r.detach(),
            least=self.sigma_y**2,
            iterations=self.iterations,
            tolerance=self.tolerance,
        )
        return self.apply_covariance(r, x, x0, u, at)


@method
class LinearDPS(LinearMeasurement, DPS):
    """The component `dps`: `DPS` for one of the linear operators."""


@method
class LinearPiGDM(LinearMeasurement, PiGDM):
    """The component `pigdm`: `PiGDM` for one of the linear operators."""


@method
class LinearMMPS(LinearMeasurement, MMPS):
    """The component `mmps`: `MMPS` for one of the linear operators."""
