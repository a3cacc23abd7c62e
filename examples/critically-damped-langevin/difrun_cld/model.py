r"""Score models of critically damped Langevin diffusion: they predict ∇_v log p_t(x, v).

Noise enters the velocity alone, so this is all of the score that the reverse process needs.
"""

from typing import TYPE_CHECKING, Any

import torch
from difrun.errors import DifrunError
from difrun.model import ScoreModel
from torch import Tensor, nn
from typing_extensions import override

if TYPE_CHECKING:
    from difrun_cld.process import CriticallyDampedLangevin, Instant


class VelocityScore(ScoreModel):
    """A model whose one kind of prediction, "score", is ∇_v log p_t, with the shape of an example."""

    kind = "score"
    process: "CriticallyDampedLangevin"

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        if kind != "score":
            raise DifrunError(
                f"a model of the process 'cld' predicts the score of the velocities, not {kind!r}"
            )
        return self(x, at)


class NetworkScore(VelocityScore):
    r"""A network beside the exact score of Gaussian data.

    Given x_0 the noise of the velocity has the deviation ℓ = L_vv, L the triangle of the covariance, and
    ∇_v log p = −E[ε_v | u_t]/ℓ. The model is

        ε̂_v = ℓ (−∂_v log N(u; m_t, C_t)) + F(u', c)_v,

    with N the Gaussian of the moments of the data, noised: F = 0 is right for data of independent Gaussians.
    u' is u with mean 0 and variance 1, and c = ¼ log t. Of the output of F only the half that belongs to v is used.

    Args:
        network: F, called with states (n, *state_shape) and levels (n,) or (1,).
        process: The process.
        shape: The shape of one example.
        mean: Mean of the data per coordinate.
        var: Variance of the data per coordinate.

    References:
        Dockhorn et al. (2022), arXiv 2112.07068, sec. 3.2 and app. B.3 (mixed score).
    """

    def __init__(
        self,
        network: nn.Module,
        process: "CriticallyDampedLangevin",
        shape: tuple[int, ...],
        *,
        mean: Tensor,
        var: Tensor,
    ):
        self.network, self.process, self.shape = network, process, tuple(shape)
        self.mean, self.var = (torch.as_tensor(each, dtype=torch.float32) for each in (mean, var))

    @override
    def to(self, device: torch.device | str) -> "NetworkScore":
        self.network.to(device)
        self.mean, self.var = self.mean.to(device), self.var.to(device)
        return self

    @override
    def forward(self, x: Tensor, at: "Instant") -> Tensor:
        return -self.noise(x, at) / self.deviation(at)

    @staticmethod
    def deviation(at: "Instant") -> Any:
        """ℓ = L_vv, the deviation of v_t given x_t and x_0."""
        xx, xv, vv = at.cov
        return (vv - xv * xv / xx) ** 0.5

    def noise(self, x: Tensor, at: "Instant") -> Tensor:
        """E[ε_v | u_t], with the shape of an example."""
        kept = x.to(next(self.network.parameters(), x).dtype)
        (mean_x, mean_v), (xx, xv, vv) = self.process.marginal(at, self.mean.to(kept), self.var.to(kept))
        position, velocity = kept.chunk(2, dim=1)
        position, velocity = position - mean_x, velocity - mean_v
        gaussian = (xx * velocity - xv * position) / (xx * vv - xv * xv)
        scaled = torch.cat(
            (position / torch.as_tensor(xx) ** 0.5, velocity / torch.as_tensor(vv) ** 0.5), dim=1
        )
        t = torch.as_tensor(at.t, dtype=kept.dtype, device=kept.device)
        level = t.clamp_min(self.process.t_min).log().reshape(-1) / 4
        return self.deviation(at) * gaussian + self.network(scaled, level).chunk(2, dim=1)[1]
