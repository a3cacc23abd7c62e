r"""DPS, ΠGDM and MMPS: three estimates of Cov[y | x_t], and with them of ∇ log p(y | x_t) (`measurement`).

            Cov[y | x_t]                 V[x_0 | x_t] is taken as
    DPS     √(σ_y² (σ_y² + ‖r‖²/m))/ζ    nothing: what is left of r = y − A(x̂_0) stands for it
    ΠGDM    σ_y² I + v_t H Hᵀ            v_t I, v_t = σ² σ_d²/(α² σ_d² + σ²), as for data N(m, σ_d² I)
    MMPS    σ_y² I + H V Hᵀ              itself

x̂_0 moves by V Hᵀ u in each, u = Cov[y | x_t]⁻¹ r, with the V of `jacobian`. For a Gaussian p(x_0) and a linear A the
last is exact.
"""

from typing import Any

import torch
from torch import Tensor

from difrun.model import total_var
from difrun_guidance.measurements.base import Observed, method
from difrun_guidance.measurements.conjugate_gradients import conjugate_gradients
from difrun_guidance.measurements.jacobian import Differentiated
from difrun_guidance.measurements.options import DPSOptions, MMPSOptions, PiGDMOptions


@method
class DPS(Differentiated, DPSOptions):
    r"""Diffusion posterior sampling (Chung et al., 2023, arXiv 2209.14687): all of p(x_0 | x_t) is put at x̂_0.

        s_y = ζ Jᵀ Hᵀ r / √(σ_y² (σ_y² + ‖r‖²/m)) = −ζ (m/σ_y) ∇ √(σ_y² + ‖r‖²/m),    r = y − A(x̂_0) (m numbers).

    The paper subtracts ζ' ∇‖r‖ after each of 1000 ancestral steps (Algorithm 1), which a model of the score, used on
    any grid, cannot. This has the same force, of a strength that ‖r‖ does not change, as long as ‖r‖/√m is above σ_y;
    at ‖r‖ = 0 it is that of the likelihood N(y; A(x̂_0), σ_y²/ζ). One reverse pass per evaluation.
    """

    def shift(self, x: Tensor, x0: Tensor, at: Any) -> Tensor:
        r = self.residual_of(x0)
        total = self.sigma_y * (self.sigma_y**2 + r.detach().square().mean(1, keepdim=True)).sqrt()
        return self.zeta * self.pull(r, x, x0, r.detach() / total, at)


@method
class PiGDM(Differentiated, PiGDMOptions):
    r"""Pseudoinverse-guided diffusion (Song, Vahdat, Mardani and Kautz, 2023, ICLR, eq. 6 to 8), for noisy y.

        s_y = Jᵀ Hᵀ (σ_y² I + v_t H Hᵀ)⁻¹ (y − A(x̂_0)),    v_t = σ² σ_d²/(α² σ_d² + σ²).

    The inverse is applied by conjugate gradients, which do not evaluate the network. One reverse pass per evaluation.
    """

    def shift(self, x: Tensor, x0: Tensor, at: Any) -> Tensor:
        spread = at.var * self.data_std**2 / total_var(at, self.data_std)
        if isinstance(spread, Tensor):
            spread = spread.reshape(-1, *[1] * (x.ndim - 1))
        place = x0.detach().requires_grad_()
        y = self.observe(place)
        fixed = place.detach()

        def covariance(p: Tensor) -> Tensor:
            (back,) = torch.autograd.grad(y, place, p, retain_graph=True)
            return self.sigma_y**2 * p + self.along(fixed, spread * back)

        r = self.residual_of(x0)
        # Without the network an iteration costs next to nothing: as many as rounding lets be of use.
        u = conjugate_gradients(
            covariance,
            r.detach(),
            least=self.sigma_y**2,
            iterations=min(r.shape[1], 200),
            tolerance=10 * torch.finfo(r.dtype).eps,
        )
        return self.pull(r, x, x0, u, at)


@method
class MMPS(Differentiated, MMPSOptions):
    r"""Moment matching posterior sampling (Rozet, Andry, Lanusse and Louppe, 2024, arXiv 2405.13712, Algorithm 1).

        s_y = Jᵀ Hᵀ (σ_y² I + H V Hᵀ)⁻¹ (y − A(x̂_0)),    V = V[x_0 | x_t] = (σ²/α) J.

    H V Hᵀ p is a reverse pass through x̂_0 and A and a derivative of A, and the inverse is applied by conjugate
    gradients: at most `iterations` + 1 reverse passes per evaluation. What V changes with x is left out of the
    gradient, as in the paper.
    """

    def shift(self, x: Tensor, x0: Tensor, at: Any) -> Tensor:
        r = self.residual_of(x0)
        fixed = x0.detach()

        def covariance(p: Tensor) -> Tensor:
            return self.sigma_y**2 * p + self.along(fixed, self.pull(r, x, x0, p, at))

        u = conjugate_gradients(
            covariance,
            r.detach(),
            least=self.sigma_y**2,
            iterations=self.iterations,
            tolerance=self.tolerance,
        )
        return self.pull(r, x, x0, u, at)


@method
class LinearDPS(Observed, DPS):
    """`DPS` of a measurement by one of the linear operators: the component `dps`."""


@method
class LinearPiGDM(Observed, PiGDM):
    """`PiGDM` of a measurement by one of the linear operators: the component `pigdm`."""


@method
class LinearMMPS(Observed, MMPS):
    """`MMPS` of a measurement by one of the linear operators: the component `mmps`."""
