r"""The exact model of p(x_0 | y) for data from a Gaussian mixture and a linear A, by which other methods are judged.

With p(x_0) = Σ_k w_k N(m_k, C_k) and y = A x_0 + c + σ_y n, the posterior is a mixture too,

    G_k = A C_k Aᵀ + σ_y² I,    K_k = C_k Aᵀ G_k⁻¹,    r_k = y − c − A m_k,
    w_k' ∝ w_k N(r_k; 0, G_k),    m_k' = m_k + K_k r_k,    C_k' = (I − K_k A) C_k (I − K_k A)ᵀ + σ_y² K_k K_kᵀ,

and its score under a Gaussian process is `ExactMixture`'s.
"""

import copy
import math
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from difrun.data import GaussianMixture
from difrun.errors import DifrunError
from difrun.model import ExactMixture
from difrun_guidance.measurements.base import LinearMeasurement, method
from difrun_guidance.measurements.options import ExactOptions

RULED_OUT = math.exp(-600)
"""A class with less weight than this, given y, is not drawn: rounding would lose the weights of its components."""


def posterior(prior: GaussianMixture, matrix: Tensor, y: Tensor, sigma_y: float) -> GaussianMixture:
    """Compute p(x_0 | y) for y = A x_0 + σ_y n.

    Args:
        prior: The mixture p(x_0) in d dimensions.
        matrix: A, with shape (m, d), float64.
        y: The measurement, with shape (m,), float64.
        sigma_y: The standard deviation σ_y of the noise.
    """
    eye = torch.eye(prior.dim, dtype=torch.float64)
    covs = prior.covs[:, None, None] * eye if prior.isotropic else prior.covs
    noise = sigma_y**2 * torch.eye(len(matrix), dtype=torch.float64)
    factor = torch.linalg.cholesky(matrix @ covs @ matrix.T + noise)
    gain = torch.cholesky_solve(matrix @ covs, factor).mT
    r = y - prior.means @ matrix.T
    white = torch.linalg.solve_triangular(factor, r[:, :, None], upper=False)[:, :, 0]
    log_weights = (
        prior.weights.log() - 0.5 * white.square().sum(1) - factor.diagonal(dim1=1, dim2=2).log().sum(1)
    )
    # The bound keeps weights above 0, which has no logarithm.
    weights = log_weights.log_softmax(0).clamp(min=math.log(RULED_OUT) - 50).softmax(0)
    means = prior.means + (gain @ r[:, :, None])[:, :, 0]
    remainder = eye - gain @ matrix
    posterior_covs = remainder @ covs @ remainder.mT + sigma_y**2 * gain @ gain.mT
    return GaussianMixture(weights, means, 0.5 * (posterior_covs + posterior_covs.mT))


@method
class Exact(LinearMeasurement, ExactOptions):
    """The exact conditional model of a Gaussian mixture.

    It uses only the process of the given model. Conditioned on classes, it is the model of p(x_0 | y, class).

    Raises:
        DifrunError: If the distribution of the dataset is not known to be such a mixture.
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
        zero = torch.zeros(1, *self.shape, dtype=torch.float64)
        offset = self.observe(zero)[0]
        unit = torch.eye(math.prod(self.shape), dtype=torch.float64).reshape(-1, *self.shape)
        matrix = (self.observe(unit) - offset).T
        mixture = posterior(dataset.distribution, matrix, self._y - offset, self.sigma_y)
        self.exact: Any = ExactMixture(mixture, self.process, dataset.component_labels)
        self.mean, self.var = mixture.mean, mixture.var

    @property
    @override
    def classes(self) -> int:
        return self.exact.classes

    @property
    @override
    def knows_any(self) -> bool:
        return True

    @property
    @override
    def condition_shape(self) -> tuple[int, ...] | None:
        return None

    @property
    @override
    def known_conditions(self) -> Tensor | None:
        return None

    @property
    @override
    def labels(self) -> Tensor | None:
        return self.exact.labels

    @override
    def condition_on(self, labels: Tensor) -> "Exact":
        """The model of p(x_0 | y, class of each row).

        Args:
            labels: The class of each row, with shape (n,); −1 is any class.

        Raises:
            DifrunError: If y rules out a class, or there is no such class.
        """
        changed = copy.copy(self)
        changed.exact = self.exact.condition_on(labels)
        component_labels = self.exact.component_labels
        for label in labels.unique().tolist():
            if label >= 0 and float(self.exact.mixture.weights[component_labels == label].sum()) < RULED_OUT:
                assert self.context is not None
                name = self.context.dataset.classes[label]
                raise DifrunError(f"no example of class '{name}' would be measured as y: draw another class.")
        return changed

    @override
    def moments(self) -> tuple[Any, Any]:
        return self.exact.moments()

    @override
    def predict(self, x: Tensor, at: Any, kind: str) -> Tensor:
        return self.exact.predict(x, at, kind)
