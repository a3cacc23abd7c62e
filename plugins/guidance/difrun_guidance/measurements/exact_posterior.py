r"""The exact model of p(x_0 | y) for data from a Gaussian mixture and a linear A: what other methods are judged by.

With p(x_0) = Σ_k w_k N(m_k, C_k) and y = A x_0 + c + σ_y n the posterior is a mixture too,

    G_k = A C_k Aᵀ + σ_y² I,    K_k = C_k Aᵀ G_k⁻¹,    r_k = y − c − A m_k,
    w_k' ∝ w_k N(r_k; 0, G_k),    m_k' = m_k + K_k r_k,    C_k' = (I − K_k A) C_k (I − K_k A)ᵀ + σ_y² K_k K_kᵀ,

and its score under a Gaussian process is `ExactMixture`'s.
"""

import copy
import math
from typing import Any

import torch
from torch import Tensor

from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.model import ExactMixture
from difrun_guidance.measurements.base import Observed, method
from difrun_guidance.measurements.options import ExactOptions

RULED_OUT = math.exp(-600)
"""A class of less weight than this, given y, is not drawn: its own weights would be lost to rounding."""


def posterior(distribution: GaussianMixture, matrix: Tensor, y: Tensor, sigma_y: float) -> GaussianMixture:
    """p(x_0 | y) for x_0 of distribution `distribution` in d dimensions and y = `matrix` x_0 + σ_y n, (m,) of (m,
    d), in float64."""
    eye = torch.eye(distribution.dim, dtype=torch.float64)
    covs = distribution.covs[:, None, None] * eye if distribution.isotropic else distribution.covs
    noise = sigma_y**2 * torch.eye(len(matrix), dtype=torch.float64)
    factor = torch.linalg.cholesky(matrix @ covs @ matrix.T + noise)
    gain = torch.cholesky_solve(matrix @ covs, factor).mT
    r = y - distribution.means @ matrix.T
    white = torch.linalg.solve_triangular(factor, r[:, :, None], upper=False)[:, :, 0]
    log_weights = (
        distribution.weights.log()
        - 0.5 * white.square().sum(1)
        - factor.diagonal(dim1=1, dim2=2).log().sum(1)
    )
    keep = eye - gain @ matrix
    spread = keep @ covs @ keep.mT + sigma_y**2 * gain @ gain.mT
    means = distribution.means + (gain @ r[:, :, None])[:, :, 0]
    weights = (
        log_weights.log_softmax(0).clamp(min=math.log(RULED_OUT) - 50).softmax(0)
    )  # a weight of 0 has no logarithm
    return GaussianMixture(weights, means, 0.5 * (spread + spread.mT))


@method
class Exact(Observed, ExactOptions):
    """The exact conditional model of a Gaussian mixture; of the model that it is given it uses the process alone, and
    the classes that are asked for: then it is the model of p(x_0 | y, class).

    Raises DifrunError where the distribution of the dataset is not known to be such a mixture, and for a class that
    y rules out.
    """

    def __attrs_post_init__(self) -> None:
        dataset = None if self.context is None else self.context.dataset
        if dataset is None or dataset.distribution is None:
            raise DifrunError(
                "guidance 'exact' needs a dataset whose distribution is a Gaussian mixture; "
                + ("there is no dataset." if dataset is None else f"{dataset.name!r} is not.")
                + " mmps works with any."
            )
        super().__attrs_post_init__()
        start = torch.zeros(1, *self.shape, dtype=torch.float64)
        offset = self.observe(start)[0]
        unit = torch.eye(math.prod(self.shape), dtype=torch.float64).reshape(-1, *self.shape)
        matrix = (self.observe(unit) - offset).T
        distribution = posterior(dataset.distribution, matrix, self._values - offset, self.sigma_y)
        self.exact: Any = ExactMixture(distribution, self.process, dataset.component_labels)
        self.mean, self.var = distribution.mean, distribution.var

    @property
    def classes(self) -> int:
        return self.exact.classes

    @property
    def knows_any(self) -> bool:
        return True

    @property
    def labels(self) -> Tensor | None:
        return self.exact.labels

    def condition_on(self, labels: Tensor) -> "Exact":
        """p(x_0 | y, class of the row). Raises DifrunError also for a class that y rules out."""
        changed = copy.copy(self)
        changed.exact = self.exact.condition_on(labels)
        owner = self.exact.component_labels
        for label in labels.unique().tolist():
            if label >= 0 and float(self.exact.mixture.weights[owner == label].sum()) < RULED_OUT:
                assert self.context is not None
                name = self.context.dataset.classes[label]
                raise DifrunError(f"no example of class '{name}' would be measured as y: draw another class.")
        return changed

    def moments(self) -> tuple[Any, Any]:
        return self.exact.moments()

    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return self.exact.predict(x, at, kind)
