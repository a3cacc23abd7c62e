r"""The exact score of a Gaussian mixture.

In the principal axes of component k, with variance s along one of them, the pair (x, v) along it is Gaussian with mean
Φ_0 m and covariance C + s Φ_0 Φ_0ᵀ, where Φ_0 = (Φ_xx, Φ_vx) and C is the covariance given x_0. Hence

    ∇_v log p = Σ_k r_k ∇_v log N_k,    r = softmax_k(log w_k + Σ log N_k).
"""

import math
from typing import Any

import torch
from difrun.data import Dataset, GaussianMixture
from difrun.errors import DifrunError
from torch import Tensor
from typing_extensions import override

from difrun_cld.model import VelocityScore
from difrun_cld.process import CriticallyDampedLangevin, Instant


def exact(*, process: CriticallyDampedLangevin, dataset: Dataset) -> "ExactVelocityScore":
    """Return the exact model of a dataset whose distribution is a Gaussian mixture.

    Raises:
        DifrunError: If it is none.
    """
    if dataset.distribution is None:
        raise DifrunError(
            f"model 'cld-exact' needs data whose distribution is a Gaussian mixture, such as blobs; that of "
            f"'{dataset.name}' is not known to be one."
        )
    return ExactVelocityScore(dataset.distribution, process)


class ExactVelocityScore(VelocityScore):
    """The exact ∇_v log p_t of a Gaussian mixture.

    Args:
        mixture: The distribution of the data.
        process: The process.
    """

    def __init__(self, mixture: GaussianMixture, process: CriticallyDampedLangevin):
        self.mixture, self.process = mixture, process
        self.shape, self.mean, self.var = (mixture.dim,), mixture.mean, mixture.var

    @override
    def forward(self, x: Tensor, at: Any) -> Tensor:
        log_joint, slope = self._terms(x, at)
        pull = log_joint.softmax(1)[:, :, None] * slope
        vectors = self.mixture.eigenvectors
        return pull.sum(1) if vectors is None else torch.einsum("kij,nkj->ni", vectors.to(x), pull)

    def log_prob(self, x: Tensor, at: Instant) -> Tensor:
        """Return log p_t(x, v) in nats, (n,)."""
        return self._terms(x, at)[0].logsumexp(1)

    def _terms(self, x: Tensor, at: Instant) -> tuple[Tensor, Tensor]:
        """Return log w_k + log N_k(u), (n, K), and ∂_v log N_k along the principal axes, (n, K, d)."""
        mixture = self.mixture
        means, values = mixture.means.to(x), mixture.eigenvalues.to(x)
        (mean_x, mean_v), (xx, xv, vv) = self.process.marginal(at, means, values)
        position, velocity = (
            half[:, None] - mean for half, mean in zip(x.chunk(2, dim=1), (mean_x, mean_v), strict=True)
        )
        if mixture.eigenvectors is not None:
            axes = mixture.eigenvectors.to(x)
            position, velocity = (torch.einsum("nki,kij->nkj", each, axes) for each in (position, velocity))
        determinant = xx * vv - xv * xv
        energy = (vv * position**2 - 2 * xv * position * velocity + xx * velocity**2) / determinant
        log_joint = mixture.weights.log().to(x) - 0.5 * (energy + determinant.log()).sum(2)
        return log_joint - mixture.dim * math.log(2 * math.pi), -(xx * velocity - xv * position) / determinant
